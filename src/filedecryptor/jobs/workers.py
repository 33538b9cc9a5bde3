"""Work on many items at once, by threads of this process or by any executor."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from itertools import islice
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from filedecryptor.core.spool import MEMORY_LIMIT

Item = TypeVar("Item")
Result = TypeVar("Result")

SHUTDOWN_TIMEOUT = 5.0  # seconds that abandoned work has to end in
WAKING_INTERVAL = 0.2  # seconds; on Windows, before Python 3.14, Ctrl-C wakes no thread that waits
WATCH_INTERVAL = 5.0  # seconds without a result after which an executor is asked if it is there
MEMORY = 64 * 1024 * 1024  # bytes of audio that all threads together have in memory at most


class Workers(NamedTuple):
    """What works on a plan: an executor, or threads of this process."""

    jobs: int | None = None  # files worked on at once; None for as many as there are CPUs
    executor: Executor | None = None
    # Called at times with the seconds in which no work has ended; what it raises ends the waiting.
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
    """Work on each item in a thread of its own, and yield the results in the order they come.

    `work` calls its second argument with the number of bytes after each piece of work; that raises
    an error once the work is abandoned. What `on_progress` raises ends it. `check` returns the
    result of an item that needs no work, `threads` the most threads that there may be at the time.
    """
    under_way: set[Future[Result]] = set()
    raised: list[Exception] = []  # by `on_progress`: no failure of the item that it was told of
    is_over = Event()

    def submit(item: Item) -> Future[Result]:
        result = check(item)
        if result is not None:
            return ended_with(result)

        def advance(count: int) -> None:
            if is_over.is_set():
                raise CancelledError
            try:
                on_progress(item, count)
            except Exception as error:
                raised.append(error)
                raise

        future = in_a_thread(lambda: work(item, advance))
        under_way.add(future)
        future.add_done_callback(under_way.discard)
        return future

    def end() -> None:
        """Wait for what has begun. What waits for a pipe or for the network is left behind."""
        if not is_over.is_set():
            is_over.set()
            wait(under_way, SHUTDOWN_TIMEOUT)

    # Once the interpreter ends, threads stand still, and would be waited for in vain.
    atexit.register(end)
    try:
        for _, future in submit_bounded(items, submit, threads):
            result = future.result()
            if raised:
                raise raised[0]
            yield result
    finally:
        atexit.unregister(end)
        end()


def in_a_thread(do: Callable[[], Result]) -> Future[Result]:
    """Return the future of what a thread does: the caller's own if the system has no more."""
    future: Future[Result] = Future()
    future.set_running_or_notify_cancel()

    def fulfil() -> None:
        try:
            future.set_result(do())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    try:
        Thread(target=fulfil, daemon=True).start()
    except RuntimeError:
        fulfil()
    return future


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
    waiting = iter(items)
    pending: dict[Future[Result], Item] = {}
    try:
        while True:
            is_over = True
            for item in islice(waiting, max(0, window() - len(pending))):
                is_over, future = False, submit(item)
                if future.done():  # by this thread, perhaps, which may have been interrupted at it
                    yield item, future
                else:
                    pending[future] = item
            if is_over and not pending:
                return
            begin = watched = time.monotonic()
            while pending and not wait(pending, WAKING_INTERVAL, FIRST_COMPLETED).done:
                now = time.monotonic()
                if watch and now - watched >= WATCH_INTERVAL:
                    watched = now
                    watch(now - begin)
            for future in [each for each in pending if each.done()]:
                yield pending.pop(future), future
    finally:
        for future in pending:
            future.cancel()


def affordable(threads: int) -> int:
    """Return how many of some threads this process may have, by the files that it may open."""
    if sys.platform == "win32":  # where there is no such limit
        return threads
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return threads
    # A recording has four open at once, itself, its output, a directory, and one to spare; the rest of
    # the process has 24.
    return max(1, min(threads, (limit - 24) // 4))


def memory_of_each(threads: int) -> int:
    """Return the bytes of audio that each of some threads may have in memory."""
    return min(MEMORY_LIMIT, MEMORY // threads)
