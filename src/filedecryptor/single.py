"""One recording in one call, from Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from filedecryptor.errors import UsageError
from filedecryptor.existing import IfExists
from filedecryptor.job import Job, do_job
from filedecryptor.passwords import Secret
from filedecryptor.storage.names import clean_extension, is_url

if TYPE_CHECKING:
    from pathlib import Path


def decrypt_file(
    path: str | os.PathLike[str],
    password: Secret,
    output_extension: str,
    *,
    output: str | os.PathLike[str] | None = None,
    if_exists: IfExists = "replace",
) -> Path:
    """Decrypt a recording into a file, which appears whole or not at all.

    Args:
        path: The `.enc` file.
        password: The `recordCallPassword` in force when the call was recorded, or several that
            are tried in turn.
        output_extension: Replaces the last suffix of `path`, with or without its dot; `auto`
            stands for the format of the audio.
        output: The file to write, instead of the one beside `path`.
        if_exists: What to do about an output that is already there: `replace` it, `skip` the
            work if it is as long as the audio (and otherwise replace it), or `fail`.

    Returns:
        The path of the audio file.

    Raises:
        AuthenticationError: The password is wrong, or the file was altered.
        NotEncError: The file is shorter than 44 bytes, or longer than 64 GiB.
        UnknownFormatError: The extension is `auto`, and the audio is not opus, mp3 or wav.
        UsageError: The extension or the password is unusable, or the output would be the input.
        OSError: The operating system refused something.
    """
    from pathlib import Path

    if any(isinstance(name, str) and is_url(name) for name in (path, output)):
        raise UsageError("decrypt_file is for files; decrypt_files takes addresses as well")
    job = Job(
        input=os.fspath(path),
        extension=clean_extension(output_extension),
        output=None if output is None else os.fspath(output),
        if_exists=if_exists,
    )
    outcome = do_job(job, password)
    assert outcome.output is not None  # noqa: S101 - true of every job that does not only verify
    return Path(outcome.output)
