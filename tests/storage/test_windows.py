"""What Windows does in its own way; what only it can do is tried there only."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import run
from support.folders import contents
from support.recordings import AUDIO, CUSTOMIZED, PASSWORD

from filedecryptor.storage import atomic, windows
from filedecryptor.storage.windows import is_impossible, patiently

windows_only = pytest.mark.skipif(sys.platform != "win32", reason="Windows only")


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


def test_what_is_refused_for_a_moment_is_done_later() -> None:
    """A scanner has the file open, and closes it."""
    answers = [PermissionError(), PermissionError(), None]

    def attempt() -> None:
        if answer := answers.pop(0):
            raise answer

    patiently(attempt)
    assert answers == []


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was refused; anything else is no matter of time."""
    monkeypatch.setattr(windows, "SHARING_PATIENCE", 0.1)
    attempts = []

    def attempt() -> None:
        attempts.append(1)
        raise error

    error: OSError = PermissionError()
    with pytest.raises(PermissionError):
        patiently(attempt)
    assert len(attempts) > 1
    attempts.clear()
    error = FileExistsError()
    with pytest.raises(FileExistsError):
        patiently(attempt)
    assert len(attempts) == 1


@windows_only
@pytest.mark.parametrize("name", ["a.opus", "\u00e9 \U0001f3a7.opus", "x" * 200])
@pytest.mark.parametrize("replace", [True, False])
def test_an_open_file_gets_its_name(tmp_path: Path, name: str, *, replace: bool) -> None:
    """The one that was meant, and no other."""
    if replace:
        (tmp_path / name).write_bytes(b"old")
    content = io.BytesIO(AUDIO)
    atomic.publish(str(tmp_path / name), content, replace=replace)
    assert contents(tmp_path) == {name: AUDIO}


@windows_only
def test_what_exists_is_not_replaced_unasked(tmp_path: Path) -> None:
    """By the rename itself, so no other program can come between."""
    (tmp_path / "a.opus").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        atomic.publish(str(tmp_path / "a.opus"), io.BytesIO(AUDIO), replace=False)
    assert contents(tmp_path) == {"a.opus": b"old"}


HOLDING = "import sys, time; file = open(sys.argv[1], 'rb'); print(flush=True); time.sleep({})"
"""A player that has a file open, as most programs open it: no other may rename it."""


@windows_only
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
    runs = (
        "import sys; from pathlib import Path; from support.commands import run\n"
        "for _ in range(25):\n"
        f"    result = run('a.enc', {PASSWORD!r}, 'opus', cwd=Path(sys.argv[1]))\n"
        "    assert result.code == 0, result\n"
    )
    paths = [CUSTOMIZED, str(Path(__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", runs, str(folder)], env=environment, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    assert contents(folder) == {"a.enc": encrypted_audio, "a.opus": AUDIO}
