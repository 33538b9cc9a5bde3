"""Outcomes of recordings: one line for each, the totals, the exit code."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import Self

from filedecryptor.audio import misnamed
from filedecryptor.errors import ExitCode, Failure, Outcome, cause_of, exit_code_of
from filedecryptor.terminal.console import Console, described, hint_of, printable
from filedecryptor.terminal.password import Found

MEGABYTE = 1_000_000


class Reporter:
    """Prints one result for each recording, and keeps the totals; as a context, it prints them.

    `counts` are by status, `size` is in bytes of audio, and `codes` are the failures' exit codes.
    It tells where the passwords were `found`, and which were right. If there are `many` recordings,
    a summary stands for the lines about what was skipped or verified. If `quiet`, only errors,
    warnings and JSON objects are printed. After an interruption, `go_on` says how to go on, if that
    takes more than doing the same again.
    """

    def __init__(
        self,
        console: Console,
        *,
        quiet: bool = False,
        json: bool = False,
        many: bool,
        found: Found | None = None,
        go_on: str | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.size = 0
        self.codes: set[ExitCode] = set()
        self.tell_of(found or Found())
        self._begin = time.monotonic()
        self._console = console
        self._quiet = quiet
        self._json = json
        self._many = many
        self._go_on = go_on
        self._is_heard = console.stdout is not None  # closed, it asks for no results

    def tell_of(self, found: Found) -> None:
        """Let failures say where the passwords were found, and the summary which were right."""
        self._found = found
        count = len(found.secrets)
        self._right = dict.fromkeys(range(1, count + 1), 0) if count > 1 else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._many and self.counts:
            go_on = f"; {self._go_on}" if self._go_on and kind is KeyboardInterrupt else ""
            self.say(f"{self._summary()}{go_on}")

    def _summary(self) -> str:
        """Return the totals as a line."""
        last = ["skipped", "not tried", "failed"]
        statuses = sorted(self.counts.keys() - last) + [word for word in last if self.counts[word]]
        counts = ", ".join(f"{self.counts[status]} {status}" for status in statuses)
        counts = counts.replace("to fetch and delete", "to fetch, then to delete")
        if self._right:
            right = (f"password {number}: {count}" for number, count in self._right.items())
            counts += f" ({', '.join(right)})"
        audio = f"; {self.size / MEGABYTE:.1f} MB of audio" if self.size else ""
        return f"{counts}{audio} in {time.monotonic() - self._begin:.1f} s"

    @property
    def code(self) -> ExitCode:
        """The exit code: the failures' common one, 1 if they differ, 0 if there are none."""
        if len(self.codes) > 1:
            return ExitCode.FAILED
        return next(iter(self.codes), ExitCode.DONE)

    def add(self, outcome: Outcome, details: str = "") -> None:
        """Print and count what became of a recording; what it was not tried for is another's error.

        `details` end the line of one that a dry run only names.
        """
        self._found.explain(outcome.error)
        self._count(outcome)
        output, error = outcome.output, outcome.error
        if self._json:
            self.add_object(_as_object(outcome))
        if outcome.note is not None:
            self.note(f"{output or outcome.input}: {outcome.note}")
        if error is not None and outcome.status != "not tried":
            self._console.say_error(error)
        if not (self._json or self._quiet):
            self._write_outcome(outcome, details)
        if outcome.status == "decrypted" and output is not None:
            note = misnamed(output, outcome.format)
            if note is not None and self._console.is_news(note):
                self.note(f"{output}: {note}")

    def _count(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        self.size += outcome.size or 0
        if outcome.password is not None:
            self._right[outcome.password] = self._right.get(outcome.password, 0) + 1
        if outcome.error is not None:
            self.codes.add(exit_code_of(outcome.error))

    def _write_outcome(self, outcome: Outcome, details: str) -> None:
        status, output = outcome.status, outcome.output
        if output is not None and status != "skipped":
            self.write_result(os.fsencode(output))
        elif outcome.error is None and status not in {"skipped", "verified"}:
            self.write_result(os.fsencode(f"{status}: {outcome.input}{details}"))
        elif outcome.error is None and not self._many:
            what = f"{outcome.size} bytes of {outcome.format or 'unknown'} audio"
            self.say(f"{status}: {outcome.input}: {what if output is None else f'{output} exists'}")

    def add_object(self, fields: Mapping[str, object]) -> None:
        """Print an object, if objects are printed."""
        if self._json:
            from json import dumps

            # Bytes of names that are not text become \udcXX, which is ASCII.
            self.write_result(dumps(fields).encode("ascii"))

    def write_result(self, line: bytes) -> None:
        """Write a line to standard output. If that takes no more, the work goes on without it."""
        if not self._is_heard:
            return
        try:
            self._console.write_line(line)
        except OSError as error:
            self._is_heard = False
            self.codes.add(exit_code_of(error))
            if self._many:
                what = "the work goes on, its results are not shown"
                self._console.say(f"error: {described(error)}; {what}")
            elif not isinstance(error, BrokenPipeError):  # a reader who left needs no message
                self._console.say_error(error)

    def say(self, line: str) -> None:
        """Say something, unless only errors are to be said."""
        if not self._quiet:
            self._console.say(line)

    def note(self, text: str) -> None:
        """Say something that is worth knowing, though nothing failed."""
        self.say(f"note: {text}")

    def warn(self, warning: str) -> None:
        """Say something that has to be known, however quiet the run is to be."""
        self._console.say(f"warning: {warning}")

    def say_error(self, error: Failure) -> None:
        """Say what went wrong apart from the recordings; the exit code tells it as well."""
        self.codes.add(self._console.say_error(error))

    def say_silence(self, seconds: float, busy: list[str]) -> None:
        """Say for how long no work has ended, and which workers have some."""
        names = ", ".join(busy[:8]) or "no worker"
        more = f", and {len(busy) - 8} more" if busy[8:] else ""
        self.say(f"nothing has ended for {seconds:.0f} s; busy: {names}{more}")


def _as_object(outcome: Outcome) -> dict[str, object]:
    code, cause, hint = ExitCode.DONE, None, None
    if error := outcome.error:
        # The name is repeated only if it is not the input.
        cause = printable(cause_of(error) if error.filename == outcome.input else described(error))
        code, hint = exit_code_of(error), hint_of(error)
    fields: dict[str, object] = dict(zip(Outcome._fields, outcome[:5], strict=False))
    fields |= {"code": code, "error": cause, "hint": None if hint is None else printable(hint)}
    return fields if outcome.password is None else {**fields, "password": outcome.password}
