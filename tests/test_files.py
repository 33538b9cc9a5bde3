"""The disk: what must not be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from filedecryptor.errors import UsageError
from filedecryptor.files import check_target


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
