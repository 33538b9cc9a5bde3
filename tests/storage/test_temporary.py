"""Random names until a file is whole, and what is left of them after a kill."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.folders import contents
from support.posix import IS_ROOT
from support.recordings import AUDIO

from filedecryptor.storage import output
from filedecryptor.storage.output import Written, publish

DAY = 24 * 60 * 60


@pytest.mark.parametrize("way", ["without a name", "with a name"])
@pytest.mark.parametrize("old", [None, b"old"])
def test_at_the_end_of_the_process_nothing_appears_any_more(
    tmp_path: Path, way: str, old: bytes | None
) -> None:
    """What is being written is removed, and no new name is made; a file without one needs none."""
    if old:
        (tmp_path / "x").write_bytes(old)
    before = contents(tmp_path)
    code = (
        "import io, os, sys, threading, time\n"
        "from filedecryptor.storage import output\n"
        f"way, target = {way!r}, {str(tmp_path / 'x')!r}\n"
        "if way != 'without a name': output.nameless = lambda *_: None\n"
        "class Content(io.BytesIO):\n"
        "    def read(self, size=-1):\n"
        "        begun.set(); time.sleep(0.5 if self.tell() else 0); return super().read(1)\n"
        "begun = threading.Event()\n"
        "def publish(content):\n"
        "    output.publish(target, content, replace=True, written=output.Written())\n"
        "threading.Thread(target=publish, args=[Content(b'audio')], daemon=True).start()\n"
        "begun.wait(); time.sleep(0.1)\n"
        "output.discard_unfinished()\n"
        "threading.Thread(target=publish, args=[io.BytesIO(b'audio')], daemon=True).start()\n"
        "time.sleep(0.2); sys.stdout.write('ended'); sys.stdout.flush(); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"ended"
    possible = [before]
    if way == "without a name" and not old:  # the second one needed no temporary name
        possible.append({"x": b"audio"})
    assert contents(tmp_path) in possible


@pytest.fixture
def leftovers(tmp_path: Path) -> Iterator[dict[str, bytes | str | None]]:
    """A directory with what a killed run has left, and with what only looks like it."""
    yesterday = time.time() - DAY - 60
    old = tmp_path / ".filedecryptor-0123456789abcdef.tmp"
    for name in (
        old.name,
        ".filedecryptor-d347080b-0.tmp",  # as version 0.1 called them
        ".filedecryptor-notes",
        "draft.tmp",
        ".filedecryptor-0123456789abcde.tmp.enc",
        ".filedecryptor-recordings.tmp",
        "a.filedecryptor-0123456789abcdef.tmp",
    ):
        (tmp_path / name).write_bytes(b"old")
        os.utime(tmp_path / name, (yesterday, yesterday))
    (tmp_path / ".filedecryptor-00000000000000aa.tmp").write_bytes(b"young")
    (tmp_path / ".filedecryptor-00000000000000bb.tmp").symlink_to(".filedecryptor-notes")
    (tmp_path / ".filedecryptor-00000000000000cc.tmp").mkdir()
    for name in ("bb", "cc"):
        path = tmp_path / f".filedecryptor-00000000000000{name}.tmp"
        os.utime(path, (yesterday, yesterday), follow_symlinks=False)
    output._directories_seen.discard(str(tmp_path))  # noqa: SLF001 - as in a new process
    before = contents(tmp_path)
    for name in (old.name, ".filedecryptor-d347080b-0.tmp"):
        del before[name]
    yield before
    output._directories_seen.discard(str(tmp_path))  # noqa: SLF001 - as above


def test_what_killed_runs_left_is_removed_when_it_is_a_day_old(
    tmp_path: Path, leftovers: dict[str, bytes | str | None]
) -> None:
    """By the next run that writes into the directory. What only resembles it stays."""
    publish(str(tmp_path / "x"), io.BytesIO(AUDIO), replace=True, written=Written())
    assert contents(tmp_path) == {**leftovers, "x": AUDIO}


def test_a_clock_that_is_wrong_makes_nothing_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread or run may be writing to it."""
    left = tmp_path / ".filedecryptor-0123456789abcdef.tmp"
    left.write_bytes(b"new")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000 * DAY)
    output._directories_seen.discard(str(tmp_path))  # noqa: SLF001 - as in a new process
    publish(str(tmp_path / "x"), io.BytesIO(AUDIO), replace=True, written=Written())
    assert contents(tmp_path) == {left.name: b"new", "x": AUDIO}


def test_where_files_have_no_times_nothing_is_a_leftover(disk: Path) -> None:
    """As on this disk, where all are of 1970."""
    left = disk / ".filedecryptor-0123456789abcdef.tmp"
    left.write_bytes(b"new")
    assert left.stat().st_mtime == 0
    publish(str(disk / "x"), io.BytesIO(AUDIO), replace=True, written=Written())
    assert contents(disk) == {left.name: b"new", "x": AUDIO}


@pytest.mark.skipif(not IS_ROOT, reason="only root can make another user's file")
def test_what_others_left_stays(tmp_path: Path) -> None:
    """It may be a run of theirs that is stopped, for all that is known."""
    left = tmp_path / ".filedecryptor-0123456789abcdef.tmp"
    left.write_bytes(b"old")
    os.utime(left, (0, 0))
    os.chown(left, 65534, 65534)
    output._directories_seen.discard(str(tmp_path))  # noqa: SLF001 - as in a new process
    publish(str(tmp_path / "x"), io.BytesIO(AUDIO), replace=True, written=Written())
    assert contents(tmp_path) == {left.name: b"old", "x": AUDIO}
    assert TEMPORARY_NAME.fullmatch(left.name)


TEMPORARY_NAME = re.compile(r"\.filedecryptor-[0-9a-f]{16}\.tmp")
