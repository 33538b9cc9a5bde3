"""What it means if the API does not send what it was asked for."""

from __future__ import annotations

import json
import re
from http import HTTPStatus

from filedecryptor.errors import ApiError, NotFoundError, TokenError
from filedecryptor.format import SMALLEST_SIZE
from filedecryptor.hints import secret_hint
from filedecryptor.kinds import kind_of
from filedecryptor.vns.listing import plain_name
from filedecryptor.vns.network import Answer, PassingError
from filedecryptor.vns.pace import retry_after

PASSING = {408, 425, 429, 500, 502, 503, 504, *range(520, 525)}
"""Statuses after which a request is made again; 520 to 524 are Cloudflare's."""

SUCCESSES = ("success", "succeeded", "successful", "issuccess", "ok", "deleted", "isdeleted")
ERRORS = ("error", "errors", "errormessage", "errorcode", "exception", "fault")
"""Names of fields, as `plain_name` has them, by which APIs say whether something was done."""

NO_ERROR = {"", "0", "none", "null", "false", "[]", "{}"}


def refusal(answer: Answer, words: str, token: str) -> Exception:
    """Return the error for an answer by its status (RFC 9110, section 15).

    Args:
        answer: The answer.
        words: What it says.
        token: What the request was made with.
    """
    status = answer.status
    reason = f"(status {status}){f': {words}' if words else ''}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        hint = secret_hint(token.encode(), "the token")
        return TokenError(f"the API refused the token {reason}", hint=hint)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return NotFoundError(f"the API has no such recording {reason}")
    if status in PASSING:
        wait = retry_after(answer.headers.get("retry-after"))
        is_told = wait is not None and status == HTTPStatus.SERVICE_UNAVAILABLE
        return PassingError(
            f"the API kept failing {reason}",
            retry_after=wait,
            is_busy=is_told or status == HTTPStatus.TOO_MANY_REQUESTS,
        )
    if status < HTTPStatus.BAD_REQUEST:
        return ApiError(f"the API sent no recording {reason}")
    return ApiError(f"the API refused the request {reason}")


def says_no(body: bytes) -> bool:
    """Return whether an answer says, in spite of its status, that nothing was done.

    A page does: it comes from something else than the API.
    """
    try:
        found = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return re.match(rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?html", body) is not None
    if not isinstance(found, dict):
        return found is False
    fields = {plain_name(name): value for name, value in found.items()}
    words = [str(fields.get(name)).lower() for name in ("status", "result", "outcome")]
    return (
        any(fields.get(name) is False for name in SUCCESSES)
        or any(str(fields.get(name) or "").lower() not in NO_ERROR for name in ERRORS)
        or any(word in {"false", "error", "failed", "failure"} for word in words)
    )


def foreign(head: bytes, size: int, words: str) -> ApiError | None:
    """Return the error for a body that is no recording; None for one that may be.

    Args:
        head: Its first bytes.
        size: Its length in bytes.
        words: What it says.
    """
    if not size:
        return ApiError("the API sent nothing instead of a recording")
    kind = kind_of(head)
    if kind is None and size >= SMALLEST_SIZE:
        return None
    what = kind or f"{size} byte{'s' if size > 1 else ''}"
    return ApiError(f"the API sent {what}, not a recording{f': {words}' if words else ''}")
