"""A download that goes on where it broke off, if the server can do that."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import BinaryIO

from filedecryptor.core.decryptor import OnProgress
from filedecryptor.vns.http import Answer, PassingError

PROGRESS = 64 * 1024  # progress in bytes with which a failed attempt does not count


class Download:
    """A body that is written to a file from its beginning, by as many answers as it takes."""

    def __init__(self, file: BinaryIO, on_progress: OnProgress) -> None:
        self._file = file
        self._on_progress = on_progress
        self._count = self._furthest = 0
        self._length: int | None = None
        self._validator = ""
        self._can_go_on = False

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for what is missing (RFC 9110, sections 13.1.5 and 14.2)."""
        if not self._can_go_on or not self._count:
            return {}
        condition = {"If-Range": self._validator} if self._validator else {}
        return {"Range": f"bytes={self._count}-", **condition}

    def receive(self, answer: Answer) -> bool:
        """Write what an answer brings, and return whether the length of the whole was announced."""
        if answer.status == HTTPStatus.OK:
            self._begin(answer)
        else:
            self._continue(answer)
        before = self._furthest
        try:
            for piece in answer.pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[self._file.write(rest) :]
                self._count += len(piece)
                self._on_progress(len(piece))
        except PassingError as failure:
            self._furthest = max(before, self._count)
            failure.has_progressed = self._can_go_on and self._furthest - before >= PROGRESS
            raise
        if self._length is not None and self._count != self._length:
            raise PassingError(f"the download ended after {self._count} of {self._length} bytes")
        return self._length is not None or "transfer-encoding" in answer.headers

    def _begin(self, answer: Answer) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._count = 0
        announced = answer.headers.get("content-length")
        is_chunked = "transfer-encoding" in answer.headers
        self._length = None if announced is None or is_chunked else int(announced)
        self._validator = _validator(answer)
        offers = "bytes" in answer.headers.get("accept-ranges", "").lower()
        self._can_go_on = offers and (self._validator != "" or self._length is not None)

    def _continue(self, answer: Answer) -> None:
        """Check that an answer goes on where the file ends: by a validator, or the same length."""
        place = answer.headers.get("content-range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", place.strip(), re.IGNORECASE)
        length = None if match is None or match[2] == "*" else int(match[2])
        is_same = self._validator != "" if length is None else self._length in {None, length}
        fits = self._can_go_on and self._validator == _validator(answer) and is_same
        if match is None or not fits or not int(match[1]) == self._count > 0:
            self._can_go_on = False
            raise PassingError("the API does not send the part of the recording that was asked for")
        self._length = self._length if length is None else length


def _validator(answer: Answer) -> str:
    """Return what changes with the content: a strong ETag, or else a date (RFC 9110, 8.8)."""
    tag = answer.headers.get("etag", "")
    is_strong = re.fullmatch(r'"[\x21\x23-\x7e]+"', tag)
    return tag if is_strong else answer.headers.get("last-modified", "")
