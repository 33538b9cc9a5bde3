"""Connections that end in a bounded time."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.recordings import AUDIO, MP3, encrypt
from support.vns import ONE, TWO, stored, trickling, vns


@pytest.mark.parametrize("part", ["status", "headers", "body", "chunks"])
def test_whoever_sends_a_byte_now_and_then_is_given_up(
    api: Server, tmp_path: Path, part: str
) -> None:
    """Wherever it trickles, the time for it is bounded, and the others are stored."""
    api.recordings[TWO] = encrypt(MP3)
    api.behaviours.append(trickling(part))
    begin = time.monotonic()
    result = vns(api, "archive", ".", "--timeout", "0.3", cwd=tmp_path)
    assert time.monotonic() - begin < 15
    assert result.code == 7
    assert f"error: {ONE}: {api.url[7:]} sends less than 1000 bytes a second" in result.lines
    assert stored(tmp_path) == {f"{TWO}.mp3": MP3}


def test_a_slow_server_is_waited_for(api: Server, tmp_path: Path) -> None:
    """If what it sends is little, but enough."""
    api.recordings[ONE] = encrypt(MP3)

    def send_slowly(handler: Handler) -> bool:
        if handler.path != f"{PATH}/{ONE}":
            return False
        body = handler.server.recordings[ONE]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        for begin in range(0, len(body), 2000):
            handler.wfile.write(body[begin : begin + 2000])
            time.sleep(0.1)
        return True

    api.behaviours.append(send_slowly)
    assert vns(api, "archive", ".", "--timeout", "0.5", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1


@pytest.mark.parametrize("path", [PATH, f"{PATH}/{ONE}"], ids=["list", "recording"])
def test_the_time_for_all_of_it(api: Server, tmp_path: Path, path: str) -> None:
    """`--max-time` ends everything, in one line; what is not done is not tried."""
    for number in range(40):
        api.recordings[f"{number:08}-0000-4000-8000-00000000000f"] = encrypt(AUDIO)
        api.behaviours.append(trickling("body", path=f"{path[:38]}{number:08}{path[46:]}"))
    api.behaviours.append(trickling("body", path=path))
    for guid in list(api.recordings):
        api.behaviours.append(trickling("body", path=f"{PATH}/{guid}"))
    begin = time.monotonic()
    result = vns(api, "archive", ".", "--max-time", "1", "-j", "4", cwd=tmp_path)
    assert time.monotonic() - begin < 8
    assert result.code == 7
    lines = [line for line in result.lines if "the 1 seconds of --max-time are over" in line]
    assert len(lines) == 1
    assert (f"{len(api.recordings) - 1} recordings not tried" in result.stderr) == (path != PATH)


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
    now = dt.datetime.now(dt.timezone.utc)
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
