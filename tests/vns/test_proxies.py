"""Through which proxy a server is asked, and who is at fault where that fails."""

from __future__ import annotations

import base64
import os
import re
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import TOKEN, Handler, Server, serving
from support.leaks import leaks, told
from support.posix import IS_WINDOWS
from support.tls import certificate, listening, secure, tunnel
from support.vns import NUMBERED, ONE, instead, stored, vns

from filedecryptor.errors import ApiError
from filedecryptor.vns import Client, proxies

NAME, PASSWORD = "proxy-user", "Marked-Proxy-9"
SECRETS = (NAME, PASSWORD, TOKEN)
ELSEWHERE = ("--api-url", "https://elsewhere.example")
FORM = "is not the address of a proxy\nhint: write it as http://"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of these tests names none."""
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def refusing(status: int, times: int | None = None) -> Any:
    """Return the behaviour of a proxy that leads nowhere, and repeats what it was sent."""

    def answer(handler: Handler) -> None:
        handler.send_response(status, handler.headers.get("Proxy-Authorization", ""))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return instead(answer, lambda _: True, "CONNECT", times)


@pytest.mark.parametrize(
    ("variable", "address", "said"),
    [
        *(
            (variable, f"{scheme}://USER@127.0.0.1:1080", f" {scheme}://, which is ")
            for variable, scheme in [
                *(("ALL_PROXY", "socks5"), ("all_proxy", "socks5h")),
                *(("HTTPS_PROXY", "socks4"), ("https_proxy", "ftp")),
            ]
        ),
        *(
            ("HTTPS_PROXY", address, FORM)
            for address in [
                *("None", "DIRECT", "http://", "http://:3128", ":3128", "http://None:None"),
                *("http://USER@127.0.0.1:abc", "http://USER@127.0.0.1:99999", "127.0.0.1:0"),
                *("USER@", "http://USER@a b:80", "PROXY 10.0.0.1:8080", "http:/a.example:80"),
                *("http://a..example", "http://[::1", "http://::1:80", f"http://{'a' * 64}:80"),
                *("'http://USER@127.0.0.1:80'", "http=127.0.0.1:80", "http://127.0.0.1:-1"),
                *(f"http://{NAME}@{PASSWORD}:127.0.0.1:80", "http://USER@prox\u00fd:80"),
            ]
        ),
    ],
)
def test_an_unfit_address(tmp_path: Path, variable: str, address: str, said: str) -> None:
    """It is a usage error that names the variable, at once, and shows no part of a password."""
    env = {variable: address.replace("USER", f"{NAME}:{PASSWORD}")}
    result = vns(Server(), "archive", ".", *ELSEWHERE, cwd=tmp_path, **env)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr.startswith(f"error: {variable.upper() if IS_WINDOWS else variable} ")
    assert said in result.stderr
    assert "hint: " in result.stderr
    assert not leaks(result.stderr, *SECRETS)


@pytest.mark.parametrize(
    ("address", "place", "auth"),
    [
        ("127.0.0.1:3128", "127.0.0.1:3128", None),
        (" http://a.example \n", "a.example:80", None),
        ("HTTPS://a.example./x", "a.example.:443", None),
        ("[::1]:3128", "[::1]:3128", None),
        ("http://us@a:1", "a:1", (b"us", b"")),
        ("http://u%40s:p%3Ass@a:1", "a:1", (b"u@s", b"p:ss")),
        ("us:p\u00e4@b:1", "b:1", (b"us", "p\u00e4".encode())),
        ("http://us:p%C3%A4@a:1", "a:1", (b"us", "p\u00e4".encode())),
        ("http://us:p\udce4@a:1", "a:1", (b"us", b"p\xe4")),
        ("http://u@c:p/a:1#2?s@3@a:1", "a:1", (b"u@c", b"p/a:1#2?s@3")),
    ],
)
def test_addresses(monkeypatch: pytest.MonkeyPatch, address: str, place: str, auth: Any) -> None:
    """A scheme may be left out, blanks do not count, and a password may hold anything."""
    monkeypatch.setenv("HTTPS_PROXY", address)
    found = proxies.find("elsewhere.example", 443)
    assert found is not None
    proxy = proxies.Proxy(*found)
    assert (str(proxy), proxy.auth) == (f"the proxy {place} (HTTPS_PROXY)", auth)
    assert not leaks(repr(proxy), *SECRETS)


@pytest.mark.parametrize(
    ("url", "excepting", "others"),
    [
        (
            "a.example:443",
            [
                *("a.example", ".a.example", "A.Example", "example", "*", "b, a.example"),
                *("a.example:443", "b:1, a.example:443,c"),
            ],
            ["", ",", ".", "b.a.example", "a.example:8443", "le"],
        ),
        ("b.a.example:8443", ["a.example", ".example:8443"], ["b.a.example:443"]),
        ("ba.example:443", [], ["a.example"]),
        ("::1:443", ["::1", "[::1]", "[::1]:443"], ["::2", "[::1]:444"]),
        ("10.1.2.3:443", ["10.1.2.3", "x,10.1.2.3:443"], ["10.1.2", "10."]),
    ],
)
def test_exceptions(
    monkeypatch: pytest.MonkeyPatch, url: str, excepting: list[str], others: list[str]
) -> None:
    """Names, with what is below them, numbers and ports, as other programs read them."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    host, _, port = url.rpartition(":")
    for exceptions in excepting + others:
        monkeypatch.setenv("NO_PROXY", exceptions)
        found = None if exceptions in excepting else ("http://proxy.example:3128", "ALL_PROXY")
        assert proxies.find(host, int(port)) == found, exceptions


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"HTTPS_PROXY": "a:1", "https_proxy": "b:1", "ALL_PROXY": "c:1"}, ("b:1", "https_proxy")),
        ({"HTTPS_PROXY": "a:1", "https_proxy": "a:1"}, ("a:1", "https_proxy")),
        ({"HTTPS_PROXY": " ", "all_proxy": "c:1"}, ("c:1", "all_proxy")),
        ({"HTTPS_PROXY": "", "http_proxy": "d:1"}, None),
        ({"HTTPS_PROXY": "a:1", "no_proxy": "x.example"}, None),
    ],
)
@pytest.mark.skipif(IS_WINDOWS, reason="Windows does not tell the spellings apart")
def test_variables(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], found: Any) -> None:
    """The lower case counts before the upper, one that is empty not at all."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxies.find("x.example", 443) == found


@pytest.mark.parametrize(
    ("answer", "attempts", "said"),
    [
        (partial(refusing, 403), 1, "PROXY does not lead to elsewhere.example: 403 Forbidden"),
        (partial(refusing, 599), 1, "PROXY does not lead to elsewhere.example: 599"),
        (partial(refusing, 502), 5, "PROXY does not lead to elsewhere.example: 502 Bad Gateway"),
        (partial(refusing, 407), 1, "the proxy PLACE refuses the name and password in HTTPS_PROXY"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 5, "the answer of PROXY breaks off, or is not valid HTTP"),
        (b"\x05\xff", 5, "the answer of PROXY breaks off, or is not valid HTTP"),
        (b"", 5, "the answer of PROXY breaks off, or is not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n|", 5, "elsewhere.example through PROXY cannot be reached: EOF"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n|no TLS",
            1,
            "elsewhere.example through PROXY cannot be reached b",
        ),
    ],
)
def test_the_proxy_is_at_fault(tmp_path: Path, answer: Any, attempts: int, said: str) -> None:
    """That is said, and where it is set; what may pass is tried again; no password is shown."""

    def send(connection: Any) -> None:
        for part in answer.split(b"|"):
            connection.recv(5000)  # what is left unread resets the line
            connection.sendall(part)

    with listening(send) as listener, serving() as proxy:
        proxy.tokens = None
        is_raw = isinstance(answer, bytes)
        proxy.behaviours += [] if is_raw else [answer()]
        place = f"127.0.0.1:{listener.port if is_raw else proxy.server_port}"
        env = {"HTTPS_PROXY": f"http://{NAME}:{PASSWORD}@{place}"}
        result = vns(Server(), "archive", ".", *ELSEWHERE, cwd=tmp_path, **env)
        assert (listener.count or len(proxy.seen)) == attempts
    said = re.sub(r"\bPROXY\b", "the proxy PLACE (HTTPS_PROXY)", said).replace("PLACE", place)
    assert result.code == 7
    assert result.stderr.startswith(f"error: {said}")
    assert not leaks(result.stderr, *SECRETS)
    assert TOKEN not in str(proxy.seen)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (
            "127.0.0.1:1",
            "the proxy 127.0.0.1:1 (HTTPS_PROXY) cannot be reached: Connection refused",
        ),
        ("nowhere.invalid:1", "the proxy nowhere.invalid:1 (HTTPS_PROXY) cannot be reached: "),
    ],
)
def test_no_proxy_is_there(tmp_path: Path, place: str, said: str) -> None:
    """It is named instead of the server."""
    env = {"HTTPS_PROXY": f"http://{NAME}:{PASSWORD}@{place}"}
    result = vns(Server(), "list", *ELSEWHERE, cwd=tmp_path, **env)
    assert result.code == 7
    assert result.stderr.startswith(f"error: {said}")
    assert not leaks(result.stderr, *SECRETS)


@pytest.mark.parametrize("words", [["download", "-j", "8"], ["delete", "--yes"]])
@pytest.mark.parametrize("user", [f"{NAME}:{PASSWORD}@", ""])
def test_a_wrong_password_is_sent_once(tmp_path: Path, words: list[str], user: str) -> None:
    """However many requests there are, as more would lock the account."""
    with serving() as proxy:
        proxy.tokens = None
        proxy.behaviours.append(refusing(407))
        env = {"ALL_PROXY": proxy.url.replace("//", f"//{user}")}
        words += [*NUMBERED[:10], *ELSEWHERE]
        result = vns(Server(), *words, cwd=tmp_path, **env)
    assert (result.code, len(proxy.seen)) == (7, 1)
    assert not leaks(result.stderr, *SECRETS)
    said = "refuses the name and password in ALL_PROXY (status 407)"
    assert (said if user else "(ALL_PROXY) wants a name and a password") in result.stderr


def test_a_refused_password_in_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client does not send it again, and the error leads to no secret."""
    with serving() as proxy:
        proxy.tokens = None
        proxy.behaviours.append(refusing(407, times=1))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//{NAME}:{PASSWORD}@"))
        with Client(TOKEN, url=ELSEWHERE[1]) as client:
            for _ in range(2):
                with pytest.raises(ApiError) as raised:
                    client.list_recordings()
                assert not leaks(told(raised.value), *SECRETS)
    assert len(proxy.seen) == 1


def test_a_proxy_that_is_known_is_asked_side_by_side(tmp_path: Path) -> None:
    """Once it has answered at all, as one that is slow would be waited for again and again."""
    together = Barrier(2, timeout=20)

    def answer(handler: Handler) -> bool:
        if len(proxy.seen) in {2, 3}:
            together.wait()
        handler.send(502 if len(proxy.seen) == 1 else 403, b"")
        return True

    with serving() as proxy:
        proxy.tokens = None
        proxy.behaviours.append(answer)
        env = {"HTTPS_PROXY": proxy.url}
        words = ("download", "-j", "2", *NUMBERED[:2], *ELSEWHERE)
        assert vns(Server(), *words, cwd=tmp_path, **env).code == 7
    assert not together.broken


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_way_through(api: Server, tmp_path: Path, scheme: str) -> None:
    """It sees neither the token nor what is asked for; its own password comes in UTF-8."""
    pem = certificate(tmp_path)
    secure(api, pem)
    api.recordings |= dict.fromkeys(NUMBERED[:5], api.recordings[ONE])
    with serving() as proxy:
        proxy.tokens = None
        proxy.behaviours += [refusing(503, times=2), tunnel]
        if scheme == "https":
            secure(proxy, pem)
        env = {
            "HTTPS_PROXY": f"{scheme}://us:p\u00e4@localhost:{proxy.server_port}",
            "SSL_CERT_FILE": str(pem),
        }
        words = ("archive", "calls", "--api-url", f"https://localhost:{api.server_port}")
        result = vns(api, *words, cwd=tmp_path, **env)
        assert (result.code, len(stored(tmp_path / "calls"))) == (0, 6)
    sent = "Basic " + base64.b64encode("us:p\u00e4".encode()).decode("ascii")
    for command, path, headers in proxy.seen:
        assert (command, path) == ("CONNECT", f"localhost:{api.server_port}")
        assert headers["Proxy-Authorization"] == sent
        assert "Token" not in headers
    assert "Proxy-Authorization" not in str(api.seen)


def test_a_proxy_that_is_not_trusted(tmp_path: Path) -> None:
    """It is its certificate that is at fault."""
    with serving() as proxy:
        secure(proxy, certificate(tmp_path))
        place = f"localhost:{proxy.server_port}"
        env = {"HTTPS_PROXY": f"https://{NAME}:{PASSWORD}@{place}"}
        result = vns(Server(), "list", *ELSEWHERE, cwd=tmp_path, **env)
    said = f"error: the certificate of the proxy {place} (HTTPS_PROXY) is not trusted: self-signed"
    assert (result.code, proxy.seen) == (7, [])
    assert result.stderr.startswith(said)


def test_no_proxy_gets_the_token_in_clear_text(api: Server, tmp_path: Path) -> None:
    """An address of this machine is asked directly; the program names itself there."""
    with serving() as proxy:
        more = {"http_proxy": proxy.url, "HTTP_PROXY": proxy.url, "all_proxy": proxy.url}
        assert vns(api, "list", cwd=tmp_path, **more).code == 0
        assert proxy.seen == []
    assert api.seen[0][2]["User-Agent"].startswith("filedecryptor/0.")
