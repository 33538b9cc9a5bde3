"""The progress bar, in a real pseudo-terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import PASSWORD, run, run_in_terminal

from filedecryptor.progress import BYTES_PER_SECOND


@pytest.fixture
def long_recording(tmp_path: Path) -> str:
    """A long file that takes no room; that it cannot be authenticated does not matter here."""
    with (tmp_path / "long.enc").open("wb") as file:
        file.truncate(BYTES_PER_SECOND)
    return "long.enc"


def test_a_long_recording_shows_a_bar(long_recording: str, tmp_path: Path) -> None:
    """Bytes done and bytes in all."""
    screen = run_in_terminal("--verify", long_recording, PASSWORD, "wav", cwd=tmp_path)
    assert screen.code == 3
    assert "/256 MB" in screen.text
    assert "%" in screen.text


def test_the_time_left_is_shown(long_recording: str, tmp_path: Path) -> None:
    """Where there is some: this one takes seconds on any machine."""
    with (tmp_path / long_recording).open("ab") as file:
        file.truncate(8 << 30)
    screen = run_in_terminal("--verify", long_recording, PASSWORD, "wav", cwd=tmp_path)
    assert "00:00:0" in screen.text


def test_a_bar_ends_at_its_end(folder: Path) -> None:
    """Forced for a short recording: 100 %, the path on a line of its own."""
    screen = run_in_terminal("--progress", "a.enc", PASSWORD, "opus", cwd=folder)
    assert screen.code == 0
    assert "100%" in screen.text
    assert "a.opus" in [line.split("\r\x1b[K")[-1] for line in screen.text.split("\r\n")]


@pytest.mark.parametrize("words", [["-o", "-"], ["-o", "x"]])
def test_a_bar_for_audio_on_its_way_to_stdout(
    long_recording: str, tmp_path: Path, words: list[str]
) -> None:
    """Wherever the audio goes."""
    screen = run_in_terminal(long_recording, PASSWORD, "wav", *words, cwd=tmp_path)
    assert screen.code == 3
    assert "/256 MB" in screen.text


def test_no_bar_for_a_short_recording(folder: Path) -> None:
    """It would be gone before anybody could read it."""
    screen = run_in_terminal("a.enc", PASSWORD, "opus", cwd=folder)
    assert screen == (0, "a.opus\r\n")


def test_no_bar_if_quiet(long_recording: str, tmp_path: Path) -> None:
    """Errors only."""
    screen = run_in_terminal("-q", "--verify", long_recording, PASSWORD, "wav", cwd=tmp_path)
    assert screen.text.startswith("filedecryptor: error: ")


def test_no_bar_without_a_terminal(long_recording: str, tmp_path: Path) -> None:
    """A log file is no place for it."""
    result = run("--verify", long_recording, PASSWORD, "wav", cwd=tmp_path)
    assert result.stderr.startswith("filedecryptor: error: ")


def test_stdin_is_not_poured_into_a_terminal(tmp_path: Path) -> None:
    """Audio on a screen helps nobody."""
    screen = run_in_terminal("-", PASSWORD, "opus", cwd=tmp_path)
    assert screen.code == 2
    assert "would go to the terminal" in screen.text
