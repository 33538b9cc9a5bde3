"""Downloads that break off, and audio that is cut though it has its announced length."""

from __future__ import annotations

import io
import struct
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.recordings import AUDIO, MP3, WAV
from support.vns import ONE, Resuming, breaking, record, stored, vns

from filedecryptor.audio.truncation import is_cut
from filedecryptor.errors import ApiError
from filedecryptor.vns import Client

LONG = bytes(range(256)) * 4000
OTHER = LONG[::-1]
BY_FORMAT = {"opus": AUDIO, "mp3": MP3, "wav": WAV}


@pytest.fixture
def long(api: Server) -> Server:
    """An account with one recording that takes several answers."""
    api.recordings[ONE] = LONG
    return api


def downloaded(api: Server) -> tuple[bytes, bool]:
    """Return what a client downloads, and whether it is known to be whole."""
    file = io.BytesIO(b"what was there before")
    with Client(TOKEN, url=api.url) as account:
        is_whole = account.download(ONE, file)
    return file.getvalue(), is_whole


def test_it_goes_on_where_it_was(long: Server) -> None:
    """However often it breaks off, as long as it gets on."""
    behaviour = Resuming(100_000)
    long.behaviours.append(behaviour)
    assert downloaded(long) == (LONG, True)
    assert behaviour.ranges[:3] == [None, "bytes=100000-", "bytes=200000-"]
    assert len(behaviour.ranges) == 11
    conditions = [headers.get("If-Range") for _, _, headers in long.seen]
    assert conditions == [None, *['"1"'] * 10]


@pytest.mark.parametrize("tag", [None, 'W/"1"', ""])
def test_it_goes_on_by_its_length(long: Server, tag: str | None) -> None:
    """Where there is no ETag, or a weak one."""
    behaviour = Resuming(600_000, lambda: tag)
    long.behaviours.append(behaviour)
    assert downloaded(long) == (LONG, True)
    assert behaviour.ranges == [None, "bytes=600000-"]


def test_another_recording_is_not_mixed_with_the_first(long: Server) -> None:
    """If the ETag changes, everything is fetched from its beginning."""
    tags = count()
    behaviour = Resuming(600_000, lambda: f'"{next(tags)}"')
    long.behaviours.append(behaviour)
    with pytest.raises(ApiError):
        downloaded(long)
    assert behaviour.ranges[1] == "bytes=600000-"
    behaviour.piece = len(LONG)
    assert downloaded(long) == (LONG, True)


def test_parts_that_are_not_offered_are_not_asked_for(long: Server) -> None:
    """Then it begins again."""
    behaviour = Resuming(600_000, offers=False)
    long.behaviours.append(behaviour)
    with pytest.raises(ApiError, match="breaks off"):
        downloaded(long)
    assert behaviour.ranges == [None] * 5


@pytest.mark.parametrize(
    ("tag", "status", "headers"),
    [
        (None, 206, {"Content_Range": "bytes 0-9/1024000"}),
        (None, 206, {"Content_Range": "bytes 600000-1023999/2000000"}),
        (None, 206, {"Content_Range": "bytes 600000-1023999/1024000"}),
        (None, 206, {"Content_Range": "bytes 600000-1023999/*"}),
        (None, 206, {"Content_Range": "nonsense"}),
        (None, 206, {}),
        (None, 416, {}),
        ('"1"', 206, {"Content_Range": "bytes 600000-1023999/1024000", "ETag": '"2"'}),
    ],
)
def test_a_part_that_does_not_fit(
    long: Server, tag: str | None, status: int, headers: dict[str, str]
) -> None:
    """It is not used, also if only its headers tell: the next attempt begins again."""
    first = Resuming(600_000, lambda: tag)
    long.recordings[ONE] = LONG + b"more"

    def then(handler: Handler) -> bool:
        if not first.ranges:
            return first(handler)
        long.recordings[ONE] = OTHER
        if "Range" in handler.headers:
            handler.send(status, OTHER[600_000:], **headers)
        return "Range" in handler.headers

    long.behaviours.append(then)
    assert downloaded(long) == (OTHER, True)


@pytest.mark.parametrize("how", ["cut", "reset", "stall"])
def test_a_body_that_breaks_off_is_fetched_again(api: Server, tmp_path: Path, how: str) -> None:
    """From its beginning, and nothing of the first half stays."""
    api.behaviours.append(breaking(how, 2))
    assert vns(api, "archive", ".", "--timeout", "1", cwd=tmp_path).code == 0
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}


def with_xing(count: int) -> bytes:
    """Return MP3 whose first frame says that there are so many bytes."""
    frame = MP3[:4] + bytes(32) + b"Info" + struct.pack(">III", 3, 100, count)
    return frame.ljust(MP3.index(MP3[:3], 4), b"\0") + MP3


@pytest.mark.parametrize("audio_format", BY_FORMAT)
def test_what_is_cut(audio_format: str) -> None:
    """In the middle of a page, a frame or a chunk; but not what has something behind it."""
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
    assert not is_cut(io.BytesIO(with_xing(len(MP3))), "mp3")
    assert is_cut(io.BytesIO(with_xing(2 * len(MP3))), "mp3")


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
