"""One run of the archive, as it is scheduled: what it tells, keeps in mind and measures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from io import BytesIO
from typing import NamedTuple

from filedecryptor.core.secrets import with_origin
from filedecryptor.errors import (
    ApiError,
    AuthenticationError,
    ExitCode,
    Failure,
    FileDecryptorError,
    Outcome,
)
from filedecryptor.storage import contents_of, disk, storage_of
from filedecryptor.storage.names import is_url, join
from filedecryptor.storage.output import Written
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.process import share_one_heap
from filedecryptor.terminal.progress import progress
from filedecryptor.terminal.report import Reporter
from filedecryptor.vns import times
from filedecryptor.vns.archive import NOT_TRIED, Archive, failure
from filedecryptor.vns.client import Client
from filedecryptor.vns.http import TimeOverError
from filedecryptor.vns.listing import Recording, signs_of_more

PREFIX = "vns_recordings"


class Figures(NamedTuple):
    """What is measured of a run.

    Attributes:
        listed: Recordings that the API lists.
        fetched: Recordings that were stored.
        failed: Recordings that were not, though they should.
        bytes: Bytes of audio that were stored.
        seconds: How long it took.
        last_complete: When the last complete run began, in seconds since 1970; None if none was.
    """

    listed: int
    fetched: int
    failed: int
    bytes: int
    seconds: float
    last_complete: float | None


HELP: Mapping[str, tuple[str, str]] = {
    "listed": ("listed", "Recordings that the API lists."),
    "fetched": ("fetched", "Recordings that the last run has stored."),
    "failed": ("failed", "Recordings that the last run should have stored, and has not."),
    "bytes": ("bytes", "Bytes of audio that the last run has stored."),
    "seconds": ("seconds", "Seconds that the last run took."),
    "last_complete": (
        "last_complete_timestamp_seconds",
        "When the last run began that fetched all that was listed, in seconds since 1970.",
    ),
}


def text(figures: Figures) -> bytes:
    """Return the figures of a run as Prometheus reads them."""
    lines = []
    for field, value in figures._asdict().items():
        if value is not None:
            name, meaning = HELP[field]
            lines.append(f"# HELP {PREFIX}_{name} {meaning}")
            lines.append(f"# TYPE {PREFIX}_{name} gauge")
            lines.append(f"{PREFIX}_{name} {value}")
    return "".join(f"{line}\n" for line in lines).encode("ascii")


NAME = ".vns-recordings.json"

LARGEST = 4096
"""Bytes that are read of what earlier runs have written."""

LONGEST_GAP = timedelta(days=6)
"""Time between complete runs after which recordings are about to be purged, or have been."""


class Runs:
    """What an archive remembers of its runs.

    Args:
        directory: The archive.

    Attributes:
        complete: When the last run ended that fetched everything; None if there was none.
    """

    def __init__(self, directory: str) -> None:
        self._path = join(directory, NAME)
        found: object = None
        with suppress(
            FileDecryptorError, OSError, ValueError, RecursionError
        ):  # what it says is not worth a night
            found = json.loads(contents_of(self._path, LARGEST) or b"")
        fields = found if isinstance(found, dict) else {}
        self._began = times.now().replace(microsecond=0)
        self.complete = self._past(fields.get("complete"))
        self._first = self._past(fields.get("first"))

    def _past(self, text: object) -> datetime | None:
        """Return a time; None for one to come, which a clock that was wrong has left."""
        time = times.parse(text)
        return time if time is not None and time <= self._began else None

    def end(self, *, complete: bool) -> str | None:
        """Remember that a run has ended, and return a warning if the last complete one is long ago.

        Args:
            complete: Whether everything that the account holds is in the archive.

        Raises:
            OSError: It cannot be written.
            StorageError: The store refuses it.
        """
        before, first = self.complete, self._first or self._began
        if complete:
            self.complete = self._began
        if complete or self._first is None:
            fields = {"first": times.shown(first)}
            if self.complete is not None:
                fields["complete"] = times.shown(self.complete)
            data = json.dumps(fields).encode("ascii") + b"\n"
            storage_of(self._path).publish(
                self._path, BytesIO(data), replace=True, written=Written()
            )
        return self._warning(before, first)

    def _warning(self, before: datetime | None, first: datetime) -> str | None:
        if self._began - (before or first) <= LONGEST_GAP:
            return None
        today = times.shown(self._began)
        kept = f"VNS keeps a recording for {times.KEPT.days} days"
        if before is None:
            return f"no run since {times.shown(first)} was complete, and it is {today}: {kept}"
        return f"the last complete run was at {times.shown(before)}, and it is {today}: {kept}"


class Wanted(NamedTuple):
    """What is wanted of the run.

    Attributes:
        jobs: How many recordings to fetch at once; None for the usual number.
        show: Whether to show a progress bar; None if that follows from the terminal.
        since: Calls before this time are left out; None for none.
        dry_run: Say what would be done, and do nothing.
        check: Compare all files of the archive with their records.
        metrics: The file for Prometheus, if there is one.
        origin: Where the password came from, as a sentence, if there is one.
    """

    jobs: int | None
    show: bool | None
    since: datetime | None
    dry_run: bool
    check: bool
    metrics: str | None
    origin: str | None = None


class Nightly:
    """One run of the command.

    Args:
        console: Where the bar is shown.
        reporter: Says what happens.
        client: The account.
        archive: Where its recordings go to.
        directory: The same, as it was named.
        wanted: What is wanted.
    """

    def __init__(
        self,
        console: Console,
        reporter: Reporter,
        *,
        client: Client,
        archive: Archive,
        directory: str,
        wanted: Wanted,
    ) -> None:
        self._console = console
        self._reporter = reporter
        self._client = client
        self._archive = archive
        self._wanted = wanted
        self._runs = Runs(directory)
        self._begin = time.monotonic()
        self._listed = self._left_out = 0

    def run(self) -> None:
        """Fetch what is missing; then warn, and write the figures, whatever happened."""
        codes = self._reporter.report.codes
        is_over = False
        try:
            self._fetch_and_check()
            if not (codes or self._reporter.report.counts):
                nothing = (
                    "there is nothing to do" if self._listed else "the API lists no recordings"
                )
                self._reporter.say(nothing)
            is_over = True
        except (FileDecryptorError, OSError) as error:
            self._reporter.say_error(error)
            is_over = True
        finally:
            if not is_over:
                codes.add(ExitCode.INTERRUPTED)
            if not self._wanted.dry_run:
                self._end(is_complete=not codes)

    def _fetch_and_check(self) -> None:
        """Fetch what is missing; then check what else is there, also if the API does not answer."""
        looked_at: Sequence[Recording] = ()
        try:
            looked_at = self._fetch()
        except (FileDecryptorError, OSError) as error:
            self._reporter.say_error(error)
        if self._wanted.check:
            for outcome in self._archive.check_others(looked_at):
                self._reporter.add(outcome)

    def _fetch(self) -> Sequence[Recording]:
        """Fetch what is missing, and return the recordings that have been looked at."""
        listing = self._client.list_recordings()
        recordings, others = listing.recordings()
        self._listed = len(recordings) + len(others)
        for text in others:
            self._reporter.add(failure(text, FileDecryptorError("this is not a GUID")))
        if signs := signs_of_more(listing):
            self._reporter.say_error(incomplete(signs))
        if (since := self._wanted.since) is not None:
            recordings = [one for one in recordings if one.time is None or one.time >= since]
            self._left_out = self._listed - len(others) - len(recordings)
            self._reporter.note(f"left out, of calls before {times.shown(since)}: {self._left_out}")
        if self._wanted.dry_run:
            for outcome in self._archive.plan(recordings):
                self._reporter.add(outcome)
            return recordings
        not_tried = fetch_all(
            self._console,
            self._reporter,
            self._archive,
            recordings,
            jobs=self._wanted.jobs,
            show=self._wanted.show,
            origin=self._wanted.origin,
        )
        return [one for one in recordings if str(one.guid) not in not_tried]

    def _end(self, *, is_complete: bool) -> None:
        since, before = self._wanted.since, self._runs.complete
        if since is not None and (before is None or since > before):
            is_complete = False  # what came between has been left out
        try:
            if warning := self._runs.end(complete=is_complete):
                self._reporter.warn(warning)
        except (FileDecryptorError, OSError) as error:
            if is_complete:  # or the run has failed already, for that reason perhaps
                self._reporter.say_error(error)
        figures = self._figures()
        last = self._runs.complete
        self._reporter.add_object(
            {
                "summary": True,
                **figures._asdict(),
                "left_out": self._left_out,
                "last_complete": None if last is None else times.shown(last),
                "statuses": dict(self._reporter.report.counts),
                "code": self._reporter.report.code,
            }
        )
        if self._wanted.metrics is not None:
            try:
                self._write_metrics(self._wanted.metrics, text(figures))
            except (FileDecryptorError, OSError) as error:
                self._reporter.say_error(error)

    def _write_metrics(self, path: str, data: bytes) -> None:
        """Replace a file, or write to a stream."""
        if self._console.is_standard_output(path):
            self._console.write(data)
        elif is_url(path) or not disk.write_to_stream(path, data):
            target = os.path.realpath(path) if os.path.islink(path) else path
            publish = storage_of(target).publish
            publish(target, BytesIO(data), replace=True, written=Written())

    def _figures(self) -> Figures:
        counts = self._reporter.report.counts
        last = self._runs.complete
        return Figures(
            listed=self._listed,
            fetched=counts["decrypted"] + counts["stored"],
            failed=counts["failed"] + counts[NOT_TRIED],
            bytes=self._reporter.report.size,
            seconds=round(time.monotonic() - self._begin, 3),
            last_complete=None if last is None else last.timestamp(),
        )


def fetch_all(
    console: Console,
    reporter: Reporter,
    archive: Archive,
    recordings: Sequence[Recording],
    *,
    jobs: int | None,
    show: bool | None,
    origin: str | None = None,
    again: bool = False,
) -> set[str]:
    """Fetch recordings, report what becomes of each, and return the GUIDs that were not tried.

    Args:
        console: Where the bar is shown.
        reporter: Says what happens.
        archive: Where they go to.
        recordings: The recordings.
        jobs: How many to fetch at once; None for the usual number.
        show: Whether to show a progress bar; None if that follows from the terminal.
        origin: Where the password came from, as a sentence, if there is one.
        again: Whether to fetch what is there already.
    """
    share_one_heap()
    not_tried: list[Outcome] = []
    with progress(console, (), len(recordings), lambda _: 0, show=show) as shown:
        outcomes = archive.fetch(
            recordings, jobs=jobs, again=again, on_progress=shown.advance, warn=reporter.warn
        )
        with closing(outcomes):
            for outcome in outcomes:
                if origin is not None and isinstance(outcome.error, AuthenticationError):
                    with_origin(outcome.error, origin)
                reporter.add(outcome, is_said=outcome.status == NOT_TRIED)
                shown.count(outcome)
                if outcome.status == NOT_TRIED:
                    not_tried.append(outcome)
    if not_tried:
        reporter.say_error(_rest(len(not_tried), not_tried[0].error))
    return {outcome.input for outcome in not_tried}


def _rest(count: int, reason: Failure | None) -> Failure:
    """Return the error that says how many recordings have been left out, with the same exit code."""
    what = f"{count} recording{'s' if count > 1 else ''} not tried"
    hint = "run this again once that is mended; what is stored is not fetched again"
    if isinstance(reason, TimeOverError):
        hint = "run this again: what is stored is not fetched again"
    found = FileDecryptorError(f"{what}, since all would have failed the same way", hint=hint)
    if isinstance(reason, FileDecryptorError):
        found.exit_code = reason.exit_code
    return found


def incomplete(signs: Sequence[str]) -> ApiError:
    """Return the error for a list that is a page of a longer one.

    Args:
        signs: What shows it.
    """
    return ApiError(
        f"the list seems to be a page of a longer one, which nobody has documented: {'; '.join(signs)}",
        hint="all that it names is fetched; for the others, ask the vendor, or use download GUID",
    )
