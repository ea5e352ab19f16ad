"""The board and the alerts in docs/monitoring ask only for numbers that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import web.streams.counts  # noqa: F401  # it declares numbers, as those below do
from actors.telemetry import work  # noqa: F401
from actors.telemetry.exposition import JOBS, PROCESS
from actors.telemetry.tallies import FAMILIES, Spreads
from dev.processes import ROOT
from web.http import request_log  # noqa: F401

from .conftest import missing

FOLDER = ROOT / "docs" / "monitoring"
ALERTS, TRIALS = FOLDER / "alerts.yaml", FOLDER / "alerts.test.yaml"
BOARD: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text())
THEIRS = {  # Prometheus's own, and those of its client
    *("up", "process_cpu_seconds_total", "process_resident_memory_bytes"),
}


def known() -> dict[str, set[str]]:
    """Each sample's name, with its labels."""
    names: dict[str, set[str]] = {JOBS: {"backend", "status"}, PROCESS: {"kind"}}
    for family in FAMILIES:
        ends = ("_bucket", "_sum", "_count") if isinstance(family, Spreads) else ("",)
        names |= {f"{family.name}{end}": set(family.labels) for end in ends}
    return names


def expressions() -> Iterator[str]:
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    # Each of the file's expressions ends before the next key of its alert.
    yield from re.findall(
        r"(?s) expr: \|?(.*?)\n\s+(?:for|labels):", ALERTS.read_text()
    )


@pytest.fixture
def promtool() -> str:
    path = shutil.which("promtool")
    if path is None:
        missing("promtool, of the package prometheus,")
    assert path
    return path


def run(*command: object) -> None:
    ran = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("expression", list(expressions()))
def test_each_metric_is_there_with_its_labels(expression: str) -> None:
    for name in re.findall(r"\b(?:progrock|process)_[a-z_]+\b|\bup\b", expression):
        assert name in known() or name in THEIRS, name
    for name, chosen in re.findall(r"\b(progrock_[a-z_]+)\{(.*?)\}", expression):
        assert set(re.findall(r"(\w+)=", chosen)) <= known()[name]
    for labels in re.findall(r"by \((.*?)\)", expression):
        [about, *_] = re.findall(r"progrock_[a-z_]+", expression)
        ours = known()[about] | {"le", "instance"}
        assert set(re.split(r",\s*", labels)) <= ours


def test_every_alert_is_read() -> None:
    panels = sum(len(panel.get("targets", ())) for panel in BOARD["panels"])

    assert len(list(expressions())) - panels == ALERTS.read_text().count("- alert:")


def test_the_board_shows_every_metric() -> None:
    shown = " ".join(expressions())

    assert {each.name for each in FAMILIES if each.name not in shown} == set()


def test_no_two_panels_share_a_place() -> None:
    panels = BOARD["panels"]
    places = {(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels}

    assert len(places) == len(panels) == len({panel["id"] for panel in panels})


def test_promtool_takes_the_alerts_and_they_fire_as_they_should(promtool: str) -> None:
    run(promtool, "check", "rules", ALERTS)
    run(promtool, "test", "rules", TRIALS)


def test_promtool_reads_each_expression_of_the_board(
    promtool: str, tmp_path: Path
) -> None:
    rules = [
        {"record": f"panel:{n}", "expr": expression.replace("$__rate_interval", "5m")}
        for n, expression in enumerate(expressions())
    ]
    file = tmp_path / "board.yaml"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))

    run(promtool, "check", "rules", file)
