"""Names of outputs, and what is an address."""

from __future__ import annotations

import ntpath
import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from filedecryptor.errors import UsageError
from filedecryptor.storage.paths import (
    absolute,
    clean_extension,
    is_possible,
    is_url,
    join,
    replace_suffix,
    split,
)


@pytest.mark.parametrize(
    ("path", "is_address"),
    [
        *((url, True) for url in ("s3://bucket/x.enc", "S3://b", "gs://b/x", "a+b-c.d://x")),
        *((path, False) for path in ("a:b", "C:\\x", "C://x", "c:/x", "s3:/x", "./s3://x", "s3")),
        *((path, False) for path in ("://x", "3s://x", "a b://x")),
    ],
)
def test_an_address_begins_with_a_protocol(path: str, *, is_address: bool) -> None:
    """In any case; the name of a drive of Windows is none."""
    assert is_url(path) == is_address


@pytest.mark.parametrize(
    ("path", "expected"),
    [(".", ""), ("./x", "/x"), ("a//./x/", "/a/x"), ("..", "/.."), ("link/../x", "/link/../x")],
)
def test_an_absolute_path_leads_to_the_same_place(here: Path, path: str, expected: str) -> None:
    """What is before a `..` is kept, for it may be a link; addresses and empty paths stay."""
    expected = f"{here}{expected}".replace("/", os.sep)
    assert absolute(path) == expected
    assert absolute(expected) == expected
    assert [absolute(other) for other in ("", "s3://b/a/../x")] == ["", "s3://b/a/../x"]


@pytest.mark.parametrize(
    "path", ["x", os.path.join("a", "x"), "/x", "s3://b/x", "s3://b/a//x", "s3://b", "s3://b/"]
)
def test_what_is_split_can_be_joined(path: str) -> None:
    """Every slash of an address counts, since keys may hold any number of them."""
    assert join(*split(path)) == path
    assert join("s3://b/a", "x") == join("s3://b/a/", "x") == "s3://b/a/x"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x.enc", "x.wav"),
        ("x.opus.enc", "x.opus.wav"),
        ("x", "x.wav"),
        ("a.b/x", "a.b/x.wav"),
        (".enc", ".enc.wav"),
        ("x.", "x.wav"),
        ("xwav.enc", "xwav.wav"),
        ("x.wav.enc", "x.wav"),
    ],
)
def test_the_last_suffix_is_replaced(path: str, expected: str) -> None:
    """Only that of the last name; an extension that is there already is not doubled."""
    assert replace_suffix(path, ["wav", "x"])[0] == expected


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_unusable_extensions_are_refused(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is empty, could choose a directory or, on Windows, cannot be written is taken."""
    monkeypatch.setattr(sys, "platform", platform)
    assert clean_extension("a.b") == clean_extension(".a.b") == "a.b"
    for extension in ("", ".", "/", "a/b", "..\\b", "wav\0"):
        with pytest.raises(UsageError):
            clean_extension(extension)
    message = "Windows has no file with such an extension"
    for extension in ("op:us", ".x?", "opus."):
        with pytest.raises(UsageError, match=message) if platform == "win32" else nullcontext():
            assert clean_extension(extension) == extension.removeprefix(".")


def test_a_path_is_possible_if_its_last_part_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A colon after a drive is none of a name."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "path", ntpath)
    assert is_possible(r"C:\calls\a.opus")
    assert is_possible("C:a.opus")
    assert is_possible(r"\\?\C:\a.opus")
    assert not is_possible(r"C:\calls\aux.opus")
    assert not is_possible("NUL")
    assert not is_possible(r"C:\calls\a.opus:stream")
