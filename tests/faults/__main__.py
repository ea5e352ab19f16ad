"""`make faults`: the long run; the exit code is 1 if a promise was broken."""

from __future__ import annotations

import argparse
import os
import secrets
import sys

INJECTIONS = 204  # each kind twelve times


def main() -> None:
    # The imports below read the settings.
    os.environ["PROGROCK_ENV"] = "development"
    from .kinds import FAULTS
    from .rounds import run_now
    from .table import table

    arguments = _arguments()
    _say(f"Seed {arguments.seed}: --seed {arguments.seed} repeats the order.")
    report = run_now(arguments.seed, FAULTS, arguments.injections, _say)
    _say(table(report))
    sys.exit(1 if report.breaches else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--injections", type=int, default=INJECTIONS)
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
