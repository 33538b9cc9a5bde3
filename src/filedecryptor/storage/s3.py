"""S3 by `s3fs`: requests are repeated in one place only, and errors keep the store's words.

`s3fs` repeats requests in two places and `botocore` in a third, which can add up to minutes; and
`s3fs` replaces most errors by a few general ones.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import os
import random
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial
from http import HTTPStatus
from ssl import SSLError
from threading import Semaphore, Thread
from typing import Any, TypeVar, cast

from aiobotocore.httpsession import AIOHTTPSession  # type: ignore[import-untyped]
from aiobotocore.session import AioSession  # type: ignore[import-untyped]
from aiohttp import (
    ClientConnectorError,
    ClientHttpProxyError,
    ClientOSError,
    ClientResponseError,
    ClientTimeout,
)
from botocore.configprovider import ConstantProvider  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)
from botocore.handlers import add_expect_header  # type: ignore[import-untyped]
from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from s3fs.core import S3_RETRYABLE_ERRORS

from filedecryptor.errors import StorageError, UnavailableError, in_one_line

Result = TypeVar("Result")

# In seconds. A request is made again until so long after its first failure; the last one may take
# 15 more, if the store does not answer at all.
RETRY_TIME = 15.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 4.0  # between them; each is twice the last, randomly less
REQUEST_TIME = 600.0  # that one may take, however slowly it goes on

PASSING_CODES = {
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "XAmzContentSHA256Mismatch",
}
"""Codes of temporary refusals, besides all with a status of 429, or of 500 and above but 501."""

PASSING_ERRORS = (
    *S3_RETRYABLE_ERRORS,
    EndpointConnectionError,
    ConnectTimeoutError,
    ProxyConnectionError,
)

NO_CONDITIONS = {400, 405, 501}  # statuses of stores that do not know `If-None-Match`
unconditional = Semaphore(0)  # released for each store that is found to know no conditional writes

HINTS = {
    "AuthorizationHeaderMalformed": "set AWS_DEFAULT_REGION to the region of the bucket",
    "EndpointConnectionError": "see AWS_ENDPOINT_URL, or the profile, and whether the store is up",
    "ExpiredToken": "renew the credentials, then run this again",
    "IllegalLocationConstraintException": "set AWS_DEFAULT_REGION to the region of the bucket",
    "InvalidAccessKeyId": "see that AWS_ACCESS_KEY_ID, or the profile, is for this store",
    "InvalidObjectState": "it is archived (S3 Glacier): restore it there, then run this again",
    "InvalidToken": "renew the credentials, then run this again",
    "JSONDecodeError": "see what the credential_process of the profile prints",
    "NoCredentialsError": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a"
    " public bucket, FSSPEC_S3_ANON=true",
    "ParamValidationError": "see the address: an object is s3://BUCKET/KEY",
    "PermanentRedirect": "set AWS_DEFAULT_REGION to the region of the bucket",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "SSOTokenLoadError": "log in by 'aws sso login', then run this again",
    "SignatureDoesNotMatch": "see that AWS_SECRET_ACCESS_KEY, or the profile, is for this store",
    "SlowDown": "run this again later, with a smaller number of --jobs",
    "TokenRetrievalError": "log in by 'aws sso login', then run this again",
    "UnauthorizedSSOTokenError": "log in by 'aws sso login', then run this again",
}
"""What to do about a refusal, by its code, or about an error of `botocore`, by its type."""

SETTINGS = "see the variables AWS_... and the files in ~/.aws"  # a hint about anything else

# A program for credentials may be missing, for instance, or print old ones, or only half of them.
FAILURES = (ClientError, BotoCoreError, OSError, ValueError, KeyError, EOFError, RuntimeError)

# Requests for credentials, by services that are not the store and know nothing of its objects.
CREDENTIALS = {"AssumeRole", "AssumeRoleWithWebIdentity", "CreateToken", "GetRoleCredentials"}

PERMISSIONS = {"ListObjectsV2": "s3:ListBucket", "HeadObject": "s3:GetObject"} | dict.fromkeys(
    ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "s3:PutObject"
)
"""Permissions that have other names than the operations which need them."""

PROMISED = {"create_multipart_upload": "UploadId", "put_object": "ETag", "upload_part": "ETag"}
PROMISED["complete_multipart_upload"] = "Key"  # whose ETag Ceph leaves empty
"""What an answer holds for certain, unless it is a page to log in, for instance."""

CONTENT_TYPES = {".html": "text/html; charset=utf-8", ".json": "application/json"}  # for browsers
CONTENT_TYPES |= {".mp3": "audio/mpeg", ".opus": "audio/ogg", ".wav": "audio/wav"}


_md5 = partial(hashlib.md5, usedforsecurity=False)


class Connections(AIOHTTPSession):  # type: ignore[misc]
    """The connections to a store, none of which takes for ever to be made."""

    def __init__(self, timeout: tuple[float, float], **options: object) -> None:
        super().__init__(timeout=timeout, **options)
        connect, read = timeout
        # Or aiohttp waits for ever for proxies that say nothing.
        self._timeout = ClientTimeout(connect=connect + read, sock_connect=connect, sock_read=read)


class S3(S3FileSystem):  # type: ignore[misc]
    """An S3 store whose errors are ours: `FileNotFoundError`, `FileExistsError`, `StorageError`."""

    retries = 1
    session: AioSession
    knows_conditions = True

    def __init__(self, **options: object) -> None:
        super().__init__(loop=_loop(os.getpid()), **options)
        self.config_kwargs.setdefault("retries", {"total_max_attempts": 1})
        self.config_kwargs.setdefault("connector_args", {"socket_factory": _socket})
        self.config_kwargs.setdefault("http_session_cls", Connections)
        # A thread makes one request at a time, and none is to wait for the others.
        self.config_kwargs.setdefault("max_pool_connections", 0)
        try:
            if self.session is None:
                self.session = _session(self.kwargs)
            setting = self.session.get_config_variable
            self.tries: int | None = setting("max_attempts")
            checksums = str(setting("request_checksum_calculation")).lower()
            self.sends_md5 = checksums == "when_required"
        except FAILURES as error:
            raise _ours(error) from None

    async def _call_s3(
        self, method: str, *options: dict[str, object], **parameters: object
    ) -> dict[str, Any]:
        if not self.knows_conditions:
            parameters.pop("IfNoneMatch", None)
        parameters |= self._told_of(parameters.get("Key"), parameters.get("Body"))
        try:
            return await self._with_retries(partial(self._ask, method, *options, **parameters))
        except FAILURES as error:
            is_there = _status(error) == HTTPStatus.PRECONDITION_FAILED and "Body" in parameters
            if is_there and await self._is_sent(parameters):
                return {}
            is_refused = _status(error) in NO_CONDITIONS and _code(error) not in HINTS
            if "IfNoneMatch" not in parameters or not is_refused:
                raise _ours(error) from None
        if await self._exists("{Bucket}/{Key}".format_map(parameters)):
            raise FileExistsError
        del parameters["IfNoneMatch"]
        answer = await self._call_s3(method, *options, **parameters)
        if self.knows_conditions:
            self.knows_conditions = False
            unconditional.release()
        return answer

    call_s3 = sync_wrapper(_call_s3)

    async def _ask(
        self, method: str, *options: dict[str, object], **parameters: object
    ) -> dict[str, Any]:
        """Make a request once, and return an answer that is one of an S3 store."""
        call = super()._call_s3
        try:
            answer = cast("dict[str, Any]", await call(method, *options, **parameters))
        except Exception as error:
            is_missing = isinstance(error, FileNotFoundError)
            is_refused = isinstance(error.__cause__, ClientError) and not is_missing
            if method == "head_object" and is_refused:
                # The answer to this has no room for words; the same refusal elsewhere has.
                await call("get_object", *options, **parameters, Range="bytes=0-0")
            raise
        if not answer.get(PROMISED.get(method, "ResponseMetadata")):
            raise StorageError("the answer is not that of an S3 store")
        return answer

    def _told_of(self, key: object, body: object) -> dict[str, str]:
        """Return what the store is told of an object; s3fs leaves out what a request cannot tell."""
        told = {}
        extension = os.path.splitext(str(key))[1].lower()
        if extension in CONTENT_TYPES:
            told["ContentType"] = CONTENT_TYPES[extension]
        # Where objects are locked, Amazon S3 takes none without a checksum.
        if isinstance(body, bytes) and self.sends_md5:
            told["ContentMD5"] = base64.b64encode(_md5(body).digest()).decode()
        return told

    async def _lsdir(
        self, path: str, *options: object, prefix: str = "", **more: object
    ) -> list[dict[str, Any]]:
        bucket, key, _ = self.split_path(path)
        if key.startswith("/"):  # which s3fs would leave out
            path, prefix = bucket, f"{key}/{prefix}"
        found = await super()._lsdir(path, *options, prefix=prefix, **more)
        return cast("list[dict[str, Any]]", found)

    async def _cat_file(self, path: str, **limits: int) -> bytes:
        call: Callable[[], Awaitable[bytes]] = partial(super()._cat_file, path, **limits)
        return await self._with_retries(call)

    async def _exists(self, path: str) -> bool:
        """Return whether there is such an object, rather than only a folder."""
        bucket, key, _ = self.split_path(path)
        with suppress(FileNotFoundError):
            return bool(await self._call_s3("head_object", Bucket=bucket, Key=key))
        return False

    exists = sync_wrapper(_exists)

    async def _is_sent(self, parameters: dict[str, Any]) -> bool:
        """Return whether what must not be replaced is what was to be sent: an answer was lost."""
        there = await self._call_s3(
            "head_object", Bucket=parameters["Bucket"], Key=parameters["Key"]
        )
        return str(there.get("ETag")).strip('"') == _md5(parameters["Body"]).hexdigest()

    async def _with_retries(self, request: Callable[[], Awaitable[Result]]) -> Result:
        """Make a request, and repeat it while it fails for a temporary reason."""
        tries = self.tries
        pause = FIRST_PAUSE
        deadline = None
        while True:
            try:
                return await asyncio.wait_for(request(), REQUEST_TIME)
            except Exception as error:  # noqa: BLE001 - which of them s3fs raises is not settled
                failure = error.__cause__ if isinstance(error.__cause__, ClientError) else error
                if not _is_passing(failure):
                    raise failure from None
                tries = tries and tries - 1
                deadline = deadline or time.monotonic() + RETRY_TIME
                is_slow = type(failure) is TimeoutError
                if tries == 0 or is_slow or time.monotonic() + pause > deadline:
                    hint = HINTS.get(_code(failure))
                    raise UnavailableError(_sentence(failure), hint=hint) from None
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE)


@cache
def _loop(process: int) -> asyncio.AbstractEventLoop:  # noqa: ARG001 - a fork needs its own
    """Return an event loop that runs in a thread, and goes on after it was short of memory.

    The thread of `fsspec` would end, and all that wait for an answer would wait for ever.
    """
    loop = asyncio.new_event_loop()

    def run() -> None:
        while True:
            with suppress(Exception):
                loop.run_forever()
            time.sleep(FIRST_PAUSE)

    Thread(target=run, daemon=True).start()
    return loop


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that fails if a store takes no more of what is sent; aiohttp would wait."""
    connection = socket.socket(*address[:3])
    if sys.platform == "linux":
        milliseconds = int(S3.read_timeout * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
    return connection


def _session(settings: dict[str, Any]) -> AioSession:
    """Return a session with our defaults, which the user's environment and files override."""
    session = AioSession(**settings)
    # Some servers send the checksum of the whole object with a part of it. Recordings are
    # authenticated anyway. And some refuse checksums that follow a body: we send MD5 before it.
    for setting in ("response_checksum_validation", "request_checksum_calculation"):
        session.get_component("config_store").get_config_provider(setting).set_default_provider(
            ConstantProvider("when_required")
        )
    session.register("before-call.s3.HeadBucket", _end_redirection)
    # Or aiohttp waits for ever for stores that do not say that they want to read what is sent.
    session.unregister("before-call.s3", add_expect_header)
    return session


def _end_redirection(params: dict[str, Any], **_: object) -> None:
    """Stop botocore from asking for the region of a bucket while it asks for that region."""
    params["context"].get("s3_redirect", {})["redirected"] = True


def _is_passing(failure: BaseException) -> bool:
    if not isinstance(failure, ClientError):
        error = _wrapped(failure)
        is_setting = isinstance(error, FileNotFoundError | PermissionError | SSLError)
        if isinstance(error, ClientHttpProxyError):
            is_setting = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        return isinstance(failure, PASSING_ERRORS) and not is_setting
    status = _status(failure)
    is_busy = status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return (is_busy and status != HTTPStatus.NOT_IMPLEMENTED) or _code(failure) in PASSING_CODES


def _code(failure: BaseException) -> str:
    if isinstance(failure, ClientError):
        return str(failure.response["Error"].get("Code"))
    return type(failure).__name__


def _wrapped(failure: BaseException) -> object:
    """Return the error that `botocore` has put into its own, if there is one."""
    return getattr(failure, "kwargs", {}).get("error")


def _status(failure: BaseException) -> int:
    """Return the status of a refusal; 0 for anything else."""
    if not isinstance(failure, ClientError):
        return 0
    return int(failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _sentence(failure: BaseException) -> str:
    if isinstance(failure, ClientError):
        # Ceph has codes alone, as in NoSuchBucket.
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _code(failure))
        return in_one_line(failure.response["Error"].get("Message") or words)
    error = _wrapped(failure)
    if isinstance(error, ClientHttpProxyError):
        return f"the proxy refuses: {in_one_line(f'{error.message} ({error.status})')}"
    if isinstance(error, ClientResponseError) and error.message:
        # What the store has sent follows, as Python writes bytes.
        wrong, *_ = re.split(r":?\s+b?['\"]", error.message)
        return f"the answer is not valid HTTP: {wrong}"
    if isinstance(error, ClientOSError) and not isinstance(error, ClientConnectorError):
        # A connection has ended that was in use: `botocore` says that there was none.
        return os.strerror(error.errno) if error.errno else in_one_line(error)
    if type(failure) is TimeoutError:  # which says nothing
        return f"a request has taken {REQUEST_TIME:.0f} seconds"
    return in_one_line(failure)


def _ours(failure: Exception) -> OSError | StorageError:
    """Return the error for a refusal, or for what kept the store from being asked."""
    sentence, hint = _sentence(failure), HINTS.get(_code(failure))
    if not isinstance(failure, ClientError):
        cause = _wrapped(failure) or failure
        if not isinstance(cause, BotoCoreError | ClientHttpProxyError):
            sentence = f"S3 cannot be asked: {in_one_line(cause)}"
        return StorageError(sentence, hint=hint or SETTINGS)
    operation = failure.operation_name
    if operation in CREDENTIALS:
        cause = f"no credentials: {sentence} ({operation})"
        return StorageError(cause, hint=hint or SETTINGS)
    if _status(failure) == HTTPStatus.NOT_FOUND:
        return FileNotFoundError(errno.ENOENT, sentence)
    is_write = operation in {"PutObject", "CompleteMultipartUpload"}
    if _status(failure) == HTTPStatus.PRECONDITION_FAILED and is_write:  # there must be no object
        return FileExistsError()
    if _code(failure) in {"AccessDenied", "403"}:
        hint = f"this needs the permission {PERMISSIONS.get(operation, f's3:{operation}')}"
    return StorageError(sentence, hint=hint)
