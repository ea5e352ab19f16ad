"""The page's scripts, tested by Node's own runner."""

from __future__ import annotations

import shutil
import subprocess

from dev.processes import ROOT

from .conftest import missing


def test_the_feed_of_the_page_works() -> None:
    node = shutil.which("node")
    if node is None:
        missing("Node")
    ran = subprocess.run(
        [node or "", "--test", "tests/static/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
