"""A download that goes on where it broke off, if the server can do that."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import BinaryIO

from filedecryptor.errors import ApiError
from filedecryptor.vns.http import Answer, PassingError

ENOUGH = 64 * 1024
"""Bytes that an attempt must get further than those before it, so as not to count as one."""


class Download:
    """A body that is written to a file, by as many answers as it takes.

    Args:
        file: Open for writing; it is written from its beginning, and cut there first.
        on_progress: Called with the number of bytes after each piece.
    """

    def __init__(self, file: BinaryIO, on_progress: Callable[[int], object]) -> None:
        self._file = file
        self._on_progress = on_progress
        self._count = self._furthest = 0
        self._length: int | None = None
        self._validator: str | None = None
        self._can_go_on = False

    def headers(self) -> dict[str, str]:
        """Return the headers that ask for what is missing (RFC 9110, sections 13.1.5 and 14.2)."""
        if not self._can_go_on or not self._count:
            return {}
        wanted = {"Range": f"bytes={self._count}-"}
        if self._validator is not None:
            wanted["If-Range"] = self._validator
        return wanted

    def receive(self, answer: Answer) -> bool:
        """Write what an answer brings.

        Returns:
            Whether the length of the whole was announced, so that it is known to be complete.

        Raises:
            PassingError: It is not all, or does not fit what is there.
            ApiError: The server sends something else than a recording.
            OSError: The file cannot be written.
        """
        if answer.status == HTTPStatus.PARTIAL_CONTENT:
            self._continue(answer)
        else:
            self._begin(answer)
        before = self._furthest
        try:
            for piece in answer.pieces():
                self._write(piece)
                self._count += len(piece)
                self._on_progress(len(piece))
        except PassingError as failure:
            self._furthest = max(before, self._count)
            failure.has_progressed = self._can_go_on and self._furthest - before >= ENOUGH
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
        self._length = None if announced is None or is_chunked else int(announced.split(",")[0])
        self._validator = _validator(answer)
        offers = "bytes" in answer.headers.get("accept-ranges", "").lower()
        self._can_go_on = offers and (self._validator is not None or self._length is not None)

    def _continue(self, answer: Answer) -> None:
        """Check that an answer goes on where the file ends.

        Without a validator that both answers share, the length must be the same.
        """
        place = answer.headers.get("content-range", "")
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", place.strip(), re.IGNORECASE)
        fits = (
            match is not None
            and self._can_go_on
            and self._count > 0
            and int(match[1]) == self._count
            and self._validator == _validator(answer)
            and (match[3] == "*" or self._length in {None, int(match[3])})
            and (self._validator is not None or match[3] != "*")
        )
        if not fits:
            self._can_go_on = False
            raise PassingError("the API sent another part of the recording than was asked for")
        if match and match[3] != "*":
            self._length = int(match[3])

    def start_again(self) -> None:
        """Ask for the whole the next time."""
        self._can_go_on = False

    def _write(self, piece: bytes) -> None:
        rest = memoryview(piece)
        while rest:
            rest = rest[self._file.write(rest) :]


def _validator(answer: Answer) -> str | None:
    """Return what changes with the content: a strong ETag, or else a date (RFC 9110, 8.8)."""
    tag = answer.headers.get("etag", "")
    if re.fullmatch(r'"[\x21\x23-\x7e]+"', tag):
        return tag
    return answer.headers.get("last-modified")


def refuse_compressed(answer: Answer) -> None:
    """Raise an error for a body that is not what it stands for.

    Raises:
        ApiError: It is compressed.
    """
    if answer.headers.get("content-encoding", "identity").lower() not in {"identity", ""}:
        raise ApiError("the API compresses its answer, which it was not asked to")
