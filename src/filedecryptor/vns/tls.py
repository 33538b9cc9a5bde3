"""TLS: what certificates are trusted, and why a connection is refused for good."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable
from contextlib import suppress

from filedecryptor.errors import ApiError, UsageError
from filedecryptor.vns import times

KEY_LOG, FILE, DIRECTORY = "SSLKEYLOGFILE", "SSL_CERT_FILE", "SSL_CERT_DIR"
NOT_READ = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # variables that others name certificates with
REFUSALS = {
    "WRONG_VERSION_NUMBER|PACKET_LENGTH|RECORD_LAYER|HTTP_REQUEST": (
        "it does not speak TLS, perhaps plain HTTP"
    ),
    "ALERT_PROTOCOL|UNSUPPORTED_PROTOCOL": "it offers no version of TLS that is allowed here",
    "CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED": "it asks for a client certificate, and there is none",
    "UNRECOGNIZED_NAME": "it knows no server of this name",
    "HANDSHAKE_FAILURE": "it accepts no cipher that is offered, or asks for a client certificate",
    "CIPHER|SECURITY|TOO_SMALL|RENEGOTIATION": "what it offers is not safe enough to be allowed",
}
"""OpenSSL's reasons that no further attempt changes, and what they mean."""

# Results of a verification (OpenSSL, X509_STORE_CTX_get_error(3)).
UNKNOWN_ISSUER, OTHER_TIME, OTHER_NAME = {2, 18, 19, 20, 21}, {9, 10}, {62, 64}


def context(make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the context that `make` returns; raise UsageError if keys cannot be logged."""
    path = os.environ.get(KEY_LOG)
    try:
        return make()
    except OSError as error:
        if not path or error.filename != path:
            raise
        raise UsageError(f"{KEY_LOG}: {path} cannot be written: {error.strerror}") from None


def refusal(error: object, peer: str) -> ApiError | None:
    """Return the error for a connection that is refused for good; None if it may yet succeed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = f"the certificate of {peer} is not trusted: {error.verify_message.rstrip('.')}"
        hint = (
            "no setting here helps: tell the owner of the server, or of the proxy on the way to it"
        )
        if error.verify_code in UNKNOWN_ISSUER:
            hint = _trust()
        elif error.verify_code in OTHER_NAME:
            hint = "the address is wrong, or a proxy answers in the place of the server"
        elif error.verify_code in OTHER_TIME:
            clock = f"the clock of this machine says {times.shown(times.now())}"
            hint = f"{clock}; if that is right, tell the owner of the server"
        return ApiError(cause, hint=hint)
    reason = (isinstance(error, ssl.SSLError) and error.reason) or ""
    words = next((words for pattern, words in REFUSALS.items() if re.search(pattern, reason)), None)
    return ApiError(f"{peer} cannot be reached by TLS: {words}") if words else None


def _trust() -> str:
    """Return what the variables come to that name certificates, or which one to set."""
    directories = os.environ.get(DIRECTORY, "").split(os.pathsep)
    named = [(FILE, os.environ.get(FILE)), *((DIRECTORY, path) for path in directories)]
    if found := [f"{name}: {path} {_content(name, path)}" for name, path in named if path]:
        return "; ".join(found)
    if other := next(filter(os.environ.get, NOT_READ), None):
        return f"{other} is not read here: use the variable {FILE} in its place"
    return f"if it is a proxy's, name its certificate with the variable {FILE}"


def _content(variable: str, path: str) -> str:
    """Return what OpenSSL finds in the file, or the directory, that a variable names."""
    store, none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "no certificate in PEM"
    try:
        if variable == DIRECTORY:
            none = "no certificate under the name of its hash, as `openssl rehash` makes them"
            count = sum(bool(re.fullmatch(r"[0-9a-f]{8}\.\d+", name)) for name in os.listdir(path))
        else:
            with suppress(ssl.SSLError):
                store.load_verify_locations(path)
            count = store.cert_store_stats()["x509"]
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    some = f"{count} certificate{'s' if count > 1 else ''}, but not the one that signed this"
    return f"holds {some if count else none}"
