"""Downloads that break off."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.recordings import AUDIO, MP3, WAV, encrypt
from support.vns import ONE, Resuming, breaking, stored, vns

from filedecryptor.errors import ApiError
from filedecryptor.vns import Client, retry

LONG = bytes(range(256)) * 4000
OTHER = LONG[::-1]


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

    def then(handler: Handler) -> bool:
        if not first.ranges:
            return first(handler)
        long.recordings[ONE] = OTHER
        if "Range" in handler.headers:
            handler.send(status, OTHER[600_000:], **headers)
        return "Range" in handler.headers

    long.behaviours.append(then)
    assert downloaded(long) == (OTHER, True)


@pytest.mark.parametrize("audio", [AUDIO, MP3, WAV], ids=["opus", "mp3", "wav"])
@pytest.mark.parametrize("way", [encrypt, bytes], ids=["encrypted", "plain"])
def test_the_archive_goes_on_too(
    api: Server, tmp_path: Path, audio: bytes, way: Callable[[bytes], bytes]
) -> None:
    """Byte for byte, encrypted and not."""
    api.recordings[ONE] = way(audio)
    behaviour = Resuming(len(audio) // 2)
    api.behaviours.append(behaviour)
    assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
    assert list(stored(tmp_path).values()) == [audio]
    assert len(behaviour.ranges) in {2, 3}
    assert None not in behaviour.ranges[1:]
    assert api.deleted == [ONE]


def test_there_is_a_pause_before_each_attempt(
    api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A longer one each time."""
    monkeypatch.setattr(retry, "PAUSE", 0.2)
    api.behaviours.append(breaking("cut", 3))
    begin = time.monotonic()
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert time.monotonic() - begin >= (0.2 + 0.4 + 0.8) / 2
    assert api.count("GET", f"{PATH}/{ONE}") == 4
