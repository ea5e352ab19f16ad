"""`python -m actors` is `dramatiq actors`, whose master writes its log as we do.

Dramatiq's own command never loads us into its master, so the few lines of that process
are in a format of its own.
"""

from __future__ import annotations

import sys

from dramatiq import cli

from actors.telemetry.logs import set_up


def main() -> int:
    given = sys.argv[1:]
    chosen = cli.make_argument_parser().parse_args(["actors", *given])
    sys.argv = [sys.executable, "-m", "actors", *given]  # it begins anew on SIGHUP
    set_up()
    code: int = cli.main(chosen)
    return code


if __name__ == "__main__":
    sys.exit(main())
