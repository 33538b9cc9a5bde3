"""A progress bar on standard error, for work that takes long and that somebody watches."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from typing import TYPE_CHECKING

from filedecryptor import files
from filedecryptor.decryptor import Job, Outcome
from filedecryptor.storage import storage_of

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

MEGABYTE = 1_000_000

LONG_SECONDS = 1.0
"""Work that takes longer than this, by the two guesses below, is worth a bar."""

SECONDS_PER_FILE = 0.03
"""A key derivation takes some 60 ms of a core; two cores halve it."""

BYTES_PER_SECOND = 256 * MEGABYTE
"""What an ordinary disk writes."""

TERMINAL_INTERVAL = 0.1
LOG_INTERVAL = 10.0
"""Seconds between two states of the bar: in a terminal, and as lines of a log."""

SMALLEST_BAR = 8
"""Columns that the bar itself gets before anything else is said."""

USUAL_COLUMNS = 80
"""The width of a terminal that does not know its own."""

CLEAR_LINE = "\r\033[K"


class Progress:
    """Where no bar is shown; what `progress` lends otherwise does the same with a bar."""

    def advance(self, job: Job, count: int) -> None:
        """Move on by a number of bytes of a job's input. Any thread may call this."""

    def count(self, outcome: Outcome) -> None:
        """Count a job that has ended."""

    @contextmanager
    def above(self) -> Iterator[None]:
        """Make room for lines of text."""
        yield


@contextmanager
def progress(
    inputs: Iterable[str | FileIO], files: int, *, show: bool | None
) -> Iterator[Progress]:
    """Show how far the work is.

    Args:
        inputs: What is to be read. If that is not on the disk, the bar moves by files instead of
            bytes.
        files: How many there are.
        show: Whether to show a bar; if None, where standard error is a terminal and the work is
            long. Without a terminal it is a line now and then.
    """
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if show is False or sys.stderr is None or not (show or terminal):
        yield Progress()
        return
    size = sum(map(size_of, inputs))
    seconds = size / BYTES_PER_SECOND + files * SECONDS_PER_FILE
    if not show and seconds < LONG_SECONDS:
        yield Progress()
        return

    import click

    with click.progressbar(
        length=size or files,
        file=sys.stderr,
        label="begun",
        bar_template="[%(bar)s] %(info)s %(label)s",
        info_sep=" ",
        width=SMALLEST_BAR,
    ) as bar:
        shown = _Bar(bar, files, size, terminal=terminal)
        yield shown
        bar.finish()
        shown.show()


def size_of(source: str | FileIO) -> int:
    """Return the length of a file in bytes, 0 if it has none."""
    if isinstance(source, str):
        return storage_of(source).size_of(source) or 0
    return files.size_of(source.fileno()) or 0


class _Bar(Progress):
    def __init__(self, bar: ProgressBar[int], files: int, size: int, *, terminal: bool) -> None:
        from threading import Lock

        self._bar = bar
        self._files = files
        self._size = size
        self._bytes = 0
        self._terminal = terminal
        self._lock = Lock()
        self._begin = self._shown_at = time.monotonic()
        self._under_way: dict[str, int] = {}
        self._done = 0
        self._failed = 0

    def advance(self, job: Job, count: int) -> None:
        with self._lock:
            self._under_way[job.input] = self._under_way.get(job.input, 0) + count
            self._move(count)

    def count(self, outcome: Outcome) -> None:
        with self._lock:
            self._done += 1
            self._failed += outcome.status == "failed"
            # What a failure or a skip left unread is not to be waited for.
            seen = self._under_way.pop(outcome.input, 0)
            size = size_of(outcome.input) if self._size else outcome.size or 0
            self._move(max(0, size - seen), files=1)

    @contextmanager
    def above(self) -> Iterator[None]:
        with self._lock:
            if not self._terminal:
                yield
                return
            with suppress(OSError):
                sys.stderr.write(CLEAR_LINE)
                sys.stderr.flush()
            yield
            self.show()

    def _move(self, count: int, files: int = 0) -> None:
        self._bytes += count
        self._bar.make_step(count if self._size else files)
        interval = TERMINAL_INTERVAL if self._terminal else LOG_INTERVAL
        if time.monotonic() - self._shown_at >= interval:
            self.show()

    def show(self) -> None:
        """Draw the bar anew. A terminal that has gone is no reason to stop the work."""
        self._shown_at = time.monotonic()
        with suppress(OSError):
            self._draw()

    def _draw(self) -> None:
        if not self._terminal:
            self._bar.label = " ".join(self._facts())
            self._bar.render_progress()
            return
        columns = os.get_terminal_size(sys.stderr.fileno()).columns or USUAL_COLUMNS
        self._bar.label = ""
        self._bar.width = 0
        room = columns - 1 - len(self._bar.format_progress_line()) - SMALLEST_BAR
        for fact in self._facts():
            if len(self._bar.label) + 1 + len(fact) <= room:
                self._bar.label += f" {fact}"
        self._bar.width = max(0, columns - 1 - len(self._bar.format_progress_line()))
        sys.stderr.write(CLEAR_LINE)
        self._bar.max_width = None
        self._bar.render_progress()

    def _facts(self) -> list[str]:
        """Return what is worth knowing, the most worth first."""
        rate = self._bytes / MEGABYTE / max(time.monotonic() - self._begin, 0.001)
        whole = f"/{self._size // MEGABYTE}" if self._size else ""
        facts = [f"{self._bytes // MEGABYTE}{whole} MB", f"{rate:.0f} MB/s"]
        if self._files > 1:
            facts.insert(0, f"{self._done}/{self._files} files")
        if self._failed:
            facts.insert(1, f"{self._failed} failed")
        return facts
