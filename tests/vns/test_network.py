"""Connections: who is trusted, and what is said of those that fail."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.api_server import TOKEN, Server, serving
from support.recordings import AUDIO
from support.vns import ONE, stored, vns

from filedecryptor.vns import client


def test_a_list_that_does_not_end(
    api: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not fill the memory."""
    monkeypatch.setattr(client, "LARGEST_LIST", 1000)
    api.list_body = b"[" + b'"",' * 400
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert (result.code, result.lines[0]) == (7, "error: the answer of the API does not end")


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the reason, as the system tells it."""
    with serving() as server:
        pass
    result = vns(server, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    assert result.lines[0] == f"error: {server.url[7:]} cannot be reached: Connection refused"
    url = "https://nowhere.invalid"
    result = vns(server, "list", "--api-url", url, cwd=tmp_path)
    assert result.code == 7
    assert result.lines[0].startswith("error: nowhere.invalid cannot be reached: ")


@contextmanager
def encrypting(api: Server, folder: Path) -> Iterator[str]:
    """Serve over TLS; yield the path of the certificate, which nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    api.socket = context.wrap_socket(api.socket, server_side=True)
    yield str(path)


def test_encryption(api: Server, tmp_path: Path) -> None:
    """A certificate that nobody trusts is refused, before the token is sent; else all is well."""
    with encrypting(api, tmp_path) as certificate:
        words = ("archive", "calls", "--api-url", f"https://localhost:{api.server_port}")
        refused = vns(api, *words, cwd=tmp_path)
        assert refused.code == 7
        assert refused.lines[0] == (
            f"error: the certificate of localhost:{api.server_port} is not trusted: "
            "self-signed certificate"
        )
        assert "SSL_CERT_FILE" in refused.lines[1]
        assert api.seen == []
        assert vns(api, *words, cwd=tmp_path, SSL_CERT_FILE=certificate).code == 0
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO}


def test_a_proxy(api: Server, tmp_path: Path) -> None:
    """It is asked for a way to a server elsewhere, and never sees the token."""
    heard: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            heard.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    proxy = f"http://name:word@127.0.0.1:{listening.getsockname()[1]}"
    words = ("list", "--api-url", "https://elsewhere.example")
    result = vns(api, *words, cwd=tmp_path, https_proxy=proxy, no_proxy="")
    listening.close()
    assert result.code == 7
    assert result.lines[0] == ("error: the proxy does not lead to elsewhere.example: 403 Forbidden")
    assert heard[0].startswith(b"CONNECT elsewhere.example:443 HTTP/1.1")
    assert b"Proxy-Authorization: Basic bmFtZTp3b3Jk" in heard[0]
    assert TOKEN.encode() not in b"".join(heard)


def test_the_program_names_itself(api: Server, tmp_path: Path) -> None:
    """So that the operator of a server knows whom to ask."""
    vns(api, "archive", ".", cwd=tmp_path)
    agents = {headers["User-Agent"] for _, _, headers in api.seen}
    assert len(agents) == 1
    assert agents.pop().startswith("filedecryptor/0.")
