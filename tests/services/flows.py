"""What a real Prefect runs for the tests; in its virtual environment, not in ours."""

import os
import signal
import time

from prefect import flow, pause_flow_run, serve, suspend_flow_run
from prefect.artifacts import create_progress_artifact, update_progress_artifact

STEPS = 10


@flow
def count(
    seconds: float = 3, stages: int = 1, waits: str = "no", ends: str = "well"
) -> None:
    """Count to ten, in one or more stages that each have a progress artifact."""
    for step in range(STEPS):
        if step % (STEPS // stages) == 0:
            artifact = create_progress_artifact(progress=step * 100 / STEPS)
        time.sleep(seconds / STEPS)
        update_progress_artifact(artifact, progress=(step + 1) * 100 / STEPS)
        if step == STEPS // 2:
            wait(waits)
    if ends == "badly":
        raise ValueError("the well is dry")
    if ends == "suddenly":
        os.kill(os.getpid(), signal.SIGKILL)


def wait(how: str) -> None:
    """Wait for a person, with this process or without it."""
    if how == "paused":
        pause_flow_run(timeout=300, poll_interval=1)
    elif how == "suspended":
        suspend_flow_run(timeout=300)


if __name__ == "__main__":
    serve(count.to_deployment("served"), limit=20)
