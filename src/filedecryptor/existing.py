"""What to do about an output that exists already."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

from filedecryptor.errors import UsageError
from filedecryptor.format import SMALLEST_SIZE
from filedecryptor.storage import storage_of
from filedecryptor.storage.outputs import Written

IfExists: TypeAlias = Literal["replace", "skip", "fail"]
IF_EXISTS: tuple[IfExists, ...] = get_args(IfExists)
SizeOf: TypeAlias = Callable[[str], "int | None"]


def check_if_exists(if_exists: str) -> None:
    """Raise a `UsageError` unless this is one of the values of `if_exists`."""
    if if_exists not in IF_EXISTS:
        raise UsageError(f"if_exists is not one of {', '.join(IF_EXISTS)}")


def size_of(path: str) -> int | None:
    """Return the length of a file or an object in bytes; None if there is none."""
    return storage_of(path).size_of(path)


def find_existing(
    source: str | None,
    targets: Sequence[str],
    if_exists: IfExists,
    written: Written,
    size_of: SizeOf = size_of,
) -> str | None:
    """Return the existing output that makes a job unnecessary; None if there is none.

    Args:
        source: The path of the recording, from whose length that of its audio follows; None if it
            has no path.
        targets: The outputs that the job may write, one of them.
        if_exists: What to do about an output that is there.
        written: The outputs that other jobs of the run have written.
        size_of: Returns the length of a file, as `size_of` of this module does.

    Raises:
        UsageError: The output is that of another job.
        FileExistsError: `if_exists` is `fail`, and there is one.
    """
    if if_exists == "replace":
        return None
    sizes = {target: size for target in targets if (size := size_of(target)) is not None}
    if not sizes:
        return None
    audio_size = None
    if source is not None and (source_size := size_of(source)) is not None:
        audio_size = source_size - SMALLEST_SIZE
        if audio_size < 0:  # no recording, which is said when it is read
            return None
    fitting = [target for target, size in sizes.items() if audio_size in {None, size}]
    if fitting:
        written.refuse(fitting[0])
    for target in (*fitting, *sizes):  # the others are an error under `fail`
        if is_finished(target, sizes[target], audio_size, if_exists):
            return target
    return None


def is_finished(target: str, size: int | None, audio_size: int | None, if_exists: IfExists) -> bool:
    """Return whether an output that is there counts as done: if it is as long as the audio.

    One that is not so long was left unfinished, and is to be replaced.

    Args:
        target: The output.
        size: Its length in bytes; None if it is not a file, but a link that leads nowhere.
        audio_size: The length of the audio in bytes; None if it is not known.
        if_exists: `skip` or `fail`.

    Raises:
        FileExistsError: `if_exists` is `fail`.
    """
    can_be_audio = audio_size is None or audio_size == size
    if if_exists == "fail":
        cause = os.strerror(errno.EEXIST)
        if not can_be_audio and size is not None:
            cause = f"exists with another length: {size} bytes instead of {audio_size}"
        raise FileExistsError(errno.EEXIST, cause, target)
    return can_be_audio
