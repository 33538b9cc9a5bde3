"""Certificates, and servers on loopback that speak TLS, or do not."""

from __future__ import annotations

import datetime as dt
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.api_server import Handler, QuietServer


def certificate(
    folder: Path,
    name: str = "localhost",
    *,
    begin: float = -1,
    end: float = 1,
    is_for_clients: bool = False,
) -> Path:
    """Write a certificate that nobody else has signed, and its key; return their path.

    It is valid from `begin` to `end`, in days from now.
    """
    try:
        subject: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    key = ec.generate_private_key(ec.SECP256R1())
    owner = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    use = ExtendedKeyUsageOID
    made = (
        x509.CertificateBuilder(owner, owner, key.public_key(), serial_number=1)
        .not_valid_before(now + dt.timedelta(days=begin))
        .not_valid_after(now + dt.timedelta(days=end))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([use.CLIENT_AUTH if is_for_clients else use.SERVER_AUTH]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def server_context(path: Path) -> ssl.SSLContext:
    """Return the context of a server that has the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def secure(server: QuietServer, path: Path) -> None:
    """Let a server speak TLS."""
    server.socket = server_context(path).wrap_socket(server.socket, server_side=True)


def tunnel(handler: Handler) -> bool:
    """As the behaviour of a proxy: lead to the server that is asked for."""
    host, _, port = handler.path.rpartition(":")
    client = handler.connection
    with socket.create_connection((host, int(port))) as server, suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            held = isinstance(client, ssl.SSLSocket) and client.pending()
            ready = [client] if held else select.select([client, server], [], [])[0]
            for one in ready:
                data = one.recv(1 << 16)
                if not data:
                    handler.close_connection = True
                    return True
                (server if one is client else client).sendall(data)
    handler.close_connection = True
    return True


class Listener:
    """A port, and how often somebody has connected to it."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.count = 0


@contextmanager
def listening(answer: Callable[[socket.socket], object]) -> Iterator[Listener]:
    """Answer whoever connects, and hang up."""
    listener = Listener()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.socket.accept()
                listener.count += 1
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener
    finally:
        listener.socket.shutdown(socket.SHUT_RDWR)
        listener.socket.close()
        thread.join()
