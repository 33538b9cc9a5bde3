"""The way in: `filedecryptor` and `python -m filedecryptor`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from filedecryptor import command
from filedecryptor.errors import FileDecryptorError

ENDING_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
]


def main() -> int:
    """Run the command line of this process and return its exit code."""
    try:
        _make_signals_interrupt()
        return _run(sys.argv[1:])
    except KeyboardInterrupt:
        command.say("error: interrupted")
        return command.INTERRUPTED
    except BrokenPipeError:
        # Python flushes standard output once more at its end; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FileDecryptorError, OSError) as error:
        return command.report_error(error)


def _run(words: Sequence[str]) -> int:
    match words:
        # The call of the .NET utility: no option is looked for in it, nor click loaded for it,
        # which would take as long as decrypting a short recording.
        case [filename, password, extension] if not (filename[:1] == "-" or extension[:1] == "-"):
            return command.run([filename], password, extension)
        case _:
            from filedecryptor import cli

            return cli.main(words)


def _make_signals_interrupt() -> None:
    """Let every polite request to end take the way of Ctrl-C, so that nothing is left behind."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
            signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the clean-up is short, and must not be torn
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
