"""What is said, and what of it reaches a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import PASSWORD, run, run_in_terminal

from filedecryptor.errors import ClusterError, StorageError
from filedecryptor.report import printable, say, say_error

# Escape sequences of 7 and 8 bits, line ends, and marks that turn or hide the text beside them.
HOSTILE = "\x00\x07\x08\t\n\r\x1b\x7f\x80\x85\x9b\x9d\xa0\xad\u061c\u200b\u200e\u200f\u2028\u2029"
HOSTILE += "\u202a\u202e\u2066\u2069\ufeff\ud800\udc9b\udfff\U000e0001\U000e0041"


@pytest.mark.parametrize("character", HOSTILE)
def test_nothing_hostile_is_shown(character: str) -> None:
    """Each becomes an escape of letters, digits and a backslash."""
    shown = printable(f"a{character}b")
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown.isascii()
    assert shown.isprintable()
    assert printable(shown) == shown


def test_what_is_harmless_is_shown_as_it_is() -> None:
    """Letters of any script, and spaces."""
    text = "Grüße, 録音 мир 'x' \\ \U0001f3a7"
    assert printable(text) == text


@pytest.mark.parametrize("kind", [StorageError, ClusterError])
def test_texts_from_outside_are_one_harmless_line(
    kind: type[StorageError], capfd: pytest.CaptureFixture[str]
) -> None:
    """Cause, hint and name alike, whatever sent them."""
    error = kind(f"no {HOSTILE}", hint=f"try\n{HOSTILE}", filename=f"s3://b/{HOSTILE}")
    assert say_error(error) == 1
    say_error(OSError(5, f"no\n{HOSTILE}", f"x\n{HOSTILE}"))
    say(f"note\n{HOSTILE}")
    captured = capfd.readouterr()
    assert captured.out == ""
    lines = captured.err.split("\n")
    assert len(lines) == 5
    assert all(line.startswith("filedecryptor: ") for line in lines[:4])
    assert all(line.isprintable() for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
@pytest.mark.parametrize("words", [[], ["-d", "out"], ["b.enc"]])
def test_paths_are_escaped_in_a_terminal_only(folder: Path, words: list[str]) -> None:
    """A terminal would obey them; a file or a pipe gets the bytes of the name."""
    name = os.fsdecode(b"esc\x1b[31m\xc2\x9b\xe9\n")
    shutil.copy(folder / "a.enc", folder / f"{name}.enc")
    shutil.copy(folder / "a.enc", folder / "b.enc")
    screen = run_in_terminal(f"{name}.enc", *words, PASSWORD, "opus", cwd=folder)
    assert screen.code == 0
    assert "esc\\x1b[31m\\x9b\\udce9\\n.opus\r\n" in screen.text
    assert "\x1b[31m" not in screen.text
    assert "\x9b" not in screen.text
    assert (
        b"%s.opus\n" % os.fsencode(name)
        in run(f"{name}.enc", *words, PASSWORD, "opus", cwd=folder).stdout
    )
