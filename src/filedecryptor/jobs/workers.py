"""Work on many items at once, by threads of this process or by any executor.

It is loaded for batches only.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from queue import SimpleQueue
from threading import Condition, Thread
from typing import NamedTuple, TypeVar

from filedecryptor.core.spool import MEMORY_LIMIT

Item = TypeVar("Item")
Result = TypeVar("Result")

SHUTDOWN_TIMEOUT = 5.0
"""Seconds that abandoned work has to end in."""

WAKING_INTERVAL = 0.2
"""Seconds after which a thread that waits wakes up: on Windows, before Python 3.14, Ctrl-C does
not wake it."""

WATCH_INTERVAL = 5.0
"""Seconds without a result after which an executor is asked whether it is still there."""

MEMORY = 64 * 1024 * 1024
"""Bytes of audio that all threads together have in memory at most."""

FILES_PER_THREAD = 4
"""Files that a recording has open at once: itself, its output, a directory, and one to spare."""

OTHER_FILES = 24
"""Files that the rest of the process has open."""


class Workers(NamedTuple):
    """What works on a plan: an executor, or threads of this process.

    `watch` is called now and then with the seconds in which no work has ended; what it raises ends
    the waiting.
    """

    jobs: int | None = None  # files worked on at once; None for as many as there are CPUs
    executor: Executor | None = None
    watch: Callable[[float], object] | None = None


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(
    items: Iterable[Item],
    work: Callable[[Item, Callable[[int], object]], Result],
    *,
    check: Callable[[Item], Result | None],
    threads: Callable[[], int],
    on_progress: Callable[[Item, int], object],
) -> Generator[Result]:
    """Work on each item in threads, and yield the results in the order they come.

    `work` calls its second argument with the number of bytes after each piece of work; that raises
    an error once the work is abandoned. `check` returns the result of an item that needs no work,
    `threads` the most threads that there may be at the time.
    """
    pool = Threads(threads)

    def task(item: Item) -> Result:
        def advance(count: int) -> None:
            if pool.is_over:
                raise _AbandonedError
            on_progress(item, count)

        return work(item, advance)

    def submit(item: Item) -> Future[Result]:
        result = check(item)
        return pool.submit(task, item) if result is None else ended_with(result)

    try:
        for _, future in submit_bounded(items, submit, lambda: threads() * 2):
            yield future.result()
    finally:
        pool.end(SHUTDOWN_TIMEOUT)


class _AbandonedError(Exception):
    """Raised in a worker thread to stop abandoned work."""


def ended_with(result: Result) -> Future[Result]:
    """Return the future of what is done already."""
    future: Future[Result] = Future()
    future.set_result(result)
    return future


def submit_bounded(
    items: Iterable[Item],
    submit: Callable[[Item], Future[Result]],
    window: Callable[[], int],
    watch: Callable[[float], object] | None = None,
) -> Generator[tuple[Item, Future[Result]]]:
    """Submit items, as many at a time as `window` returns; yield each with its future once done."""
    pending: dict[Future[Result], Item] = {}
    try:
        for item in items:
            future = submit(item)
            if future.done():
                yield item, future
                continue
            pending[future] = item
            while len(pending) >= window():
                yield from _collect(pending, watch)
        while pending:
            yield from _collect(pending, watch)
    finally:
        for future in pending:
            future.cancel()


def _collect(
    pending: dict[Future[Result], Item], watch: Callable[[float], object] | None
) -> Iterator[tuple[Item, Future[Result]]]:
    """Wait until some work has ended, take it out of `pending`, and yield it."""
    begin = watched = time.monotonic()
    while not (ended := wait(pending, WAKING_INTERVAL, FIRST_COMPLETED).done):
        now = time.monotonic()
        if watch and now - watched >= WATCH_INTERVAL:
            watched = now
            watch(now - begin)
    for future in ended:
        yield pending.pop(future), future


def affordable(threads: int) -> int:
    """Return how many of some threads this process may have, by the files that it may open."""
    if sys.platform == "win32":  # where there is no such limit
        return threads
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return threads
    return max(1, min(threads, (limit - OTHER_FILES) // FILES_PER_THREAD))


def memory_of_each(threads: int) -> int:
    """Return the bytes of audio that each of some threads may have in memory."""
    return min(MEMORY_LIMIT, MEMORY // threads)


class Threads:
    """Threads that do tasks: as many as the system gives, and as `most` returns at the time.

    If there are none, the caller's own thread does them. `is_over` tells that they are abandoned.
    """

    def __init__(self, most: Callable[[], int]) -> None:
        self._most = most
        self._count = 0
        self._waiting: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._busy = 0
        self._changed = Condition()
        self.is_over = False
        # Once the interpreter ends, they stand still, and could be waited for in vain.
        atexit.register(self.end, SHUTDOWN_TIMEOUT)

    def submit(self, task: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Have a thread do a task; return its future."""
        future: Future[Result] = Future()

        def fulfil() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = task(item)
            except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
                future.set_exception(error)
            else:
                future.set_result(result)

        self._waiting.put(fulfil)
        if self._count < self._most():
            try:
                Thread(target=self._serve, daemon=True).start()
            except RuntimeError:  # the system has no more of them
                self._most = lambda: 0
            else:
                self._count += 1
        if not self._count:
            self._waiting.put(None)
            self._serve()
        return future

    def _serve(self) -> None:
        while task := self._waiting.get():
            with self._changed:
                if self.is_over:
                    return
                self._busy += 1
            try:
                task()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def end(self, timeout: float) -> None:
        """Begin no more tasks, and wait some seconds for those that have begun; do so once.

        A thread that waits for a pipe or for the network cannot be stopped. It is left behind.
        """
        atexit.unregister(self.end)
        with self._changed:
            if self.is_over:
                return
            self.is_over = True
            for _ in range(self._count):
                self._waiting.put(None)
            self._changed.wait_for(lambda: not self._busy, timeout)
