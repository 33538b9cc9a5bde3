"""The disk: what must not be written, links that are not followed, and the ways of Windows."""

from __future__ import annotations

import errno
import inspect
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from support.commands import run
from support.folders import contents, nothing_changes
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
    """By whatever name: the input is known by its place on the disk. Others are fine."""
    (here / "real").touch()
    (here / "old").touch()
    (here / "x").mkdir()
    for link, place in ("link", "real"), ("dangling", "nowhere"), ("loop", "loop"):
        (here / link).symlink_to(place)
    (here / "hard").hardlink_to("real")
    target = target.format(here.name)
    with pytest.raises(UsageError, match="would replace the input"):
        check_target(target, source)
    with open(source) as file, pytest.raises(UsageError):
        check_target(target, file.fileno())
    for other in ("new", "old", "dangling", "loop"):
        check_target(other, source)


@posix_only("directories that can be flushed")
@pytest.mark.parametrize("spelling", ["new/newer", "new/newer/", "./new//newer"])
def test_a_directory_that_is_made_lasts_through_a_power_cut(
    here: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    """Each name that is made for it is flushed, in the directory above; what was there is not."""
    flushed = set()
    monkeypatch.setattr(os, "fsync", lambda file: flushed.add(os.fstat(file).st_ino))
    make_directory(spelling)
    assert Path("new/newer").is_dir()
    assert {Path().stat().st_ino, Path("new").stat().st_ino} <= flushed
    flushed.clear()
    make_directory(spelling)
    assert flushed == set()
    make_directory("new/newest")
    assert flushed == {Path("new").stat().st_ino}


@posix_only("directories that can be flushed")
@pytest.mark.parametrize(
    ("path", "named", "error"),
    [
        ("file", "file", NotADirectoryError),
        ("file/x/y", "file", NotADirectoryError),
        ("new", ".", OSError),  # which the disk fails to flush
    ],
)
def test_a_directory_that_cannot_be_made(
    here: Path, monkeypatch: pytest.MonkeyPatch, path: str, named: str, error: type[OSError]
) -> None:
    """The error names what could not be made, or be flushed."""
    (here / "file").touch()
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(errno.EIO, "failed")))
    with pytest.raises(error) as caught:
        make_directory(path)
    assert caught.value.filename == named


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.enc", ["a.enc", "b.enc", "rec1.enc", "x[1].enc"]),
        ("rec?.enc", ["rec1.enc"]),
        ("x[1]*", ["x[1].enc"]),
        ("s*/*.enc", [os.path.join("sub", "c.enc")]),
        ("none.enc", ["none.enc"]),
        ("x[1].enc", ["x[1].enc"]),
        ("s3://bucket/*.enc", ["s3://bucket/*.enc"]),
        ("-", ["-"]),
    ],
)
def test_patterns_where_no_shell_expands_them(
    here: Path, windows: None, monkeypatch: pytest.MonkeyPatch, pattern: str, expected: list[str]
) -> None:
    """Sorted; brackets stand for themselves, as Windows has it. Elsewhere they may be names."""
    (here / "sub").mkdir()
    for name in ("b.enc", "a.enc", "rec1.enc", "rec12.txt", "x[1].enc", "sub/c.enc", "x1.enc.txt"):
        (here / name).touch()
    assert disk.matching(pattern) == expected
    monkeypatch.setattr(sys, "platform", "linux")
    assert disk.matching(pattern) == [pattern]


def test_a_junction_is_not_followed(windows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Windows: a directory that leads to another, perhaps to one above it."""
    mount_point = 0xA0000003  # what marks it (winnt.h)
    monkeypatch.setattr(stat, "IO_REPARSE_TAG_MOUNT_POINT", mount_point, raising=False)

    def entry(name: str, tag: int = 0) -> Any:
        entry = Mock(path=f"calls/{name}", **{"is_dir.return_value": bool(tag)})
        entry.name = name
        entry.is_symlink.return_value = False
        entry.stat.side_effect = lambda *, follow_symlinks: Mock(
            st_reparse_tag=0 if follow_symlinks else tag
        )
        return entry

    entries = [entry("a.enc"), entry("loop", mount_point)]
    monkeypatch.setattr(os, "scandir", Mock(side_effect=[nullcontext(entries)] * 2))
    links: list[str] = []
    found = list(disk.recordings_below("calls", lambda *_: None, links.append))
    assert (found, links) == ([("calls", ["a.enc"], [])], ["calls/loop"])
    assert disk.sizes_below("calls") == {"a.enc": None, "loop": None}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files of two bytes and of none in folders, and links that lead to them and to nothing."""
    folder = tmp_path / "tree"
    (folder / "a" / "b" / "empty").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("x", "a/x", "a/b/ünï [x] #.opus", "../elsewhere/x"):
        (folder / name).write_bytes(b"xx")
    (folder / "a" / "none").touch()
    links = {
        "file": "x",
        "up": "..",
        "off": "../elsewhere",
        "dangling": "nowhere",
        "a/loop": "loop",
    }
    for name, place in links.items():
        (folder / name).symlink_to(place)
    return folder


IN_TREE = {
    "x": 2,
    "a/x": 2,
    "a/b/ünï [x] #.opus": 2,
    "a/none": 0,
    "file": 2,
    **dict.fromkeys(["up", "off", "dangling", "a/loop"]),
}


def test_the_sizes_of_all_that_is_below_a_directory(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are followed to files only, which may be above; directories are not among it."""
    assert disk.sizes_below(str(tree)) == disk.sizes_below(f"{tree}/") == IN_TREE
    monkeypatch.chdir(tree)
    assert disk.sizes_below(".") == IN_TREE
    assert disk.sizes_below("off") == {"x": 2}
    assert disk.sizes_below("a/b/empty") == disk.sizes_below("nowhere/x") == {}
    for is_no_directory in ("x", "file"):
        with pytest.raises(NotADirectoryError) as caught:
            disk.sizes_below(is_no_directory)
        assert caught.value.filename == is_no_directory


def test_what_is_no_file_has_no_size(tree: Path) -> None:
    """Nor is it opened, which might wait for ever."""
    make_fifo(tree / "a" / "pipe")
    assert disk.sizes_below(str(tree)) == {**IN_TREE, "a/pipe": None}


def test_sizes_by_names_that_are_not_text(tmp_path: Path) -> None:
    """They name the file to the system, as they are."""
    name = os.fsdecode(b"\xe9/\xff\n.opus")
    path = os.path.join(str(tmp_path), name)
    try:
        os.mkdir(os.path.dirname(path))
        Path(path).write_bytes(b"xx")
    except OSError:
        pytest.skip("the names of files are text here")
    assert disk.sizes_below(str(tmp_path)) == {name: 2}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Below the directory, as lost+found is in many, it is passed over; the directory itself is not."""
    scandir = os.scandir
    unreadable = {str(tree / "a" / "b")}

    @contextmanager
    def refuse(path: str) -> Iterator[Any]:
        if path in unreadable:
            raise OSError(number, os.strerror(number), path)
        with scandir(path) as entries:
            yield entries

    monkeypatch.setattr(os, "scandir", refuse)
    readable = {name: size for name, size in IN_TREE.items() if "a/b/" not in name}
    assert disk.sizes_below(str(tree)) == readable
    unreadable.add(str(tree))
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught:
        disk.sizes_below(str(tree))
    assert caught.value.filename == str(tree)


def test_sizes_in_folders_in_folders(tmp_path: Path) -> None:
    """More of them than Python's functions can call one another."""
    name = "d/" * 60 + "x"
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).touch()
    limit, frame, depth = sys.getrecursionlimit(), inspect.currentframe(), 0
    while frame := frame and frame.f_back:
        depth += 1
    sys.setrecursionlimit(depth + 40)
    try:
        found = disk.sizes_below(str(tmp_path))
    finally:
        sys.setrecursionlimit(limit)
    assert found == {name: 0}


@pytest.mark.parametrize("name", ["x", "file", "up", "off", "dangling", "a/loop", "a/none", "gone"])
def test_a_file_that_is_removed(tree: Path, name: str) -> None:
    """It alone: of a link, not its target; what is not there is no matter."""
    before = contents(tree.parent)
    disk.remove(str(tree / name))
    before.pop(f"tree/{name}", None)
    assert contents(tree.parent) == before
    disk.remove(str(tree / name))


FOLLOWED = [pytest.param(name, marks=posix_only("such links")) for name in ("up/", "off/")]


@pytest.mark.parametrize("name", ["a", "a/b/empty", *FOLLOWED])
def test_a_directory_is_not_removed(tree: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Not even an empty one, or by way of a link: the error names it."""
    monkeypatch.setattr(windows, "SHARING_PATIENCE", 0.1)
    path = f"{tree}/{name}"
    with nothing_changes(tree.parent), pytest.raises(OSError, match=name) as caught:
        disk.remove(path)
    assert caught.value.filename == path


def test_what_a_scanner_has_open_is_removed_later(
    tree: Path, windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses it for a moment."""
    unlink, refusals = os.unlink, [PermissionError, PermissionError]

    def refuse(path: str) -> None:
        if refusals:
            raise refusals.pop()
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    disk.remove(str(tree / "x"))
    assert not (tree / "x").exists()


# Windows: files that keep others out, and names that it does not have.


@pytest.mark.parametrize(
    "name",
    [
        *("a:b", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "a\x07b", "a.", "a ", "a.opus.", "a.b "),
        *("aux", "AUX.opus", "nul", "con.x.y", "com1.wav", "LPT9", "com\u00b9.wav", "aux .wav"),
    ],
)
def test_names_that_windows_does_not_have(windows: None, name: str) -> None:
    """Characters, ends, and the names of devices with any extension; others may look alike."""
    with pytest.raises(UsageError, match="Windows has no file of such a name") as caught:
        disk.check_target(f"x/{name}", None)
    assert caught.value.filename == f"x/{name}"
    alike = ["a.opus", ".opus", "aux2.opus", "com.wav", "com10", "é 'x'.wav"]
    assert not any(map(is_impossible, alike))


def test_what_is_refused_for_a_moment_is_done_later(
    windows: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scanner has the file open, and closes it, or does not; anything else is no matter of time."""
    attempt = Mock(side_effect=[PermissionError, PermissionError, None])
    patiently(attempt)
    assert attempt.call_count == 3
    monkeypatch.setattr("filedecryptor.storage.windows.SHARING_PATIENCE", 0.1)
    for system, error, least, most in (
        ("win32", PermissionError, 2, 7),
        ("win32", FileExistsError, 1, 1),
        ("linux", PermissionError, 1, 1),
    ):
        monkeypatch.setattr(sys, "platform", system)
        attempt = Mock(side_effect=error)
        with pytest.raises(error):
            patiently(attempt)
        assert least <= attempt.call_count <= most


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
