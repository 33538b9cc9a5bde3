"""One call of the command, once its words are told apart: what to read, what to write."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING

from filedecryptor.crypto import Password
from filedecryptor.decryptor import IfExists, Job, Outcome, attempt, decrypted, failed
from filedecryptor.errors import FileDecryptorError, UsageError, errors_naming
from filedecryptor.format import CHUNK_SIZE, Source
from filedecryptor.names import SUFFIX, absolute, clean_extension, is_url
from filedecryptor.password import find_password, may_be_secret
from filedecryptor.process import share_one_heap
from filedecryptor.progress import progress as bar
from filedecryptor.report import (
    Report,
    is_read_by_people,
    reporting,
    say,
    say_error,
    write_to_standard_output,
)
from filedecryptor.spool import Beginning
from filedecryptor.storage import storage_of
from filedecryptor.streams import STANDARD_STREAM, is_standard_input, standard_input

if TYPE_CHECKING:
    from filedecryptor.batch import Workers
    from filedecryptor.plan import Plan


def run(
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
) -> int:
    """Decrypt what the command line names.

    Args:
        filenames: The inputs: files, directories, or `-` for standard input.
        password: The PASSWORD word; `-` means that the password is elsewhere.
        output_extension: The OUTPUTEXTENSION word.
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
        UsageError: The words contradict each other, or there is no password.
        OSError: The password file cannot be read, or standard output cannot be written.
    """
    extension = clean_extension(output_extension)
    one_file = len(filenames) == 1 and not storage_of(filenames[0]).is_directory(filenames[0])
    _refuse_contradictions(filenames, output, output_dir, one_file=one_file, verify=verify)
    if cluster is not None:
        _refuse_on_a_cluster(filenames, output, jobs)
    if output is None and STANDARD_STREAM in filenames and not verify:
        output = _standard_output_unless_terminal()
    if output == STANDARD_STREAM and json:
        raise UsageError("--json and the audio cannot both go to standard output")
    stdin_taken = password == "-" and any(map(is_standard_input, filenames))  # noqa: S105
    secret = find_password(password, password_file, stdin_taken=stdin_taken)
    show = False if quiet else progress
    with reporting(quiet=quiet, json=json, many=not one_file) as report:
        filenames = _without_misplaced(filenames, report)
        if not filenames:
            return report.code
        if output == STANDARD_STREAM:
            return _to_standard_output(filenames[0], secret, show=show)
        if one_file and output_dir is None and cluster is None:
            job = Job(filenames[0], extension, output, if_exists=if_exists, verify=verify)
            _do_one(job, secret, report, show=show)
            return report.code
        if cluster is not None:  # whose workers run in other directories
            filenames = [absolute(name) for name in filenames]
            output_dir = None if output_dir is None else absolute(output_dir)
        with _workers(cluster, output_dir, jobs, report) as workers:
            from filedecryptor.plan import Plan

            plan = Plan(
                filenames,
                extension,
                output_dir=output_dir,
                if_exists=if_exists,
                verify=verify,
            )
            if not quiet:
                _say_what_is_passed_over(plan)
            _do_all(plan, secret, report, workers, show=show)
        return report.code


def _say_what_is_passed_over(plan: Plan) -> None:
    for link in plan.links:
        say(f"note: {link}: a link to a directory, which is not followed")
    for directory in plan.empty:
        say(f"{directory}: there is no .enc file in it")


def _without_misplaced(filenames: Sequence[str], report: Report) -> list[str]:
    """Return the inputs without those that may be the password; they fail, and nobody names them.

    What ends as recordings do is a name, however it is mistyped.
    """
    inputs = []
    for number, name in enumerate(filenames, 1):
        may_be_name = name == STANDARD_STREAM or is_url(name) or name.lower().endswith(SUFFIX)
        if may_be_name or not (reason := may_be_secret(name)):
            inputs.append(name)
        else:
            report.add(_misplaced(f"FILENAME {number}", reason))
    return inputs


def _misplaced(place: str, reason: OSError) -> Outcome:
    hint = "if this is the password: the order is FILENAME... PASSWORD OUTPUTEXTENSION"
    error = FileDecryptorError(str(reason.strerror), hint=hint, filename=place)
    return failed(Job(place, ""), error)


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
    cluster: str | None, output_dir: str | None, jobs: int | None, report: Report
) -> AbstractContextManager[Workers]:
    """Yield what does the work: a cluster, or threads of this process."""
    if cluster is None:
        from filedecryptor.batch import Workers

        return nullcontext(Workers(jobs))
    from filedecryptor.cluster import connected

    on_disk = output_dir is not None and not is_url(output_dir)
    return connected(cluster, output_dir if on_disk else None, report.say_silence)


def _standard_output_unless_terminal() -> str:
    if is_read_by_people():
        raise UsageError(
            "the audio of standard input would go to the terminal",
            hint="redirect it, or name a file with --output",
        )
    return STANDARD_STREAM


def _do_one(job: Job, password: Password, report: Report, *, show: bool | None) -> None:
    """Do one job in this thread: to import what runs many would take longer than the rest."""
    source = standard_input() if job.input == STANDARD_STREAM else None
    with bar([source or job.input], 1, show=show) as shown:
        on_progress = partial(shown.advance, job)
        outcome = attempt(job, password, source=source, on_progress=on_progress)
        report.add_above(outcome, shown)


def _do_all(
    plan: Plan,
    password: Password,
    report: Report,
    workers: Workers,
    *,
    show: bool | None,
) -> None:
    # A cluster tells of files only, and to ask for the size of each object would take too long.
    is_counted = workers.executor is not None or plan.has_objects
    inputs = () if is_counted else (job.input for job in plan)
    from filedecryptor.batch import run as run_plan

    if plan.has_objects:
        share_one_heap()
    with bar(inputs, len(plan), show=show) as shown:
        outcomes = run_plan(plan, password, workers, on_progress=shown.advance)
        report.add_all(outcomes, shown)


def _to_standard_output(filename: str, password: Password, *, show: bool | None) -> int:
    try:
        with errors_naming(filename), _opened(filename) as source:
            if isinstance(source, FileIO):
                _refuse_overwriting(source)
            with bar([source if isinstance(source, FileIO) else filename], 1, show=show) as shown:
                on_progress = partial(shown.advance, Job(filename, ""))
                recording, _ = decrypted(Beginning(source), password, on_progress)
    except (FileDecryptorError, OSError) as error:
        return say_error(error)
    with recording:
        while chunk := recording.read(CHUNK_SIZE):
            write_to_standard_output(chunk)
    return 0


def _opened(filename: str) -> AbstractContextManager[Source]:
    if filename == STANDARD_STREAM:
        return standard_input()
    return storage_of(filename).open_source(filename)


def _refuse_overwriting(source: FileIO) -> None:
    """See that standard output is not redirected into the recording."""
    if sys.stdout is None:
        return
    found = os.fstat(sys.stdout.fileno())
    if stat.S_ISREG(found.st_mode) and os.path.samestat(found, os.fstat(source.fileno())):
        raise UsageError("standard output would be written over the recording")
