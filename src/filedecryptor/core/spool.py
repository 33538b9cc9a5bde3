"""Where a recording waits until it is authenticated: in memory, or as ciphertext in a private file.

So no plaintext gets into a temporary directory, or is left on its disk.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from filedecryptor.core.crypto import decryptor_at
from filedecryptor.core.format import CHUNK_SIZE, SMALLEST_SIZE, Source, read_into
from filedecryptor.errors import FileDecryptorError, errors_naming

MEMORY_LIMIT = 8 * 1024 * 1024  # bytes of audio that one recording takes in memory at most
HEAD_SIZE = 4096  # bytes of a source that are kept, to recognise what is not a recording


class Beginning:
    """A source of which up to `limit` bytes of audio, and at least the `head`, are read ahead.

    `is_whole` tells whether that was all, `size` how many bytes have been read so far.
    """

    def __init__(self, source: Source, limit: int = MEMORY_LIMIT) -> None:
        self._source = source
        self._start = source.tell() if isinstance(source, io.FileIO) and source.seekable() else None
        self._size_at_first = _size_of(source)
        self._buffer = memoryview(b"")
        self._filled = self._taken = 0
        self.read_on(max(limit, HEAD_SIZE))
        self.head = bytes(self._buffer[: min(self._filled, HEAD_SIZE)])

    def read_on(self, limit: int) -> None:
        """Read on, until `limit` bytes of audio are in memory or the recording ends."""
        most = limit + SMALLEST_SIZE + 1  # one byte more than fits shows that there is more
        while self._filled < most:
            if self._filled == len(self._buffer):
                wanted = 2 * self._filled or (self._size_at_first or CHUNK_SIZE) + 1
                buffer = memoryview(bytearray(min(most, wanted)))
                buffer[: self._filled] = self._buffer
                self._buffer = buffer
            count = read_into(self._source, self._buffer[self._filled :])
            if not count:
                break
            self._filled += count
        self.size = self._filled
        self.is_whole = self._filled < most

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        count = 0
        if self._taken < self._filled:
            count = min(len(buffer), self._filled - self._taken)
            buffer[:count] = self._buffer[self._taken : self._taken + count]
            self._taken += count
            if self._taken == self._filled and not self.is_whole:
                self._buffer = memoryview(b"")
        elif not self.is_whole:
            count = read_into(self._source, buffer)
            self.size += count
        return count

    @property
    def is_repeatable(self) -> bool:
        """Whether all of it can be read again."""
        return self.is_whole or self._start is not None

    def rewind(self) -> None:
        """Go back to the first byte, as long as that is in memory or `is_repeatable`."""
        self._taken = 0
        if not self._buffer:
            self._filled = self.size = 0
            cast("io.FileIO", self._source).seek(self._start or 0)

    def has_grown(self) -> bool:
        """Return whether the source is a file that is longer now than it was at first."""
        return _size_of(self._source) > self._size_at_first


@contextmanager
def repeatable(beginning: Beginning) -> Iterator[Beginning]:
    """Yield a recording that can be read again: as it is, or else by way of a private file."""
    if beginning.is_repeatable:
        yield beginning
        return
    with PrivateFile() as file:
        buffer = memoryview(bytearray(CHUNK_SIZE))
        while count := beginning.readinto(buffer):
            file.write_all(buffer[:count])
        file.seek(0)
        yield Beginning(file, HEAD_SIZE)


def _size_of(source: Source) -> int:
    return os.fstat(source.fileno()).st_size if isinstance(source, io.FileIO) else 0


class LongFile(io.FileIO):
    """A file for long audio in a `place`, which no other user can see before it has a name."""

    place: str

    def write_all(self, data: memoryview) -> None:
        """Write all of `data`, however little the system takes at once."""
        with errors_naming(self.place, instead=True):
            while data:
                data = data[self.write(data) :]


class PrivateFile(LongFile):
    """A new file without a name, in `TMPDIR`, or else in `/var/tmp`: `/tmp` may be memory.

    On Windows it has one, but no other process can open it.
    """

    def __init__(self) -> None:
        import tempfile

        wanted = [os.environ.get("TMPDIR", "")]
        if sys.platform != "win32":
            wanted.append("/var/tmp")  # noqa: S108 - without a name
        usable = (path for path in wanted if os.path.isdir(path) and os.access(path, os.W_OK))
        try:
            self.place = next(usable, None) or tempfile.gettempdir()
        except FileNotFoundError:
            raise FileDecryptorError(
                "there is no directory for temporary files that can be written to",
                hint="set TMPDIR to one",
            ) from None
        with errors_naming(self.place), tempfile.TemporaryFile(dir=self.place) as file:
            super().__init__(os.dup(file.fileno()), "r+")


class SpooledAudio(io.RawIOBase):
    """Audio of `size` bytes, decrypted as it is read from its authenticated ciphertext in a file."""

    def __init__(self, file: PrivateFile, key: bytearray, nonce: bytes, size: int) -> None:
        self._file = file
        self._key = bytearray(key)
        self._nonce = nonce
        self._size = size
        self._position = 0
        self._ciphertext = memoryview(bytearray(CHUNK_SIZE))
        self.seek(0)

    def readable(self) -> bool:
        """Return True."""
        return True

    seekable = readable

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a position and return it."""
        if whence:
            offset += self._size if whence == os.SEEK_END else self._position
        if offset < 0:
            raise ValueError("negative seek position")
        self._position = offset
        if offset < self._size:
            self._file.seek(offset)
            self._decryptor = decryptor_at(offset, self._key, self._nonce)
        return offset

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""
        buffer = memoryview(buffer).cast("B")
        wanted = min(len(buffer), CHUNK_SIZE, max(0, self._size - self._position))
        count = self._file.readinto(self._ciphertext[:wanted])
        if count:
            self._decryptor.update_into(self._ciphertext[:count], buffer[:count])
        self._position += count
        return count

    def close(self) -> None:
        """Close the file, and wipe the key as far as that is possible."""
        self._key[:] = bytes(len(self._key))
        self._file.close()
        super().close()
