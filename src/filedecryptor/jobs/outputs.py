"""What an output is called, and what becomes of one that exists."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from filedecryptor.audio import FORMATS
from filedecryptor.errors import Content, Outcome, UnknownFormatError, UsageError
from filedecryptor.storage.atomic import Written
from filedecryptor.storage.paths import replace_suffix

if TYPE_CHECKING:
    from filedecryptor.jobs.job import Job

AUTO = "auto"  # the output extension that stands for the format found in the audio

IfExists: TypeAlias = Literal["replace", "skip", "fail"]
IF_EXISTS: tuple[IfExists, ...] = get_args(IfExists)


def check_if_exists(if_exists: str) -> None:
    """Raise a `UsageError` unless this is one of the values of `if_exists`."""
    if if_exists not in IF_EXISTS:
        raise UsageError(f"if_exists is not one of {', '.join(IF_EXISTS)}")


def targets_of(job: Job) -> tuple[str, ...]:
    """Return the outputs that a job may write; it writes one of them, or none."""
    if job.verify:
        return ()
    if job.output is not None:
        return (job.output,)
    return replace_suffix(job.named_after or job.input, extensions_of(job))


def extensions_of(job: Job) -> tuple[str, ...]:
    """Return the extensions that an output may get."""
    if job.extension != AUTO:
        return (job.extension,)
    return tuple(dict.fromkeys(filter(None, (*FORMATS, job.unknown_as))))


def target_for(job: Job, content: Content) -> str:
    """Return the output that fits the audio."""
    targets = targets_of(job)
    if len(targets) == 1:
        return targets[0]
    extension = content.format or job.unknown_as
    if extension is None:
        raise UnknownFormatError(
            f"the recording is intact and the password right; {content.unknown}",
            hint="name the output's extension instead of 'auto', or store such audio by"
            " --unknown-as",
        )
    return targets[extensions_of(job).index(extension)]


def existing(
    job: Job, found: Mapping[str, int | None], audio_size: int | None, written: Written
) -> Outcome | None:
    """Decide what becomes of outputs that are there: an outcome, an error, or None for a new one.

    An output counts as done if it is as long as the audio; one of another length was left
    unfinished. A length is None if it is not known, or that of a link to nowhere.
    """
    if audio_size is not None and audio_size < 0:  # no recording, which is said when it is read
        return None
    fitting = [target for target, size in found.items() if audio_size in {None, size}]
    target = (fitting or list(found))[0]
    if fitting or job.if_exists == "fail":
        written.refuse(target)
    if job.if_exists == "fail":
        cause = os.strerror(errno.EEXIST)
        size = found[target]
        if not fitting and size is not None:
            cause = f"exists with another length: {size} bytes instead of {audio_size}"
        raise FileExistsError(errno.EEXIST, cause, target)
    if not fitting:
        return None
    written.claim(target)
    return Outcome(job.input, target, None, None, "skipped")
