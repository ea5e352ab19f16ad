"""Gets the answers to the questions: from flags, from a terminal, or from lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import IO

from .output import Output
from .questions import HEADER, LINK, NONE, QUESTIONS, Question
from .samples import Sample
from .words import meaning


class NoAnswerError(Exception):
    """An answer is missing or cannot be used; the message says how to go on."""


class Asker:
    """Asks each question once; on a terminal again, until the answer can be used."""

    def __init__(
        self, name: str, flags: Mapping[str, str], lines: IO[str], output: Output
    ) -> None:
        self._flags, self._lines, self._output = flags, lines, output
        self._is_live = lines.isatty()
        self._reads = self._is_live or not flags
        self._answers: dict[str, str] = {"name": name}
        self._sample = Sample({})
        self._was_answered = bool(flags)

    def answers(self) -> dict[str, str]:
        """Return an answer for each question; an empty one means none.

        Raises NoAnswerError.
        """
        for question in QUESTIONS:
            is_asked = all(self._answers[name] for name in question.needs)
            self._answers[question.name] = self._answer(question) if is_asked else ""
            if question.name == "answer" and (file := self._answers["answer"]):
                self._sample = Sample.read(Path(file))
        if not self._was_answered:
            raise NoAnswerError(
                "There is no terminal to ask on: give answers as flags (see recipe new "
                "--help), or one on each line of the standard input."
            )
        return self._answers

    def _answer(self, question: Question) -> str:
        default = self._default(question)
        if question.name in self._flags:
            return self._used(question, self._flags[question.name], default)
        while self._reads:
            line = self._line(question, default)
            if line is None:
                break
            try:
                return self._used(question, line, default)
            except NoAnswerError as error:
                if not self._is_live:
                    raise
                self._output.mistake(str(error))
        return self._used(question, "", default)

    def _line(self, question: Question, default: str) -> str | None:
        """Ask, and return the line; None if there are no more."""
        if self._is_live:
            self._output.line(question.says.replace("{path}", _path(self._answers)))
            none = f", {NONE} for none" if default and question.may_be_empty else ""
            shown = f" [{default}{none}]" if default else ""
            self._output.ask(f"  {question.title}{shown}: ")
        line = self._lines.readline()
        self._reads = bool(line)
        self._was_answered |= bool(line)
        return line if line else None

    def _used(self, question: Question, given: str, default: str) -> str:
        answer = given.strip() or default
        answer = "" if answer == NONE else answer
        if not answer and not question.may_be_empty:
            raise NoAnswerError(f"--{question.name}: an answer is needed.")
        try:
            if answer:
                question.check(answer)
        except ValueError as error:
            reason = str(error).rstrip(".")
            raise NoAnswerError(f"--{question.name}: {reason}.") from error
        return answer

    def _default(self, question: Question) -> str:
        found = self._sample.where
        if question.name in found:
            return found[question.name]
        if (word := self._sample.word) and meaning(word) == question.name:
            return word
        return question.default.replace("{path}", _path(self._answers)).replace(
            "{name}", self._answers["name"]
        )


def _path(answers: Mapping[str, str]) -> str:
    """Return the path of a job, as the other answers let it guess."""
    if "status" in answers:
        return answers["status"].partition(" ")[2]
    if answers.get("ref", "").startswith((HEADER, LINK)):
        return "{ref}"
    path = answers.get("start", " /jobs").partition(" ")[2].partition("?")[0]
    return f"{path.rstrip('/')}/{{ref}}"
