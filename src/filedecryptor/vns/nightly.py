"""One run of the archive, as it is scheduled: what it tells, remembers and measures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta

from filedecryptor.errors import ApiError, ExitCode, FileDecryptorError, Outcome
from filedecryptor.storage import contents_of, disk, write_bytes
from filedecryptor.storage.paths import is_url, join
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.password import Found
from filedecryptor.terminal.process import share_one_heap
from filedecryptor.terminal.progress import Progress
from filedecryptor.terminal.report import Reporter
from filedecryptor.vns import times
from filedecryptor.vns.archive import NOT_TRIED, Archive, failure
from filedecryptor.vns.client import Client
from filedecryptor.vns.http import TimeOverError
from filedecryptor.vns.listing import Recording, signs_of_more

METRICS = {
    "listed": "Recordings that the API lists.",
    "fetched": "Recordings that the last run has stored.",
    "failed": "Recordings that the last run should have stored, and has not.",
    "bytes": "Bytes of audio that the last run has stored.",
    "seconds": "Seconds that the last run took.",
    "last_complete_timestamp_seconds": "When the last run began that fetched all that was listed, "
    "in seconds since 1970.",
}

MEMORY_NAME = ".vns-recordings.json"
"""The file in which an archive remembers its runs."""

LARGEST_MEMORY = 4096
"""Bytes that are read of it."""

LONGEST_GAP = timedelta(days=6)
"""Time between complete runs after which recordings are about to be purged, or have been."""


def exposition(figures: Mapping[str, float]) -> bytes:
    """Return figures in the text format of Prometheus."""
    lines = []
    for name, value in figures.items():
        metric = f"vns_recordings_{name}"
        lines += [f"# HELP {metric} {METRICS[name]}", f"# TYPE {metric} gauge", f"{metric} {value}"]
    return "".join(f"{line}\n" for line in lines).encode("ascii")


class Runs:
    """What an archive remembers of its runs: when the first began, and the last complete one."""

    def __init__(self, directory: str) -> None:
        self._path = join(directory, MEMORY_NAME)
        fields: object = None
        # What it says is not worth a night.
        with suppress(FileDecryptorError, OSError, ValueError, RecursionError):
            fields = json.loads(contents_of(self._path, LARGEST_MEMORY) or b"")
        self._began = times.now().replace(microsecond=0)
        self.complete = self._past(fields, "complete")
        self._first = self._past(fields, "first")

    def _past(self, fields: object, name: str) -> datetime | None:
        """Return a time; None for a future one, which a wrong clock has left."""
        time = times.parse(fields.get(name)) if isinstance(fields, dict) else None
        return time if time is not None and time <= self._began else None

    def end(self, *, complete: bool) -> str | None:
        """Remember that a run has ended; return a warning if the last complete one is long ago."""
        before, first = self.complete, self._first or self._began
        if complete:
            self.complete = self._began
        if complete or self._first is None:
            fields = {"first": times.shown(first)}
            if self.complete is not None:
                fields["complete"] = times.shown(self.complete)
            write_bytes(self._path, json.dumps(fields).encode("ascii") + b"\n")
        if self._began - (before or first) <= LONGEST_GAP:
            return None
        what = f"the last complete run was at {times.shown(before or first)}"
        if before is None:
            what = f"no run since {times.shown(first)} was complete"
        kept = f"VNS keeps a recording for {times.KEPT.days} days"
        return f"{what}, and it is {times.shown(self._began)}: {kept}"


class Nightly:
    """Fetches recordings into an archive, and reports what becomes of each.

    With `jobs` or `show` being None, `Archive` and the terminal decide.
    """

    def __init__(
        self,
        console: Console,
        reporter: Reporter,
        client: Client,
        archive: Archive,
        *,
        jobs: int | None,
        show: bool | None,
        found: Found | None,
    ) -> None:
        self.reporter = reporter
        self._console = console
        self._client = client
        self._archive = archive
        self._jobs = jobs
        self._show = show
        self._found = found
        self._begin = time.monotonic()
        self._listed = self._left_out = 0

    def fetch(self, recordings: Sequence[Recording], *, again: bool = False) -> set[str]:
        """Fetch recordings, `again` if they are there, and return the GUIDs not tried."""
        share_one_heap()
        not_tried: list[Outcome] = []
        with (
            Progress(self._console, (), len(recordings), lambda _: 0, show=self._show) as shown,
            closing(
                self._archive.fetch(
                    recordings,
                    jobs=self._jobs,
                    again=again,
                    on_progress=shown.advance,
                    warn=self.reporter.warn,
                )
            ) as outcomes,
        ):
            for outcome in outcomes:
                if self._found is not None:
                    self._found.explain(outcome.error)
                self.reporter.add(outcome, is_said=outcome.status == NOT_TRIED)
                shown.count(outcome)
                if outcome.status == NOT_TRIED:
                    not_tried.append(outcome)
        if not_tried:
            self.reporter.say_error(_rest(not_tried))
        return {outcome.input for outcome in not_tried}

    def run(
        self,
        directory: str,
        *,
        since: datetime | None,
        dry_run: bool,
        check: bool,
        metrics: str | None,
    ) -> None:
        """Fetch what the account lists and the archive lacks; then warn, and write the figures.

        Calls before `since` are left out; a `dry_run` does nothing but say what would be done; a
        `check` reads all files of the archive, also if the API fails.
        """
        runs = Runs(directory)
        report = self.reporter
        looked_at: Sequence[Recording] = ()
        try:
            with self._errors_said():
                looked_at = self._fetch_listed(since, dry_run=dry_run)
            with self._errors_said():
                for outcome in self._archive.check_others(looked_at) if check else ():
                    self.reporter.add(outcome)
            if not (report.codes or report.counts):
                self.reporter.say(
                    "there is nothing to do" if self._listed else "the API lists no recordings"
                )
        except BaseException:
            report.codes.add(ExitCode.INTERRUPTED)
            raise
        finally:
            if not dry_run:
                # Without older calls, a run is complete only if an earlier one has fetched them.
                has_all = since is None or (runs.complete is not None and since <= runs.complete)
                self._end(runs, metrics, is_complete=has_all and not report.codes)

    @contextmanager
    def _errors_said(self) -> Iterator[None]:
        try:
            yield
        except (FileDecryptorError, OSError) as error:
            self.reporter.say_error(error)

    def _fetch_listed(self, since: datetime | None, *, dry_run: bool) -> Sequence[Recording]:
        """Fetch what is missing, and return the recordings that have been looked at."""
        listing = self._client.list_recordings()
        recordings, others = listing.recordings()
        self._listed = len(recordings) + len(others)
        for text in others:
            self.reporter.add(failure(text, FileDecryptorError("this is not a GUID")))
        if signs := signs_of_more(listing):
            self.reporter.say_error(incomplete(signs))
        if since is not None:
            recordings = [one for one in recordings if one.time is None or one.time >= since]
            self._left_out = self._listed - len(others) - len(recordings)
            self.reporter.note(f"left out, of calls before {times.shown(since)}: {self._left_out}")
        if not dry_run:
            not_tried = self.fetch(recordings)
            return [one for one in recordings if str(one.guid) not in not_tried]
        for outcome in self._archive.plan(recordings):
            self.reporter.add(outcome)
        return recordings

    def _end(self, runs: Runs, metrics: str | None, *, is_complete: bool) -> None:
        # A run that has failed already may have done so for the reason for which this fails.
        with self._errors_said() if is_complete else suppress(FileDecryptorError, OSError):
            if warning := runs.end(complete=is_complete):
                self.reporter.warn(warning)
        report = self.reporter
        figures: dict[str, float] = {
            "listed": self._listed,
            "fetched": report.counts["decrypted"] + report.counts["stored"],
            "failed": report.counts["failed"] + report.counts[NOT_TRIED],
            "bytes": report.size,
            "seconds": round(time.monotonic() - self._begin, 3),
        }
        last = runs.complete
        self.reporter.add_object(
            {
                "summary": True,
                **figures,
                "last_complete": None if last is None else times.shown(last),
                "left_out": self._left_out,
                "statuses": dict(report.counts),
                "code": report.code,
            }
        )
        if metrics is not None:
            if last is not None:
                figures["last_complete_timestamp_seconds"] = last.timestamp()
            data = exposition(figures)
            with self._errors_said():
                if self._console.is_standard_output(metrics):
                    self._console.write(data)
                elif is_url(metrics) or not disk.write_to_stream(metrics, data):
                    target = os.path.realpath(metrics) if os.path.islink(metrics) else metrics
                    write_bytes(target, data)


def _rest(not_tried: Sequence[Outcome]) -> FileDecryptorError:
    """Return the error for recordings that were not tried, with the exit code of the reason."""
    what = f"{len(not_tried)} recording{'s' if len(not_tried) > 1 else ''} not tried"
    reason = not_tried[0].error
    hint = "run this again once that is mended; what is stored is not fetched again"
    if isinstance(reason, TimeOverError):
        hint = "run this again: what is stored is not fetched again"
    found = FileDecryptorError(f"{what}, since all would have failed the same way", hint=hint)
    if isinstance(reason, FileDecryptorError):
        found.exit_code = reason.exit_code
    return found


def incomplete(signs: Sequence[str]) -> ApiError:
    """Return the error for a list that is one page of several, as the signs show."""
    return ApiError(
        f"the list looks incomplete (one page of several): {'; '.join(signs)}",
        hint="all that it names is fetched; for the others, ask the vendor, or use download GUID",
    )
