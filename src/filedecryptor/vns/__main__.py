"""The way in: `vns-recordings` and `python -m filedecryptor.vns`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from filedecryptor import process, report


def main() -> int:
    """Run the command line of this process and return its exit code."""
    report.program = "vns-recordings"
    return process.run(_start)


def _start(words: Sequence[str]) -> int:
    if find_spec("requests") is None or find_spec("filelock") is None:
        from filedecryptor.errors import FileDecryptorError

        raise FileDecryptorError(
            "vns-recordings needs more packages", hint="pip install 'filedecryptor[vns]'"
        )

    from filedecryptor.vns import cli

    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main())
