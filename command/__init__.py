"""The command `progrock`; other packages may bring subcommands of their own.

A subcommand is an entry point of the group `progrock.commands`: a function that takes
argparse's subparsers, and adds a parser whose default `run` gives the exit code.
"""

from __future__ import annotations

import argparse
from importlib.metadata import EntryPoint, entry_points

GROUP = "progrock.commands"
# In a checkout, as in the image, ProgRock is not installed and has no entry points.
OWN = [EntryPoint(n, f"command.{n}:add", GROUP) for n in ("adopt", "doctor", "recipe")]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="progrock",
        description="Live, stoppable, truthful progress of jobs on other services.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    found = {each.name: each for each in (*OWN, *entry_points(group=GROUP))}
    for name in sorted(found):
        found[name].load()(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.run(chosen)
    except KeyboardInterrupt:
        code = 130
    return code
