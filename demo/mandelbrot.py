"""The picture: rows of the Mandelbrot set, each pixel the mean of several points."""

from io import BytesIO
from time import monotonic
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from PIL import Image

from .palette import colours

POINTS_PER_SIDE = 3  # of a pixel
STEPS_PER_CHECK = 5
ESCAPE_RADIUS = 1000.0  # squared five times more, it is still far from an overflow
PLANE_WIDTH = 3.5  # the width that a zoom of 1 shows


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    width: Annotated[int, Meta(ge=16, le=2000)] = 1280
    height: Annotated[int, Meta(ge=16, le=2000)] = 860
    iterations: Annotated[int, Meta(ge=10, le=3000)] = 2000
    centre_x: Annotated[float, Meta(ge=-3, le=3)] = -0.743643887037151
    centre_y: Annotated[float, Meta(ge=-3, le=3)] = 0.131825904205330
    zoom: Annotated[float, Meta(ge=0.5, le=1e12)] = 120_000


def render_band(picture: Picture, first_row: int, seconds: float) -> list[bytes]:
    """Render rows from `first_row` on until the time is over, but at least one row."""
    deadline = monotonic() + seconds
    rows = []
    for row in range(first_row, picture.height):
        rows.append(_render_row(picture, row))
        if monotonic() > deadline:
            break
    return rows


def encode_png(picture: Picture, rows: list[bytes]) -> bytes:
    image = Image.frombytes("RGB", (picture.width, picture.height), b"".join(rows))
    png = BytesIO()
    image.save(png, "PNG", compress_level=4)  # a third of the time of the default
    return png.getvalue()


def _render_row(picture: Picture, row: int) -> bytes:
    points = _points_of_row(picture, row)
    samples = colours(_escape_times(points.ravel(), picture.iterations))
    shape = (POINTS_PER_SIDE, picture.width, POINTS_PER_SIDE, 3)
    pixels: NDArray[np.float64] = samples.reshape(shape).mean(axis=(0, 2))
    return pixels.round().astype(np.uint8).tobytes()


def _points_of_row(picture: Picture, row: int) -> NDArray[np.complex128]:
    step = PLANE_WIDTH / picture.zoom / picture.width
    columns = _points_along(0, picture.width) - picture.width / 2
    lines = _points_along(row, row + 1) - picture.height / 2
    x = picture.centre_x + columns * step
    y = picture.centre_y - lines * step
    return x + 1j * y[:, np.newaxis]


def _points_along(first: int, end: int) -> NDArray[np.float64]:
    points = np.arange(first * POINTS_PER_SIDE, end * POINTS_PER_SIDE)
    return (points + 0.5) / POINTS_PER_SIDE


def _escape_times(
    points: NDArray[np.complex128], iterations: int
) -> NDArray[np.float64]:
    """The iterations until each point escapes, with fractions; NaN if it never does."""
    times = np.full(points.size, np.nan)
    places = np.arange(points.size)
    z = np.zeros_like(points)
    for iteration in range(0, iterations, STEPS_PER_CHECK):
        if not places.size:
            break
        _iterate(z, points)
        distances = np.abs(z)
        near = distances < ESCAPE_RADIUS
        if near.all():
            continue
        times[places[~near]] = iteration - np.log2(np.log(distances[~near]))
        places, points, z = places[near], points[near], z[near]
    return times


def _iterate(z: NDArray[np.complex128], points: NDArray[np.complex128]) -> None:
    for _ in range(STEPS_PER_CHECK):
        np.multiply(z, z, out=z)
        np.add(z, points, out=z)
