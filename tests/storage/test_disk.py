"""The disk: what must not be written, links that are not followed, and the ways of Windows."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.commands import COMMAND, run
from support.folders import contents
from support.posix import make_fifo, posix_only
from support.recordings import AUDIO, PASSWORD

from filedecryptor.errors import UsageError
from filedecryptor.storage import disk, windows
from filedecryptor.storage.disk import check_target, make_directory
from filedecryptor.storage.windows import is_impossible, patiently

windows_only = pytest.mark.skipif(sys.platform != "win32", reason="Windows only")


@pytest.mark.parametrize("target", ["real", "../{}/real", "link", "hard", "x/../real"])
@pytest.mark.parametrize("source", ["real", "link"])
def test_an_output_that_is_the_input_is_refused(here: Path, target: str, source: str) -> None:
    """By whatever name: the input is known by its place on the disk."""
    (here / "real").touch()
    (here / "x").mkdir()
    (here / "link").symlink_to("real")
    (here / "hard").hardlink_to("real")
    target = target.format(here.name)
    with pytest.raises(UsageError, match="would replace the input"):
        check_target(target, source)
    with open(source) as file, pytest.raises(UsageError):
        check_target(target, file.fileno())


def test_other_outputs(here: Path) -> None:
    """A new name, another file, a link to nowhere or to itself are fine; a directory and a pipe are not."""
    for name in ("a.enc", "old"):
        (here / name).touch()
    (here / "dangling").symlink_to("nowhere")
    (here / "loop").symlink_to("loop")
    for name in ("new", "old", "dangling", "loop"):
        check_target(name, "a.enc")
    with pytest.raises(IsADirectoryError):
        check_target(".", "a.enc")
    make_fifo(here / "pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        check_target("pipe", "a.enc")


@posix_only("directories that can be flushed")
@pytest.mark.parametrize("spelling", ["new/newer", "new/newer/", "./new//newer"])
def test_a_directory_that_is_made_lasts_through_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """Each name that is made for it is flushed, in the directory above; what was there is not."""
    flushed = set()
    monkeypatch.setattr(os, "fsync", lambda file: flushed.add(os.fstat(file).st_ino))
    monkeypatch.chdir(tmp_path)
    make_directory(spelling)
    assert Path("new/newer").is_dir()
    assert {Path().stat().st_ino, Path("new").stat().st_ino} <= flushed
    flushed.clear()
    make_directory(spelling)
    assert flushed == set()
    make_directory("new/newest")
    assert flushed == {Path("new").stat().st_ino}


@posix_only("directories that can be flushed")
def test_a_directory_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is in its place, or the disk fails when it is flushed: the error names it."""
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError) as caught:
        make_directory(str(tmp_path / "file"))
    assert caught.value.filename == str(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_directory(str(tmp_path / "file" / "x" / "y"))

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output") as failed:
        make_directory(str(tmp_path / "new"))
    assert failed.value.filename == str(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.enc", ["a.enc", "b.enc", "rec1.enc", "x[1].enc"]),
        ("rec?.enc", ["rec1.enc"]),
        ("x[1]*", ["x[1].enc"]),
        ("s*/*.enc", [os.path.join("sub", "c.enc")]),
        ("none*.enc", []),
        ("none.enc", ["none.enc"]),
        ("x[1].enc", ["x[1].enc"]),
        ("s3://bucket/*.enc", ["s3://bucket/*.enc"]),
        ("-", ["-"]),
    ],
)
def test_patterns_where_no_shell_expands_them(
    here: Path, windows: None, pattern: str, expected: list[str]
) -> None:
    """Sorted; brackets stand for themselves, as Windows has it."""
    (here / "sub").mkdir()
    for name in ("b.enc", "a.enc", "rec1.enc", "rec12.txt", "x[1].enc", "sub/c.enc", "x1.enc.txt"):
        (here / name).touch()
    assert disk.matching(pattern) == expected


@pytest.mark.skipif(sys.platform == "win32", reason="no such names there")
def test_patterns_are_names_elsewhere(here: Path) -> None:
    """The shell has done it, and a file may be called like that."""
    (here / "a.enc").touch()
    assert disk.matching("*.enc") == ["*.enc"]


class JunctionEntry:
    """An entry of a directory as Windows hands it out; what is called `loop` is a junction."""

    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entry, name)

    def stat(self, *, follow_symlinks: bool) -> SimpleNamespace:
        """Return what tells a junction from a directory."""
        assert not follow_symlinks
        return SimpleNamespace(st_reparse_tag=MOUNT_POINT if self._entry.name == "loop" else 0)


MOUNT_POINT = 0xA0000003
"""What marks a junction (winnt.h)."""


def test_a_junction_is_not_followed(
    tmp_path: Path, windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Windows: a directory that leads to another, perhaps to one above it."""
    scandir = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda path: nullcontext(map(JunctionEntry, list(scandir(path))))
    )
    monkeypatch.setattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", MOUNT_POINT, raising=False)
    calls = tmp_path / "calls"
    (calls / "loop").mkdir(parents=True)
    (calls / "a.enc").touch()
    (calls / "loop" / "b.enc").touch()
    links: list[str] = []
    found = list(disk.recordings_below(str(calls), lambda *_: None, links.append))
    assert found == [(str(calls), ["a.enc"], [])]
    assert links == [str(calls / "loop")]


@windows_only
def test_a_real_junction_is_not_followed(tmp_path: Path) -> None:
    """Made as `mklink /J` makes it."""
    made = subprocess.run(
        ["cmd", "/c", "mklink", "/J", str(tmp_path / "loop"), str(tmp_path)],
        check=False,
        capture_output=True,
    )
    if made.returncode or not os.path.isdir(tmp_path / "loop"):
        pytest.skip("this system makes no junctions")
    (tmp_path / "a.enc").touch()
    links: list[str] = []
    found = list(disk.recordings_below(str(tmp_path), lambda *_: None, links.append))
    assert found == [(str(tmp_path), ["a.enc"], [])]
    assert links == [str(tmp_path / "loop")]


def test_an_output_that_windows_cannot_name_is_refused(windows: None) -> None:
    """Whether it was named by `-o`, or follows from an input."""
    with pytest.raises(UsageError, match="Windows has no file of such a name") as caught:
        disk.check_target("aux.opus", None)
    assert caught.value.filename == "aux.opus"


# Windows: files that keep others out, and names that it does not have.


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
    for _ in range(10):
        words = [COMMAND, "a.enc", PASSWORD, "opus"]
        processes = [subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL) for _ in "123"]
        assert [process.wait(60) for process in processes] == [0, 0, 0]
        assert contents(folder) == {"a.enc": encrypted_audio, "a.opus": AUDIO}
