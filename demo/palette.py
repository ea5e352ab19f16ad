"""The colours: from an escape time to red, green and blue."""

import numpy as np
from numpy.typing import NDArray

TURNS_PER_LOG = 0.85
STOPS = np.array([0.0, 0.16, 0.42, 0.6425, 0.8575, 1.0])
RED = np.array([0, 32, 237, 255, 0, 0])
GREEN = np.array([7, 107, 255, 170, 2, 7])
BLUE = np.array([100, 203, 255, 0, 0, 100])


def colours(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """The palette repeats with the time's logarithm; points that stay are black."""
    stays = np.isnan(times)
    turns = np.log(np.where(stays, 0, times) + 5) * TURNS_PER_LOG % 1
    channels = [np.interp(turns, STOPS, shades) for shades in (RED, GREEN, BLUE)]
    colours = np.stack(channels, axis=-1)
    colours[stays] = 0
    return colours
