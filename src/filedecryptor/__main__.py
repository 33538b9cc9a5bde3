"""The way in: `filedecryptor` and `python -m filedecryptor`.

Little is imported before the signals are taken care of, so that an early one shows no traceback.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

INTERRUPTED = 130
"""The exit code after a signal that asked the program to end."""

ENDING_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # Windows has no SIGHUP
]


def main() -> int:
    """Run the command line of this process and return its exit code."""
    try:
        interruption = _Interruption()
        code = _run(sys.argv[1:])
        interruption.over = True
    except KeyboardInterrupt:
        from filedecryptor.report import say

        say("error: interrupted")
        return INTERRUPTED
    return code


def _run(words: Sequence[str]) -> int:
    from filedecryptor.errors import FileDecryptorError
    from filedecryptor.report import say_error

    try:
        return _start(words)
    except BrokenPipeError:  # whoever read the output has left, and needs no message
        return 1
    except (FileDecryptorError, OSError) as error:
        return say_error(error)


def _start(words: Sequence[str]) -> int:
    match words:
        # The call of the .NET utility: no option is looked for in it, nor click loaded for it,
        # which would take as long as decrypting a short recording.
        case [filename, password, extension] if not (filename[:1] == "-" or extension[:1] == "-"):
            from filedecryptor import command

            return command.run([filename], password, extension)
        case _:
            from filedecryptor import cli

            return cli.main(words)


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

    def _interrupt(self, _number: int, _frame: object) -> None:
        if not self.over:
            self.over = True
            raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
