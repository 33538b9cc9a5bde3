"""Downloads that break off."""

from __future__ import annotations

import io
import time
from itertools import count
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, TOKEN, Handler, Server
from support.recordings import AUDIO, MP3, WAV, encrypt
from support.vns import ONE, Resuming, breaking, stored, vns

from filedecryptor.errors import ApiError
from filedecryptor.vns import Client, client

LONG = bytes(range(256)) * 4000


def downloaded(api: Server) -> tuple[bytes, bool]:
    """Return what a client downloads, and whether it is known to be whole."""
    file = io.BytesIO(b"what was there before")
    is_whole = Client(TOKEN, url=api.url).download(ONE, file)
    return file.getvalue(), is_whole


def test_it_goes_on_where_it_was(api: Server) -> None:
    """However often it breaks off, as long as it gets on."""
    api.recordings[ONE] = LONG
    behaviour = Resuming(100_000)
    api.behaviours.append(behaviour)
    assert downloaded(api) == (LONG, True)
    assert behaviour.ranges[:3] == [None, "bytes=100000-", "bytes=200000-"]
    assert len(behaviour.ranges) == 11


def test_it_goes_on_by_its_length(api: Server) -> None:
    """Where there is no ETag, or a weak one."""
    api.recordings[ONE] = LONG
    for tag in (None, 'W/"1"', ""):
        behaviour = Resuming(600_000, lambda tag=tag: tag)  # type: ignore[misc]
        api.behaviours[:] = [behaviour]
        assert downloaded(api) == (LONG, True)
        assert behaviour.ranges == [None, "bytes=600000-"]


def test_another_recording_is_not_mixed_with_the_first(api: Server) -> None:
    """If the ETag changes, everything is fetched from its beginning."""
    api.recordings[ONE] = LONG
    tags = count()
    behaviour = Resuming(600_000, lambda: f'"{next(tags)}"')
    api.behaviours.append(behaviour)
    with pytest.raises(ApiError):
        downloaded(api)
    assert behaviour.ranges[1] == "bytes=600000-"
    behaviour.piece = len(LONG)
    assert downloaded(api) == (LONG, True)


def test_a_part_of_another_recording_is_not_used(api: Server) -> None:
    """Some servers do not look at what they are asked for, but their answers tell."""
    other = bytes(reversed(LONG))
    api.recordings[ONE] = LONG
    first = Resuming(600_000)

    def second(handler: Handler) -> bool:
        api.recordings[ONE] = other
        if "Range" not in handler.headers:
            return False
        place = f"bytes 600000-{len(other) - 1}/{len(other)}"
        handler.send(206, other[600_000:], Content_Range=place, ETag='"2"')
        return True

    api.behaviours.append(lambda handler: second(handler) if first.ranges else first(handler))
    assert downloaded(api) == (other, True)


def test_parts_that_are_not_offered_are_not_asked_for(api: Server) -> None:
    """Then it begins again."""
    api.recordings[ONE] = LONG
    behaviour = Resuming(600_000, offers=False)
    api.behaviours.append(behaviour)
    with pytest.raises(ApiError, match="breaks off"):
        downloaded(api)
    assert behaviour.ranges == [None] * 5


@pytest.mark.parametrize(
    "content_range",
    [
        "bytes 0-9/1024000",
        "bytes 600000-1023999/2000000",
        "nonsense",
        None,
        "bytes 600000-1023999/*",
    ],
)
def test_a_part_that_does_not_fit(api: Server, content_range: str | None) -> None:
    """It is not used: the next attempt begins again."""
    api.recordings[ONE] = LONG
    first = Resuming(600_000, lambda: None)

    def second(handler: Handler) -> bool:
        if "Range" not in handler.headers:
            return False
        headers = {"Content_Range": content_range} if content_range else {}
        handler.send(206, b"x" * 424_000, **headers)
        return True

    api.behaviours += [second, lambda handler: not first.ranges and first(handler)]
    assert downloaded(api) == (LONG, True)


def test_a_server_that_knows_no_such_part(api: Server) -> None:
    """416: it begins again."""
    api.recordings[ONE] = LONG
    first = Resuming(600_000)

    def second(handler: Handler) -> bool:
        if "Range" in handler.headers:
            handler.send(416, b"")
            return True
        return False

    api.behaviours += [second, lambda handler: not first.ranges and first(handler)]
    assert downloaded(api) == (LONG, True)


@pytest.mark.parametrize("audio", [AUDIO, MP3, WAV], ids=["opus", "mp3", "wav"])
@pytest.mark.parametrize("plain", [True, False])
def test_the_archive_goes_on_too(
    api: Server,
    tmp_path: Path,
    audio: bytes,
    plain: bool,  # noqa: FBT001
) -> None:
    """Byte for byte, encrypted and not."""
    api.recordings[ONE] = audio if plain else encrypt(audio)
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
    monkeypatch.setattr(client, "PAUSE", 0.2)
    api.behaviours.append(breaking("cut", 3))
    begin = time.monotonic()
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    assert time.monotonic() - begin >= (0.2 + 0.4 + 0.8) / 2
    assert api.count("GET", f"{PATH}/{ONE}") == 4
