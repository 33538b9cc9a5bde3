"""What one call of `filedecryptor` reads, writes and reports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING

from filedecryptor.audio import misnamed
from filedecryptor.core.decryptor import decrypted
from filedecryptor.core.format import CHUNK_SIZE, Source
from filedecryptor.core.secrets import Passwords
from filedecryptor.core.spool import Beginning
from filedecryptor.errors import (
    AuthenticationError,
    ExitCode,
    Failure,
    FileDecryptorError,
    Outcome,
    UsageError,
    errors_naming,
    failed,
)
from filedecryptor.jobs.job import AUTO, IfExists, Job, size_of, try_job
from filedecryptor.storage import disk, storage_of
from filedecryptor.storage.names import SUFFIX, absolute, clean_extension, is_url
from filedecryptor.terminal.console import STANDARD_STREAM, Console, PatientFile, is_terminal
from filedecryptor.terminal.password import Found, find_password, may_be_secret, text_of
from filedecryptor.terminal.process import deferring_packages, share_one_heap
from filedecryptor.terminal.progress import Progress, progress
from filedecryptor.terminal.report import Reporter, reporting

if TYPE_CHECKING:
    from filedecryptor.jobs.workers import Workers
if TYPE_CHECKING:
    from filedecryptor.jobs.plan import Plan
    from filedecryptor.jobs.workers import Workers


def decrypt_command(
    console: Console,
    filenames: Sequence[str],
    password: str | None,
    output_extension: str | None,
    *,
    files_from: str | None = None,
    null: bool = False,
    output: str | None = None,
    output_dir: str | None = None,
    if_exists: IfExists = "replace",
    unknown_as: str | None = None,
    password_file: Sequence[str] = (),
    jobs: int | None = None,
    cluster: str | None = None,
    verify: bool = False,
    fail_fast: bool = False,
    json: bool = False,
    quiet: bool = False,
    progress: bool | None = None,
) -> ExitCode:
    """Decrypt what the command line names.

    Args:
        console: The streams of the program.
        filenames: The inputs: files, directories, or `-` for standard input.
        password: PASSWORD as it was given; `-` or None means that the password is elsewhere.
        output_extension: OUTPUTEXTENSION as it was given; None where nothing is named after it.
        files_from: A file that names more inputs; `-` is standard input.
        null: Whether each name in it ends with a NUL instead of a line end.
        output: The one output's name; `-` is standard output.
        output_dir: Where the outputs go.
        if_exists: What to do about an output that is already there.
        unknown_as: The extension for audio that `auto` does not know.
        password_file: Files whose first lines are passwords, which are tried in turn.
        jobs: Files worked on at once.
        cluster: The address of a scheduler whose workers do the work.
        verify: Authenticate only, write nothing.
        fail_fast: Stop at the first failure.
        json: Write a JSON object for each input.
        quiet: Say nothing but errors.
        progress: Show a progress bar; if None, where there is time to look at it.

    Returns:
        The exit code.

    Raises:
        UsageError: The arguments contradict each other, or there is no password.
        ClusterError: The cluster cannot be reached, or cannot do the work.
        StorageError: An object store cannot be reached, or refuses to list its objects.
        OSError: The password file or the list cannot be read, or standard output be written.
    """
    extension = clean_extension(AUTO if output_extension is None else output_extension)
    filenames = matching(filenames)
    one_file = (
        len(filenames) == 1
        and files_from is None
        and not storage_of(filenames[0]).is_directory(filenames[0])
    )
    _refuse_contradictions(
        filenames,
        output,
        output_dir,
        one_file=one_file,
        verify=verify,
        null=null,
        files_from=files_from,
    )
    if cluster is not None:
        _refuse_on_a_cluster(filenames, output, jobs)
    if output is None and STANDARD_STREAM in filenames and not verify:
        output = _standard_output(console)
    if output == STANDARD_STREAM and json:
        raise UsageError("--json and the audio cannot both go to standard output")
    unknown_as = _unknown_as(unknown_as, extension)
    stdin_is = _use_of_standard_input(console, filenames, files_from)
    found = find_password(console, password, password_file, stdin_is=stdin_is)
    template = Job(
        "",
        extension,
        output,
        if_exists=if_exists,
        verify=verify,
        unknown_as=unknown_as,
    )
    run = Run(console, template, found, fail_fast=fail_fast, show=False if quiet else progress)
    with reporting(
        console,
        quiet=quiet,
        json=json,
        many=not one_file,
        passwords=len(found.secrets),
        go_on=None if one_file else GO_ON,
    ) as reporter:
        if "." in extension:
            from filedecryptor.terminal.arguments import file_name_hint

            if hint := file_name_hint(extension):
                reporter.say(f"hint: {hint}")
        filenames = without_misplaced(filenames, reporter.add)
        if files_from is not None:
            filenames += _listed(console, reporter, files_from, null=null)
        if not filenames or (fail_fast and reporter.report.codes):
            return reporter.report.code
        if output == STANDARD_STREAM:
            return run.to_standard_output(filenames[0])
        if one_file and output_dir is None and cluster is None:
            run.do_one(filenames[0], reporter)
            return reporter.report.code
        _do_all(run, filenames, reporter, output_dir=output_dir, cluster=cluster, jobs=jobs)
        return reporter.report.code


def _do_all(
    run: Run,
    filenames: list[str],
    reporter: Reporter,
    *,
    output_dir: str | None,
    cluster: str | None,
    jobs: int | None,
) -> None:
    """Plan the work, say what is passed over, and do it."""
    if cluster is not None:  # whose workers run in other directories
        filenames = [absolute(name) for name in filenames]
        output_dir = None if output_dir is None else absolute(output_dir)
    with _workers(cluster, output_dir, jobs, reporter) as workers:
        from filedecryptor.jobs.plan import Plan

        plan = Plan(
            filenames,
            run.template.extension,
            output_dir=output_dir,
            if_exists=run.template.if_exists,
            verify=run.template.verify,
            unknown_as=run.template.unknown_as,
            is_distributed=cluster is not None,
        )
        for link in plan.links:
            reporter.note(f"{link}: a link to a directory, which is not followed")
        for directory in plan.empty:
            reporter.say(f"{directory}: there is no .enc file in it")
        run.do_all(plan, reporter, workers)


def _use_of_standard_input(
    console: Console, filenames: Sequence[str], files_from: str | None
) -> str | None:
    """Return what standard input is, if it is not for the password."""
    if files_from is not None and console.is_standard_input(files_from):
        return "the list"
    return "the recording" if any(map(console.is_standard_input, filenames)) else None


def _unknown_as(unknown_as: str | None, extension: str) -> str | None:
    """Return the extension for audio that `auto` does not know, without its dot.

    Raises:
        UsageError: It is none, or there is no such audio.
    """
    if unknown_as is None:
        return None
    if extension != AUTO:
        raise UsageError("--unknown-as is for audio that 'auto' does not know")
    bare = clean_extension(unknown_as)
    if bare == AUTO:
        raise UsageError("--unknown-as takes an extension, and 'auto' is none")
    return bare


def _listed(console: Console, reporter: Reporter, path: str, *, null: bool) -> list[str]:

    names = listed(console, path, null=null)
    if not names:
        reporter.say(f"{path}: there is no name in it")
    return names


def _refuse_contradictions(
    filenames: Sequence[str],
    output: str | None,
    output_dir: str | None,
    *,
    one_file: bool,
    verify: bool,
    files_from: str | None,
    null: bool,
) -> None:
    """Raise a `UsageError` if the options that say what to read and write contradict each other."""
    from_stdin = STANDARD_STREAM in filenames
    if null and files_from is None:
        raise UsageError("--null says how the names in the list of --files-from end")
    if from_stdin and files_from is not None:
        raise UsageError("standard input cannot be one of several inputs")
    if from_stdin and len(filenames) > 1:
        raise UsageError("standard input cannot be one of several inputs")
    if output is not None and not one_file:
        raise UsageError(
            "one --output cannot take the audio of several files",
            hint="name a directory with --output-dir",
        )
    if output is not None and output_dir is not None:
        raise UsageError("--output and --output-dir cannot both say where the audio goes")
    if output_dir is not None and from_stdin:
        raise UsageError("standard input has no name for --output-dir", hint="use --output")
    if verify and (output is not None or output_dir is not None):
        raise UsageError("--verify writes nothing, so there is nothing to say where")


def _refuse_on_a_cluster(filenames: Sequence[str], output: str | None, jobs: int | None) -> None:
    """Raise a `UsageError` if the options ask for what a cluster cannot do."""
    if output is not None or STANDARD_STREAM in filenames:
        raise UsageError(
            "a cluster reads and writes files and objects only",
            hint="name a directory with --output-dir",
        )
    if jobs is not None:
        raise UsageError("--jobs is for this machine; a cluster has its own number of them")


def _workers(
    cluster: str | None, output_dir: str | None, jobs: int | None, reporter: Reporter
) -> AbstractContextManager[Workers]:
    """Return a context manager that yields what does the work: a cluster, or threads."""
    if cluster is None:
        from filedecryptor.jobs.workers import Workers

        return nullcontext(Workers(jobs))
    from filedecryptor.jobs.cluster import PACKAGE, connected

    deferring_packages.add(PACKAGE)
    on_disk = output_dir is not None and not is_url(output_dir)
    return connected(cluster, output_dir if on_disk else None, reporter.say_silence)


def _standard_output(console: Console) -> str:
    """Return `-`, unless audio would be written to a terminal."""
    if is_terminal(console.stdout):
        raise UsageError(
            "the audio of standard input would go to the terminal",
            hint="redirect it, or name a file with --output",
        )
    return STANDARD_STREAM


def matching(words: Sequence[str]) -> list[str]:
    """Return the inputs, with what stands for several of them replaced by their names.

    Raises:
        UsageError: There is none.
    """
    inputs = []
    for number, word in enumerate(words, 1):
        found = disk.matching(word)
        if not found:
            # Whatever does not end as recordings do may be the password.
            name = word if word.lower().endswith(SUFFIX) else f"FILENAME {number}"
            raise UsageError("no file has a name like this", filename=name)
        inputs += found
    return inputs


def without_misplaced(filenames: Sequence[str], report: Callable[[Outcome], object]) -> list[str]:
    """Return the inputs without those that may be the password: they fail, and are not shown.

    What ends as recordings do is a name, however it is mistyped.

    Args:
        filenames: The inputs.
        report: Called with the outcome of each of the others.
    """
    inputs = []
    for number, name in enumerate(filenames, 1):
        may_be_name = name == STANDARD_STREAM or is_url(name) or name.lower().endswith(SUFFIX)
        if may_be_name or not (reason := may_be_secret(name)):
            inputs.append(name)
        else:
            report(_misplaced(f"FILENAME {number}", reason))
    return inputs


def _misplaced(place: str, reason: OSError) -> Outcome:
    from filedecryptor.terminal.arguments import ORDER

    hint = f"if this is the password: {ORDER}"
    error = FileDecryptorError(str(reason.strerror), hint=hint, filename=place)
    return failed(place, error)


def listed(console: Console, path: str, *, null: bool) -> list[str]:
    """Return the names in a list.

    Args:
        console: Has standard input.
        path: The list: one name in a line; `-` is standard input.
        null: Whether each name ends with a NUL instead of a line end, as `find -print0` writes it.

    Raises:
        UsageError: Standard input is closed, or the names are no text where they must be.
        OSError: The list cannot be read.
    """
    is_standard_input = console.is_standard_input(path)
    with errors_naming(path):
        file = console.open_standard_input() if is_standard_input else PatientFile(path)
        with BufferedReader(file) as buffered:
            data = b"".join(iter(lambda: buffered.read(CHUNK_SIZE), b""))
    names: Iterable[bytes]
    if null:
        names = data.split(b"\0")
    else:
        names = (line.removesuffix(b"\r") for line in text_of(data).split(b"\n"))
    try:
        paths = [os.fsdecode(name) for name in names if name]
    except UnicodeDecodeError:  # on Windows; elsewhere a name may be any bytes
        raise UsageError("it is not text in UTF-8", filename=path) from None
    # A file of that name is meant, not standard input.
    return [os.path.join(os.curdir, name) if name == STANDARD_STREAM else name for name in paths]


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
        from filedecryptor.jobs.batch import run_plan

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
            from filedecryptor.core.secrets import with_origin
            from filedecryptor.terminal.arguments import misplaced

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
