"""What Windows does in its own way; what only it can do is tried there only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import COMMAND, run
from support.folders import contents
from support.recordings import AUDIO, PASSWORD

from filedecryptor.storage import windows
from filedecryptor.storage.windows import is_impossible, patiently


@pytest.mark.parametrize(
    "name",
    [
        *("a:b", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "a\x07b", "a.", "a ", "a.opus.", "a.b "),
        *("aux", "AUX.opus", "nul", "con.x.y", "com1.wav", "LPT9", "com\u00b9.wav", "aux .wav"),
    ],
)
def test_names_that_windows_does_not_have(name: str) -> None:
    """Characters, ends, and the names of devices with any extension; others may look alike."""
    assert is_impossible(name)
    alike = ["a.opus", ".opus", "aux2.opus", "com.wav", "com10", "é 'x'.wav"]
    assert not any(map(is_impossible, alike))


def test_what_is_refused_for_a_moment_is_done_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner has the file open, and closes it, or does not; anything else is no matter of time."""
    answers: list[OSError | None] = [PermissionError(), PermissionError(), None]

    def attempt() -> None:
        if answer := answers.pop(0):
            raise answer

    patiently(attempt)
    assert answers == []
    monkeypatch.setattr(windows, "SHARING_PATIENCE", 0.1)
    answers = [PermissionError()] * 9
    with pytest.raises(PermissionError):
        patiently(attempt)
    assert len(answers) < 8
    answers = [FileExistsError(), None]
    with pytest.raises(FileExistsError):
        patiently(attempt)
    assert len(answers) == 1


HOLDING = "import sys, time; file = open(sys.argv[1], 'rb'); print(flush=True); time.sleep({})"
"""A player that has a file open, as most programs open it: no other may rename it."""


@pytest.mark.skipif(sys.platform != "win32", reason="Windows only")
@pytest.mark.parametrize(("seconds", "code"), [(0.5, 0), (30, 1)])
def test_an_output_that_is_open_elsewhere(folder: Path, seconds: float, code: int) -> None:
    """For a moment, it is waited for; for longer, it stays as it was, and nothing is left."""
    (folder / "a.opus").write_bytes(b"old")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING.format(seconds), "a.opus"],
        cwd=folder,
        stdout=subprocess.PIPE,
    ) as player:
        assert player.stdout
        player.stdout.readline()
        result = run("a.enc", PASSWORD, "opus", cwd=folder)
        player.kill()
    assert result.code == code
    if code:
        assert result.lines[0].startswith("error: a.opus: ")
        assert result.lines[1].startswith("hint: if another program has it open, close it")
    assert set(contents(folder)) == {"a.enc", "a.opus"}
    assert (folder / "a.opus").read_bytes() == (b"old" if code else AUDIO)


def test_three_runs_of_one_output(folder: Path, encrypted_audio: bytes) -> None:
    """None of them fails, and the output is whole."""
    for _ in range(10):
        words = [COMMAND, "a.enc", PASSWORD, "opus"]
        processes = [subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL) for _ in "123"]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
        assert contents(folder) == {"a.enc": encrypted_audio, "a.opus": AUDIO}
