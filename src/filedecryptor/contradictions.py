"""Options that contradict each other, or what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from filedecryptor.errors import UsageError
from filedecryptor.terminal.console import STANDARD_STREAM


def refuse_contradictions(
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


def refuse_on_a_cluster(filenames: Sequence[str], output: str | None, jobs: int | None) -> None:
    """Raise a `UsageError` if the options ask for what a cluster cannot do."""
    if output is not None or STANDARD_STREAM in filenames:
        raise UsageError(
            "a cluster reads and writes files and objects only",
            hint="name a directory with --output-dir",
        )
    if jobs is not None:
        raise UsageError("--jobs is for this machine; a cluster has its own number of them")
