"""A progress bar on standard error, for work that takes long and that somebody watches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Lock
from typing import Self

from filedecryptor.errors import Outcome
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.report import MEGABYTE

BYTES_PER_SECOND = 256 * MEGABYTE  # what an ordinary disk writes
USUAL_COLUMNS = 80  # the width of a terminal that does not know its own


class Progress:
    """Shows how far the work is: as a bar, or without a terminal as a line now and then.

    If `show` is None, only in a terminal and for long work. `size_of` returns the length of an
    input in bytes, 0 if it is not known; without `inputs`, the bar moves by files instead.
    """

    def __init__(
        self,
        console: Console,
        inputs: Iterable[str],
        files: int,
        size_of: Callable[[str], int],
        *,
        show: bool | None,
    ) -> None:
        self._console = console
        self._files = files
        self._size_of = size_of
        self._interval = 0.1 if console.can_redraw else 10.0  # seconds between two states
        self._lock = Lock()
        self._under_way: dict[str, int] = {}
        self._size = self._bytes = self._done = self._failed = 0
        self._is_shown = False
        if console.stderr is not None and (console.can_redraw if show is None else show):
            size = sum(map(size_of, inputs))
            # Work is worth a bar if it takes a second. Two cores derive a key in some 30 ms.
            if show or size / BYTES_PER_SECOND + files * 0.03 >= 1:
                self._is_shown, self._size = True, size
        self._begin = self._drawn_at = time.monotonic()

    def __enter__(self) -> Self:
        if self._is_shown and self._console.can_redraw:
            self._draw()
        elif self._is_shown:
            self._console.show_status("begun")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._is_shown and kind is None:
                self._draw(is_finished=True)
        finally:
            self._console.keep_status()

    def advance(self, name: str, count: int) -> None:
        """Move on by some bytes of an input. Any thread may call this."""
        with self._lock:
            self._under_way[name] = self._under_way.get(name, 0) + count
            self._move(count)

    def count(self, outcome: Outcome) -> None:
        """Count an input that is done with."""
        with self._lock:
            self._done += 1
            self._failed += outcome.status == "failed"
            # What a failure or a skip left unread is not to be waited for.
            seen = self._under_way.pop(outcome.input, 0)
            size = self._size_of(outcome.input) if self._size else outcome.size or 0
            self._move(max(0, size - seen))

    def _move(self, count: int) -> None:
        self._bytes += count
        if self._is_shown and time.monotonic() - self._drawn_at >= self._interval:
            self._draw()

    def _draw(self, *, is_finished: bool = False) -> None:
        """Show the state as it is now."""
        self._drawn_at = time.monotonic()
        seconds = max(self._drawn_at - self._begin, 0.001)
        facts = self._facts(seconds)
        if not self._console.can_redraw:
            self._console.show_status(" ".join(facts))
            return
        done, whole = (self._bytes, self._size) if self._size else (self._done, self._files)
        part = 1.0 if is_finished or not whole else min(1.0, done / whole)
        if 0 < part < 1:
            left = round(seconds / part * (1 - part))
            facts.insert(0, f"{left // 3600:02}:{left // 60 % 60:02}:{left % 60:02}")
        columns = USUAL_COLUMNS
        with suppress(OSError):  # a terminal that has gone is no reason to stop the work
            stream = self._console.stderr
            columns = (stream and os.get_terminal_size(stream.fileno()).columns) or columns
        room = columns - 1 - len("[] ")
        words = f"{part:4.0%}"
        for fact in facts:
            if len(words) + 1 + len(fact) <= room - 8:  # the least that is left to the bar itself
                words += f" {fact}"
        width = max(0, room - len(words))
        filled = "#" * int(part * width)
        self._console.show_status(f"[{filled:-<{width}}] {words}"[: room + len("[] ")])

    def _facts(self, seconds: float) -> list[str]:
        """Return what to show after some seconds, the most important first."""
        unit, symbol = _unit(self._size or self._bytes)
        whole = f"/{self._size // unit}" if self._size else ""
        facts = [f"{self._bytes // unit}{whole} {symbol}"]
        rate = self._bytes / seconds
        unit, symbol = _unit(rate)
        if rate >= unit:
            facts.append(f"{rate / unit:.0f} {symbol}/s")
        if self._failed:
            facts.insert(0, f"{self._failed} failed")
        if self._files > 1:
            facts.insert(0, f"{self._done}/{self._files} files")
            if self._bytes < self._done * 10 * MEGABYTE:  # of more, the key takes the lesser part
                facts.append(f"{self._done / seconds:.1f} recordings/s")
        return facts


def _unit(count: float) -> tuple[int, str]:
    """Return the unit to tell some bytes in: how many of them it stands for, and its symbol."""
    return (MEGABYTE, "MB") if count >= MEGABYTE else (1000, "kB")
