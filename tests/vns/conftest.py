"""An account to fetch recordings from."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from support.api_server import Server, serving
from support.recordings import AUDIO, encrypt
from support.vns import ONE


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
