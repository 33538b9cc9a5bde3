"""One run of the archive, as it is scheduled: what it tells, remembers and measures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from filedecryptor.errors import ApiError, ExitCode, FileDecryptorError, exit_code_of, failed
from filedecryptor.storage import contents_of, streams, write_bytes
from filedecryptor.storage.paths import is_url, join
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

MEMORY_NAME = ".vns-recordings.json"  # the file that tells when the last complete run was
NOT_AGAIN = "what is stored is not fetched again"
LONGEST_GAP = timedelta(days=6)  # between complete runs; after it, recordings are purged soon


def last_complete(path: str, now: datetime) -> datetime | None:
    """Return when the last complete run of an archive began, by the file that tells it."""
    # What it says is not worth a night.
    with suppress(FileDecryptorError, OSError, ValueError, RecursionError, TypeError, KeyError):
        time = times.parse(json.loads(contents_of(path, 4096) or b"")["complete"])
        if time and time <= now:  # a future time is one that a wrong clock has left
            return time
    return None


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
        found = Found()
        if settings.password_file or ENVIRONMENT_VARIABLE in os.environ:
            found = find_password(console, None, settings.password_file)
        self._archive = Archive(
            client,
            directory,
            password=found.secrets or None,
            keep_encrypted=settings.keep_encrypted,
            delete_after=settings.delete_after,
            check=settings.check,
        )
        self.reporter = Reporter(
            console, quiet=settings.quiet, json=settings.json, many=many, found=found, go_on=go_on
        )
        self._begin = time.monotonic()
        self._listed = self._left_out = 0
        self._looked_at: set[str] = set()  # GUIDs

    def fetch(
        self, recordings: Sequence[Recording], others: Sequence[str], *, again: bool = False
    ) -> None:
        """Fetch recordings, `again` if they are there, and refuse what is not a GUID."""
        share_one_heap()
        for text in others:
            error = FileDecryptorError("this is not a GUID", filename=text)
            self.reporter.add(failed(text, error))
        reason = None
        is_shown = not (self._settings.quiet or self._settings.dry_run)
        show = self._settings.progress if is_shown else False
        with Progress(self._console, (), len(recordings), lambda _: 0, show=show) as shown:
            if self._settings.dry_run:
                outcomes = self._archive.plan(recordings)
            else:
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
                        reason = outcome.error
                    else:
                        self._looked_at.add(outcome.input)
                    self.reporter.add(outcome)
                    shown.count(outcome)
        if reason is not None:
            rest = self.reporter.counts[NOT_TRIED]
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
        report, began = self.reporter, times.now().replace(microsecond=0)
        path = join(self._directory, MEMORY_NAME)
        last = last_complete(path, began)
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
                if last is not None and began - last > LONGEST_GAP:
                    report.warn(
                        f"the last complete run was at {times.shown(last)}, and it is "
                        f"{times.shown(began)}: VNS keeps a recording for {times.KEPT.days} days"
                    )
                # Without older calls, a run is complete only if an earlier one has fetched them.
                has_all = since is None or (last is not None and since <= last)
                if has_all and not report.codes:
                    last = began
                    with self._errors_said():
                        data = json.dumps({"complete": times.shown(began)})
                        write_bytes(path, data.encode("ascii") + b"\n")
                self._sum_up(last)

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
        if error := incomplete(listing):
            self.reporter.say_error(error)
        if since is not None:
            recordings = [one for one in recordings if one.time is None or one.time >= since]
            self._left_out = self._listed - len(others) - len(recordings)
            self.reporter.note(f"left out, of calls before {times.shown(since)}: {self._left_out}")
        self.fetch(recordings, others)

    def _sum_up(self, last: datetime | None) -> None:
        """Write the figures of the run, and when the last complete one was."""
        report = self.reporter
        figures: dict[str, float] = {
            "listed": self._listed,
            "fetched": report.counts["decrypted"] + report.counts["stored"],
            "failed": report.counts["failed"] + report.counts[NOT_TRIED],
            "bytes": report.size,
            "seconds": round(time.monotonic() - self._begin, 3),
        }
        report.add_object(
            {
                "summary": True,
                **figures,
                "last_complete": None if last is None else times.shown(last),
                "left_out": self._left_out,
                "statuses": dict(report.counts),
                "code": report.code,
            }
        )
        if (path := self._settings.metrics) is None:
            return
        if last is not None:
            figures["last_complete_timestamp_seconds"] = last.timestamp()
        text = ""  # as Prometheus wants it
        for name, value in figures.items():
            metric = f"vns_recordings_{name}"
            text += f"# HELP {metric} {METRICS[name]}\n# TYPE {metric} gauge\n{metric} {value}\n"
        data = text.encode("ascii")
        with self._errors_said():
            if self._console.is_standard_output(path):
                self._console.write(data)
            elif is_url(path) or not streams.write_to_stream(path, data):
                write_bytes(os.path.realpath(path) if os.path.islink(path) else path, data)


def incomplete(listing: Listing) -> ApiError | None:
    """Return the error for a list that is one page of several; None if nothing shows that."""
    if not (signs := signs_of_more(listing)):
        return None
    return ApiError(
        f"the list looks incomplete (one page of several): {'; '.join(signs)}",
        hint="all that it names is fetched; for the others, ask the vendor, or use download GUID",
    )
