"""One run of the archive, as it is scheduled: what it tells, remembers and measures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from filedecryptor.errors import (
    ApiError,
    ExitCode,
    FileDecryptorError,
    exit_code_of,
    failed,
)
from filedecryptor.storage import contents_of, write_bytes
from filedecryptor.storage.paths import join
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE, Found, find_password
from filedecryptor.terminal.process import share_one_heap
from filedecryptor.terminal.progress import Progress
from filedecryptor.terminal.report import Reporter
from filedecryptor.vns import times
from filedecryptor.vns.archive import NOT_TRIED, Archive
from filedecryptor.vns.client import BASE_URL, TIMEOUT, Client
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
NOT_AGAIN = "what is stored is not fetched again"
LONGEST_GAP = timedelta(days=6)  # between complete runs; after it, recordings are purged soon


class Runs:
    """What an archive remembers: its last complete run, or its first one if none was complete."""

    def __init__(self, directory: str) -> None:
        self._path = join(directory, MEMORY_NAME)
        self._began = times.now().replace(microsecond=0)
        past: dict[str, datetime] = {}
        # What it says is not worth a night.
        with suppress(FileDecryptorError, OSError, ValueError, RecursionError, AttributeError):
            for name, value in json.loads(contents_of(self._path, LARGEST_MEMORY) or b"").items():
                # A future time is one that a wrong clock has left.
                if (time := times.parse(value)) and time <= self._began:
                    past[name] = time
        self.complete, self._first = past.get("complete"), past.get("first")

    def end(self, *, complete: bool) -> str | None:
        """Remember that a run has ended; return a warning if the last complete one is long ago."""
        now = times.shown(self._began)
        last = self.complete or self._first
        what = "no run since {} was complete"
        if self.complete:
            what = "the last complete run was at {}"
        if complete:
            self.complete = self._began
        if complete or last is None:
            fields = {"complete" if complete else "first": now}
            write_bytes(self._path, json.dumps(fields).encode("ascii") + b"\n")
        if last is None or self._began - last <= LONGEST_GAP:
            return None
        kept = f"VNS keeps a recording for {times.KEPT.days} days"
        return f"{what.format(times.shown(last))}, and it is {now}: {kept}"


class Settings(NamedTuple):
    """The options as they were given; the help texts in `cli` say what each means."""

    token_file: str | None = None
    api_url: str = BASE_URL
    timeout: float = TIMEOUT
    max_time: float | None = None
    json: bool = False
    quiet: bool = False
    progress: bool | None = None
    jobs: int | None = None
    password_file: Sequence[str] = ()
    keep_encrypted: bool = False
    delete_after: bool = False
    check: bool = False
    dry_run: bool = False
    since: str | None = None
    metrics: str | None = None


class Nightly:
    """Fetches recordings into an archive, and reports what becomes of each."""

    def __init__(
        self,
        console: Console,
        client: Client,
        directory: str,
        settings: Settings,
        *,
        many: bool,
        go_on: str | None = None,
    ) -> None:
        self._console, self._client = console, client
        self._directory, self._settings = directory, settings
        self._passwords: Found | None = None
        if settings.password_file or ENVIRONMENT_VARIABLE in os.environ:
            self._passwords = find_password(console, None, settings.password_file)
        secrets = self._passwords.secrets if self._passwords else ()
        self._archive = Archive(
            client,
            directory,
            password=secrets or None,
            keep_encrypted=settings.keep_encrypted,
            delete_after=settings.delete_after,
            check=settings.check,
        )
        self.reporter = Reporter(
            console,
            quiet=settings.quiet,
            json=settings.json,
            many=many,
            passwords=len(secrets),
            go_on=go_on,
        )
        self._begin = time.monotonic()
        self._listed = self._left_out = 0
        self._looked_at: set[str] = set()  # GUIDs

    def refuse(self, text: str) -> None:
        """Report what stands where a GUID should."""
        error = FileDecryptorError("this is not a GUID", filename=text)
        self.reporter.add(failed(text, error))

    def fetch(self, recordings: Sequence[Recording], *, again: bool = False) -> None:
        """Fetch recordings, `again` if they are there."""
        share_one_heap()
        rest, reason = 0, None
        show = False if self._settings.quiet else self._settings.progress
        with Progress(self._console, (), len(recordings), lambda _: 0, show=show) as shown:
            outcomes = self._archive.fetch(
                recordings,
                jobs=self._settings.jobs,
                again=again,
                on_progress=shown.advance,
                warn=self.reporter.warn,
            )
            with closing(outcomes):
                for outcome in outcomes:
                    if outcome.status == NOT_TRIED:
                        rest, reason = rest + 1, outcome.error
                    else:
                        self._looked_at.add(outcome.input)
                    if self._passwords is not None:
                        self._passwords.explain(outcome.error)
                    self.reporter.add(outcome, is_said=outcome.status == NOT_TRIED)
                    shown.count(outcome)
        if reason is not None:
            mended = "" if isinstance(reason, TimeOverError) else " once that is mended"
            what = f"{rest} recording{'s' if rest > 1 else ''} not tried"
            error = FileDecryptorError(
                f"{what}, since all would have failed the same way",
                hint=f"run this again{mended}: {NOT_AGAIN}",
            )
            error.exit_code = exit_code_of(reason)
            self.reporter.say_error(error)

    def run(self, since: datetime | None) -> None:
        """Fetch what the account lists and the archive lacks; then warn, and write the figures.

        Calls before `since` are left out; a dry run does nothing but say what would be done; a
        check reads all files of the archive, also if the API fails.
        """
        runs, report = Runs(self._directory), self.reporter
        try:
            with self._errors_said():
                self._fetch_listed(since)
            with self._errors_said():
                if self._settings.check:
                    for outcome in self._archive.check_others(self._looked_at):
                        report.add(outcome)
            if not (report.codes or report.counts):
                report.say(
                    "there is nothing to do" if self._listed else "the API lists no recordings"
                )
        except BaseException:
            report.codes.add(ExitCode.INTERRUPTED)
            raise
        finally:
            if not self._settings.dry_run:
                # Without older calls, a run is complete only if an earlier one has fetched them.
                has_all = since is None or (runs.complete is not None and since <= runs.complete)
                self._end(runs, is_complete=has_all and not report.codes)

    @contextmanager
    def _errors_said(self) -> Iterator[None]:
        try:
            yield
        except (FileDecryptorError, OSError) as error:
            self.reporter.say_error(error)

    def _fetch_listed(self, since: datetime | None) -> None:
        listing = self._client.list_recordings()
        recordings, others = listing.recordings()
        self._listed = len(recordings) + len(others)
        for text in others:
            self.refuse(text)
        if error := incomplete(listing):
            self.reporter.say_error(error)
        if since is not None:
            recordings = [one for one in recordings if one.time is None or one.time >= since]
            self._left_out = self._listed - len(others) - len(recordings)
            self.reporter.note(f"left out, of calls before {times.shown(since)}: {self._left_out}")
        if not self._settings.dry_run:
            self.fetch(recordings)
            return
        for outcome in self._archive.plan(recordings):
            self._looked_at.add(outcome.input)
            self.reporter.add(outcome)

    def _end(self, runs: Runs, *, is_complete: bool) -> None:
        # A run that has failed already may have done so for the reason for which this fails.
        with self._errors_said() if is_complete else suppress(FileDecryptorError, OSError):
            if warning := runs.end(complete=is_complete):
                self.reporter.warn(warning)
        report, last = self.reporter, runs.complete
        figures: dict[str, float] = {
            "listed": self._listed,
            "fetched": report.counts["decrypted"] + report.counts["stored"],
            "failed": report.counts["failed"] + report.counts[NOT_TRIED],
            "bytes": report.size,
            "seconds": round(time.monotonic() - self._begin, 3),
        }
        summary = {
            "last_complete": None if last is None else times.shown(last),
            "left_out": self._left_out,
            "statuses": dict(report.counts),
            "code": report.code,
        }
        report.add_object({"summary": True, **figures, **summary})
        if self._settings.metrics is not None:
            if last is not None:
                figures["last_complete_timestamp_seconds"] = last.timestamp()
            with self._errors_said():
                self._write_figures(figures, self._settings.metrics)

    def _write_figures(self, figures: Mapping[str, float], path: str) -> None:
        """Write figures in the text format of Prometheus."""
        text = ""
        for name, value in figures.items():
            metric = f"vns_recordings_{name}"
            text += f"# HELP {metric} {METRICS[name]}\n# TYPE {metric} gauge\n{metric} {value}\n"
        data = text.encode("ascii")
        if self._console.is_standard_output(path):
            self._console.write(data)
        else:
            write_bytes(os.path.realpath(path) if os.path.islink(path) else path, data)


def incomplete(listing: Listing) -> ApiError | None:
    """Return the error for a list that is one page of several; None if nothing shows that."""
    if not (signs := signs_of_more(listing)):
        return None
    return ApiError(
        f"the list looks incomplete (one page of several): {'; '.join(signs)}",
        hint="all that it names is fetched; for the others, ask the vendor, or use download GUID",
    )
