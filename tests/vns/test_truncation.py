"""Plain audio that is cut, though it has its announced length."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.recordings import BY_FORMAT, MP3, WAV
from support.vns import ONE, record, stored, vns

from filedecryptor.audio.truncation import is_cut


@pytest.mark.parametrize("audio_format", BY_FORMAT)
def test_what_is_cut(audio_format: str) -> None:
    """In the middle of a page, a frame or a chunk; not with something behind it."""
    audio = BY_FORMAT[audio_format]
    for whole in (audio, audio + b"TAG" + bytes(125)):
        assert not is_cut(io.BytesIO(whole), audio_format)
    for part in (0.99, 0.7, 0.31):
        assert is_cut(io.BytesIO(audio[: int(len(audio) * part) + 1]), audio_format)


def test_a_length_that_nobody_knew() -> None:
    """A WAV that was written to a pipe says so, and is not cut for that."""
    size = WAV.index(b"data") + 4
    for unknown in (bytes(4), b"\xff" * 4):
        streamed = WAV[:4] + unknown + WAV[8:size] + unknown + WAV[size + 4 :]
        assert not is_cut(io.BytesIO(streamed), "wav")


def test_a_number_of_bytes_in_an_mp3() -> None:
    """A Xing header tells it, and a cut between two frames shows by it."""
    for count, expected in ((len(MP3), False), (2 * len(MP3), True)):
        frame = MP3[:4] + bytes(32) + b"Info" + struct.pack(">III", 3, 100, count)
        audio = frame.ljust(MP3.index(MP3[:3], 4), b"\0") + MP3
        assert is_cut(io.BytesIO(audio), "mp3") == expected


@pytest.mark.parametrize("audio_format", BY_FORMAT)
def test_it_is_kept_apart_and_not_deleted(api: Server, tmp_path: Path, audio_format: str) -> None:
    """With a note; the next run fetches it again, and keeps the longer one."""
    audio = BY_FORMAT[audio_format]
    name = f"{ONE}.unverified.{audio_format}"
    longer = audio[: int(len(audio) * 0.7) + 1]
    for cut in (longer, audio[: int(len(audio) * 0.31) + 1]):
        api.recordings = {ONE: cut}
        result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
        assert "it is shorter than its own header says" in result.stderr
        assert stored(tmp_path) == {name: longer}
        assert record(tmp_path, ONE)["file"] == name
    assert api.count("GET", f"{PATH}/{ONE}") == 2
    assert api.deleted == []
    api.recordings = {ONE: audio}
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {name: longer, f"{ONE}.{audio_format}": audio}
    assert api.deleted == [ONE]
