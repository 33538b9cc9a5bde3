"""The `.enc` layout: where salt, nonce, ciphertext and tag lie.

The vendor's page "Call Recordings" gives it: 16 bytes of salt, 12 of nonce, the ciphertext, and
16 of tag at the very end. There are no magic bytes, no version and no associated data.
"""

from collections.abc import Iterator
from typing import Protocol

from filedecryptor.errors import NotEncError

SALT_SIZE = 16
NONCE_SIZE = 12
TAG_SIZE = 16
HEADER_SIZE = SALT_SIZE + NONCE_SIZE

SMALLEST_SIZE = HEADER_SIZE + TAG_SIZE  # bytes of a recording without any audio
LARGEST_CIPHERTEXT_SIZE = 2**36 - 32  # of one AES-GCM message (NIST SP 800-38D, section 5.2.1.1)
CHUNK_SIZE = 256 * 1024  # bytes read at once: fast, and few enough to stay in a core's cache


class Source(Protocol):
    """A binary file or a pipe that recordings are read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the beginning of `buffer` and return how many bytes that were; 0 is the end."""


class EncReader:
    """One `.enc` file, read once from its beginning to its end, whose size need not be known.

    The last 16 bytes seen are held back as long as more may follow, and are the `tag` once
    `ciphertext` is exhausted. A file that grows or shrinks meanwhile fails its authentication.
    """

    def __init__(self, source: Source) -> None:
        buffer = bytearray(SMALLEST_SIZE)
        filled = 0
        while filled < SMALLEST_SIZE and (count := read_into(source, memoryview(buffer)[filled:])):
            filled += count
        if filled < SMALLEST_SIZE:
            size = f"{filled} bytes long, the smallest is {SMALLEST_SIZE}" if filled else "empty"
            hint = "it is not complete: run this again once it is, or download it again"
            raise NotEncError(f"not an .enc file: it is {size}", hint=hint)
        start = bytes(buffer)
        self.salt, self.nonce = start[:SALT_SIZE], start[SALT_SIZE:HEADER_SIZE]
        self.tag = start[HEADER_SIZE:]
        self._source = source

    def ciphertext(self) -> Iterator[memoryview]:
        """Yield the ciphertext piece by piece; each piece is valid until the next is asked for."""
        buffer = memoryview(bytearray(TAG_SIZE + CHUNK_SIZE))
        buffer[:TAG_SIZE] = self.tag
        total = 0
        while count := read_into(self._source, buffer[TAG_SIZE:]):
            total += count
            if total > LARGEST_CIPHERTEXT_SIZE:
                raise NotEncError(
                    "not an .enc file: it is longer than the 64 GiB that AES-GCM can authenticate"
                )
            yield buffer[:count]
            buffer[:TAG_SIZE] = buffer[count : count + TAG_SIZE]
        self.tag = bytes(buffer[:TAG_SIZE])


def read_into(source: Source, buffer: memoryview) -> int:
    """Return what `Source.readinto` does; a non-blocking source without data has not ended."""
    count = source.readinto(buffer)
    if count is None:
        raise BlockingIOError("the input is in non-blocking mode")
    return count
