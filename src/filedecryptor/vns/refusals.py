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

SUCCESSES = {
    *("success", "succeeded", "successful", "issuccess", "ok"),
    *("deleted", "isdeleted", "deletedcount"),
}
ERRORS = {
    *("error", "errors", "errormessage", "errorcode", "exception", "fault", "iserror", "haserrors"),
}
STATUSES = {"status", "statuscode", "code", "result", "outcome"}
"""Names of fields, as `plain_name` has them, by which APIs say whether something was done."""

NO = {"false", "no", "0"}
NOTHING = {"", "none", "null", "ok", "success", "no error", *NO}
FAILED = {"error", "failed", "failure", "locked", "forbidden", "denied", *NO}


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
        return _says_no(json.loads(body or b"null"))
    except (ValueError, RecursionError):
        return (
            re.match(rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype )?(html|\?xml.*<error)", body) is not None
        )


def _says_no(found: object) -> bool:
    if isinstance(found, list):
        return any(map(_says_no, found))
    if not isinstance(found, dict):
        return found is False or (isinstance(found, str) and found.lower().startswith("error"))
    fields = {plain_name(name): value for name, value in found.items()}
    words = {name: _word(value) for name, value in fields.items()}
    if any(words[name] in NO for name in words.keys() & SUCCESSES):
        return True
    if any(words[name] == "true" for name in words.keys() & SUCCESSES):
        return False
    return (
        any(_is_error(fields[name]) for name in fields.keys() & ERRORS)
        or any(_is_failure(words[name]) for name in words.keys() & STATUSES)
        or any(_says_no(value) for value in fields.values() if isinstance(value, (dict, list)))
    )


def _word(value: object) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip().lower()


def _is_error(value: object) -> bool:
    """Return whether the field of an error holds one."""
    if isinstance(value, dict):
        return any(map(_is_error, value.values()))
    return any(map(_is_error, value)) if isinstance(value, list) else _word(value) not in NOTHING


def _is_failure(word: str) -> bool:
    return word in FAILED - {"0"} or re.fullmatch(r"[45]\d\d", word) is not None


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
