"""What one call of `filedecryptor` reads, writes and reports."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING

from filedecryptor.core.decryptor import decrypted
from filedecryptor.core.format import CHUNK_SIZE
from filedecryptor.core.spool import Beginning
from filedecryptor.errors import (
    AuthenticationError,
    ExitCode,
    FileDecryptorError,
    UsageError,
    errors_naming,
    failed,
)
from filedecryptor.jobs.job import Job, size_of, try_job
from filedecryptor.jobs.outputs import AUTO
from filedecryptor.storage import disk, storage_of, streams
from filedecryptor.storage.atomic import Written
from filedecryptor.storage.paths import clean_extension
from filedecryptor.terminal.arguments import Options, file_name_hint, without_missing
from filedecryptor.terminal.console import (
    STANDARD_STREAM,
    Console,
    PatientFile,
    is_terminal,
    is_terminal_device,
)
from filedecryptor.terminal.password import Found, as_utf_8, find_password, typed
from filedecryptor.terminal.process import deferring_packages, share_one_heap
from filedecryptor.terminal.progress import Progress
from filedecryptor.terminal.report import Reporter

if TYPE_CHECKING:
    from filedecryptor.jobs.plan import Plan

EMPTY = "there is no .enc file in it"
GO_ON = "what is done stays; run this again with --if-exists skip to go on"


def decrypt_command(
    console: Console,
    filenames: Sequence[str],
    password: str | None,
    output_extension: str | None,
    options: Options,
) -> ExitCode:
    """Decrypt what the command line names and return the exit code.

    A password that is None or `-` is elsewhere; an extension that is None is `auto`.
    """
    try:
        extension = clean_extension(AUTO if output_extension is None else output_extension)
    except UsageError as error:
        error.hint = file_name_hint(output_extension or "")
        raise
    words, filenames = filenames, []
    for number, word in enumerate(words, 1):
        with errors_naming(f"FILENAME {number}"):
            filenames += disk.matching(word)
    is_one = len(filenames) == 1 and options.files_from is None
    is_one = is_one and not storage_of(filenames[0]).is_directory(filenames[0])
    output = _output_of(console, filenames, options)
    to_stdout = output == STANDARD_STREAM
    _refuse_contradictions(options, filenames, extension, is_one=is_one, to_stdout=to_stdout)
    _refuse_terminal(console, output, is_given=options.output is not None)
    job = Job(
        "",
        extension,
        output,
        if_exists=options.if_exists,
        verify=options.verify,
        unknown_as=None if options.unknown_as is None else clean_extension(options.unknown_as),
    )
    filenames, failures = without_missing(filenames, password, options)
    found = _find(console, filenames, password, options)
    with Reporter(
        console,
        quiet=options.quiet,
        json=options.json,
        many=not is_one,
        found=found,
        go_on=None if options.dry_run else GO_ON,
        give_up=None if options.fail_fast else "--fail-fast stops at the first failure",
        dry_run=options.dry_run,
    ) as reporter:
        if hint := file_name_hint(extension):
            reporter.say(f"hint: {hint}")
        for failure in failures:
            reporter.add(failure)
        if options.files_from is not None:
            filenames += _listed(console, options.files_from, reporter, null=options.null)
        if not filenames or (options.fail_fast and reporter.codes):
            return reporter.code
        shown = False if options.quiet else options.progress
        show = partial(Progress, console, size_of=partial(_size_of, console), show=shown)
        is_simple = is_one and options.output_dir is None and options.cluster is None
        if options.dry_run:
            _preview(options, job, filenames, reporter)
        elif is_simple and (to_stdout or not found.is_typed):
            _do_one(job._replace(input=filenames[0]), reporter, show)
        else:
            _do_all(options, job, filenames, reporter, show)
        return reporter.code


def _output_of(console: Console, filenames: Sequence[str], options: Options) -> str | None:
    """Return the one output, if there is one: `-` by whatever name standard output has."""
    output = options.output
    if output is None:
        return STANDARD_STREAM if STANDARD_STREAM in filenames and not options.verify else None
    if output != STANDARD_STREAM and console.is_standard_output(output):
        return STANDARD_STREAM if streams.is_stream(output) else output
    return output


def _refuse_contradictions(
    options: Options, filenames: Sequence[str], extension: str, *, is_one: bool, to_stdout: bool
) -> None:
    """Raise a `UsageError` if the arguments and options contradict each other."""
    from_stdin, listed = STANDARD_STREAM in filenames, options.files_from is not None
    to_file, to_directory = options.output is not None, options.output_dir is not None
    on_cluster, unknown_as = options.cluster is not None, options.unknown_as
    hint = "name a directory with --output-dir"
    if to_file and not is_one:
        raise UsageError("one --output cannot take the audio of several files", hint=hint)
    if on_cluster and (to_file or from_stdin):
        raise UsageError("a cluster reads and writes files and objects only", hint=hint)
    if to_directory and from_stdin:
        raise UsageError("standard input has no name for --output-dir", hint="use --output")
    several = from_stdin and (listed or len(filenames) > 1)
    nowhere = options.verify and (to_file or to_directory)
    for cause, is_wrong in {
        "--null says how the names in the list of --files-from end": options.null and not listed,
        "standard input cannot be one of several inputs": several,
        "--output and --output-dir cannot both say where the audio goes": to_file and to_directory,
        "--verify writes nothing, so there is nothing to say where": nowhere,
        "--verify writes nothing that --dry-run could tell": options.verify and options.dry_run,
        "--jobs is for this machine; a cluster has its own number of them": on_cluster
        and options.jobs is not None,
        "--json and the audio cannot both go to standard output": to_stdout and options.json,
        "--unknown-as is for audio that 'auto' does not know": unknown_as and extension != AUTO,
        "--unknown-as takes an extension, and 'auto' is none": unknown_as in {AUTO, f".{AUTO}"},
    }.items():
        if is_wrong:
            raise UsageError(cause)


def _refuse_terminal(console: Console, output: str | None, *, is_given: bool) -> None:
    """Raise a `UsageError` if audio would go to a terminal, which it may wreck."""
    to_stdout = output == STANDARD_STREAM
    if is_terminal(console.stdout) if to_stdout else output and is_terminal_device(output):
        audio = "the audio" if is_given else "the audio of standard input"
        hint = "redirect it, or name a file with --output"
        raise UsageError(f"{audio} would go to the terminal", hint=hint)


def _find(
    console: Console, filenames: Sequence[str], password: str | None, options: Options
) -> Found:
    """Return the password; none if nothing is to be decrypted."""
    if options.dry_run or not (filenames or options.files_from is not None):
        return Found()
    stdin_is = "the recording" if any(map(console.is_standard_input, filenames)) else None
    if options.files_from is not None and console.is_standard_input(options.files_from):
        stdin_is = "the list"
    return find_password(console, password, options.password_file, stdin_is=stdin_is)


def _listed(console: Console, path: str, reporter: Reporter, *, null: bool) -> list[str]:
    """Return the names in a list: one in a line, or each with a NUL at its end."""
    is_standard_input = console.is_standard_input(path)
    with errors_naming(path):
        file = console.open_standard_input() if is_standard_input else PatientFile(path)
        with BufferedReader(file) as buffered:
            data = b"".join(iter(lambda: buffered.read(CHUNK_SIZE), b""))
    lines = data.split(b"\0") if null else as_utf_8(data).replace(b"\r\n", b"\n").split(b"\n")
    try:
        names = [os.fsdecode(line) for line in lines if line]
    except UnicodeDecodeError:  # on Windows; elsewhere a name may be any bytes
        raise UsageError("it is not text in UTF-8", filename=path) from None
    if not names:
        reporter.say(f"{path}: there is no name in it")
    # A file of that name is meant, not standard input.
    return [os.path.join(os.curdir, name) if name == STANDARD_STREAM else name for name in names]


def _write_out(name: str, reporter: Reporter, show: partial[Progress]) -> None:
    """Write the audio of a recording to standard output, once it is authentic."""
    if _is_wrong([Job(name, AUTO)], reporter, show):
        return
    console, found = reporter.console, reporter.found
    with errors_naming(name):
        is_stream = name == STANDARD_STREAM
        opened = console.open_standard_input() if is_stream else storage_of(name).open_source(name)
        with opened as source:
            if isinstance(source, FileIO):
                console.refuse_overwriting(source)
            with show([name], 1) as shown:
                try:
                    on_progress = partial(shown.advance, name)
                    recording, content = decrypted(Beginning(source), found.secrets, on_progress)
                except AuthenticationError as error:
                    found.explain(error)
                    raise
        if content.note is not None:
            reporter.note(f"{name}: {content.note}")
    with recording:
        while chunk := recording.read(CHUNK_SIZE):
            console.write(chunk)


def _do_one(job: Job, reporter: Reporter, show: partial[Progress]) -> None:
    """Do one job in this thread: importing what does many would take longer than the rest."""
    if job.output == STANDARD_STREAM:
        _write_out(job.input, reporter, show)
        return
    source = reporter.console.open_standard_input() if job.input == STANDARD_STREAM else None
    with show([job.input], 1) as shown:
        on_progress = partial(shown.advance, job.input)
        outcome = try_job(job, reporter.found.secrets, source=source, on_progress=on_progress)
        reporter.add(outcome)
        shown.count(outcome)


def _plan(options: Options, job: Job, filenames: list[str], reporter: Reporter) -> Plan:
    """Plan the work, and say what is passed over."""
    from filedecryptor.jobs.plan import Plan

    plan = Plan(filenames, job, options.output_dir, is_distributed=options.cluster is not None)
    for link in plan.links:
        reporter.note(f"{link}: a link to a directory, which is not followed")
    for directory in plan.empty:
        if len(plan) or plan.failures:
            reporter.warn(f"{directory}: {EMPTY}")
        else:
            reporter.add(failed(directory, FileDecryptorError(EMPTY, filename=directory)))
    return plan


def _preview(options: Options, job: Job, filenames: list[str], reporter: Reporter) -> None:
    """Say what would become of each recording."""
    from filedecryptor.jobs.plan import preview

    if STANDARD_STREAM in {job.output, *filenames}:
        source = reporter.console.open_standard_input() if filenames == [STANDARD_STREAM] else None
        # In standard output, nothing can be there already.
        job = job._replace(input=filenames[0], verify=job.output == STANDARD_STREAM)
        reporter.add(preview(job, Written(), source))
    else:
        for outcome in _plan(options, job, filenames, reporter).preview():
            reporter.add(outcome)


def _is_wrong(jobs: Iterable[Job], reporter: Reporter, show: partial[Progress]) -> bool:
    """Return whether the first of these recordings shows all passwords that are typed to be wrong."""
    console, found = reporter.console, reporter.found
    for job in jobs if found.is_typed else ():
        if size_of(job.input) is None:  # it may be a pipe, which can be read only once
            continue
        for is_last in (False, False, True):
            with show([job.input], 1) as shown:
                on_progress = partial(shown.advance, job.input)
                outcome = try_job(job._replace(verify=True), found.secrets, on_progress=on_progress)
            if outcome.error is None:
                return False
            if not isinstance(outcome.error, AuthenticationError):
                break
            if is_last:
                reporter.add(outcome)
                return True
            found.explain(outcome.error)
            console.say_error(outcome.error)
            found.secrets = [typed(console)]
    return False


def _do_all(
    options: Options, job: Job, filenames: list[str], reporter: Reporter, show: partial[Progress]
) -> None:
    """Plan the work, and do it side by side."""
    from filedecryptor.jobs.workers import Workers

    connection: AbstractContextManager[Workers] = nullcontext(Workers(options.jobs))
    if options.cluster is not None:
        from filedecryptor.jobs.cluster import connected

        deferring_packages.add("distributed")
        connection = connected(options.cluster, options.output_dir, reporter.say_silence)
    with connection as workers:
        from filedecryptor.jobs.batch import run_plan

        plan = _plan(options, job, filenames, reporter)
        waiting = (each for each in plan if plan.without_work(each, Written()) is None)
        if _is_wrong(waiting, reporter, show):
            if len(plan) > 1:
                reporter.say("the other recordings are not tried")
            return
        plan.make_output_dir()
        share_one_heap()
        # A cluster tells of files only, and asking for the size of each object would take too long.
        inputs = () if options.cluster or plan.has_objects else (each.input for each in plan)
        with show(inputs, len(plan)) as shown:
            secrets = reporter.found.secrets
            running = run_plan(
                plan, secrets, workers, warn=reporter.warn, on_progress=shown.advance
            )
            with closing(running) as outcomes:
                for outcome in outcomes:
                    reporter.add(outcome)
                    shown.count(outcome)
                    if options.fail_fast and outcome.error is not None:
                        reporter.say(f"stopped at the first failure; {GO_ON}")
                        break


def _size_of(console: Console, name: str) -> int:
    """Return the length of an input in bytes; 0 if it is not known."""
    if name != STANDARD_STREAM:
        return size_of(name) or 0
    source = console.open_standard_input()
    return (isinstance(source, FileIO) and disk.size_of(source.fileno())) or 0
