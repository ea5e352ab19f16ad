"""`make check`: counts CONNECTIVES in docstrings and comments, and holds a limit.

These words make sentences that are hard to read; write "the job that", or "if". Good
codebases have 0 to 0.3 of them in 1,000 words.
"""

from __future__ import annotations

import ast
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("actors", "web", "dev", "bench", "demo", "tests")
MAX_IN_1000_WORDS = 3
CONNECTIVES = re.compile(r"\b(what|who|whoever)\b", re.IGNORECASE)
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def texts(path: Path) -> Iterator[str]:
    """Yield every docstring and comment of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, DOCUMENTED):
            yield ast.get_docstring(node) or ""
    with path.open("rb") as file:
        tokens = tokenize.tokenize(file.readline)
        yield from (each.string for each in tokens if each.type == tokenize.COMMENT)


def main() -> None:
    for room in ROOMS:
        found = [text for path in Path(room).rglob("*.py") for text in texts(path)]
        words = sum(len(text.split()) for text in found)
        hits = [text for text in found for _ in CONNECTIVES.findall(text)]
        if len(hits) * 1000 > MAX_IN_1000_WORDS * words:
            sys.exit(f"{room}/: {len(hits)} in {words} words.\n" + "\n".join(hits))


if __name__ == "__main__":
    main()
