"""What the command prints: colours and a live bar on a terminal, otherwise lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from actors.report import Report

from .findings import Finding
from .secrets import Mask

Row = tuple[str, str, str, str]  # a mark, its colour, what it is about, what was seen

MAX_SHOWN_CHARACTERS = 300
_MARKS = {True: ("holds", "green"), False: ("fails", "red"), None: ("not seen", "dim")}


class Output:
    """Prints to one stream; no secret gets through."""

    def __init__(self, stream: IO[str], mask: Mask) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._mask = mask

    def line(self, text: str) -> None:
        self._console.print(escape(self._mask(text)))

    def ask(self, text: str) -> None:
        """Print a question; the answer is typed on the same line."""
        self._console.print(escape(self._mask(text)), end="")

    def mistake(self, text: str) -> None:
        self._console.print(f"[red]{escape(self._mask(text))}[/red]")

    def _cell(self, text: str) -> str:
        """One line, without secrets, and then not too long."""
        line = " ".join(self._mask(text).split())
        too_long = len(line) > MAX_SHOWN_CHARACTERS
        return line[:MAX_SHOWN_CHARACTERS] + ("…" if too_long else "")

    def table(self, findings: Iterable[Finding]) -> None:
        """Print the claims, and what was seen of them."""
        rows = [(*_MARKS[each.holds], each.claim, each.seen) for each in findings]
        self.rows("claim", rows)

    def rows(self, title: str, rows: Iterable[Row]) -> None:
        """Print a table, or a line for each row if this is no terminal."""
        if not self._console.is_terminal:
            for mark, _, about, seen in rows:
                self.line(f"{mark:8}  {about}: {self._cell(seen)}")
            return
        table = Table("", title, "seen", box=None)
        for mark, colour, about, seen in rows:
            said = escape(self._cell(about)), escape(self._cell(seen))
            table.add_row(f"[{colour}]{mark}[/{colour}]", *said)
        self._console.print(table)

    @contextmanager
    def watching(self, title: str) -> Iterator[Progress | None]:
        """A live bar while a job is watched; None if this is no terminal."""
        self.line(title)
        if not self._console.is_terminal:
            yield None
            return
        columns = BarColumn(), TextColumn("{task.description}")
        with Progress(*columns, console=self._console, transient=True) as progress:
            progress.add_task("", total=100)
            yield progress

    def show(self, progress: Progress | None, report: Report) -> None:
        """Move the bar."""
        if progress is not None:
            said = escape(self._cell(f"{report.status} {report.message or ''}"))
            percentage = report.percentage
            progress.update(
                progress.task_ids[0], completed=percentage or 0, description=said
            )
