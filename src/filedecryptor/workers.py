"""Threads that work on many recordings, as many of them as the system gives."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FILES_PER_THREAD = 4
"""Files that a recording has open at once: itself, its output, a directory, and one to spare."""

OTHER_FILES = 24
"""Files that the rest of the process has open."""


def affordable(threads: int) -> int:
    """Return how many of some threads this process may have, by the files that it may open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return threads
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return threads
    return max(1, min(threads, (limit - OTHER_FILES) // FILES_PER_THREAD))


class Threads:
    """Threads that do tasks; as many as the system gives, or else the caller's own.

    Attributes:
        is_over: Whether nobody waits for the tasks any more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._waiting: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._lock = Lock()
        self._busy = 0
        self._all_ended = Event()
        self.is_over = False

    def submit(self, task: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Have a thread do a task; return its future."""
        future: Future[Result] = Future()
        self._waiting.put(partial(_fulfil, future, task, item))
        if self._count < self._most:
            try:
                Thread(target=self._serve, daemon=True).start()
            except RuntimeError:  # the system has no more of them
                self._most = self._count
            else:
                self._count += 1
        if not self._count:
            self._waiting.put(None)
            self._serve()
        return future

    def _serve(self) -> None:
        while task := self._waiting.get():
            with self._lock:
                if self.is_over:
                    return
                self._busy += 1
            try:
                task()
            finally:
                with self._lock:
                    self._busy -= 1
                    if self.is_over and not self._busy:
                        self._all_ended.set()

    def end(self, timeout: float) -> None:
        """Begin no more tasks, and wait for those that have begun, but not for ever.

        A thread that waits for a pipe or for the network cannot be told. It is left behind.

        Args:
            timeout: Seconds to wait at most.
        """
        with self._lock:
            self.is_over = True
            busy = self._busy
        for _ in range(self._count):
            self._waiting.put(None)
        if busy:
            self._all_ended.wait(timeout)


def _fulfil(future: Future[Result], task: Callable[[Item], Result], item: Item) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(task(item))
    except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
        future.set_exception(error)
