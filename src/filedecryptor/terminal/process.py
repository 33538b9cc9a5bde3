"""How a program begins and ends: signals, limits, errors, the exit code.

Little is imported before the signals are taken care of, so that an early one shows no traceback.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import warnings
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from filedecryptor.terminal.console import Console

_RETRY_INTERVAL = 0.02  # seconds until a signal is delivered again that came at a bad moment

deferring_packages: set[str] = set()
"""Packages whose calls, short ones, `KeyboardInterrupt` would leave half-done: it is deferred."""

ENDING_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)  # Windows has no SIGHUP, the others have no Ctrl-Break
]


def run_program(name: str, start: Callable[[Console, list[str]], int]) -> int:
    """Run a program, remove what an interruption left half-done, and return the exit code."""
    try:
        interruption = _Interruption()
        _set_limits()
        if not sys.warnoptions:  # what other packages warn programmers of
            warnings.simplefilter("ignore")
        from filedecryptor.terminal.console import Console

        console = Console.of_process(name)
        code = exit_code(console, lambda: interruption.heeded(start, console))
        interruption.end()
    except KeyboardInterrupt:
        _ignore_signals()
        from filedecryptor.errors import ExitCode
        from filedecryptor.storage import discard_unfinished
        from filedecryptor.terminal.console import Console

        discard_unfinished()
        Console.of_process(name).say("error: interrupted")
        if threading.active_count() > 1:  # Python would wait for them, perhaps for ever
            os._exit(ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    return code


def exit_code(console: Console, start: Callable[[], int]) -> int:
    """Return the exit code of `start`, or say what it raises and return the code for that."""
    from filedecryptor.errors import FileDecryptorError, unexpected

    try:
        return start()
    except (FileDecryptorError, OSError) as error:
        return console.say_error(error)
    except Exception as error:  # noqa: BLE001 - a traceback helps no user
        return console.say_error(unexpected(error))


def _set_limits() -> None:
    """Let no core dump hold secrets, and have as many files open as the system allows."""
    if sys.platform == "win32":  # which has neither
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # macOS allows fewer than it says
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _ignore_signals() -> None:
    """Ignore the signals in the system itself: Python ends by giving up its own handlers."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def share_one_heap() -> None:
    """Let all threads share one heap, and keep its memory for the next recording.

    The C library would give each thread a heap, which keeps megabytes that its thread no longer
    needs. As Python lets one thread run at a time, they hardly ever wait for each other. And it
    would give back what a recording took, page by page, which takes as long as decrypting.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(AttributeError):  # not every C library has it
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(-8, 1)  # M_ARENA_MAX of glibc's malloc.h
            for threshold in (-1, -3):  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD
                mallopt(threshold, 32 * 1024 * 1024)  # the most that it takes for both


class _Interruption:
    """Turns the signals that ask a program to end into one `KeyboardInterrupt`, which cleans up."""

    def __init__(self) -> None:
        # Set by the first signal, as the clean-up is short and must not be torn, and at the end of
        # the work. From then on signals are ignored.
        self._is_over = self._is_sending = False
        self._number: int = signal.SIGINT
        self._report = sys.unraisablehook
        sys.unraisablehook = self._see_what_is_dropped
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
                signal.signal(number, self._interrupt)

    def heeded(self, start: Callable[[Console, list[str]], int], console: Console) -> int:
        """Start the work; if it is interrupted, its result or error does not matter.

        Before 3.12, Python makes a `RuntimeError` of what is raised while it makes a class.
        """
        try:
            return start(console, sys.argv[1:])
        finally:
            if self._is_over:
                raise KeyboardInterrupt

    def end(self) -> None:
        """Ignore signals from now on, so that the exit code stands."""
        self._is_over = True
        _ignore_signals()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._is_over:
            return
        if _must_defer(frame):
            if not self._is_sending:
                self._send_again(number)
            return
        self._is_over, self._number = True, number
        raise KeyboardInterrupt

    def _see_what_is_dropped(self, dropped: sys.UnraisableHookArgs) -> None:
        """Interrupt once more if Python has dropped the exception, as it does in `__del__`."""
        if dropped.exc_type is KeyboardInterrupt:
            self._is_over = False
            self._send_again(self._number)
        else:
            self._report(dropped)

    def _send_again(self, number: int) -> None:
        self._is_sending = True
        # A bare thread: `Thread.start` would wait for it to begin.
        _thread.start_new_thread(self._send, (number,))

    def _send(self, number: int) -> None:
        """Deliver a signal until it is heeded: Python misses one just before a call that waits."""
        while not self._is_over:
            time.sleep(_RETRY_INTERVAL)
            if hasattr(signal, "pthread_kill"):  # which also wakes a main thread that waits
                signal.pthread_kill(threading.main_thread().ident or 0, number)
            else:
                _thread.interrupt_main(signal.Signals(number))


def _must_defer(frame: FrameType | None) -> bool:
    """Return whether a function of the `deferring_packages` is running, or the hook above.

    Python drops what is raised in that hook as well, and nothing would see it.
    """
    hook = _Interruption._see_what_is_dropped.__code__  # noqa: SLF001 - of this module
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package in deferring_packages or frame.f_code is hook:
            return True
        frame = frame.f_back
    return False
