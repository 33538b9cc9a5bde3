"""The progress bar, what is said beside it, and the summary."""

from __future__ import annotations

import io
import itertools
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import run
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, encrypt
from support.terminal import Terminal, run_in_terminal

from filedecryptor.errors import ClusterError, NotEncError, Outcome, failed
from filedecryptor.terminal import progress as module
from filedecryptor.terminal.console import Console
from filedecryptor.terminal.progress import BYTES_PER_SECOND, Progress
from filedecryptor.terminal.report import MEGABYTE, Reporter

SIZE = 400 * MEGABYTE


@pytest.fixture
def terminal() -> Terminal:
    """A terminal of unknown width."""
    return Terminal()


@pytest.fixture
def console(terminal: Terminal) -> Console:
    """A console whose standard error is the terminal."""
    return Console("filedecryptor", None, None, terminal)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that moves on by ten seconds whenever it is looked at."""
    clock = itertools.count(0, 10)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    yield
    monkeypatch.undo()


def test_the_time_left_follows_from_what_is_done(console: Console, terminal: Terminal) -> None:
    """A quarter in some time leaves three times as long. The last state is complete."""
    with Progress(console, ["a.enc"], 1, lambda _: SIZE, show=None) as shown:
        shown.advance("a.enc", SIZE // 4)
    (state,) = (state for state in terminal.states if "25%" in state)
    assert re.fullmatch(r"\[#+-+\]  25% 00:01:30 100/400 MB 3 MB/s", state)
    assert len(state) == 79
    assert re.match(r"\[#+\] 100% 100/400 MB", terminal.states[-2])
    assert terminal.states[-1] == ""


def test_what_is_said_does_not_stand_behind_the_bar(console: Console, terminal: Terminal) -> None:
    """The bar is drawn anew below it; after an error it stays on a line of its own."""
    with pytest.raises(NotEncError), Progress(console, ["a.enc"], 1, lambda _: SIZE, show=True):
        console.say("note: x")
        assert terminal.states[-2] == "filedecryptor: note: x"
        assert terminal.states[-1].startswith("[")
        raise NotEncError("short")
    console.say("error: short")
    assert terminal.states[-2:] == ["filedecryptor: error: short", ""]


def test_files_and_failures_are_counted(console: Console, terminal: Terminal) -> None:
    """By bytes where lengths are known; what a failure left unread is not waited for."""
    sizes = {"a.enc": SIZE // 4, "b.enc": SIZE * 3 // 4}
    with Progress(console, sizes, 2, sizes.__getitem__, show=True) as shown:
        shown.advance("b.enc", 1)
        shown.count(failed("b.enc", NotEncError("short")))
    (state,) = {state for state in terminal.states if "75%" in state}
    assert "1/2 files 1 failed 300/400 MB" in state


@pytest.mark.parametrize(("megabytes", "speed"), [(2, True), (40, False)])
def test_without_lengths_files_are_counted(
    console: Console, terminal: Terminal, megabytes: int, *, speed: bool
) -> None:
    """As for objects. Of small ones the number in a second tells more than their bytes."""
    with Progress(console, (), 4, lambda _: 0, show=True) as shown:
        for _ in range(4):
            shown.count(Outcome("a.enc", "a.wav", "wav", megabytes * MEGABYTE, "decrypted"))
    assert any(f" 25% 00:01:30 1/4 files {megabytes} MB" in state for state in terminal.states)
    assert f"4/4 files {4 * megabytes} MB" in terminal.states[-2]
    assert bool(re.search(r"\d+ kB/s \d+\.\d recordings/s", terminal.states[-2])) == speed


@pytest.mark.parametrize(
    ("size", "done", "facts"),
    [
        (300_000, 100_000, "100/300 kB 2 kB/s"),
        (300_000, 0, "0/300 kB"),
        (2 * MEGABYTE, MEGABYTE, "1/2 MB 20 kB/s"),
        (0, 40_000, "40 kB"),
        (0, 0, "0 kB"),
        (90 * MEGABYTE, 60 * MEGABYTE, "60/90 MB 1 MB/s"),
    ],
)
def test_no_rate_is_said_to_be_none(size: int, done: int, facts: str) -> None:
    """What is short or slow is told in kB; before anything is done, there is no rate."""
    raw = io.BytesIO()
    console = Console("filedecryptor", None, None, io.TextIOWrapper(raw, "utf-8"))
    with Progress(console, ["a.enc"] * bool(size), 1, lambda _: size, show=True) as shown:
        shown.advance("a.enc", 0)
        shown.advance("a.enc", done)
    assert raw.getvalue().decode().splitlines()[-1] == facts


@pytest.mark.parametrize("columns", [1, 12, 20, 40, 80, 200])
def test_a_bar_fits_its_terminal(
    console: Console, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """What does not fit is left out, the least important first."""
    monkeypatch.setattr(module, "USUAL_COLUMNS", columns)
    with Progress(console, ["a", "b"], 2, lambda _: SIZE, show=True) as shown:
        shown.advance("a", 100 * MEGABYTE)
    assert max(map(len, terminal.states)) <= max(0, columns - 1)
    assert any("0/2 files" in state for state in terminal.states) == (columns >= 40)


def test_in_a_log_it_is_a_line_now_and_then() -> None:
    """If asked for, and without terminal commands."""
    raw = io.BytesIO()
    console = Console("filedecryptor", None, None, io.TextIOWrapper(raw, "utf-8"))
    with Progress(console, ["a.enc"], 1, lambda _: SIZE, show=True) as shown:
        shown.advance("a.enc", 100 * MEGABYTE)
        console.say("note: x")
    assert raw.getvalue().decode().splitlines() == [
        "begun",
        "100/400 MB 5 MB/s",
        "filedecryptor: note: x",
        "100/400 MB 3 MB/s",
    ]


@posix_only("terminals like these")
@pytest.mark.parametrize(
    ("line", "term", "shown"),
    [
        ("long.enc P wav --verify", "xterm", "/256 MB"),
        ("long.enc P wav -q", "xterm", ""),
        ("a.enc P opus --progress", "xterm", "]"),
        ("a.enc P opus", "xterm", ""),  # it would be gone before anybody could read it
        ("calls P opus --progress", "xterm", "100% 4/4 files"),
        ("calls P opus --progress --no-progress", "xterm", ""),
        ("calls P opus --progress", "dumb", "begun\r\n"),  # which could not draw it anew
        ("- P opus", "xterm", "the audio of standard input would go to the terminal"),
        ("- - -o -", "xterm", "the audio would go to the terminal"),
    ],
)
def test_a_bar_in_a_real_terminal(folder: Path, line: str, term: str, shown: str) -> None:
    """For long work or where asked; with no escape sequence, neither colours nor a hidden cursor."""
    (folder / "calls").mkdir()
    for number in range(4):
        (folder / "calls" / f"{number}.enc").write_bytes(encrypt(AUDIO))
    with (folder / "long.enc").open("wb") as file:
        file.truncate(BYTES_PER_SECOND)  # takes no room, and cannot be authenticated
    words = line.replace("P", PASSWORD).split()
    screen = run_in_terminal(*words, cwd=folder, env={"TERM": term, "FORCE_COLOR": "1"})
    assert screen.code == {"long.enc": 3, "-": 2}.get(words[0], 0)
    assert "\x1b" not in screen.text
    assert shown in screen.text
    has_bar = shown in {"/256 MB", "]", "100% 4/4 files"}
    assert bool(re.search(r"\[[#-]+\] +\d+%", screen.text)) == has_bar
    if words[0] == "a.enc":
        assert "a.opus" in [text.split("\r")[-1] for text in screen.text.split("\r\n")]
    if "--verify" in words:  # a log file is no place for it
        assert "begun" not in run(*words, cwd=folder).stderr


def test_the_names_of_busy_workers_are_harmless(console: Console, terminal: Terminal) -> None:
    """They are escaped, a few stand for many, and `quiet` hides them."""
    busy = ["tcp://\x1b[2J:1", *(f"tcp://b:{number}" for number in range(9))]
    Reporter(console, quiet=True, many=True).say_silence(60.4, busy)
    reporter = Reporter(console, many=True)
    reporter.say_silence(60.4, [])
    reporter.say_silence(60.4, busy)
    named = ", ".join(f"tcp://b:{number}" for number in range(7))
    assert terminal.states == [
        "filedecryptor: nothing has ended for 60 s; busy: no worker",
        f"filedecryptor: nothing has ended for 60 s; busy: tcp://\\x1b[2J:1, {named}, and 2 more",
        "",
    ]


@pytest.mark.parametrize(
    "end", [ClusterError("gone"), KeyboardInterrupt(), MemoryError(), OSError(28, "full")]
)
@pytest.mark.parametrize("count", [0, 2])
def test_whatever_ends_the_work_the_summary_is_printed(
    console: Console, terminal: Terminal, end: BaseException, count: int
) -> None:
    """Once, and not without any outcome; after an interruption with how to go on."""
    with pytest.raises(type(end)), Reporter(console, many=True, go_on="go on") as reporter:
        for _ in range(count):
            reporter.add(Outcome("a.enc", None, None, None, "verified"))
        raise end
    remark = "; go on" if isinstance(end, KeyboardInterrupt) else ""
    summary = rf"filedecryptor: 2 verified in \d+\.0 s{remark}\n" if count else ""
    assert re.fullmatch(summary, terminal.shown)
