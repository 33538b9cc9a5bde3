"""How a command begins and ends: signals, errors, exit codes.

Little is imported before the signals are taken care of, so that an early one shows no traceback.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130
"""The exit code after a signal that asked the program to end."""

RETRY_INTERVAL = 0.02
"""Seconds until a signal is looked at again that came at a bad moment."""

_M_ARENA_MAX = -8
"""The name of a number in glibc's malloc.h."""

delicate_packages: set[str] = set()
"""Packages whose objects must not be torn while they are made; their calls must be short."""

ENDING_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
]


def run(start: Callable[[Sequence[str]], int]) -> int:
    """Hand the words of the command line on and return the exit code of this process."""
    try:
        interruption = _Interruption()
        _set_limits()
        code = _run(start)
        interruption.over = True
    except KeyboardInterrupt:
        from filedecryptor.report import say
        from filedecryptor.storage import discard_unfinished

        discard_unfinished()
        say("error: interrupted")
        if threading.active_count() > 1:  # Python would wait for them, perhaps for ever
            os._exit(INTERRUPTED)
        return INTERRUPTED
    return code


def _set_limits() -> None:
    """Let no core dump hold secrets, and have as many files open as the system allows."""
    try:
        import resource
    except ImportError:  # Windows has neither
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # macOS allows fewer than it says
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run(start: Callable[[Sequence[str]], int]) -> int:
    from filedecryptor.errors import FileDecryptorError, unexpected
    from filedecryptor.report import say, say_error

    try:
        return start(sys.argv[1:])
    except BrokenPipeError:  # whoever read the output has left, and needs no message
        return 1
    except (FileDecryptorError, OSError) as error:
        return say_error(error)
    except MemoryError:
        say("error: there is not enough memory")
        return 1
    except Exception as error:  # noqa: BLE001 - nobody can do anything with a traceback
        return say_error(unexpected(error))


def share_one_heap() -> None:
    """Let all threads take their memory from one heap, where the C library would give each its own.

    Each heap keeps megabytes that its thread no longer needs. Python lets one thread run at a
    time, so they hardly ever wait for each other.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(AttributeError):  # not every C library has it
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


class _Interruption:
    """Lets every polite request to end take the way of Ctrl-C, so that nothing is left behind.

    Attributes:
        over: Set by the first signal, since the clean-up is short and must not be torn, and at
            the end of the work. From then on signals are ignored.
    """

    def __init__(self) -> None:
        self.over = False
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
                signal.signal(number, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.over:
            return
        if _would_get_lost(frame):
            retry = threading.Timer(RETRY_INTERVAL, _send_again, [signal.Signals(number)])
            retry.daemon = True
            retry.start()
            return
        self.over = True
        raise KeyboardInterrupt


def _send_again(number: signal.Signals) -> None:
    if hasattr(signal, "pthread_kill"):  # which also wakes a main thread that waits for something
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main(number)


def _would_get_lost(frame: FrameType | None) -> bool:
    """Return whether an exception would be dropped, or make noise, where the program is now."""
    while frame is not None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if frame.f_code.co_name == "__del__" or package in delicate_packages:
            return True
        frame = frame.f_back
    return False
