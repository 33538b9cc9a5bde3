"""One call of the command, once its arguments are told apart: what to read, what to write.

Nothing here needs click, so that the shortest calls need not load it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from filedecryptor.errors import ExitCode, UsageError
from filedecryptor.existing import IfExists
from filedecryptor.inputs import matching, without_misplaced
from filedecryptor.job import AUTO, Job
from filedecryptor.running import GO_ON, Run
from filedecryptor.storage import storage_of
from filedecryptor.storage.names import absolute, clean_extension, is_url
from filedecryptor.terminal.console import STANDARD_STREAM, Console, is_terminal
from filedecryptor.terminal.password import find_password
from filedecryptor.terminal.process import deferring_packages
from filedecryptor.terminal.report import Reporter, reporting

if TYPE_CHECKING:
    from filedecryptor.workers import Workers


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
            from filedecryptor.grammar import file_name_hint

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
        from filedecryptor.plan import Plan

        plan = Plan(
            filenames,
            run.template.extension,
            output_dir=output_dir,
            if_exists=run.template.if_exists,
            verify=run.template.verify,
            unknown_as=run.template.unknown_as,
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
    from filedecryptor.inputs import listed

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
