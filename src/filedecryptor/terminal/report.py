"""Outcomes of recordings: one line for each, the totals, the exit code."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from filedecryptor.errors import ExitCode, Failure, Outcome, cause_of, exit_code_of
from filedecryptor.terminal.console import Console, described, hint_of, printable

MEGABYTE = 1_000_000

MOST_NAMES = 8
"""Workers named in one line."""


class Report:
    """The totals of a run.

    Attributes:
        counts: How many recordings ended with each status.
        size: The bytes of audio of all of them.
        codes: The exit codes of what failed.

    Args:
        passwords: How many passwords there are; which of them was right is counted if several.
    """

    def __init__(self, passwords: int = 1) -> None:
        self.counts: Counter[str] = Counter()
        self._right = dict.fromkeys(range(1, passwords + 1), 0) if passwords > 1 else {}
        self.size = 0
        self.codes: set[ExitCode] = set()
        self._begin = time.monotonic()

    def add(self, outcome: Outcome) -> None:
        """Count a recording."""
        self.counts[outcome.status] += 1
        self.size += outcome.size or 0
        if outcome.password is not None:
            self._right[outcome.password] = self._right.get(outcome.password, 0) + 1
        if outcome.error is not None:
            self.codes.add(exit_code_of(outcome.error))

    @property
    def code(self) -> ExitCode:
        """The exit code: the failures' common one, 1 if they differ, 0 if there are none."""
        if len(self.codes) > 1:
            return ExitCode.FAILED
        return next(iter(self.codes), ExitCode.DONE)

    def summary(self) -> str:
        """Return the totals as a line."""
        last = ["skipped", "not tried", "failed"]
        statuses = sorted(self.counts.keys() - last) + [word for word in last if self.counts[word]]
        counts = ", ".join(f"{self.counts[status]} {status}" for status in statuses)
        if self._right:
            right = (f"password {number}: {count}" for number, count in self._right.items())
            counts += f" ({', '.join(right)})"
        audio = f"; {self.size / MEGABYTE:.1f} MB of audio" if self.size else ""
        return f"{counts}{audio} in {time.monotonic() - self._begin:.1f} s"


class Reporter:
    """Prints one result for each recording, and keeps the totals.

    Args:
        console: Where to print.
        quiet: Print nothing but errors, and objects if `json`.
        json: Print an object for each recording instead of the path of its output.
        many: Whether there are many recordings: then there is a summary instead of a line for each
            one that was skipped or verified.
        passwords: How many passwords are tried in turn.

    Attributes:
        report: The totals.
    """

    def __init__(
        self, console: Console, *, quiet: bool, json: bool, many: bool, passwords: int = 1
    ) -> None:
        self.report = Report(passwords)
        self._said: set[str] = set()
        self._console = console
        self._quiet = quiet
        self._json = json
        self._many = many
        self._is_heard = console.stdout is not None  # whoever closes it does not want results

    def add(self, outcome: Outcome, *, is_said: bool = False) -> None:
        """Print and count what became of a recording.

        Args:
            outcome: What became of it.
            is_said: Whether its error has been said, with another recording.
        """
        self.report.add(outcome)
        if self._json:
            self.write_result(_as_json(outcome))
        if outcome.note is not None:
            self.note(f"{outcome.output or outcome.input}: {outcome.note}")
        if outcome.error is not None and not is_said:
            self._console.say_error(outcome.error, self._is_news)
        if self._json or self._quiet:
            return
        if outcome.output is not None and outcome.status != "skipped":
            self.write_result(os.fsencode(outcome.output))
        elif outcome.error is None and outcome.status not in {"skipped", "verified"}:
            self.write_result(os.fsencode(f"{outcome.status}: {outcome.input}"))
        elif outcome.error is None and not self._many:
            self._console.say(_in_words(outcome))

    def _is_news(self, text: str) -> bool:
        """Return whether something has not been said yet: once is enough in a run."""
        is_news = text not in self._said
        self._said.add(text)
        return is_news

    def note(self, text: str) -> None:
        """Say something that is worth knowing, though nothing failed."""
        self.say(f"note: {text}")

    def note_once(self, name: str, text: str | None) -> None:
        """Say something of a recording, unless it has been said of another; nothing if None."""
        if text is not None and self._is_news(text):
            self.note(f"{name}: {text}")

    def say(self, line: str) -> None:
        """Say something, unless nothing but errors is to be said."""
        if not self._quiet:
            self._console.say(line)

    def add_object(self, fields: Mapping[str, object]) -> None:
        """Print an object that is not about one recording, if objects are printed."""
        if self._json:
            from json import dumps

            self.write_result(dumps(fields).encode("ascii"))

    def say_error(self, error: Failure) -> None:
        """Say what went wrong apart from the recordings; the exit code tells it as well."""
        self.report.codes.add(self._console.say_error(error, self._is_news))

    def warn(self, warning: str) -> None:
        """Say something that has to be known, however quiet the run is to be."""
        self._console.say(f"warning: {warning}")

    def write_result(self, line: bytes) -> None:
        """Write a line to standard output. If that takes no more, the work goes on without it."""
        if not self._is_heard:
            return
        try:
            self._console.write_line(line)
        except OSError as error:
            self._is_heard = False
            self.report.codes.add(exit_code_of(error))
            if self._many:
                what = "the work goes on, its results are not shown"
                self._console.say(f"error: {described(error)}; {what}")
            elif not isinstance(error, BrokenPipeError):  # a reader who left needs no message
                self._console.say_error(error)

    def say_silence(self, seconds: float, busy: list[str]) -> None:
        """Say that no work has ended for some time.

        Args:
            seconds: For how long.
            busy: The workers that have work.
        """
        names = ", ".join(busy[:MOST_NAMES]) or "no worker"
        more = f", and {len(busy) - MOST_NAMES} more" if len(busy) > MOST_NAMES else ""
        self.say(f"nothing has ended for {seconds:.0f} s; busy: {names}{more}")

    def say_summary(self, remark: str | None = None) -> None:
        """Say how it went, if there were many recordings, and a remark."""
        if self._many and self.report.counts:
            self.say("; ".join(filter(None, [self.report.summary(), remark])))


@contextmanager
def reporting(
    console: Console,
    *,
    quiet: bool,
    json: bool,
    many: bool,
    passwords: int = 1,
    go_on: str | None = None,
) -> Iterator[Reporter]:
    """Yield a `Reporter`; print the summary on exit, also after an interruption.

    Args:
        console: As for `Reporter`, and so are the three that follow.
        quiet: See there.
        json: See there.
        many: See there.
        passwords: See there.
        go_on: How to go on after an interruption, if that takes more than doing the same again.
    """
    reporter = Reporter(console, quiet=quiet, json=json, many=many, passwords=passwords)
    remark = go_on
    try:
        yield reporter
        remark = None
    except KeyboardInterrupt:
        raise
    except BaseException:
        remark = None
        raise
    finally:
        reporter.say_summary(remark)


def _as_json(outcome: Outcome) -> bytes:
    from json import dumps

    hint = None if outcome.error is None else hint_of(outcome.error)
    fields: dict[str, object] = {
        "input": outcome.input,
        "output": outcome.output,
        "format": outcome.format,
        "size": outcome.size,
        "status": outcome.status,
        "code": ExitCode.DONE if outcome.error is None else exit_code_of(outcome.error),
        "error": None if outcome.error is None else printable(_without_name(outcome)),
        "hint": None if hint is None else printable(hint),
    }
    if outcome.password is not None:
        fields["password"] = outcome.password

    return dumps(fields).encode("ascii")  # bytes that are not text become \udcXX, which is


def _without_name(outcome: Outcome) -> str:
    """Return what went wrong, with the name of what it is about if that is not the input."""
    assert outcome.error is not None  # noqa: S101 - or nobody would have called this
    if outcome.error.filename == outcome.input:
        return cause_of(outcome.error)
    return described(outcome.error)


def _in_words(outcome: Outcome) -> str:
    if outcome.status == "skipped":
        return f"skipped: {outcome.input}: {outcome.output} exists"
    kind = outcome.format or "unknown"
    return f"verified: {outcome.input}: {outcome.size} bytes of {kind} audio"
