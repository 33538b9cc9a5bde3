"""Recordings to test with: those of `fixtures/`, and others that are encrypted with a cheap key.

The former are speech of espeak-ng, encoded by ffmpeg and encrypted by `encryptor.py`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from support import encryptor

FIXTURES = Path(__file__).parents[2] / "fixtures"
PLAIN = FIXTURES / "plain"
RECORDINGS = json.loads((FIXTURES / "manifest.json").read_text("utf-8"))
PASSWORD = "EncryptMe"
AUDIO = (PLAIN / "recording_abc123.opus").read_bytes()
MP3 = (PLAIN / "recording_def456.mp3").read_bytes()
WAV = (PLAIN / "recording_ghi789.wav").read_bytes()
BY_FORMAT = {"opus": AUDIO, "mp3": MP3, "wav": WAV}

MakeEnc = Callable[..., Path]
"""What the fixture `make_enc` returns."""

ITERATIONS = 1000
"""Rounds of a key derivation in tests, as `python/sitecustomize.py` sets them for processes.

The 310,000 of real recordings take 60 ms of a core. Tests of `crypto`, of the published vectors
and of the fixtures use those: they are marked `real_iterations`.
"""


CUSTOMIZED = str(Path(__file__).parent / "python")
"""What is on the PYTHONPATH of processes that derive keys in `ITERATIONS` rounds."""


def fixture(name: str) -> bytes:
    """Return a recording of `fixtures/`, such as `recording_abc123.enc`, with a cheap key."""
    (plain,) = PLAIN.glob(f"{Path(name).stem}.*")
    return encrypt(plain.read_bytes())


@cache
def encrypt(audio: bytes, password: bytes | str = PASSWORD) -> bytes:
    """Return the `.enc` file of some audio, the same one each time."""
    return encryptor.encrypt(audio, password, iterations=ITERATIONS)


def altered(recording: bytes) -> bytes:
    """Return a recording of which the last bit is another one."""
    return recording[:-1] + bytes([recording[-1] ^ 1])


class Trickle(io.BytesIO):
    """A source that gives few bytes at a time, as pipes do."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        super().__init__(data)
        self.most = most

    def readinto(self, buffer: Any, /) -> int:
        """Fill no more than `most` bytes."""
        return super().readinto(memoryview(buffer)[: self.most])
