"""One run of the archive, as it is scheduled: what it tells, remembers and measures."""

from __future__ import annotations

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
    Status,
    exit_code_of,
    failed,
)
from filedecryptor.storage import streams, write_bytes
from filedecryptor.storage.paths import is_url
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE, Found, find_password
from filedecryptor.terminal.process import share_one_heap
from filedecryptor.terminal.progress import Progress
from filedecryptor.terminal.report import Reporter
from filedecryptor.vns import times
from filedecryptor.vns.archive import NOT_TRIED, SKIPPED, Archive
from filedecryptor.vns.client import BASE_URL, TIMEOUT, Client
from filedecryptor.vns.http import TimeOverError
from filedecryptor.vns.listing import Listing, Recording, signs_of_more, size_in
from filedecryptor.vns.records import Records

METRICS = {
    "listed": "Recordings that the API lists.",
    "fetched": "Recordings that the last run has stored.",
    "failed": "Recordings that the last run should have stored, and has not.",
    "bytes": "Bytes of audio that the last run has stored.",
    "seconds": "Seconds that the last run took.",
    "missing": "Listed recordings that are not here whole; NaN if there is no list.",
    "seconds_to_first_purge": "Seconds until the first missing one is purged; NaN if not known.",
    "exit_code": "The exit code of the last run.",
    "last_run_timestamp_seconds": "When the last run began, in seconds since 1970.",
    "last_complete_timestamp_seconds": "When the last run began that fetched all that was listed, "
    "in seconds since 1970; 0 if there was none.",
}

NOT_AGAIN = "what is stored is not fetched again"
LONGEST_GAP = timedelta(days=6)  # between complete runs; after it, recordings are purged soon
SOON = timedelta(days=1)  # before the purge of what is missing; one more run may be in time


def last_complete(records: Records, now: datetime) -> datetime | None:
    """Return when the last complete run of an archive began, as it says itself."""
    with suppress(FileDecryptorError, OSError):  # it is not worth a night
        time = times.parse(records.memory().get("complete"))
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
    name: str | None = None
    page: bool = False


class Figures:
    """What monitors learn of a run of the archive, however it ends."""

    def __init__(
        self, console: Console, directory: str, metrics: str | None, reporter: Reporter
    ) -> None:
        self._console, self._metrics, self._reporter = console, metrics, reporter
        self._records = Records(directory)
        self._begin, self._began = time.monotonic(), times.now().replace(microsecond=0)
        self.last: datetime | None = None  # when the last complete run began
        self.listed = self.left_out = 0
        self.missing: Sequence[Recording] | None = None  # None if it is not known

    @contextmanager
    def written(self) -> Iterator[None]:
        """Write the figures and the summary at the end, whatever that is."""
        try:
            self.last = last_complete(self._records, self._began)
            if self.last is not None and self._began - self.last > LONGEST_GAP:
                self._reporter.warn(
                    f"the last complete run was at {times.shown(self.last)}, and it is "
                    f"{times.shown(self._began)}: VNS keeps a recording for {times.KEPT.days} days"
                )
            with errors_said(self._reporter):
                yield
        except BaseException as error:
            is_interrupted = isinstance(error, KeyboardInterrupt)
            self._sum_up(ExitCode.INTERRUPTED if is_interrupted else ExitCode.FAILED)
            raise
        self._sum_up()

    def remember(self) -> None:
        """Let this run be the last complete one."""
        self._records.remember(complete=times.shown(self._began))
        self.last = self._began

    def first_call(self) -> datetime | None:
        """Return when the call was of which the missing recording is purged first, if known."""
        return min((one.time for one in self.missing or () if one.time), default=None)

    def _sum_up(self, ending: ExitCode | None = None) -> None:
        """Write the figures, then print the summary; each tells if the other has failed.

        `ending` is the exit code if that is not the reporter's.
        """
        figures = self._figures()
        self._write(figures, ending or self._reporter.code)
        code = ending or self._reporter.code
        self._reporter.add_object(
            {
                "summary": True,
                **figures,
                "last_run": times.shown(self._began),
                "last_complete": None if self.last is None else times.shown(self.last),
                "left_out": self.left_out,
                "statuses": dict(self._reporter.counts),
                "code": code,
            }
        )
        if not ending and self._reporter.code != code:
            self._write(figures, self._reporter.code)

    def _figures(self) -> dict[str, float | None]:
        report, first = self._reporter, self.first_call()
        left = None if first is None else round(times.rest(first, times.now()).total_seconds())
        return {
            "listed": self.listed,
            "fetched": report.counts["decrypted"] + report.counts["stored"],
            "failed": report.counts["failed"] + report.counts[NOT_TRIED],
            "bytes": report.size,
            "seconds": round(time.monotonic() - self._begin, 3),
            "missing": None if self.missing is None else len(self.missing),
            "seconds_to_first_purge": left,
        }

    def _write(self, figures: Mapping[str, float | None], code: ExitCode) -> None:
        if (path := self._metrics) is None:
            return
        of_runs = {
            "exit_code": code.value,
            "last_run_timestamp_seconds": self._began.timestamp(),
            "last_complete_timestamp_seconds": self.last.timestamp() if self.last else 0,
        }
        text = ""  # as Prometheus wants it
        for name, value in {**figures, **of_runs}.items():
            metric = f"vns_recordings_{name}"
            shown = "NaN" if value is None else value
            text += f"# HELP {metric} {METRICS[name]}\n# TYPE {metric} gauge\n{metric} {shown}\n"
        data = text.encode("ascii")
        with errors_said(self._reporter):
            if self._console.is_standard_output(path):
                self._console.write(data)
            elif is_url(path) or not streams.write_to_stream(path, data):
                write_bytes(os.path.realpath(path) if os.path.islink(path) else path, data)


@contextmanager
def errors_said(reporter: Reporter) -> Iterator[None]:
    """Say what fails inside, and go on after it."""
    try:
        yield
    except (FileDecryptorError, OSError) as error:
        reporter.say_error(error)


class Nightly:
    """Fetches recordings into an archive, and reports what becomes of each."""

    def __init__(
        self,
        console: Console,
        client: Client,
        directory: str,
        settings: Settings,
        reporter: Reporter,
    ) -> None:
        self._console, self._client = console, client
        self._directory, self._settings = directory, settings
        found = Found()
        if settings.password_file or ENVIRONMENT_VARIABLE in os.environ:
            # A dry run only needs to know that there is one.
            found = Found(("", ""))
            if not settings.dry_run:
                found = find_password(console, None, settings.password_file)
        self._has_password = bool(found.secrets)
        self._archive = Archive(
            client,
            directory,
            password=found.secrets or None,
            keep_encrypted=settings.keep_encrypted,
            delete_after=settings.delete_after,
            check=settings.check,
            name=settings.name,
        )
        self._reporter = reporter
        reporter.tell_of(found)
        self._recordings: Sequence[Recording] | None = None  # what is listed
        self._tried: dict[str, Status] = {}  # what became of GUIDs

    def fetch(
        self, recordings: Sequence[Recording], others: Sequence[str], *, again: bool = False
    ) -> None:
        """Fetch recordings, `again` if they are there, and refuse what is not a GUID."""
        share_one_heap()
        for text in others:
            error = FileDecryptorError("this is not a GUID", filename=text)
            self._reporter.add(failed(text, error))
        if self._settings.dry_run:
            self._plan(recordings)
            return
        reason = None
        show = False if self._settings.quiet else self._settings.progress
        with Progress(self._console, (), len(recordings), lambda _: 0, show=show) as shown:
            outcomes = self._archive.fetch(
                recordings,
                jobs=self._settings.jobs,
                again=again,
                on_progress=shown.advance,
                warn=self._reporter.warn,
            )
            with closing(outcomes):
                for outcome in outcomes:
                    if outcome.status == NOT_TRIED:
                        reason = outcome.error
                    else:
                        self._tried[outcome.input] = outcome.status
                    self._reporter.add(outcome)
                    shown.count(outcome)
        if reason is not None:
            rest = self._reporter.counts[NOT_TRIED]
            mended = "" if isinstance(reason, TimeOverError) else " once that is mended"
            what = f"{rest} recording{'s' if rest > 1 else ''} not tried"
            error = FileDecryptorError(
                f"{what}, since all would have failed the same way",
                hint=f"run this again{mended}: {NOT_AGAIN}",
            )
            error.exit_code = exit_code_of(reason)
            self._reporter.say_error(error)

    def _plan(self, recordings: Sequence[Recording]) -> None:
        """Say what would become of recordings, with the size and the time left that are listed."""
        for recording, outcome in zip(recordings, self._archive.plan(recordings), strict=True):
            self._tried[outcome.input] = outcome.status
            size = size_in(recording.entry) if outcome.status == "to delete" else outcome.size
            details = [] if size is None else [f"{size} bytes"]
            if "fetch" in outcome.status:
                name = self._archive.name_of(recording)
                details[:0] = [] if name == outcome.input else [f"as {name}"]
            if recording.time is not None:
                left = times.left(recording.time, times.now())
                details.append(left if left == times.PURGED else f"{left} until purge")
            self._reporter.add(outcome, f" ({', '.join(details)})" if details else "")
        if self._reporter.counts["to fetch and delete"] and not self._has_password:
            self._reporter.note("without a password, what is encrypted is stored, and not deleted")

    def run(self, since: datetime | None, figures: Figures) -> None:
        """Fetch what the account lists, since some time, and the archive lacks; count what is missing."""
        report, is_dry = self._reporter, self._settings.dry_run
        try:
            with errors_said(report):
                self._fetch_listed(since, figures)
            with errors_said(report):
                if self._settings.check:
                    for outcome in self._archive.check_others(self._tried, update=not is_dry):
                        report.add(outcome)
            if not report.codes and report.counts.keys() <= ({SKIPPED} if is_dry else set()):
                report.say(
                    "there is nothing to do" if figures.listed else "the API lists no recordings"
                )
        finally:
            if not is_dry:
                self._count_missing(figures)
        # Without older calls, a run is complete only if an earlier one has fetched them.
        has_all = since is None or (figures.last is not None and since <= figures.last)
        if has_all and not (is_dry or report.codes):
            with errors_said(report):
                figures.remember()

    def _fetch_listed(self, since: datetime | None, figures: Figures) -> None:
        listing = self._client.list_recordings()
        recordings, others = listing.recordings()
        self._recordings, figures.listed = recordings, len(recordings) + len(others)
        if error := incomplete(listing):
            self._reporter.say_error(error)
        if since is not None:
            recordings = [one for one in recordings if one.time is None or one.time >= since]
            figures.left_out = len(self._recordings) - len(recordings)
            left_out = f"left out, of calls before {times.shown(since)}: {figures.left_out}"
            self._reporter.note(left_out)
        self.fetch(recordings, others)

    def _count_missing(self, figures: Figures) -> None:
        """Count what is listed and not here, and warn if that is about to be purged."""
        if self._recordings is None:
            return
        here = {guid for guid, status in self._tried.items() if status in {"decrypted", SKIPPED}}
        unsure = [one for one in self._recordings if str(one.guid) not in here]
        with suppress(FileDecryptorError, OSError):  # the store does not answer, as is known by now
            figures.missing = self._archive.missing(unsure)
        first, now = figures.first_call(), times.now()
        if first is not None and times.rest(first, now) <= SOON:
            count = len(figures.missing or ())
            what = "1 recording is" if count == 1 else f"{count} recordings are"
            self._reporter.warn(
                f"{what} missing here; {times.kept(first, now, 'the first of them')}"
            )


def incomplete(listing: Listing) -> ApiError | None:
    """Return the error for a list that is one page of several; None if nothing shows that."""
    if not (signs := signs_of_more(listing)):
        return None
    return ApiError(
        f"the list looks incomplete (one page of several): {'; '.join(signs)}",
        hint="all that it names is fetched; for the others, ask the vendor, or use download GUID",
    )
