"""The command `progrock`; other packages may bring subcommands of their own.

A subcommand is an entry point of the group `progrock.commands`: a function that takes
argparse's subparsers, and adds a parser whose default `run` gives the exit code.
"""

from __future__ import annotations

import argparse
from importlib.metadata import entry_points

GROUP = "progrock.commands"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="progrock",
        description="Live, stoppable, truthful progress of jobs on other services.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for found in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        found.load()(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except KeyboardInterrupt:
        code = 130
    return code
