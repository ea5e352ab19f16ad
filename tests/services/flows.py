"""Two flows that Prefect serves: one that bakes, and one that fails."""

from __future__ import annotations

import time

from prefect import flow, serve  # type: ignore[import-not-found]  # `make prefect`
from prefect.artifacts import (  # type: ignore[import-not-found]  # the same
    create_progress_artifact,
    update_progress_artifact,
)

STEPS = 20
STEP_S = 0.2


@flow  # type: ignore[untyped-decorator]  # its types are not here
def bake() -> None:
    """Take four seconds, and tell how far it is."""
    artifact = create_progress_artifact(progress=0.0)
    for step in range(1, STEPS + 1):
        time.sleep(STEP_S)
        update_progress_artifact(artifact, progress=100 * step / STEPS)


@flow  # type: ignore[untyped-decorator]  # its types are not here
def burn() -> None:
    """Fail at once."""
    raise ValueError("The loaf is burnt.")


if __name__ == "__main__":
    serve(bake.to_deployment("oven"), burn.to_deployment("oven"))
