"""One call of the command, once its arguments are told apart: what to read, what to write.

Nothing here needs click, so that the shortest calls need not load it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING

from filedecryptor.decryptor import decrypted
from filedecryptor.errors import ExitCode, FileDecryptorError, UsageError, errors_naming
from filedecryptor.existing import IfExists, size_of
from filedecryptor.format import CHUNK_SIZE, Source
from filedecryptor.job import Job, try_job
from filedecryptor.outcome import Outcome, failed
from filedecryptor.spool import Beginning
from filedecryptor.storage import disk, storage_of
from filedecryptor.storage.names import SUFFIX, absolute, clean_extension, is_url
from filedecryptor.terminal.console import STANDARD_STREAM, Console, is_terminal
from filedecryptor.terminal.password import find_password, may_be_secret
from filedecryptor.terminal.process import deferring_packages, share_one_heap
from filedecryptor.terminal.progress import Progress, progress
from filedecryptor.terminal.report import Reporter, reporting

if TYPE_CHECKING:
    from filedecryptor.crypto import Password
    from filedecryptor.plan import Plan
    from filedecryptor.workers import Workers

Bar = Callable[..., AbstractContextManager[Progress]]


def decrypt_command(
    console: Console,
    filenames: Sequence[str],
    password: str,
    output_extension: str,
    *,
    output: str | None = None,
    output_dir: str | None = None,
    if_exists: IfExists = "replace",
    password_file: str | None = None,
    jobs: int | None = None,
    cluster: str | None = None,
    verify: bool = False,
    json: bool = False,
    quiet: bool = False,
    progress: bool | None = None,
) -> ExitCode:
    """Decrypt what the command line names.

    Args:
        console: The streams of the program.
        filenames: The inputs: files, directories, or `-` for standard input.
        password: PASSWORD as it was given; `-` means that the password is elsewhere.
        output_extension: OUTPUTEXTENSION as it was given.
        output: The one output's name; `-` is standard output.
        output_dir: Where the outputs go.
        if_exists: What to do about an output that is already there.
        password_file: A file whose first line is the password.
        jobs: Files worked on at once.
        cluster: The address of a scheduler whose workers do the work.
        verify: Authenticate only, write nothing.
        json: Write a JSON object for each input.
        quiet: Say nothing but errors.
        progress: Show a progress bar; if None, where there is time to look at it.

    Returns:
        The exit code.

    Raises:
        UsageError: The arguments contradict each other, or there is no password.
        ClusterError: The cluster cannot be reached, or cannot do the work.
        StorageError: An object store cannot be reached, or refuses to list its objects.
        OSError: The password file cannot be read, or standard output cannot be written.
    """
    extension = clean_extension(output_extension)
    filenames = _matching(filenames)
    one_file = len(filenames) == 1 and not storage_of(filenames[0]).is_directory(filenames[0])
    _refuse_contradictions(filenames, output, output_dir, one_file=one_file, verify=verify)
    if cluster is not None:
        _refuse_on_a_cluster(filenames, output, jobs)
    if output is None and STANDARD_STREAM in filenames and not verify:
        output = _standard_output(console)
    if output == STANDARD_STREAM and json:
        raise UsageError("--json and the audio cannot both go to standard output")
    stdin_taken = password == "-" and any(map(console.is_standard_input, filenames))  # noqa: S105
    secret = find_password(console, password, password_file, stdin_taken=stdin_taken)
    bar = partial(_bar, console, show=False if quiet else progress)
    with reporting(console, quiet=quiet, json=json, many=not one_file) as reporter:
        filenames = _without_misplaced(filenames, reporter)
        if not filenames:
            return reporter.report.code
        if output == STANDARD_STREAM:
            return _to_standard_output(console, filenames[0], secret, bar)
        if one_file and output_dir is None and cluster is None:
            job = Job(filenames[0], extension, output, if_exists=if_exists, verify=verify)
            _do_one(console, job, secret, reporter, bar)
            return reporter.report.code
        if cluster is not None:  # whose workers run in other directories
            filenames = [absolute(name) for name in filenames]
            output_dir = None if output_dir is None else absolute(output_dir)
        with _workers(cluster, output_dir, jobs, reporter) as workers:
            from filedecryptor.plan import Plan

            plan = Plan(
                filenames,
                extension,
                output_dir=output_dir,
                if_exists=if_exists,
                verify=verify,
            )
            if not quiet:
                _say_what_is_passed_over(console, plan)
            _do_all(plan, secret, reporter, workers, bar)
        return reporter.report.code


def _say_what_is_passed_over(console: Console, plan: Plan) -> None:
    for link in plan.links:
        console.say(f"note: {link}: a link to a directory, which is not followed")
    for directory in plan.empty:
        console.say(f"{directory}: there is no .enc file in it")


def _matching(words: Sequence[str]) -> list[str]:
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


def _without_misplaced(filenames: Sequence[str], reporter: Reporter) -> list[str]:
    """Return the inputs without those that may be the password: they fail, and are not shown.

    What ends as recordings do is a name, however it is mistyped.
    """
    inputs = []
    for number, name in enumerate(filenames, 1):
        may_be_name = name == STANDARD_STREAM or is_url(name) or name.lower().endswith(SUFFIX)
        if may_be_name or not (reason := may_be_secret(name)):
            inputs.append(name)
        else:
            reporter.add(_misplaced(f"FILENAME {number}", reason))
    return inputs


def _misplaced(place: str, reason: OSError) -> Outcome:
    hint = "if this is the password: the order is FILENAME... PASSWORD OUTPUTEXTENSION"
    error = FileDecryptorError(str(reason.strerror), hint=hint, filename=place)
    return failed(place, error)


def _refuse_contradictions(
    filenames: Sequence[str],
    output: str | None,
    output_dir: str | None,
    *,
    one_file: bool,
    verify: bool,
) -> None:
    from_stdin = STANDARD_STREAM in filenames
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
        from filedecryptor.workers import Workers

        return nullcontext(Workers(jobs))
    from filedecryptor.cluster import PACKAGE, connected

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


def _do_one(console: Console, job: Job, password: Password, reporter: Reporter, bar: Bar) -> None:
    """Do one job in this thread: importing what does many would take longer than the rest."""
    source = console.open_standard_input() if job.input == STANDARD_STREAM else None
    with bar([job.input], 1) as shown:
        on_progress = partial(shown.advance, job.input)
        outcome = try_job(job, password, source=source, on_progress=on_progress)
        reporter.add(outcome)
        shown.count(outcome)


def _do_all(plan: Plan, password: Password, reporter: Reporter, workers: Workers, bar: Bar) -> None:
    from filedecryptor.batch import run_plan

    share_one_heap()
    # A cluster tells of files only, and asking for the size of each object would take too long.
    is_counted = workers.executor is not None or plan.has_objects
    inputs = () if is_counted else (job.input for job in plan)
    with (
        bar(inputs, len(plan)) as shown,
        closing(
            run_plan(plan, password, workers, warn=reporter.warn, on_progress=shown.advance)
        ) as outcomes,
    ):
        for outcome in outcomes:
            reporter.add(outcome)
            shown.count(outcome)


def _bar(
    console: Console, inputs: Iterable[str], files: int, *, show: bool | None
) -> AbstractContextManager[Progress]:
    return progress(console, inputs, files, partial(_size_of, console), show=show)


def _size_of(console: Console, name: str) -> int:
    """Return the length of an input in bytes; 0 if it is not known."""
    if name != STANDARD_STREAM:
        return size_of(name) or 0
    source = console.open_standard_input()
    return (isinstance(source, FileIO) and disk.size_of(source.fileno())) or 0


def _to_standard_output(console: Console, filename: str, password: Password, bar: Bar) -> ExitCode:
    try:
        with errors_naming(filename), _opened(console, filename) as source:
            if isinstance(source, FileIO):
                console.refuse_overwriting(source)
            with bar([filename], 1) as shown:
                on_progress = partial(shown.advance, filename)
                recording, _ = decrypted(Beginning(source), password, on_progress)
    except (FileDecryptorError, OSError) as error:
        return console.say_error(error)
    with recording:
        while chunk := recording.read(CHUNK_SIZE):
            console.write(chunk)
    return ExitCode.DONE


def _opened(console: Console, filename: str) -> AbstractContextManager[Source]:
    if filename == STANDARD_STREAM:
        return console.open_standard_input()
    return storage_of(filename).open_source(filename)
