"""Whatever the API does, its token and the recordings' password are in nothing that is left.

What commands print is searched in every test that runs one (`support/commands.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from uuid import UUID

import pytest
from support.leaks import NOT_ASCII, chain, leaks, on_disk, told
from support.recordings import AUDIO, encrypt

pytest.importorskip("httpcore", reason="the extra vns is not installed")

from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.vns import ONE, TWO

from filedecryptor.errors import FileDecryptorError
from filedecryptor.vns import Archive, Client
from filedecryptor.vns.lock import locked

SECRETS = (TOKEN, NOT_ASCII)


@pytest.fixture
def api() -> Iterator[Server]:
    """An account of two recordings, one of them with the marked password."""
    with serving() as server:
        server.recordings = {ONE: encrypt(AUDIO, NOT_ASCII), TWO: AUDIO}
        yield server


# What can be asked of a client.
ASKING: dict[str, Callable[[Client], object]] = {
    "list": lambda client: client.list_recordings(),
    "download": lambda client: client.download(UUID(ONE), BytesIO()),
    "delete": lambda client: client.delete(UUID(ONE)),
}

ANSWERS: dict[str, Callable[[Handler], object]] = {
    "refused": lambda handler: handler.send(401, b"{}"),
    "teapot": lambda handler: handler.send(418, TOKEN.encode()),
    "elsewhere": lambda handler: handler.send(302, b"", Location="http://127.0.0.1:9/x"),
    "circle": lambda handler: handler.send(307, b"", Location=PATH),
    "babbles": lambda handler: handler.wfile.write(b"\xff\0nonsense\r\n\r\n"),
}


@pytest.mark.parametrize("ask", ASKING)
@pytest.mark.parametrize("name", [*ANSWERS, "gone"])
def test_exceptions_and_logs_tell_nothing(
    api: Server,
    name: str,
    ask: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does an exception lead to one of `httpcore`, which holds the request and its token."""
    monkeypatch.setattr("filedecryptor.vns.http.PAUSE", 0)
    url = "http://127.0.0.1:9" if name == "gone" else api.url

    def answer(handler: Handler) -> bool:
        ANSWERS[name](handler)
        handler.close_connection = True
        return True

    api.behaviours.append(answer)
    with caplog.at_level(logging.DEBUG), pytest.raises(FileDecryptorError) as raised:
        ASKING[ask](Client(TOKEN, url=url))
    assert not leaks(told(raised.value), TOKEN)
    assert {type(link).__module__ for link in chain(raised.value)} <= {"filedecryptor.errors"}
    assert_logs_tell_nothing(caplog)


def test_a_success_tells_nothing(
    api: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the loggers of every library open; nor does what represents a client or an archive."""
    with caplog.at_level(logging.DEBUG):
        client = Client(TOKEN, url=api.url)
        archive = Archive(client, str(tmp_path), password=NOT_ASCII, delete_after=True)
        with locked(str(tmp_path)):
            outcomes = list(archive.fetch([UUID(ONE), UUID(TWO)]))
    assert {outcome.status for outcome in outcomes} == {"decrypted", "stored"}
    assert {record.name.partition(".")[0] for record in caplog.records} >= {"httpcore"}
    assert_logs_tell_nothing(caplog)
    for thing in (client, archive, *outcomes):
        assert not leaks(f"{thing!r} {thing}", *SECRETS)
    assert not leaks(on_disk(tmp_path), *SECRETS)


def assert_logs_tell_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Search every log record, and what it was made of."""
    assert caplog.records
    for record in caplog.records:
        assert not leaks(f"{record.getMessage()} {vars(record)}", *SECRETS)


@pytest.mark.parametrize("token", [NOT_ASCII, f"{TOKEN}\n", f" {TOKEN}"])
def test_a_token_that_cannot_be_used_is_not_shown(token: str) -> None:
    """The exception says what is wrong with it, and nothing of it."""
    with pytest.raises(FileDecryptorError) as raised:
        Client(token)
    assert not leaks(told(raised.value), *SECRETS)
