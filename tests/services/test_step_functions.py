"""The example of a Backend class, against a server that is as AWS: `make aws`."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest

from actors import (
    AbsentError,
    BackendError,
    Handle,
    ParamsError,
    PythonBackend,
    Setup,
)
from dev.processes import ROOT, Stack, wait_for
from dev.redis import embedded, free_port

from .progrock import Job, ProgRock, progrock

FOLDER = ROOT / "examples/step_functions"
SERVER = ROOT / ".venv-aws/bin/moto_server"
Maker = Callable[..., PythonBackend]
KEYS = {"AWS_ACCESS_KEY_ID": "ann", "AWS_SECRET_ACCESS_KEY": "a secret of AWS's"}
MACHINES: dict[str, Any] = {
    "bread": {
        "StartAt": "Mix",
        "States": {
            "Mix": {"Type": "Wait", "Seconds": 2, "Next": "Bake"},
            "Bake": {"Type": "Wait", "Seconds": 2, "Next": "Cool"},
            "Cool": {"Type": "Pass", "Result": {"loaves": 2}, "End": True},
        },
    },
    "burnt": {
        "StartAt": "Burn",
        "States": {
            "Burn": {"Type": "Fail", "Error": "Burnt", "Cause": "The loaf is burnt."}
        },
    },
}


class Aws:
    """A server of moto's, with two state machines."""

    def __init__(self, stack: Stack) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        command = [str(SERVER), "-H", "127.0.0.1", "-p", port]
        wait_for(self._runs_machines, stack.start(command, ROOT))
        session = importlib.import_module("botocore.session").get_session()
        session.set_credentials(*KEYS.values())
        self.client = session.create_client(
            "stepfunctions", region_name="eu-central-1", endpoint_url=self.url
        )
        self.machines = {
            name: self.client.create_state_machine(
                name=name,
                definition=json.dumps(machine),
                roleArn="arn:aws:iam::123456789012:role/baker",
            )["stateMachineArn"]
            for name, machine in MACHINES.items()
        }

    def executions(self) -> list[Any]:
        machine = self.machines["bread"]
        found: list[Any] = self.client.list_executions(stateMachineArn=machine)[
            "executions"
        ]
        return found

    def environ(self, machine: str) -> dict[str, str]:
        """What the recipe and botocore want to know."""
        return {
            **KEYS,
            "STATE_MACHINE_ARN": self.machines[machine],
            "AWS_ENDPOINT_URL_SFN": self.url,
            "PYTHONPATH": os.pathsep.join([str(FOLDER), str(ROOT)]),
            "PROGROCK_RECIPES": str(FOLDER),
        }

    def _runs_machines(self) -> bool:
        """Without this setting no execution ever ends."""
        config = {"stepfunctions": {"execute_state_machine": True}}
        try:
            httpx.post(f"{self.url}/moto-api/config", json=config, trust_env=False)
        except httpx.TransportError:
            return False
        return True


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    if not SERVER.exists():
        pytest.skip("A server as AWS is large: `make aws` installs it and runs this.")
    with embedded() as redis, Stack(redis.url) as stack:
        yield Aws(stack)


@pytest.fixture(scope="module")
def rock(aws: Aws) -> Iterator[ProgRock]:
    with progrock("counter", **aws.environ("bread")) as ours:
        yield ours


@pytest.fixture
async def made(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Maker]:
    """Make the class by itself, as its recipe sets it up, with other options."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(FOLDER))
    kind = importlib.import_module("step_functions").StepFunctions
    all_made = []

    def make(**options: str) -> PythonBackend:
        ours = {"state_machine": aws.machines["bread"], "endpoint": aws.url, **options}
        all_made.append(kind(Setup("step_functions", "Bread", options=ours)))
        return all_made[-1]

    yield make
    for backend in all_made:
        await backend.close()


@pytest.fixture
def backend(made: Maker) -> PythonBackend:
    return made()


def start(rock: ProgRock) -> Job:
    return rock.start("step_functions", loaves=3)


def test_an_execution_is_followed_to_its_result(rock: ProgRock, aws: Aws) -> None:
    told = rock.told(start(rock), lambda job: job["finished"])

    assert told[-1]["status"] == "succeeded"
    assert told[-1]["result"] == {"loaves": 2}
    assert {"Mix", "Bake"} <= {job["message"] for job in told}
    [mine] = [each for each in aws.executions() if each["name"] == told[0]["job"]]
    said = aws.client.describe_execution(executionArn=mine["executionArn"])
    assert json.loads(said["input"]) == {"loaves": 3}


def test_an_execution_is_stopped_and_aws_confirms_it(rock: ProgRock, aws: Aws) -> None:
    job = rock.until(start(rock), lambda job: job["message"] == "Mix")

    ended = rock.stop(job)

    assert (ended["status"], ended["error"]) == ("cancelled", None)
    [mine] = [each for each in aws.executions() if each["name"] == job["job"]]
    assert mine["status"] == "ABORTED"


def test_an_execution_that_fails_is_told_in_its_own_words(aws: Aws) -> None:
    with progrock("counter", **aws.environ("burnt")) as rock:
        ended = rock.end(start(rock))

    assert ended["status"] == "failed"
    assert ended["error"]["message"] == "The loaf is burnt."


def test_an_execution_that_others_have_started_is_adopted(
    rock: ProgRock, aws: Aws
) -> None:
    theirs = aws.client.start_execution(
        stateMachineArn=aws.machines["bread"],
        name="theirs",
        input="{}",
    )["executionArn"]
    order = {"backend": "step_functions", "ref": theirs}

    answer = rock.client.post("/jobs", json=order)

    assert answer.status_code == 202
    assert rock.end(answer.json())["result"] == {"loaves": 2}


async def test_a_start_that_is_sent_twice_is_one_execution(
    backend: PythonBackend, aws: Aws
) -> None:
    first = await backend.start("the-same-job", {"loaves": 1})
    second = await backend.start("the-same-job", {"loaves": 1})

    assert first.ref == second.ref
    names = [each["name"] for each in aws.executions()]
    assert names.count("the-same-job") == 1


async def test_an_execution_that_is_not_known_is_absent(backend: PythonBackend) -> None:
    begun = await backend.start("somebody", {})
    ref = backend.check_ref(begun.ref + "-else")

    with pytest.raises(AbsentError):
        await backend.report(Handle(ref))


@pytest.mark.parametrize("ref", ["", "nobody", "arn:aws:states:x:1:execution:other:a"])
async def test_only_executions_of_the_machine_are_adopted(
    backend: PythonBackend, ref: str
) -> None:
    with pytest.raises(ParamsError):
        backend.check_ref(ref)


async def test_a_service_that_is_away_is_said_to_be_so(made: Maker) -> None:
    backend = made(endpoint=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(BackendError) as away:
        await backend.start("a-job", {})

    assert (away.value.code, away.value.permanent) == ("unreachable", False)


@pytest.mark.parametrize(
    "options",
    [
        {"state_machine": "bread"},
        {"state_machine": "arn:aws:states:x:1:activity:a"},
        {},
    ],
)
async def test_a_slip_in_the_options_is_found(
    aws: Aws, made: Maker, options: Any
) -> None:
    with pytest.raises(ValueError, match="state_machine"):
        made(**{"state_machine": "", **options})
