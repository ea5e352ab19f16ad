"""`make bench`: measures, prints tables, writes results.json and gap.svg.

`python -m bench polling` measures that part alone and keeps the other part's results.
If something could not be measured, the rest is measured all the same, results.json
names it under `not_measured`, and the exit code is 1.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from . import feed, polling, scale

RESULTS = Path(__file__).parent / "results.json"
PARTS = {
    "polling": polling.measure,
    "feed": feed.measure,
    "scale": scale.measure,
}


def main() -> None:
    names = sys.argv[1:] or list(PARTS)
    if unknown := set(names) - set(PARTS):
        sys.exit(f"There is no part {unknown.pop()!r}; there is {', '.join(PARTS)}.")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in names:
        results[name] = {"python": platform.python_version(), **PARTS[name]()}
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    sys.exit(1 if any(results[name]["not_measured"] for name in names) else 0)


if __name__ == "__main__":
    main()
