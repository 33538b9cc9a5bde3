"""One run of the archive, as it is scheduled: what it tells, remembers and measures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from filedecryptor.errors import (
    ApiError,
    ExitCode,
    FileDecryptorError,
    Outcome,
    exit_code_of,
    failed,
)
from filedecryptor.storage import contents_of, disk, write_bytes
from filedecryptor.storage.paths import is_url, join
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.password import Found
from filedecryptor.terminal.process import share_one_heap
from filedecryptor.terminal.progress import Progress
from filedecryptor.terminal.report import Reporter
from filedecryptor.vns import times
from filedecryptor.vns.archive import NOT_TRIED, Archive
from filedecryptor.vns.client import Client
from filedecryptor.vns.http import TimeOverError
from filedecryptor.vns.listing import Listing, Recording, signs_of_more

METRICS = {
    "listed": "Recordings that the API lists.",
    "fetched": "Recordings that the last run has stored.",
    "failed": "Recordings that the last run should have stored, and has not.",
    "bytes": "Bytes of audio that the last run has stored.",
    "seconds": "Seconds that the last run took.",
    "last_complete_timestamp_seconds": "When the last run began that fetched all that was listed, "
    "in seconds since 1970.",
}

MEMORY_NAME = ".vns-recordings.json"  # the file in which an archive remembers its runs
LARGEST_MEMORY = 4096  # bytes that are read of it
LONGEST_GAP = timedelta(days=6)  # between complete runs; after it, recordings are purged soon


class Runs:
    """What an archive remembers: its last complete run, or its first one if none was complete."""

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
        now = times.shown(self._began)
        last = self.complete or self._first
        what = (
            "the last complete run was at {}" if self.complete else "no run since {} was complete"
        )
        if complete:
            self.complete = self._began
        if complete or last is None:
            fields = {"complete" if complete else "first": now}
            write_bytes(self._path, json.dumps(fields).encode("ascii") + b"\n")
        if last is None or self._began - last <= LONGEST_GAP:
            return None
        kept = f"VNS keeps a recording for {times.KEPT.days} days"
        return f"{what.format(times.shown(last))}, and it is {now}: {kept}"


@dataclass
class Nightly:
    """Fetches recordings into an archive, and reports what becomes of each.

    With `jobs` or `show` being None, `Archive` and the terminal decide.
    """

    console: Console
    reporter: Reporter
    client: Client
    archive: Archive
    passwords: Found | None
    jobs: int | None
    show: bool | None
    begin: float = field(default_factory=time.monotonic)
    listed: int = 0
    left_out: int = 0

    def refuse(self, text: str) -> None:
        """Report what stands where a GUID should."""
        error = FileDecryptorError("this is not a GUID", filename=text)
        self.reporter.add(failed(text, error))

    def fetch(self, recordings: Sequence[Recording], *, again: bool = False) -> set[str]:
        """Fetch recordings, `again` if they are there, and return the GUIDs not tried."""
        share_one_heap()
        not_tried: list[Outcome] = []
        with Progress(self.console, (), len(recordings), lambda _: 0, show=self.show) as shown:
            outcomes = self.archive.fetch(
                recordings,
                jobs=self.jobs,
                again=again,
                on_progress=shown.advance,
                warn=self.reporter.warn,
            )
            with closing(outcomes):
                for outcome in outcomes:
                    if outcome.status == NOT_TRIED:
                        not_tried.append(outcome)
                    if self.passwords is not None:
                        self.passwords.explain(outcome.error)
                    self.reporter.add(outcome, is_said=outcome.status == NOT_TRIED)
                    shown.count(outcome)
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
                for outcome in self.archive.check_others(looked_at) if check else ():
                    self.reporter.add(outcome)
            if not (report.codes or report.counts):
                self.reporter.say(
                    "there is nothing to do" if self.listed else "the API lists no recordings"
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
        listing = self.client.list_recordings()
        recordings, others = listing.recordings()
        self.listed = len(recordings) + len(others)
        for text in others:
            self.refuse(text)
        if error := incomplete(listing):
            self.reporter.say_error(error)
        if since is not None:
            recordings = [one for one in recordings if one.time is None or one.time >= since]
            self.left_out = self.listed - len(others) - len(recordings)
            self.reporter.note(f"left out, of calls before {times.shown(since)}: {self.left_out}")
        if not dry_run:
            not_tried = self.fetch(recordings)
            return [one for one in recordings if str(one.guid) not in not_tried]
        for outcome in self.archive.plan(recordings):
            self.reporter.add(outcome)
        return recordings

    def _end(self, runs: Runs, metrics: str | None, *, is_complete: bool) -> None:
        # A run that has failed already may have done so for the reason for which this fails.
        with self._errors_said() if is_complete else suppress(FileDecryptorError, OSError):
            if warning := runs.end(complete=is_complete):
                self.reporter.warn(warning)
        report = self.reporter
        last = runs.complete
        figures: dict[str, float] = {
            "listed": self.listed,
            "fetched": report.counts["decrypted"] + report.counts["stored"],
            "failed": report.counts["failed"] + report.counts[NOT_TRIED],
            "bytes": report.size,
            "seconds": round(time.monotonic() - self.begin, 3),
        }
        summary = {
            "last_complete": None if last is None else times.shown(last),
            "left_out": self.left_out,
            "statuses": dict(report.counts),
            "code": report.code,
        }
        self.reporter.add_object({"summary": True, **figures, **summary})
        if metrics is not None:
            if last is not None:
                figures["last_complete_timestamp_seconds"] = last.timestamp()
            with self._errors_said():
                self._write_figures(figures, metrics)

    def _write_figures(self, figures: Mapping[str, float], path: str) -> None:
        """Write figures in the text format of Prometheus."""
        text = ""
        for name, value in figures.items():
            metric = f"vns_recordings_{name}"
            text += f"# HELP {metric} {METRICS[name]}\n# TYPE {metric} gauge\n{metric} {value}\n"
        data = text.encode("ascii")
        if self.console.is_standard_output(path):
            self.console.write(data)
        elif is_url(path) or not disk.write_to_stream(path, data):
            write_bytes(os.path.realpath(path) if os.path.islink(path) else path, data)


def _rest(not_tried: Sequence[Outcome]) -> FileDecryptorError:
    """Return the error for recordings that were not tried, with the exit code of the reason."""
    reason = not_tried[0].error
    mended = "" if isinstance(reason, TimeOverError) else " once that is mended"
    found = FileDecryptorError(
        f"{len(not_tried)} recording{'s' if len(not_tried) > 1 else ''} not tried, since all would "
        "have failed the same way",
        hint=f"run this again{mended}: what is stored is not fetched again",
    )
    if reason is not None:
        found.exit_code = exit_code_of(reason)
    return found


def incomplete(listing: Listing) -> ApiError | None:
    """Return the error for a list that is one page of several; None if nothing shows that."""
    if not (signs := signs_of_more(listing)):
        return None
    return ApiError(
        f"the list looks incomplete (one page of several): {'; '.join(signs)}",
        hint="all that it names is fetched; for the others, ask the vendor, or use download GUID",
    )
