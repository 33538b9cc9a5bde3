"""What a call of the command does with its recordings, and says of them."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, closing
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING

from filedecryptor.audio import misnamed
from filedecryptor.decryptor import decrypted
from filedecryptor.errors import (
    AuthenticationError,
    ExitCode,
    Failure,
    FileDecryptorError,
    errors_naming,
)
from filedecryptor.existing import size_of
from filedecryptor.format import CHUNK_SIZE, Source
from filedecryptor.job import Job, try_job
from filedecryptor.outcome import Outcome
from filedecryptor.passwords import Passwords
from filedecryptor.spool import Beginning
from filedecryptor.storage import disk, storage_of
from filedecryptor.terminal.console import STANDARD_STREAM, Console
from filedecryptor.terminal.password import Found
from filedecryptor.terminal.process import share_one_heap
from filedecryptor.terminal.progress import Progress, progress
from filedecryptor.terminal.report import Reporter

if TYPE_CHECKING:
    from filedecryptor.plan import Plan
    from filedecryptor.workers import Workers

GO_ON = "what is done stays; run this again with --if-exists skip to go on"


class Run:
    """Does what is wanted, and lets each failure say where the password came from.

    Attributes:
        template: The job of each recording, but for its input.

    Args:
        console: The streams of the program.
        template: The job of each recording, but for its input.
        found: The password, or several that are tried in turn.
        fail_fast: Whether to stop at the first failure.
        show: Whether to show a progress bar; None if that follows from the work.
    """

    def __init__(
        self,
        console: Console,
        template: Job,
        found: Found,
        *,
        fail_fast: bool,
        show: bool | None,
    ) -> None:
        self._console = console
        self.template = template
        self._passwords = Passwords(found.secrets)
        self._found = found
        self._fail_fast = fail_fast
        self._show = show

    def do_one(self, name: str, reporter: Reporter) -> None:
        """Do one job in this thread: importing what does many would take longer than the rest."""
        console, job = self._console, self.template._replace(input=name)
        source = console.open_standard_input() if name == STANDARD_STREAM else None
        with self._bar([name], 1) as shown:
            on_progress = partial(shown.advance, name)
            outcome = try_job(job, self._passwords, source=source, on_progress=on_progress)
            self._tell(outcome, reporter)
            shown.count(outcome)

    def do_all(self, plan: Plan, reporter: Reporter, workers: Workers) -> None:
        """Do all jobs of a plan; after a failure none, if that is wanted."""
        from filedecryptor.batch import run_plan

        share_one_heap()
        # A cluster tells of files only, and asking for the size of each object would take too long.
        is_counted = workers.executor is not None or plan.has_objects
        inputs = () if is_counted else (job.input for job in plan)
        with (
            self._bar(inputs, len(plan)) as shown,
            closing(
                run_plan(
                    plan,
                    self._passwords,
                    workers,
                    warn=reporter.warn,
                    on_progress=shown.advance,
                )
            ) as outcomes,
        ):
            for outcome in outcomes:
                self._tell(outcome, reporter)
                shown.count(outcome)
                if self._fail_fast and outcome.error is not None:
                    reporter.say(f"stopped at the first failure; {GO_ON}")
                    break

    def to_standard_output(self, name: str) -> ExitCode:
        """Write the audio of a recording to standard output, once it is authentic."""
        console = self._console
        try:
            with errors_naming(name), _opened(console, name) as source:
                if isinstance(source, FileIO):
                    console.refuse_overwriting(source)
                with self._bar([name], 1) as shown:
                    on_progress = partial(shown.advance, name)
                    recording, _ = decrypted(Beginning(source), self._passwords, on_progress)
        except (FileDecryptorError, OSError) as error:
            self._explain(error)
            return console.say_error(error)
        with recording:
            while chunk := recording.read(CHUNK_SIZE):
                console.write(chunk)
        return ExitCode.DONE

    def _tell(self, outcome: Outcome, reporter: Reporter) -> None:
        self._explain(outcome.error)
        reporter.add(outcome)
        if outcome.status == "decrypted" and outcome.output is not None:
            reporter.note_once(outcome.output, misnamed(outcome.output, outcome.format))

    def _explain(self, error: Failure | None) -> None:
        if isinstance(error, AuthenticationError):
            from filedecryptor.grammar import misplaced
            from filedecryptor.hints import with_origin

            word = self._found.word
            with_origin(error, self._found.origin, None if word is None else misplaced(word))

    def _bar(self, inputs: Iterable[str], files: int) -> AbstractContextManager[Progress]:
        size = partial(_size_of, self._console)
        return progress(self._console, inputs, files, size, show=self._show)


def _size_of(console: Console, name: str) -> int:
    """Return the length of an input in bytes; 0 if it is not known."""
    if name != STANDARD_STREAM:
        return size_of(name) or 0
    source = console.open_standard_input()
    return (isinstance(source, FileIO) and disk.size_of(source.fileno())) or 0


def _opened(console: Console, filename: str) -> AbstractContextManager[Source]:
    if filename == STANDARD_STREAM:
        return console.open_standard_input()
    return storage_of(filename).open_source(filename)
