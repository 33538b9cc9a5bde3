"""The progress bar: what it shows, and when."""

from __future__ import annotations

import io
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import run
from support.recordings import AUDIO, PASSWORD, encrypt
from support.terminal import run_in_terminal

from filedecryptor.errors import NotEncError, Outcome, failed
from filedecryptor.terminal import progress as module
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.progress import BYTES_PER_SECOND, progress
from filedecryptor.terminal.report import MEGABYTE


class _WindowsConsoleIO(io.BytesIO):
    """What is below a terminal of Windows is of a class with this name."""


class Terminal(io.TextIOWrapper):
    """A terminal in memory."""

    def __init__(self) -> None:
        super().__init__(_WindowsConsoleIO(), "utf-8", write_through=True)

    def isatty(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Raise an error, as a terminal that has gone."""
        raise OSError

    @property
    def states(self) -> list[str]:
        """All that was shown, one after the other."""
        assert isinstance(self.buffer, io.BytesIO)
        return re.split(r"\r +\r|\n", self.buffer.getvalue().decode())


@pytest.fixture
def terminal() -> Terminal:
    """A terminal of unknown width."""
    return Terminal()


@pytest.fixture
def console(terminal: Terminal) -> Console:
    """A console whose standard error is the terminal."""
    return Console("filedecryptor", None, None, terminal)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[itertools.count[int]]:
    """A clock that moves on by ten seconds whenever somebody looks at it."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    yield clock
    monkeypatch.undo()


def test_the_time_left_follows_from_what_is_done(console: Console, terminal: Terminal) -> None:
    """A quarter in some time leaves three times as long."""
    with progress(console, ["a.enc"], 1, lambda _: 400 * MEGABYTE, show=None) as shown:
        shown.advance("a.enc", 100 * MEGABYTE)
    (state,) = (state for state in terminal.states if "25%" in state)
    assert re.fullmatch(r"\[#+-+\]  25% 00:01:30 100/400 MB 3 MB/s", state)
    assert len(state) == 79


def test_the_last_state_is_complete(console: Console, terminal: Terminal) -> None:
    """On a line of its own, whatever was left unread."""
    with progress(console, ["a.enc"], 1, lambda _: 400 * MEGABYTE, show=True) as shown:
        shown.advance("a.enc", 5)
    assert re.match(r"\[#+\] 100% 0/400 MB", terminal.states[-2])
    assert terminal.states[-1] == ""


def test_an_error_leaves_the_bar_on_a_line_of_its_own(console: Console, terminal: Terminal) -> None:
    """What is said about it does not stand behind the bar."""
    with (
        pytest.raises(NotEncError),
        progress(console, ["a.enc"], 1, lambda _: 400 * MEGABYTE, show=True),
    ):
        raise NotEncError("short")
    console.say("error: short")
    assert terminal.states[-2:] == ["filedecryptor: error: short", ""]


def test_files_and_failures_are_counted(console: Console, terminal: Terminal) -> None:
    """By bytes where lengths are known; what a failure left unread is not waited for."""
    sizes = {"a.enc": 100 * MEGABYTE, "b.enc": 300 * MEGABYTE}
    with progress(console, sizes, 2, sizes.__getitem__, show=True) as shown:
        shown.advance("b.enc", 1)
        shown.count(failed("b.enc", NotEncError("short")))
    assert any(
        "75%" in state and "1/2 files 1 failed 300/400 MB" in state for state in terminal.states
    )


def test_without_lengths_files_are_counted(console: Console, terminal: Terminal) -> None:
    """As for objects, each of which would have to be asked for."""
    with progress(console, (), 4, lambda _: 0, show=True) as shown:
        shown.count(Outcome("a.enc", "a.wav", "wav", 2 * MEGABYTE, "decrypted"))
    assert any("25%" in state and "1/4 files 2 MB" in state for state in terminal.states)


def test_what_is_said_stands_above_the_bar(console: Console, terminal: Terminal) -> None:
    """The bar is drawn anew below it."""
    with progress(console, ["a.enc"], 1, lambda _: 400 * MEGABYTE, show=True):
        console.say("note: x")
        assert terminal.states[-2] == "filedecryptor: note: x"
        assert terminal.states[-1].startswith("[")


@pytest.mark.parametrize("columns", [1, 12, 20, 40, 80, 200])
def test_a_bar_fits_its_terminal(
    console: Console, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """What does not fit is left out, the least important first."""
    monkeypatch.setattr(module, "USUAL_COLUMNS", columns)
    with progress(console, ["a", "b"], 2, lambda _: 400 * MEGABYTE, show=True) as shown:
        shown.advance("a", 100 * MEGABYTE)
    assert max(map(len, terminal.states)) <= max(0, columns - 1)
    assert any("0/2 files" in state for state in terminal.states) == (columns >= 40)


def test_in_a_log_it_is_a_line_now_and_then() -> None:
    """If asked for, and without terminal commands."""
    log = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    console = Console("filedecryptor", None, None, log)
    with progress(console, ["a.enc"], 1, lambda _: 400 * MEGABYTE, show=True) as shown:
        shown.advance("a.enc", 100 * MEGABYTE)
        console.say("note: x")
    assert isinstance(log.buffer, io.BytesIO)
    assert log.buffer.getvalue().decode().splitlines() == [
        "begun",
        "100/400 MB 5 MB/s",
        "filedecryptor: note: x",
        "100/400 MB 3 MB/s",
    ]


@pytest.fixture
def long_recording(tmp_path: Path) -> str:
    """A long file that takes no room; that it cannot be authenticated does not matter here."""
    with (tmp_path / "long.enc").open("wb") as file:
        file.truncate(BYTES_PER_SECOND)
    return "long.enc"


@pytest.mark.parametrize("words", [["--verify"], ["-o", "-"], ["-o", "x"]])
def test_a_long_recording_shows_a_bar(
    long_recording: str, tmp_path: Path, words: list[str]
) -> None:
    """In a real terminal, wherever the audio goes: bytes done and bytes in all."""
    screen = run_in_terminal(long_recording, PASSWORD, "wav", *words, cwd=tmp_path)
    assert screen.code == 3
    assert "/256 MB" in screen.text
    assert "%" in screen.text


def test_a_bar_ends_at_its_end(folder: Path) -> None:
    """Forced for a short recording: 100 %, the path on a line of its own."""
    screen = run_in_terminal("--progress", "a.enc", PASSWORD, "opus", cwd=folder)
    assert screen.code == 0
    assert "100%" in screen.text
    assert "a.opus" in [line.split("\r")[-1] for line in screen.text.split("\r\n")]


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


def recordings(folder: Path, count: int) -> None:
    """Make recordings."""
    for number in range(count):
        (folder / f"{number:02}.enc").write_bytes(encrypt(AUDIO))


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "xterm"}, {"FORCE_COLOR": "1"}])
def test_no_escape_sequence_gets_to_a_terminal(tmp_path: Path, env: dict[str, str]) -> None:
    """Neither colours nor a hidden cursor, which would stay hidden after Ctrl-Z."""
    recordings(tmp_path, 20)
    screen = run_in_terminal(".", PASSWORD, "opus", "--progress", cwd=tmp_path, env=env)
    assert screen.code == 0
    assert "100% 20/20 files" in screen.text
    assert "\x1b" not in screen.text


def test_a_dumb_terminal_gets_lines(tmp_path: Path) -> None:
    """And none that is drawn anew, which it could not show; without the option, no bar."""
    recordings(tmp_path, 40)
    dumb = {"TERM": "dumb"}
    screen = run_in_terminal(".", PASSWORD, "opus", "--progress", cwd=tmp_path, env=dumb)
    assert "begun\r\n" in screen.text
    assert "40/40 files" in screen.text
    assert not re.search(r"\[[#-]+\]|\r(?!\n)|\x1b", screen.text)
    screen = run_in_terminal(".", PASSWORD, "opus", cwd=tmp_path, env=dumb)
    assert "40/40 files" not in screen.text


def test_small_recordings_are_counted_by_the_second(console: Console, terminal: Terminal) -> None:
    """Their bytes tell little: most of the time goes into their keys."""
    with progress(console, (), 4, lambda _: 0, show=True) as shown:
        for _ in range(4):
            shown.count(Outcome("a.enc", "a.wav", "wav", MEGABYTE, "decrypted"))
    assert re.search(r"4/4 files 4 MB \d+ MB/s \d+\.\d recordings/s", terminal.states[-2])


def test_large_recordings_are_not(console: Console, terminal: Terminal) -> None:
    """There the bytes tell it."""
    with progress(console, (), 2, lambda _: 0, show=True) as shown:
        for _ in range(2):
            shown.count(Outcome("a.enc", "a.wav", "wav", 40 * MEGABYTE, "decrypted"))
    assert not any("recordings/s" in state for state in terminal.states)
