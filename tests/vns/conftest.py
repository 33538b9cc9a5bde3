"""An account to fetch recordings from."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.api_server import Server, serving
from support.commands import Result
from support.folders import contents
from support.night import Directory, StoreFolder
from support.places import Place
from support.recordings import AUDIO, encrypt
from support.vns import ONE, vns

if TYPE_CHECKING:
    from support.bucket import Bucket


@pytest.fixture
def api() -> Iterator[Server]:
    """An account with one recording."""
    with serving() as server:
        server.recordings[ONE] = encrypt(AUDIO)
        yield server


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are repeated at once, unless the server asks for a pause."""
    if find_spec("httpcore") is not None:  # or the extra is not installed
        monkeypatch.setattr("filedecryptor.vns.http.PAUSE", 0)


@pytest.fixture(params=["disk", "store"])
def place(request: pytest.FixtureRequest, api: Server, tmp_path: Path) -> Place:
    """An empty archive, in either of them."""
    if request.param == "disk":
        (tmp_path / "calls").mkdir()
        on_disk = Directory(tmp_path / "calls")
        return Place(
            "calls", on_disk, {}, lambda *words, **more: vns(api, *words, cwd=tmp_path, **more)
        )
    bucket: Bucket = request.getfixturevalue("bucket")

    def run(*words: str, **more: str | None) -> Result:
        found = vns(api, *words, cwd=tmp_path, **{**bucket.env, **more})
        assert contents(tmp_path) == {}
        return found

    return Place(f"{bucket.url}/calls", StoreFolder(bucket), dict(bucket.env), run)
