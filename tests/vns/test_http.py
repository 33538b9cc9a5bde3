"""HTTP: addresses, pauses, how long a run may take, and who is trusted."""

from __future__ import annotations

import datetime as dt
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from pathlib import Path
from threading import Barrier

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support.api_server import PATH, TOKEN, Handler, Server, serving
from support.recordings import AUDIO, MP3, encrypt
from support.vns import NUMBERED, ONE, failing, stored, trickling, vns

from filedecryptor.core.decryptor import ignore
from filedecryptor.errors import ApiError
from filedecryptor.vns import Client, http, retry

INVALID = [
    *("", "a.example", "ftp://a.example", "https://", "https://user@a.example"),
    *("https://a.example\\@b.example", "https://a.example/\nx", "https://a.example/ x"),
    *("https://b\u00fccher.example", "https://[x", "https://a.example:port"),
    *("https://a.example:99999", "https://a.example:0", "\thttps://a.example"),
]


@pytest.mark.parametrize(
    ("url", "origin", "is_loopback"),
    [
        ("https://a.example", ("https", "a.example", 443), False),
        ("https://A.example:8443/x?y=1#z", ("https", "a.example", 8443), False),
        ("http://[::1]:81/x", ("http", "::1", 81), True),
        ("http://127.0.0.1:8080", ("http", "127.0.0.1", 8080), True),
        ("http://LOCALHOST", ("http", "localhost", 80), True),
        ("http://localhost.example", ("http", "localhost.example", 80), False),
        ("http://127.0.0.999", ("http", "127.0.0.999", 80), False),
        ("http://127.0.0.1.example", ("http", "127.0.0.1.example", 80), False),
        *((url, None, False) for url in INVALID),
    ],
)
def test_addresses(url: str, origin: tuple[str, str, int] | None, *, is_loopback: bool) -> None:
    """What leads where, and to this machine; nothing that hides its host or is read in two ways."""
    address = http.address_of(url)
    assert (address and http.origin(address)) == origin
    assert (address is not None and http.is_loopback(address)) == is_loopback


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("3", 3), ("1.5", 1.5), (" 2 ", 2), ("86400", 60), ("inf", 60), ("9" * 400, 60)),
        *((None, None), ("", None), ("soon", None), ("-1", None), ("0", None), ("nan", None)),
        *(("a, b", None), ("Fri, 31 Dec 999999999999 23:59:59 GMT", None)),
        ("Mon, 01 Jan 2024 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds, fractions and dates, but never more than a minute; None for anything else."""
    assert retry.retry_after(value) == seconds
    then = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    assert 28 < (retry.retry_after(format_datetime(then, usegmt=True)) or 0) <= 30


def test_backoff() -> None:
    """Twice as long each time, randomly shorter, never more than a minute."""
    found = {retry.backoff(1, 3) for _ in range(100)}
    assert all(2 <= seconds <= 4 for seconds in found)
    assert len(found) > 50
    assert retry.backoff(1, 10_000) <= 60


def failing_with(*failures: retry.PassingError) -> Callable[[], float]:
    """Return a request that fails in these ways, one after the other; then it returns the time."""
    left = list(reversed(failures))

    def request() -> float:
        if left:
            raise left.pop()
        return time.monotonic()

    return request


def test_a_pause_is_for_all() -> None:
    """The next request waits for it, and the one after that a little longer; that can be ended."""
    retries = retry.Retries(float)
    begin = time.monotonic()
    first = retries.make(failing_with(retry.BusyError("busy", 0.3)), ignore) - begin
    second = retries.make(failing_with(), ignore) - begin
    assert first > 0.299
    assert second >= first + retry.SPACING / 2
    looks = iter(range(3))
    with pytest.raises(StopIteration):
        retries.make(failing_with(retry.BusyError("busy", 60)), lambda _: next(looks))
    assert time.monotonic() - begin < 30


@pytest.mark.parametrize("failure", [retry.PassingError("x"), retry.BusyError("x", None)], ids=repr)
def test_pauses_grow(monkeypatch: pytest.MonkeyPatch, failure: retry.PassingError) -> None:
    """Until a request gets through; of all threads, if the server is too busy."""
    monkeypatch.setattr(retry, "PAUSE", 0.2)
    monkeypatch.setattr(retry, "BUSY_PAUSE", 0.2)
    retries = retry.Retries(float)
    for _ in range(2):
        begin = time.monotonic()
        seconds = retries.make(failing_with(*[failure] * 3), ignore) - begin
        assert (0.2 + 0.4 + 0.8) / 2 <= seconds < 4


def test_requests_that_are_refused_together_count_once() -> None:
    """Or the first pause of many threads would be a long one."""
    retries, together, refusals = retry.Retries(float), Barrier(6), [0] * 6

    def request() -> float:
        if refusals:
            refusals.pop()
            together.wait(10)
            raise retry.BusyError("busy", None)
        return time.monotonic()

    begin = time.monotonic()
    with ThreadPoolExecutor(6) as pool:
        assert max(pool.map(lambda _: retries.make(request, ignore), range(6))) - begin < 3


def test_a_slow_server_is_waited_for(api: Server, tmp_path: Path) -> None:
    """If what it sends is little, but enough, also if the time ends between two pieces."""
    body = encrypt(MP3)
    api.recordings[ONE] = body

    def send_slowly(handler: Handler) -> bool:
        if handler.path == PATH:
            return False
        handler.send(200, b"", Content_Length=str(len(body)))
        for begin in range(0, len(body), 4000):
            handler.wfile.write(body[begin : begin + 4000])
            time.sleep(0.4)
        return True

    api.behaviours.append(send_slowly)
    assert vns(api, "archive", ".", "--timeout", "1", cwd=tmp_path).code == 0
    assert api.count("GET", f"{PATH}/{ONE}") == 1


@pytest.mark.parametrize("what", ["list", "recordings", "pause"])
def test_the_time_for_all_of_it(api: Server, tmp_path: Path, what: str) -> None:
    """`--max-time` ends everything, also a pause, in one line; what is not done is not tried."""
    api.recordings |= dict.fromkeys(NUMBERED[:40], encrypt(AUDIO))
    guids = [] if what == "list" else api.recordings
    for path in (PATH, *(f"{PATH}/{guid}" for guid in guids))[what != "list" :]:
        pause = failing(503, 503, 503, path=path, Retry_After="60")
        api.behaviours.append(pause if what == "pause" else trickling("body", path=path))
    begin = time.monotonic()
    result = vns(api, "archive", ".", "--max-time", "1", "-j", "4", cwd=tmp_path)
    assert time.monotonic() - begin < 30
    assert result.code == 7
    assert result.stderr.count("the 1 seconds of --max-time are over") == 1
    hint = "hint: run this again: what is stored is not fetched again"
    is_left = (
        f"{len(api.recordings) - 1} recordings not tried" in result.stderr,
        hint in result.lines,
    )
    assert is_left == (what != "list", what != "list")


def certificate_in(folder: Path) -> Path:
    """Return the path of a certificate and its key, which nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial_number=1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def test_encryption(api: Server, tmp_path: Path) -> None:
    """A certificate that is not trusted is refused, before the token is sent; else all is well."""
    certificate = certificate_in(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    api.socket = context.wrap_socket(api.socket, server_side=True)
    server = f"localhost:{api.server_port}"
    words = ("archive", "calls", "--api-url", f"https://{server}")
    refused = vns(api, *words, cwd=tmp_path)
    said = f"error: the certificate of {server} is not trusted: self-signed certificate"
    assert (refused.code, refused.lines[0], api.seen) == (7, said, [])
    assert "SSL_CERT_FILE" in refused.lines[1]
    with pytest.raises(ApiError) as raised:
        Client(TOKEN, url=f"https://{server}").list_recordings()
    assert raised.value.__context__ is None  # which would hold the request and its token
    assert vns(api, *words, cwd=tmp_path, SSL_CERT_FILE=str(certificate)).code == 0
    assert stored(tmp_path / "calls") == {f"{ONE}.opus": AUDIO}


def test_a_proxy(api: Server, tmp_path: Path) -> None:
    """It is asked for a way to a server elsewhere, and never sees the token."""
    with serving() as proxy:
        proxy.tokens = None
        more = {"https_proxy": proxy.url.replace("//", "//name:w%6Frd@"), "no_proxy": ""}
        words = ("list", "--api-url", "https://elsewhere.example")
        result = vns(api, *words, cwd=tmp_path, **more)
    said = "error: the proxy does not lead to elsewhere.example: 404 Not Found"
    assert (result.code, result.lines[0]) == (7, said)
    command, path, headers = proxy.seen[0]
    assert (command, path) == ("CONNECT", "elsewhere.example:443")
    assert headers["Proxy-Authorization"] == "Basic bmFtZTp3b3Jk"
    assert TOKEN not in str(proxy.seen)


def test_no_proxy_gets_the_token_in_clear_text(api: Server, tmp_path: Path) -> None:
    """An address of this machine is asked directly; the program names itself there."""
    with serving() as proxy:
        more = {"http_proxy": proxy.url, "HTTP_PROXY": proxy.url, "all_proxy": proxy.url}
        assert vns(api, "list", cwd=tmp_path, **more).code == 0
        assert proxy.seen == []
    assert api.seen[0][2]["User-Agent"].startswith("filedecryptor/0.")
