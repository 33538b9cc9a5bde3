"""The disk: what must not be written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from filedecryptor.errors import UsageError
from filedecryptor.storage.disk import check_target, make_directory


@pytest.mark.parametrize("how", ["same", "spelling", "symbolic link", "hard link"])
def test_an_output_that_is_the_input_is_refused(tmp_path: Path, how: str) -> None:
    """By whatever name: the input is known by its place on the disk."""
    source = tmp_path / "a.enc"
    source.write_bytes(b"")
    target = tmp_path / "b"
    if how == "same":
        target = source
    elif how == "spelling":
        target = tmp_path / ".." / tmp_path.name / "a.enc"
    elif how == "symbolic link":
        target.symlink_to(source)
    else:
        target.hardlink_to(source)
    with pytest.raises(UsageError, match="would replace the input"):
        check_target(str(target), str(source))
    with source.open() as file, pytest.raises(UsageError):
        check_target(str(target), file.fileno())


def test_an_output_behind_the_link_that_is_the_input_is_refused(tmp_path: Path) -> None:
    """The input may be the link, and the output what it leads to."""
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "a.enc").symlink_to("real")
    with pytest.raises(UsageError):
        check_target(str(tmp_path / "real"), str(tmp_path / "a.enc"))


def test_an_output_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """A directory or a device is never replaced."""
    source = tmp_path / "a.enc"
    source.touch()
    with pytest.raises(IsADirectoryError):
        check_target(str(tmp_path), str(source))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Not a regular file"):
        check_target(str(tmp_path / "pipe"), str(source))


def test_other_outputs_are_fine(tmp_path: Path) -> None:
    """A new name, another file, a link that points nowhere or to itself; the first is none."""
    (tmp_path / "a.enc").write_bytes(b"")
    (tmp_path / "old").write_bytes(b"")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("new", "old", "dangling", "loop"):
        check_target(str(tmp_path / name), str(tmp_path / "a.enc"))


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
