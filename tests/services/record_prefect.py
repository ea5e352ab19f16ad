"""`python -m tests.services.record_prefect`: record the answers of a real Prefect anew.

It needs what `make prefect` installs, and writes `tests/recorded/prefect/`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count, groupby
from pathlib import Path
from typing import Any, NamedTuple

from actors.backends import Handle, Report
from actors.backends.http import HttpBackend
from actors.backends.offered import SERVICES
from actors.clock import now_ms, timestamp
from actors.recipes.load import load_recipe
from actors.requests import Action
from actors.status import Status
from dev.processes import Stack
from tests.support.recorded import RECORDED, after, said

from .between import Between
from .prefect import PASSWORD, USER, Prefect

FOLDER = RECORDED / "prefect"
SRV = "/srv/prefect"  # stands for the temporary folder
JOB = "Jk3v-0123456789_abcde{}"


class Scene(NamedTuple):
    """One run: the flow's parameters, and the status in which it is stopped."""

    parameters: dict[str, Any]
    stopped_in: Status | None = None
    is_served: bool = True


class Step(NamedTuple):
    """One action, all its calls, and what was reported."""

    action: str
    calls: list[dict[str, Any]]
    report: dict[str, Any] | str = ""


SCENES = (
    Scene({"seconds": 4, "waits": "paused"}),
    Scene({"seconds": 1, "ends": "badly"}),
    Scene({"seconds": 1, "ends": "suddenly"}),
    Scene({"seconds": 60}, stopped_in=Status.RUNNING),
    Scene({"seconds": 1}, stopped_in=Status.QUEUED, is_served=False),
)


class Recorder:
    """Takes jobs through their lives, and has all calls of each step."""

    def __init__(self, prefect: Prefect, between: Between) -> None:
        environ = {
            "PREFECT_URL": between.url,
            "PREFECT_USER": USER,
            "PREFECT_PASSWORD": PASSWORD,
            "PREFECT_DEPLOYMENT": prefect.served,
        }
        recipe = load_recipe(SERVICES / "prefect.toml", environ)
        self._backend = HttpBackend("prefect", recipe, 200, 200)
        self._prefect, self._between = prefect, between
        self.steps: list[Step] = []
        self.jobs: list[Handle] = []

    async def record(self) -> None:
        for scene in SCENES:
            if not scene.is_served:
                self._prefect.flows.end()
            self._prefect.change(scene.parameters)
            await self._play(scene)
        await self._backend.close()

    async def _play(self, scene: Scene) -> None:
        job_id, params = JOB.format(len(self.jobs)), self._backend.check({})
        begun = await self._backend.start(job_id, params)
        self._note("start")
        job = Handle(begun.ref, job_id, params, timestamp(now_ms()), kept=begun.kept)
        self.jobs.append(job)
        status, is_resumed = Status.QUEUED, False
        while not status.terminal:
            [answer] = await self._backend.reports([job])
            assert isinstance(answer, Report), answer
            job, status = after(answer, job), answer.status
            self._note("status", said(answer))
            if status is Status.PAUSED and not is_resumed:
                self._prefect.resume(job.ref)
                is_resumed = True
            has_begun = status is not Status.RUNNING or bool(answer.progress)
            if status is scene.stopped_in and has_begun and not job.is_stopped:
                await self._backend.send(Action.CANCEL, job)
                self._note("cancel")
                job = job._replace(is_stopped=True)
            await asyncio.sleep(0.2)

    def _note(self, action: str, report: dict[str, Any] | str = "") -> None:
        self.steps.append(Step(action, self._between.said.copy(), report))
        self._between.said.clear()


def kept(steps: list[Step]) -> Iterator[Step]:
    """Of statuses that follow each other and are the same, only the last."""

    def kind(step: Step) -> tuple[str, str]:
        status = step.report["status"] if isinstance(step.report, dict) else ""
        return step.action, status

    for _, same in groupby(steps, kind):
        yield list(same)[-1]


def write(recorder: Recorder, prefect: Prefect) -> None:
    """Write one file for each call, and the play, in place of those that were there."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    source = {"recorded_from": f"Prefect {prefect.version}"}
    steps = list(kept(recorder.steps))
    for number, step in zip(count(1), steps, strict=False):
        for call in step.calls:
            part = "progress" if "/artifacts/" in call["request"] else "run"
            name = f"{step.action}.{part}" if step.action == "status" else step.action
            _write(FOLDER / f"{number}-{name}.json", {**source, **call}, prefect)
    play = {
        "environ": {"PREFECT_URL": "{url}", "PREFECT_DEPLOYMENT": prefect.served},
        "params": {},
        "jobs": [job.job_id for job in recorder.jobs],
        "ref": recorder.jobs[-1].ref,
        "reports": [step.report for step in steps if step.action == "status"],
    }
    _write(FOLDER / "play.json", play, prefect)


def _write(path: Path, document: Any, prefect: Prefect) -> None:
    text = json.dumps(document, indent=2).replace(str(prefect.folder), SRV)
    path.write_text(text + "\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, Stack("") as stack:
        prefect = Prefect(Path(folder))
        prefect.start(stack)
        between = Between(prefect.url)
        with between.serving():
            recorder = Recorder(prefect, between)
            asyncio.run(recorder.record())
        write(recorder, prefect)


if __name__ == "__main__":
    main()
