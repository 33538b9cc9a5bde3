"""The disk: outputs that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import ExitStack, nullcontext
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import contents

from filedecryptor import files
from filedecryptor.errors import UsageError
from filedecryptor.files import (
    PendingFile,
    check_target,
    pending_file,
    remove_leftovers,
)


def test_an_uncommitted_file_is_gone(tmp_path: Path) -> None:
    """Without a commit nothing stays, whatever ended the block."""
    with pytest.raises(KeyboardInterrupt), pending_file(str(tmp_path / "x")) as pending:
        pending.write(memoryview(b"half"))
        assert len(list(tmp_path.iterdir())) == 1
        raise KeyboardInterrupt
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("replace", [True, False])
def test_a_committed_file_is_whole(tmp_path: Path, replace: bool) -> None:  # noqa: FBT001
    """The name appears with the commit, with everything in it, and nothing else is left."""
    target = tmp_path / "x"
    with pending_file(str(target)) as pending:
        pending.write(memoryview(b"all of "))
        pending.write(memoryview(b"it"))
        assert not target.exists()
        pending.commit(str(target), replace=replace)
        assert target.read_bytes() == b"all of it"
    assert contents(tmp_path) == {"x": b"all of it"}


@pytest.mark.parametrize("links", [True, False])
def test_without_replace_an_existing_file_stays(
    tmp_path: Path,
    links: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even one that appeared during the work, and where the file system has no hard links."""
    if not links:

        def refuse(*_: str) -> None:
            raise OSError(errno.EOPNOTSUPP, "not supported")

        monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "x"
    with pytest.raises(FileExistsError) as caught, pending_file(str(target)) as pending:
        target.symlink_to("nowhere")
        pending.commit(str(target), replace=False)
    assert (caught.value.filename, caught.value.strerror) == (str(target), "File exists")
    assert contents(tmp_path) == {"x": "nowhere"}
    with pending_file(str(tmp_path / "y")) as pending:
        pending.commit(str(tmp_path / "y"), replace=False)
    assert contents(tmp_path) == {"x": "nowhere", "y": b""}


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_permissions_are_what_the_umask_leaves(tmp_path: Path, umask: int) -> None:
    """The output is as readable as any new file, and so is the temporary file meanwhile."""
    target = tmp_path / "x"
    before = os.umask(umask)
    try:
        with pending_file(str(target)) as pending:
            [temporary] = tmp_path.iterdir()
            assert temporary.stat().st_mode & 0o777 == 0o666 & ~umask
            pending.commit(str(target), replace=True)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_at_the_output_is_replaced_not_followed(tmp_path: Path) -> None:
    """What the link pointed to stays as it was."""
    (tmp_path / "precious").write_bytes(b"precious")
    target = tmp_path / "x"
    target.symlink_to("precious")
    with pending_file(str(target)) as pending:
        pending.commit(str(target), replace=True)
    assert contents(tmp_path) == {"precious": b"precious", "x": b""}


class Trickling(FileIO):
    """A file that takes one byte at a time, as the system is free to do."""

    def write(self, data: Any) -> int:
        """Write the first byte."""
        return super().write(data[:1])


def test_all_is_written_however_little_the_system_takes(tmp_path: Path) -> None:
    """A short write is not the end."""
    with Trickling(tmp_path / "x", "w") as stream:
        PendingFile(stream, "", "").write(memoryview(b"all of it"))
    assert (tmp_path / "x").read_bytes() == b"all of it"


def test_everything_is_on_the_disk_before_it_has_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is: all bytes, flush, rename, flush the directory that the name is in."""
    steps: list[object] = []
    fsync, replace = os.fsync, os.replace

    def recording_fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        steps.append(found.st_ino if stat.S_ISDIR(found.st_mode) else found.st_size)
        fsync(descriptor)

    def recording_replace(*paths: str) -> None:
        steps.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(os, "replace", recording_replace)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for target in ("x", "sub/x", str(tmp_path / "sub" / "y")):
        steps.clear()
        with pending_file(target) as pending:
            pending.write(memoryview(b"12345"))
            pending.commit(target, replace=True)
        assert steps == [5, "rename", (tmp_path / target).parent.stat().st_ino]


@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_directory_that_cannot_be_flushed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    passes: bool,  # noqa: FBT001
) -> None:
    """Where the file system has no such thing it is fine; a failing disk is not."""
    fsync = os.fsync
    target = str(tmp_path / "x")

    def refuse_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_directories)
    before = os.listdir("/proc/self/fd")
    expectation = nullcontext() if passes else pytest.raises(OSError, match="Input/output")
    with expectation, pending_file(target) as pending:
        pending.commit(target, replace=True)
    assert contents(tmp_path) == {"x": b""}
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_directory_that_cannot_be_opened_is_not_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be writable only; the output is there all the same."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with pending_file(str(tmp_path / "x")) as pending:
        monkeypatch.setattr(os, "open", refuse)
        pending.commit(str(tmp_path / "x"), replace=True)
    assert contents(tmp_path) == {"x": b""}


def test_two_outputs_in_one_directory_do_not_meet(tmp_path: Path) -> None:
    """Each has a temporary file of its own, even for the same target."""
    target = str(tmp_path / "x")
    with pending_file(target) as one, pending_file(target) as other:
        one.write(memoryview(b"one"))
        other.write(memoryview(b"other"))
        one.commit(target, replace=True)
        assert contents(tmp_path)["x"] == b"one"
        other.commit(target, replace=True)
    assert contents(tmp_path) == {"x": b"other"}


def die_while_writing(*targets: Path) -> list[Path]:
    """Let a process that writes these outputs end without a chance to clean up."""
    folder = targets[0].parent
    before = set(folder.iterdir())
    if not (process := os.fork()):
        with ExitStack() as stack:
            for target in targets:
                stack.enter_context(pending_file(str(target))).write(memoryview(b"half"))
            os._exit(0)
    os.waitpid(process, 0)
    left = sorted(set(folder.iterdir()) - before)
    assert len(left) == len(targets)
    return left


@pytest.mark.parametrize("replace", [True, False])
def test_what_a_killed_run_left_is_removed(tmp_path: Path, replace: bool) -> None:  # noqa: FBT001
    """By the next run that writes the same output, even where two were killed at once.

    The suffix does not matter: with `auto` it is not known when the file is begun.
    """
    die_while_writing(tmp_path / "x.opus", tmp_path / "x.opus", tmp_path / "x.opus")
    with pending_file(str(tmp_path / "x.wav")) as pending:
        assert len(list(tmp_path.iterdir())) == 1
        pending.commit(str(tmp_path / "x.wav"), replace=replace)
    assert contents(tmp_path) == {"x.wav": b""}


def test_what_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    """All that is removed from a directory is what nobody writes any more."""
    die_while_writing(tmp_path / "x")
    with pending_file(str(tmp_path / "y")) as pending:
        remove_leftovers(str(tmp_path))
        assert len(list(tmp_path.iterdir())) == 1
        pending.commit(str(tmp_path / "y"), replace=True)
    assert contents(tmp_path) == {"y": b""}


@pytest.mark.parametrize("replace", [True, False])
def test_what_is_being_renamed_is_no_leftover(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replace: bool,  # noqa: FBT001
) -> None:
    """Until the output has its name, no other run takes its file for abandoned."""
    function = "replace" if replace else "link"
    rename = getattr(os, function)

    def come_between(*paths: str) -> None:
        remove_leftovers(str(tmp_path))
        rename(*paths)

    monkeypatch.setattr(os, function, come_between)
    with pending_file(str(tmp_path / "x")) as pending:
        pending.commit(str(tmp_path / "x"), replace=replace)
    assert contents(tmp_path) == {"x": b""}


def test_what_only_resembles_a_leftover_stays(tmp_path: Path) -> None:
    """Of all the files in a directory those go whose names begin and end as ours do."""
    die_while_writing(tmp_path / "x")
    others = {"recording.enc": b"", "draft.tmp": b"", ".filedecryptor-notes": b""}
    for name in others:
        (tmp_path / name).touch()
    remove_leftovers(str(tmp_path))
    assert contents(tmp_path) == others


def test_a_leftover_that_another_run_has_replaced_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was opened as abandoned may have gone, and its name be another run's, by its lock."""
    [left] = die_while_writing(tmp_path / "x")
    lock = fcntl.flock

    def come_too_late(descriptor: int, operation: int) -> None:
        left.unlink()
        left.write_bytes(b"another run's")
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", come_too_late)
    remove_leftovers(str(tmp_path))
    assert contents(tmp_path) == {left.name: b"another run's"}


def test_looking_for_leftovers_leaves_nothing_open(tmp_path: Path) -> None:
    """Neither what was removed nor what is being written, however many outputs a batch has."""
    die_while_writing(tmp_path / "x", tmp_path / "y")
    with pending_file(str(tmp_path / "z")):
        before = os.listdir("/proc/self/fd")
        remove_leftovers(str(tmp_path))
        assert len(os.listdir("/proc/self/fd")) == len(before)


def test_what_cannot_be_removed_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error that ended the block is the one that is told; the next run cleans up."""

    def refuse(*_: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(KeyError), pending_file(str(tmp_path / "x")):
        monkeypatch.setattr(os, "unlink", refuse)
        raise KeyError
    monkeypatch.undo()
    assert len(contents(tmp_path)) == 1
    remove_leftovers(str(tmp_path))
    assert contents(tmp_path) == {}


def test_an_interruption_while_the_file_is_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come when the file is there and nobody holds it yet."""

    def interrupted(path: str, *_: object, **__: object) -> None:
        Path(path).touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("filedecryptor.files.open", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt), pending_file(str(tmp_path / "x")):
        pass
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("kind", ["symbolic link", "dangling link", "directory", "pipe"])
def test_what_waits_at_the_temporary_name_is_not_touched(tmp_path: Path, kind: str) -> None:
    """The name can be foreseen, so nothing there is followed, opened or removed."""
    (tmp_path / "precious").write_bytes(b"precious")
    [waiting] = die_while_writing(tmp_path / "x")
    waiting.unlink()
    if kind == "directory":
        waiting.mkdir()
    elif kind == "pipe":
        os.mkfifo(waiting)
    else:
        waiting.symlink_to("precious" if kind == "symbolic link" else "nowhere")
    before = contents(tmp_path)
    with pending_file(str(tmp_path / "x")) as pending:
        pending.write(memoryview(b"audio"))
        pending.commit(str(tmp_path / "x"), replace=True)
    assert contents(tmp_path) == {**before, "x": b"audio"}


def test_a_hard_link_at_the_temporary_name_loses_that_name_only(tmp_path: Path) -> None:
    """It looks like a leftover; the file itself stays as it is."""
    (tmp_path / "precious").write_bytes(b"precious")
    [waiting] = die_while_writing(tmp_path / "x")
    waiting.unlink()
    waiting.hardlink_to(tmp_path / "precious")
    with pending_file(str(tmp_path / "x")) as pending:
        pending.write(memoryview(b"audio"))
        pending.commit(str(tmp_path / "x"), replace=True)
    assert contents(tmp_path) == {"precious": b"precious", "x": b"audio"}


@pytest.mark.parametrize("replace", [True, False])
def test_without_locks_nothing_is_taken_for_abandoned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replace: bool,  # noqa: FBT001
) -> None:
    """A file system that has none lets nobody tell, so only what is our own is removed."""

    def refuse(*_: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    [left] = die_while_writing(tmp_path / "x")
    with pending_file(str(tmp_path / "x")):
        pass
    with pending_file(str(tmp_path / "x")) as pending:
        pending.commit(str(tmp_path / "x"), replace=replace)
    assert contents(tmp_path) == {left.name: b"half", "x": b""}


@pytest.mark.parametrize(
    ("taken", "left"),
    [("locked", [b""]), ("removed", []), ("replaced", [b"another run's"])],
)
def test_a_file_that_was_taken_for_abandoned_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str, left: list[bytes]
) -> None:
    """Between its creation and its lock another run may have come: then it is left to that one."""
    lock, calls = fcntl.flock, []

    def first_come_too_late(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1 and taken == "locked":
            raise BlockingIOError
        if len(calls) == 1:
            [temporary] = tmp_path.iterdir()
            temporary.unlink()
            if taken == "replaced":
                temporary.write_bytes(b"another run's")
                lock(stack.enter_context(temporary.open("rb")), operation)
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", first_come_too_late)
    with ExitStack() as stack, pending_file(str(tmp_path / "x")) as pending:
        pending.write(memoryview(b"audio"))
        pending.commit(str(tmp_path / "x"), replace=True)
    assert sorted(contents(tmp_path).values(), key=str) == sorted([b"audio", *left])


def test_an_interruption_between_rename_and_end_harms_no_other_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary name is free again by then, and may be another run's."""
    target, replace = str(tmp_path / "x"), os.replace

    def interrupted(*paths: str) -> None:
        replace(*paths)
        monkeypatch.undo()
        other = stack.enter_context(pending_file(target))
        other.write(memoryview(b"other"))
        outputs.append(other)
        raise KeyboardInterrupt

    outputs: list[PendingFile] = []
    monkeypatch.setattr(os, "replace", interrupted)
    with ExitStack() as stack:
        with pytest.raises(KeyboardInterrupt), pending_file(target) as pending:
            pending.commit(target, replace=True)
        outputs[0].commit(target, replace=True)
    assert contents(tmp_path) == {"x": b"other"}


def test_errors_name_the_target(tmp_path: Path) -> None:
    """Nobody knows the temporary file, so no error speaks of it."""
    target = str(tmp_path / "missing" / "x")
    with pytest.raises(FileNotFoundError) as caught, pending_file(target):
        pass
    assert caught.value.filename == target


def test_the_longest_name_can_be_written(tmp_path: Path) -> None:
    """A name of 255 bytes leaves room for a temporary one."""
    target = tmp_path / ("x" * 255)
    with pending_file(str(target)) as pending:
        pending.commit(str(target), replace=True)
    assert contents(tmp_path) == {"x" * 255: b""}


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


def test_there_is_an_end_to_trying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no temporary file can ever be told to be ours, that is an error."""

    def refuse(*_: int) -> None:
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(files, "MOST_TEMPORARY_FILES", 3)
    target = str(tmp_path / "x")
    with pytest.raises(FileExistsError, match="Too many") as caught, pending_file(target):
        pass
    assert caught.value.filename == target
    assert len(contents(tmp_path)) == 3


def test_machines_take_no_temporary_file_from_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One may not see the other's locks on a shared disk."""
    target = str(tmp_path / "x")
    with pending_file(target) as one:
        monkeypatch.setattr(fcntl, "flock", lambda *_: None)
        monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(nodename="other"))
        with pending_file(target) as other:
            one.write(memoryview(b"one"))
            one.commit(target, replace=True)
            other.commit(target, replace=True)
    assert contents(tmp_path) == {"x": b""}


def test_a_file_that_another_has_taken_is_not_let_appear(tmp_path: Path) -> None:
    """What is at the temporary name must be what was written."""
    target = str(tmp_path / "x")
    with pytest.raises(OSError, match="Stale"), pending_file(target) as pending:
        pending.write(memoryview(b"audio"))
        [temporary] = tmp_path.iterdir()
        temporary.unlink()
        temporary.write_bytes(b"half of another's")
        pending.commit(target, replace=True)
    assert not (tmp_path / "x").exists()
