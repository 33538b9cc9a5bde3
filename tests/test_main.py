"""How the command ends when somebody ends it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.recordings import AUDIO, PASSWORD


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--version"], "cryptography"),
        (["--help"], "cryptography"),
        (["a.enc", PASSWORD, "opus"], "click"),
    ],
)
def test_nothing_is_imported_in_vain(folder: Path, words: list[str], absent: str) -> None:
    """Help needs no cryptography, and the reference's call no option parser."""
    command = [sys.executable, "-X", "importtime", "-m", "filedecryptor", *words]
    done = subprocess.run(command, check=True, cwd=folder, capture_output=True, text=True)
    assert "filedecryptor.command" in done.stderr
    assert f" {absent}\n" not in done.stderr


def test_python_m_is_the_same(folder: Path) -> None:
    """Where the scripts' folder is not on the PATH."""
    command = [sys.executable, "-m", "filedecryptor", "a.enc", PASSWORD, "opus"]
    assert (
        subprocess.run(command, check=True, cwd=folder, capture_output=True).stdout == b"a.opus\n"
    )
    assert (folder / "a.opus").read_bytes() == AUDIO
