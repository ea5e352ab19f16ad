"""Flows run by a real Prefect, through the whole of ProgRock; `make prefect`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from actors.backends.offered import SERVICES
from dev.processes import Stack, wait_for

from .between import Between
from .prefect import BIN, PASSWORD, USER, Prefect
from .progrock import Job, ProgRock, progrock, proved

KEY = 'json.idempotency_key = "{job}"\n'
NAMES = ("seconds", "stages", "waits", "ends")
PARAMS = """
[params.properties]
seconds = { type = "number" }
stages = { type = "integer" }
waits = { enum = ["paused", "suspended"] }
ends = { enum = ["badly", "suddenly"] }
"""


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    if not (BIN / "prefect").exists():
        pytest.skip("Prefect is missing; `make prefect` installs it and runs these.")
    prefect = Prefect(tmp_path_factory.mktemp("prefect"))
    with Stack("") as stack:
        prefect.start(stack)
        yield prefect


@pytest.fixture(scope="module")
def between(prefect: Prefect) -> Iterator[Between]:
    between = Between(prefect.url)
    with between.serving():
        yield between


@pytest.fixture(scope="module")
def rock(
    prefect: Prefect, between: Between, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProgRock]:
    copies = tmp_path_factory.mktemp("recipes")
    copy(copies)
    environ = {
        **environ_of(prefect, between),
        "PROGROCK_RECIPES": str(copies),
        "UNSERVED": prefect.unserved,
        "UNKNOWN": str(uuid4()),
    }
    with progrock("prefect", **environ) as rock:
        yield rock


def environ_of(prefect: Prefect, between: Between) -> dict[str, str]:
    return {
        "PREFECT_URL": between.url,
        "PREFECT_USER": USER,
        "PREFECT_PASSWORD": PASSWORD,
        "PREFECT_DEPLOYMENT": prefect.served,
    }


def copy(folder: Path) -> None:
    """Recipes that begin as a copy of the shipped one, as its users make them."""
    shipped = (SERVICES / "prefect.toml").read_text()
    sent = [f'json.parameters.{name} = "{{params.{name}}}"\n' for name in NAMES]
    assert KEY in shipped
    chosen = shipped.replace(KEY, KEY + "".join(sent)) + PARAMS
    (folder / "chosen.toml").write_text(chosen)
    for name in ("unserved", "unknown"):
        other = shipped.replace("PREFECT_DEPLOYMENT", name.upper())
        (folder / f"{name}.toml").write_text(other)


def state(prefect: Prefect, job: Job) -> str:
    """What Prefect itself says of the job's run, of which there is exactly one."""
    said: str = prefect.run(job["job"])["state"]["type"]
    return said


def stopped(rock: ProgRock, job: Job) -> list[Job]:
    """Ask for a stop; returns all that is heard of the job until its end."""
    answer = rock.client.delete(f"/jobs/{job['job']}")
    assert answer.status_code == 202, answer.text
    return rock.told(answer.json(), lambda job: job["finished"])


def was_refused(told: list[Job]) -> bool:
    return any(job["request"]["state"] == "refused" for job in told)


def test_a_flow_is_watched_to_its_end_with_the_progress_of_its_artifact(
    rock: ProgRock, prefect: Prefect
) -> None:
    told = rock.told(rock.start("prefect"), lambda job: job["finished"])

    states = list(dict.fromkeys(job["status"] for job in told))
    assert states == ["queued", "running", "succeeded"]
    shares = [job["progress"] for job in told if job["status"] == "running"]
    assert any(0 < (share or 0) < 100 for share in shares)
    assert told[-1]["progress"] == 100
    assert told[-1]["result"] == {"run": prefect.run(told[-1]["job"])["name"]}


def test_the_recipe_is_proved(prefect: Prefect, between: Between) -> None:
    said = proved("prefect", **environ_of(prefect, between))

    assert "holds     cancel" in said
    assert "holds     the job succeeds" in said
    assert "holds     status.percent" in said
    assert "holds     result.values.run" in said
    assert PASSWORD not in said


def test_a_start_whose_answer_is_lost_is_sent_again_and_gives_one_run(
    rock: ProgRock, prefect: Prefect, between: Between
) -> None:
    between.lose("/create_flow_run")
    already = len(between.said)

    ended = rock.end(rock.start("chosen", seconds=1))

    sent = [call for call in between.said[already:] if "sends" in call]
    starts = [call for call in sent if call["request"].endswith("create_flow_run")]
    keys = [call["sends"]["idempotency_key"] for call in starts]
    assert between.has_lost_all
    assert keys == [ended["job"]] * 2
    assert [call["status"] for call in starts] == [201, 200]
    assert starts[0]["answer"]["id"] == starts[1]["answer"]["id"]
    assert (ended["status"], state(prefect, ended)) == ("succeeded", "COMPLETED")


def test_of_several_artifacts_the_one_that_changed_last_counts(
    rock: ProgRock, prefect: Prefect
) -> None:
    job = rock.start("chosen", seconds=10, stages=5)

    told = rock.told(job, lambda job: (job["progress"] or 0) >= 80)

    assert told[-1]["status"] == "running"
    rock.stop(told[-1])


def test_a_flow_that_is_stopped_while_it_runs_is_cancelled(
    rock: ProgRock, prefect: Prefect
) -> None:
    job = rock.start("chosen", seconds=20)
    rock.until(job, lambda job: (job["progress"] or 0) > 0)

    ended = rock.stop(job)

    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert ended["message"] == "Flow run was cancelled successfully."
    assert state(prefect, ended) == "CANCELLED"


def test_a_flow_that_is_stopped_before_it_runs_never_runs(
    rock: ProgRock, prefect: Prefect
) -> None:
    job = rock.start("unserved")
    wait_for(lambda: bool(prefect.runs(job["job"])))

    told = stopped(rock, job)

    assert told[-1]["status"] == "cancelled"
    assert not was_refused(told)
    assert prefect.run(job["job"])["run_count"] == 0


def test_a_stop_whose_answer_is_lost_is_sent_again_and_not_refused(
    rock: ProgRock, prefect: Prefect, between: Between
) -> None:
    job = rock.start("chosen", seconds=20)
    rock.until(job, lambda job: (job["progress"] or 0) > 0)
    between.lose("/set_state")

    told = stopped(rock, job)

    assert between.has_lost_all
    assert told[-1]["status"] == "cancelled"
    assert not was_refused(told)


def test_a_paused_flow_is_paused_until_somebody_lets_it_go_on(
    rock: ProgRock, prefect: Prefect
) -> None:
    job = rock.start("chosen", seconds=1, waits="paused")
    rock.until(job, lambda job: job["status"] == "paused")

    prefect.resume(prefect.run(job["job"])["id"])

    assert rock.end(job)["status"] == "succeeded"


def test_a_suspended_flow_which_has_no_process_can_be_stopped(
    rock: ProgRock, prefect: Prefect
) -> None:
    job = rock.start("chosen", seconds=1, waits="suspended")
    rock.until(job, lambda job: job["status"] == "paused")

    told = stopped(rock, job)

    assert told[-1]["status"] == "cancelled"
    assert not was_refused(told)


@pytest.mark.parametrize(
    ("ends", "word", "why"),
    [
        ("badly", "FAILED", "ValueError: the well is dry"),
        ("suddenly", "CRASHED", "due to a SIGKILL signal"),
    ],
)
def test_a_flow_that_fails_or_is_killed_has_failed_with_prefect_s_reason(
    rock: ProgRock, prefect: Prefect, ends: str, word: str, why: str
) -> None:
    ended = rock.end(rock.start("chosen", seconds=1, ends=ends))

    assert (ended["status"], state(prefect, ended)) == ("failed", word)
    assert why in ended["error"]["message"]


def test_starts_that_a_busy_database_puts_off_give_one_run_each(
    rock: ProgRock, prefect: Prefect
) -> None:
    jobs = [rock.start("unserved") for _ in range(8)]
    wait_for(lambda: all(prefect.runs(job["job"]) for job in jobs))

    ended = [rock.stop(job) for job in jobs]

    assert [job["status"] for job in ended] == ["cancelled"] * 8
    assert all(prefect.run(job["job"]) for job in jobs)


def test_a_deployment_that_is_not_there_is_a_refusal(rock: ProgRock) -> None:
    ended = rock.end(rock.start("unknown"))

    assert ended["error"]["code"] == "http_404"
    assert ended["error"]["message"] == "Deployment not found"
