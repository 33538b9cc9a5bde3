"""What is no recording, by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib

import pytest

from filedecryptor.audio.foreign import kind_of, text_of

PAGE = "<!DOCTYPE html><title>Zugriff verweigert</title><p>F\u00fcr Sie gesperrt."


def zipped() -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.opus", b"x" * 100)
    return file.getvalue()


def tarred() -> bytes:
    """Return a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.opus"))
    return file.getvalue()


KINDS = {
    "utf-8": (PAGE.encode(), "an HTML or XML page"),
    "utf-8 with a mark": (PAGE.encode("utf-8-sig"), "an HTML or XML page"),
    "latin-1": (PAGE.encode("latin-1"), "an HTML or XML page"),
    "utf-16": (PAGE.encode("utf-16"), "an HTML or XML page"),
    "utf-16-le": (PAGE.encode("utf-16-le"), "an HTML or XML page"),
    "utf-16-be": (PAGE.encode("utf-16-be"), "an HTML or XML page"),
    "greek": (("\u0395\u03bb " * 200).encode("iso-8859-7"), "a text"),
    "json": (b'{"error": "no"}', "a JSON text"),
    "text": (b"not found\r\n", "a text"),
    "gzip": (gzip.compress(PAGE.encode()), "a gzip archive"),
    "zip": (zipped(), "a zip archive"),
    "tar": (tarred(), "a tar archive"),
    "bzip2": (bz2.compress(PAGE.encode()), "a bzip2 archive"),
    "xz": (lzma.compress(PAGE.encode()), "an xz archive"),
    "png": (b"\x89PNG\r\n\x1a\n" + zlib.compress(b"x"), "a PNG picture"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(50), "a JPEG picture"),
    "gif": (b"GIF89a" + bytes(50), "a GIF picture"),
    "webp": (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(50), "a WebP picture"),
    "pdf": (b"%PDF-1.7\n" + bytes(50), "a PDF document"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_recording(name: str) -> None:
    """Texts in any encoding, archives, pictures."""
    data, kind = KINDS[name]
    assert kind_of(data) == kind


@pytest.mark.parametrize("size", [44, 60, 100, 500, 4096])
def test_random_bytes_are_never_taken_for_something_else(size: int) -> None:
    """For a recording's first bytes are random, and it exists nowhere else."""
    for _ in range(4000):
        assert kind_of(os.urandom(size)) is None


def test_a_text_whose_end_is_missing() -> None:
    """A letter may be cut in its middle."""
    assert text_of("f\u00fcr".encode()[:2]) == "f"
