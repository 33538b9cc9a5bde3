"""A download, stored under the name that fits what it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.recordings import AUDIO, MP3, PASSWORD, encrypt
from support.vns import ONE, THREE, TWO, record, sending, stored, vns

from filedecryptor.core.secrets import Passwords
from filedecryptor.vns.records import Wishes


@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 0), ("wrong", 3)])
def test_keep_encrypted(api: Server, tmp_path: Path, password: str, code: int) -> None:
    """The `.enc` stays beside the audio, and alone if it could not be decrypted."""
    words = ("archive", ".", "--keep-encrypted", "--delete-after")
    assert vns(api, *words, cwd=tmp_path, FILEDECRYPTOR_PASSWORD=password).code == code
    assert f"{ONE}.enc" in stored(tmp_path)
    assert (f"{ONE}.opus" in stored(tmp_path)) == (code == 0)
    assert api.deleted == ([] if code else [ONE])


def test_plain_recordings_are_stored_as_they_are(api: Server, tmp_path: Path) -> None:
    """With a password or without: a recording made without one needs none."""
    api.recordings = {ONE: AUDIO, TWO: MP3}
    for folder, more in (("a", {}), ("b", {"FILEDECRYPTOR_PASSWORD": "x"})):
        result = vns(api, "archive", folder, cwd=tmp_path, **more)
        assert result.code == 0
        assert result.stderr.startswith("2 stored; ")
        assert stored(tmp_path / folder) == {f"{ONE}.opus": AUDIO, f"{TWO}.mp3": MP3}


def test_an_empty_answer(api: Server, tmp_path: Path) -> None:
    """No bytes at all: a failure, nothing stored or deleted."""
    api.recordings[ONE] = b""
    result = vns(api, "archive", ".", "--delete-after", cwd=tmp_path)
    assert result.code == 7
    assert stored(tmp_path) == {}
    assert api.deleted == []


@pytest.mark.parametrize("audio", [b"", b"fLaC and so on"], ids=["none", "another format"])
def test_audio_of_an_unknown_format_is_kept(api: Server, tmp_path: Path, audio: bytes) -> None:
    """It is authenticated, so it is stored, once; the server's copy stays as well."""
    api.recordings[ONE] = encrypt(audio, PASSWORD)
    words = ("archive", ".", "--delete-after", "--json")
    result = vns(api, *words, cwd=tmp_path)
    assert result.code == 5
    assert "the recording is intact, and stored as" in result.stderr
    outcome = json.loads(result.stdout.splitlines()[0])
    assert (outcome["status"], outcome["output"]) == ("stored", f"./{ONE}.unknown")
    assert stored(tmp_path) == {f"{ONE}.unknown": audio}
    assert record(tmp_path, ONE)["authenticated"] is True
    assert vns(api, *words, cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1
    assert api.deleted == []


def test_plain_audio_of_unknown_length_is_never_taken_for_the_whole(
    api: Server, tmp_path: Path
) -> None:
    """It is kept under a name of its own, fetched again by each run, and not deleted."""
    api.behaviours.append(sending(AUDIO[:3000]))
    for count in (1, 2):
        assert vns(api, "archive", ".", "--delete-after", cwd=tmp_path).code == 0
        assert stored(tmp_path) == {f"{ONE}.unverified.opus": AUDIO[:3000]}
        assert api.count("GET", f"{PATH}/{ONE}") == count
    assert api.deleted == []


def test_wishes_tell_no_password() -> None:
    """They are handed about."""
    wishes = Wishes(
        Passwords.of(PASSWORD), keep_encrypted=False, delete_after=False, check=False, again=False
    )
    assert PASSWORD not in f"{wishes} {wishes!r}"


def test_a_store_without_conditional_writes(
    api: Server, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All is stored there, and one note says what can happen."""
    from support.bucket import Bucket
    from support.store_proxy import proxy, refusing_conditions

    api.recordings |= {TWO: MP3, THREE: encrypt(AUDIO, PASSWORD)}
    bucket = Bucket(server)
    with proxy(server, refusing_conditions()) as store:
        for name, value in {**bucket.env, "AWS_ENDPOINT_URL": store.url}.items():
            monkeypatch.setenv(name, value)
        result = vns(api, "archive", f"{bucket.url}/calls", cwd=tmp_path)
    assert result.code == 0, result
    assert bucket.get(f"calls/{ONE}.opus") == bucket.get(f"calls/{THREE}.opus") == AUDIO
    assert bucket.get(f"calls/{TWO}.mp3") == MP3
    assert result.stderr.count("conditional writes") == 1
