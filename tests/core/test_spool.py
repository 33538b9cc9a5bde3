"""Recordings in memory, or as ciphertext in a private file."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.commands import COMMAND, run_process
from support.folders import contents
from support.posix import IS_ROOT, posix_only
from support.recordings import AUDIO, PASSWORD, MakeEnc, Trickle, altered, encrypt

from filedecryptor import AuthenticationError, decrypt_file, open_recording
from filedecryptor.core.format import HEADER_SIZE, SMALLEST_SIZE, TAG_SIZE
from filedecryptor.core.spool import HEAD_SIZE, MEMORY_LIMIT, Beginning, PrivateFile
from filedecryptor.jobs.job import Job, do_job
from filedecryptor.storage import atomic
from filedecryptor.storage.atomic import Written

LIMIT = 2 * HEAD_SIZE
LONG = os.urandom(MEMORY_LIMIT + 1)


@pytest.mark.parametrize("source", [io.BytesIO, Trickle])
@pytest.mark.parametrize("size", [0, 1, 43, HEAD_SIZE, LIMIT, LIMIT + 1, 5 * LIMIT])
def test_what_is_read_ahead_is_not_lost(source: type[io.BytesIO], size: int) -> None:
    """All bytes come out in their order, whether memory holds them all or not."""
    data = os.urandom(size + SMALLEST_SIZE)
    beginning = Beginning(source(data), LIMIT)
    assert beginning.is_whole == (size <= LIMIT)
    assert beginning.head == data[:HEAD_SIZE]
    found = bytearray()
    buffer = memoryview(bytearray(3000))
    while count := beginning.readinto(buffer):
        found += buffer[:count]
    assert found == data
    assert beginning.size == len(data)


@posix_only("files without names")
def test_a_private_file_lies_where_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In TMPDIR, or else in /var/tmp; it has no name, and is its owner's alone."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with PrivateFile() as file:
        file.write_all(memoryview(b"ciphertext"))
        found = os.fstat(file.fileno())
        assert found.st_dev == tmp_path.stat().st_dev
        assert (found.st_nlink, found.st_mode & 0o777, found.st_size) == (0, 0o600, 10)
        assert contents(tmp_path) == {}
        assert os.path.dirname(os.readlink(f"/proc/self/fd/{file.fileno()}")) == str(tmp_path)
    for value in (str(tmp_path / "missing"), ""):
        monkeypatch.setenv("TMPDIR", value)
        with PrivateFile() as file:
            path = os.readlink(f"/proc/self/fd/{file.fileno()}")
            assert path.startswith("/var/tmp/")  # noqa: S108 - where it is meant to be


def test_only_ciphertext_is_spooled(monkeypatch: pytest.MonkeyPatch, make_enc: MakeEnc) -> None:
    """All of it, however little the system takes at once, and no audio; closing wipes the key."""
    spooled = bytearray()
    write = PrivateFile.write

    def short_write(file: PrivateFile, data: memoryview) -> int:
        count = write(file, data[:40_000])
        spooled.extend(data[:count])
        return count

    monkeypatch.setattr(PrivateFile, "write", short_write)
    before = os.listdir("/proc/self/fd")
    path = make_enc(audio=LONG)
    recording: Any = open_recording(path, PASSWORD)
    assert recording.read() == LONG
    assert spooled == path.read_bytes()[HEADER_SIZE:-TAG_SIZE]
    key = recording.raw._key  # noqa: SLF001 - nothing else shows it
    assert any(key)
    recording.close()
    assert not any(key)
    path.write_bytes(altered(path.read_bytes()))
    for attempt in (open_recording, partial(decrypt_file, output_extension="wav")):
        with pytest.raises(AuthenticationError) as caught:  # which holds on to the frames
            attempt(path, PASSWORD)
        assert caught.value.filename == str(path)
        assert len(os.listdir("/proc/self/fd")) <= len(before)
        del caught


@pytest.mark.skipif(sys.platform != "linux" or not IS_ROOT, reason="mounts a disk")
@pytest.mark.parametrize("size", [MEMORY_LIMIT, MEMORY_LIMIT + 1])
def test_in_a_read_only_container_memory_does(make_enc: MakeEnc, size: int) -> None:
    """What fits gets to standard output without a place to write; what does not says so."""
    script = 'mount -o remount,bind,ro / || exit 99; touch x 2>/dev/null && exit 99; exec "$0" "$@"'
    read_only = ("unshare", "-m", "bash", "-c", script, COMMAND)
    folder = make_enc(audio=LONG[:size]).parent
    result = run_process("a.enc", PASSWORD, "wav", "-o", "-", cwd=folder, command=read_only)
    if result.code == 99 or "unshare" in result.stderr:
        pytest.skip("nothing may be mounted here")
    if size == MEMORY_LIMIT:
        assert (result.code, result.stdout, result.stderr) == (0, LONG[:size], "")
    else:
        assert (result.code, result.stdout) == (1, b"")
        assert result.lines == [
            "error: a.enc: there is no directory for temporary files that can be written to",
            "hint: set TMPDIR to one",
        ]


def test_an_abandoned_publication_ends_at_the_next_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is no longer waited for: what was begun is taken back."""
    monkeypatch.setattr(atomic, "nameless", lambda *_: None)
    (tmp_path / "a.enc").write_bytes(encrypt(AUDIO, PASSWORD))

    def on_progress(count: int) -> None:
        if count == 0:
            raise KeyboardInterrupt

    job = Job(str(tmp_path / "a.enc"), "wav")
    with pytest.raises(KeyboardInterrupt):
        do_job(job, PASSWORD, written=Written(), on_progress=on_progress)
    assert set(contents(tmp_path)) == {"a.enc"}


@posix_only("ulimit")
def test_the_command_says_where_there_is_no_room(tmp_path: Path) -> None:
    """The temporary directory is named, not the recording."""
    (tmp_path / "a.enc").write_bytes(encrypt(LONG, PASSWORD))
    script = 'ulimit -f 1000; exec "$0" a.enc EncryptMe wav -o - >/dev/null'
    env = {"TMPDIR": "/tmp"}  # noqa: S108 - the usual place
    result = run_process("-c", script, COMMAND, cwd=tmp_path, command=("bash",), env=env)
    assert result.code == 1
    assert result.lines == ["error: /tmp: File too large"]
