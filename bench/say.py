"""Prints a line of a measurement at once, also into a pipe."""

import sys


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
