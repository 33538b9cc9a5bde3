"""A progress bar on standard error, for work that takes long and that somebody watches."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from filedecryptor.decryptor import OnProgress
from filedecryptor.format import SMALLEST_SIZE

LONG_SIZE = 256 * 1024 * 1024
"""Bytes that take about a second, where the disk writes a quarter of a gigabyte in that time."""

MEGABYTE = 1_000_000


@contextmanager
def bar(source: str | FileIO, *, quiet: bool) -> Iterator[OnProgress]:
    """Show how far a recording is, and lend the function that moves the bar.

    No bar is shown for a short recording, for a pipe (it has no length), where standard error is
    not a terminal, or where quiet is asked for.
    """
    size = _size(source)
    if quiet or size < LONG_SIZE or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return

    import click

    with click.progressbar(
        length=size - SMALLEST_SIZE,
        file=sys.stderr,
        bar_template="[%(bar)s] %(info)s %(label)s",
        info_sep=" ",
        width=0,  # as wide as the terminal
        update_min_steps=size // 200,
    ) as shown:

        def on_progress(count: int) -> None:
            shown.label = f"{(shown.pos + count) // MEGABYTE}/{size // MEGABYTE} MB"
            shown.update(count)

        yield on_progress
        shown.finish()
        shown.render_progress()


def _size(source: str | FileIO) -> int:
    """Return the length of a regular file in bytes, 0 for anything else."""
    try:
        status = os.stat(source if isinstance(source, str) else source.fileno())
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
