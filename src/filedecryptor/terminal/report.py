"""Outcomes of recordings: one line for each, the totals, the exit code."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import chain

from filedecryptor.audio import misnamed
from filedecryptor.core.secrets import RESPELLED
from filedecryptor.errors import (
    ExitCode,
    Failure,
    Outcome,
    Status,
    cause_of,
    described,
    exit_code_of,
)
from filedecryptor.terminal.console import Console, printable
from filedecryptor.terminal.password import Found

MEGABYTE = 1_000_000
MOST_ERRORS = 20  # of one kind that are printed, and notes
MOST_REASONS = 3  # that a summary gives


class Reporter(AbstractContextManager["Reporter"]):
    """Prints one result for each recording, and keeps the totals; as a context, it prints them.

    If there are `many` recordings, a summary stands for the lines about what was skipped or
    verified, except in a `dry_run`. If `quiet`, only errors, warnings and JSON objects are printed.
    After an interruption, `go_on` says how to go on, if that takes more than doing the same again.
    `give_up` says how not to go on in vain.
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
        give_up: str | None = None,
        dry_run: bool = False,
    ) -> None:
        self.counts: Counter[Status] = Counter()
        self.size = 0  # bytes of audio
        self.codes: set[ExitCode] = set()
        self.tell_of(found or Found())
        self._begin = time.monotonic()
        self.console = console
        self._quiet = quiet
        self._json = json
        self._many = many
        self._dry_run = dry_run
        self._go_on = go_on
        self._give_up = give_up
        self._failures: Counter[tuple[ExitCode, str]] = Counter()  # by kind
        self._notes: Counter[str] = Counter()  # by kind
        self._is_right = False  # whether a password was right, now or in an earlier run
        self._is_heard = console.stdout is not None  # closed, it asks for no results

    def tell_of(self, found: Found) -> None:
        """Let failures say where the passwords were found, and the summary which were right."""
        self.found = found
        count = len(found.secrets)
        self._right = dict.fromkeys(range(1, count + 1), 0) if count > 1 else {}

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        errors = ((what, count) for (_, what), count in self._failures.items())
        for what, count in chain(errors, self._notes.items()):
            if count > MOST_ERRORS:
                self.console.say(f"and {count - MOST_ERRORS} more: {what}")
        if self._many and self.counts:
            go_on = f"; {self._go_on}" if self._go_on and kind is KeyboardInterrupt else ""
            self.say(f"{self._summary()}{go_on}")

    def _summary(self) -> str:
        """Return the totals as a line."""
        last: list[Status] = ["skipped", "not tried", "failed"]
        statuses = sorted(self.counts.keys() - last) + [word for word in last if self.counts[word]]
        counts = ", ".join(f"{self.counts[status]} {status}" for status in statuses)
        counts = counts.replace("to fetch and delete", "to fetch, then to delete")
        if any(self._right.values()):
            right = (f"password {number}: {count}" for number, count in self._right.items())
            counts += f" ({', '.join(right)})"
        if reason := self._reason():
            counts += f": {reason}{'' if self.size else ';'}"
        audio = f"; {self.size / MEGABYTE:.1f} MB of audio" if self.size else ""
        return f"{counts}{audio} in {time.monotonic() - self._begin:.1f} s"

    def _reason(self) -> str | None:
        """Return why recordings failed, if they are more than the reasons, and these are few."""
        count, kinds = self._failures.total(), self._failures.most_common()
        if count != self.counts["failed"] or not len(kinds) < count or len(kinds) > MOST_REASONS:
            return None
        if len(kinds) > 1:
            return ", ".join(f"{what} ({count})" for (_, what), count in kinds)
        code, what = kinds[0][0]
        if code != ExitCode.AUTHENTICATION or self._is_right:
            return what
        if self._right:
            none = f"none of the {len(self._right)} passwords is right; they"
        else:
            none = "the password is wrong; it"
        return f"{none} came from {self.found.origins}"

    @property
    def code(self) -> ExitCode:
        """The exit code: the failures' common one, 1 if they differ, 0 if there are none."""
        if len(self.codes) > 1:
            return ExitCode.FAILED
        return next(iter(self.codes), ExitCode.DONE)

    def add(self, outcome: Outcome, details: str = "") -> None:
        """Print and count an outcome; what a recording was not tried for is another's error."""
        self.found.explain(outcome.error)
        self._count(outcome)
        output, error = outcome.output, outcome.error
        if self._json:
            fields = outcome.as_dict()
            for name in ("error", "hint"):  # which scripts print
                fields[name] = fields[name] and printable(str(fields[name]))
            self.add_object(fields)
        note = outcome.note
        if note is not None and (note not in RESPELLED.values() or self.console.is_news(note)):
            kind = _kind_of(note)
            self._notes[kind] += not self._quiet
            if self._notes[kind] <= MOST_ERRORS:
                self.note(f"{output or outcome.input}: {note}")
        if error is not None and outcome.status != "not tried":
            self._add_failure(error)
        if not (self._json or self._quiet):
            self._write_outcome(outcome, details)
        if outcome.status == "decrypted" and output is not None:
            note = misnamed(output, outcome.format)
            if note is not None and self.console.is_news(note):
                self.note(f"{output}: {note}")

    def _add_failure(self, error: Failure) -> None:
        """Say why a recording failed, unless that was said of many others."""
        kind = exit_code_of(error), _kind_of(cause_of(error))
        self._failures[kind] += 1
        count = self._failures[kind]
        if count <= MOST_ERRORS:
            self.console.say_error(error)
        is_wrong = kind[0] == ExitCode.AUTHENTICATION and not self._is_right
        if self._give_up and is_wrong and count == MOST_ERRORS:
            self.note(f"{MOST_ERRORS} authentications failed, and none succeeded: {self._give_up}")

    def _count(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        self.size += outcome.size or 0
        # What is skipped was decrypted once.
        is_done = outcome.status == "skipped" and outcome.output is not None
        self._is_right |= is_done or outcome.status in {"decrypted", "verified"}
        if outcome.password is not None:
            self._right[outcome.password] = self._right.get(outcome.password, 0) + 1
        if outcome.error is not None:
            self.codes.add(exit_code_of(outcome.error))

    def _write_outcome(self, outcome: Outcome, details: str) -> None:
        status, output = outcome.status, outcome.output
        if self._dry_run and outcome.error is None:
            arrow = "" if output is None else f" -> {output}"
            self.write_result(os.fsencode(f"{status}: {outcome.input}{arrow}"))
        elif output is not None and status != "skipped":
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
            self.console.write_line(line)
        except OSError as error:
            self._is_heard = False
            self.codes.add(exit_code_of(error))
            if self._many:
                what = "the work goes on, its results are not shown"
                self.console.say(f"error: {described(error)}; {what}")
            else:
                self.console.say_error(error)

    def say(self, line: str) -> None:
        """Say something, unless only errors are to be said."""
        if not self._quiet:
            self.console.say(line)

    def note(self, text: str) -> None:
        """Say something that is worth knowing, though nothing failed."""
        self.say(f"note: {text}")

    def warn(self, warning: str) -> None:
        """Say something that has to be known, however quiet the run is to be."""
        self.console.say(f"warning: {warning}")

    def say_error(self, error: Failure) -> None:
        """Say what went wrong apart from the recordings; the exit code tells it as well."""
        self.codes.add(self.console.say_error(error))

    def say_silence(self, seconds: float, busy: list[str]) -> None:
        """Say for how long no work has ended, and which workers have some."""
        names = ", ".join(busy[:8]) or "no worker"
        more = f", and {len(busy) - 8} more" if busy[8:] else ""
        self.say(f"nothing has ended for {seconds:.0f} s; busy: {names}{more}")


def _kind_of(text: str) -> str:
    """Return what like causes or notes have in common: without names, numbers and details."""
    text = re.sub(r"(^| )('.*'|\".*\"|\S+://\S+|\d[\d.,]*)", r"\1...", text)
    return re.split(r"[:;]| \(|(?<!\.)\.$", text, maxsplit=1)[0]
