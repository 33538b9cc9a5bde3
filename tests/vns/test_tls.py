"""What certificates are trusted, and what is said where TLS is refused."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import TOKEN, Server
from support.tls import certificate, listening, secure, server_context
from support.vns import ONE, stored, vns, vns_process

from filedecryptor.errors import ApiError
from filedecryptor.vns import Client, tls


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of these tests names no certificates."""
    for name in (tls.FILE, tls.DIRECTORY, *tls.NOT_READ, tls.KEY_LOG):
        monkeypatch.delenv(name, raising=False)


def test_encryption(api: Server, tmp_path: Path) -> None:
    """A certificate that is not trusted is refused, before the token is sent; else all is well."""
    pem = certificate(tmp_path)
    secure(api, pem)
    server = f"localhost:{api.server_port}"
    words = ("archive", "calls", "--api-url", f"https://{server}")
    refused = vns(api, *words, cwd=tmp_path)
    said = f"error: the certificate of {server} is not trusted: self-signed certificate"
    assert (refused.code, refused.lines[0], api.seen) == (7, said, [])
    assert "SSL_CERT_FILE" in refused.lines[1]
    with pytest.raises(ApiError) as raised:
        Client(TOKEN, url=f"https://{server}").list_recordings()
    assert raised.value.__context__ is None  # which would hold the request and its token
    assert vns(api, *words, cwd=tmp_path, SSL_CERT_FILE=str(pem)).code == 0
    assert set(stored(tmp_path / "calls")) == {f"{ONE}.opus"}


FILE, FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"
# What is said of a variable, and of others that are set beside it.
UNHELPFUL = [
    ("", "", "if it is a proxy's, name its certificate with the variable SSL_CERT_FILE"),
    (FILE, "gone.pem", "SSL_CERT_FILE: gone.pem cannot be read: No such file or directory"),
    (FILE, ".", "SSL_CERT_FILE: . cannot be read: Is a directory"),
    (FILE, "no.pem", "SSL_CERT_FILE: no.pem holds no certificate in PEM"),
    (FILE, "x\x1b.der", "SSL_CERT_FILE: x\\x1b.der holds no certificate in PEM"),
    (FILE, "mine.pem", "SSL_CERT_FILE: mine.pem cannot be read: Permission denied"),
    (FILE, "two.pem", "SSL_CERT_FILE: two.pem holds 2 certificates, but not the one that signed "),
    (FOLDER, "gone:.", "SSL_CERT_DIR: gone cannot be read: No such file or directory; SSL_CERT_DI"),
    (FOLDER, "x:.", "; SSL_CERT_DIR: . holds no certificate under the name of its hash, as `ope"),
    (FOLDER, "hashes", "SSL_CERT_DIR: hashes holds 1 certificate, but not the one that signed thi"),
    ("CURL_CA_BUNDLE", "two.pem", "CURL_CA_BUNDLE is not read here: use the variable SSL_CERT_FI"),
    ("REQUESTS_CA_BUNDLE", "x", "REQUESTS_CA_BUNDLE is not read here: use the variable SSL_CERT_F"),
]


@pytest.mark.parametrize(("variable", "value", "said"), UNHELPFUL)
def test_trust_that_does_not_help(
    api: Server, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    """What is wrong with the file or the directory that the environment names is said."""
    secure(api, certificate(tmp_path))
    (tmp_path / "hashes").mkdir()
    other = certificate(tmp_path / "hashes", "other.example").read_bytes()
    (tmp_path / "hashes" / "0123abcd.0").write_bytes(other)
    (tmp_path / "two.pem").write_bytes(other + certificate(tmp_path / "hashes").read_bytes())
    (tmp_path / "no.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    (tmp_path / "x\x1b.der").write_bytes(b"\x30\x82")
    (tmp_path / "mine.pem").touch(0)
    words = ("list", "--api-url", f"https://localhost:{api.server_port}")
    variables = {variable: value.replace(":", os.pathsep)} if variable else {}
    if value == "mine.pem":
        result = vns_process(api, *words, cwd=tmp_path, as_anybody=True, **variables)
    else:
        result = vns(api, *words, cwd=tmp_path, **variables)
    assert (result.code, api.seen) == (7, [])
    assert result.lines[0].endswith("is not trusted: self-signed certificate")
    assert said in result.lines[1]


@pytest.mark.parametrize(
    ("made", "said", "hint"),
    [
        ({"end": -0.5}, "certificate has expired\n", "the clock of this machine says 20"),
        ({"begin": 0.5}, "certificate is not yet valid\n", "the clock of this machine says 20"),
        ({"name": "b.example"}, "Hostname mismatch, ", "the address is wrong, or "),
        ({"is_for_clients": True}, "unsuitable certificate purpose\n", "no setting here helps"),
    ],
)
def test_a_certificate_that_does_not_fit(
    api: Server, tmp_path: Path, made: dict[str, Any], said: str, hint: str
) -> None:
    """Where trust is not what is missing, no variable is named for it."""
    pem = certificate(tmp_path, **made)
    secure(api, pem)
    server = f"localhost:{api.server_port}"
    words = ("list", "--api-url", f"https://{server}")
    result = vns(api, *words, cwd=tmp_path, SSL_CERT_FILE=str(pem))
    assert (result.code, api.seen) == (7, [])
    assert result.stderr.startswith(f"error: the certificate of {server} is not trusted: {said}")
    assert result.lines[1].startswith(f"hint: {hint}")
    assert "SSL_CERT_FILE" not in result.stderr


def old(context: ssl.SSLContext) -> None:
    """Speak no TLS that is newer than 1.1."""
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1


def strange(context: ssl.SSLContext) -> None:
    """Accept only ciphers for which there is no certificate."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")


def asking(version: ssl.TLSVersion) -> Callable[[ssl.SSLContext], None]:
    """Return what lets a server want a certificate from its clients."""

    def change(context: ssl.SSLContext) -> None:
        context.maximum_version = version
        context.verify_mode = ssl.CERT_REQUIRED

    return change


def alerting(alert: ssl.AlertDescription) -> Callable[[ssl.SSLContext], None]:
    """Return what lets a server answer with this."""

    def change(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda *_: alert

    return change


BY_TLS, ALERTS = " by TLS: it ", ssl.AlertDescription


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    ("answer", "attempts", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1, f"{BY_TLS}does not speak TLS, perhaps plain H"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 1, f"{BY_TLS}does not speak TLS, perhaps plain HTTP"),
        (old, 1, f"{BY_TLS}offers no version of TLS that is allowed here"),
        (strange, 1, f"{BY_TLS}accepts no cipher that is offered, or asks for a client certi"),
        (asking(ssl.TLSVersion.TLSv1_2), 1, f"{BY_TLS}accepts no cipher that is offered, or"),
        (asking(ssl.TLSVersion.TLSv1_3), 1, f"{BY_TLS}asks for a client certificate, and "),
        (alerting(ALERTS.ALERT_DESCRIPTION_UNRECOGNIZED_NAME), 1, f"{BY_TLS}knows no server of"),
        (alerting(ALERTS.ALERT_DESCRIPTION_INTERNAL_ERROR), 5, ": tlsv1 alert internal error"),
        (b"", 5, ": EOF occurred in violation of protocol"),
    ],
)
def test_what_tls_refuses(tmp_path: Path, answer: Any, attempts: int, said: str) -> None:
    """It is said in words, and not tried again where that cannot help."""
    pem = certificate(tmp_path)
    context = server_context(pem)
    if callable(answer):
        answer(context)

    def send(connection: Any) -> None:
        if callable(answer):
            with context.wrap_socket(connection, server_side=True) as encrypted:
                encrypted.recv(1000)
        else:
            connection.recv(1000)
            connection.sendall(answer)

    with listening(send) as listener:
        server = f"localhost:{listener.port}"
        words = ("list", "--api-url", f"https://{server}")
        result = vns(Server(), *words, cwd=tmp_path, SSL_CERT_FILE=str(pem))
        assert (result.code, listener.count) == (7, attempts)
    assert result.stderr.startswith(f"error: {server} cannot be reached{said}")
    assert "_ssl" not in result.stderr
    assert "[" not in result.stderr


@pytest.mark.parametrize("path", ["gone/keys", "."])
def test_keys_that_cannot_be_logged(tmp_path: Path, path: str) -> None:
    """The variable is named, once."""
    words = ("archive", ".", "--api-url", "https://a.example")
    result = vns(Server(), *words, cwd=tmp_path, SSLKEYLOGFILE=path)
    assert (result.code, len(result.lines)) == (2, 1)
    assert result.lines[0].startswith(f"error: SSLKEYLOGFILE: {path} cannot be written: ")
