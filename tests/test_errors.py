"""The exceptions, the outcome of a recording, and what to do where an extra is missing."""

from __future__ import annotations

import errno
import importlib.util
import json
import pickle
import re
import sys
from pathlib import Path
from typing import get_args

import pytest
from support.commands import run, run_process
from support.folders import contents
from support.recordings import PASSWORD

from filedecryptor import decrypt_files
from filedecryptor.errors import (
    Outcome,
    Status,
    StorageError,
    UsageError,
    errors_naming,
    failed,
    in_one_line,
    missing_extra,
    unexpected,
)

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("error", "instead", "name"),
    [
        (UsageError("x"), False, "a"),
        (UsageError("x", filename="b"), False, "b"),
        (UsageError("x"), True, None),  # whose name it is to say is left to others
        (OSError(errno.ENOENT, "x"), False, "a"),
        (OSError(errno.EIO, "x", "b"), False, "b"),
        (OSError(errno.EIO, "x", "temporary"), True, "a"),
    ],
)
def test_errors_that_name_no_file_get_one(
    error: UsageError | OSError, name: str | None, *, instead: bool
) -> None:
    """Those that name one keep it, unless that is a temporary one."""
    with pytest.raises(type(error)) as found, errors_naming("a", instead=instead):
        raise error
    assert isinstance(found.value, (UsageError, OSError))
    assert found.value.filename == name
    assert "x" in str(found.value)


def test_exceptions_of_others_are_translated() -> None:
    """Into one that names the file, without the foreign one behind it; others stay."""

    def translate(error: Exception) -> StorageError | None:
        return StorageError("ours") if isinstance(error, KeyError) else None

    with pytest.raises(StorageError) as found, errors_naming("a", translate=translate):
        raise KeyError("theirs")
    assert (str(found.value), found.value.__cause__) == ("a: ours", None)
    assert found.value.__suppress_context__
    with pytest.raises(ZeroDivisionError), errors_naming("a", translate=translate):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\n b\t c", "a b c"),
        ("no s3://me:secret@host/x", "no s3://host/x"),
        ("get https://host/x?X-Signature=abc failed", "get https://host/x failed"),
        ("x" * 500, "x" * 400 + "..."),
        (KeyError(), "KeyError"),
    ],
)
def test_texts_of_others_are_one_bounded_line(text: object, shown: str) -> None:
    """Without what may be a secret in an address."""
    assert in_one_line(text) == shown


def test_an_unforeseen_error_says_where_but_not_what() -> None:
    """Its message may hold a secret."""
    with pytest.raises(ValueError, match="secret") as caught:
        raise ValueError("secret")
    error = unexpected(caught.value, "a.enc")
    assert str(error).startswith("a.enc: unexpected ValueError in test_errors.py, line ")
    assert error.filename == "a.enc"


@pytest.mark.parametrize(
    "error", [MemoryError(), ImportError("failed to map segment"), ImportError("out of memory")]
)
def test_a_lack_of_memory_is_no_defect(error: Exception) -> None:
    """So it is not to be reported."""
    found = unexpected(error, "a.enc")
    assert isinstance(found, OSError)
    assert (found.errno, found.filename) == (errno.ENOMEM, "a.enc")


def test_a_failure_forgets_where_it_was_raised_and_can_be_sent() -> None:
    """The frames there hold the password, and buffers; another process gets all that it says."""
    error = UsageError("x", hint="y", filename="a.enc")
    with pytest.raises(UsageError):
        raise error from KeyError("secret")
    assert error.__traceback__ is not None
    outcome = failed("a.enc", error)
    assert outcome == ("a.enc", None, None, None, "failed", error, None, None)
    for name in ("__traceback__", "__cause__", "__context__"):
        assert getattr(error, name) is None
    sent = pickle.loads(pickle.dumps(outcome)).error  # noqa: S301 - our own
    assert isinstance(sent, UsageError)
    assert (sent.cause, sent.hint, sent.filename) == ("x", "y", "a.enc")


def test_an_outcome_is_what_json_prints(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field by field, with the texts of errors and their hints, for whatever takes JSON."""
    monkeypatch.chdir(folder)
    (folder / "short.enc").write_bytes(b"{" + bytes(20))
    (folder / "taken.enc").write_bytes((folder / "a.enc").read_bytes())
    (folder / "taken.opus").mkdir()
    (folder / "old").write_text("old")
    (folder / "secret").write_text(PASSWORD)
    names, before = [*map(str, Path().glob("*.enc")), "none/x.enc"], contents(folder)
    files = ["--password-file", "secret", "--password-file", "old"]
    result = run(*names, "opus", *files, "--json", cwd=folder)
    printed = {each["input"]: each for each in map(json.loads, result.stdout.splitlines())}
    assert contents(folder) != before
    outcomes = [*decrypt_files(names, [PASSWORD, "old"], "opus")]
    assert {each.input: json.loads(json.dumps(each.as_dict())) for each in outcomes} == printed
    assert printed["a.enc"]["password"] == 1
    assert printed["none/x.enc"]["hint"] == "there is no directory none"
    assert printed["taken.enc"]["error"] == "taken.opus: Is a directory"
    assert "short.enc" not in printed["short.enc"]["error"]
    assert {each.status for each in outcomes} <= set(get_args(Status))
    assert Outcome.__annotations__["status"] == Status


@pytest.mark.parametrize(
    ("pip", "installer"),
    [(object(), f"{sys.executable} -m pip install"), (None, "uv tool install --force")],
)
def test_a_missing_extra_comes_from_a_clone(
    monkeypatch: pytest.MonkeyPatch, pip: object, installer: str
) -> None:
    """By its name alone, anything could be fetched from an index. Tools of uv have no pip."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: pip)
    assert missing_extra("s3").endswith(f': {installer} ".[s3]"')


@pytest.mark.parametrize(
    ("package", "extra", "line", "error"),
    [
        ("fsspec", "s3", "s3://b/a.enc P opus", "s3://b/a.enc: the package for such addresses"),
        ("distributed", "dask", "--cluster tcp://x:1 . P opus", "the package for clusters"),
    ],
)
def test_without_an_extra_it_is_said_how_to_get_it(
    tmp_path: Path, package: str, extra: str, line: str, error: str
) -> None:
    """One line and a hint, no traceback."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from filedecryptor.__main__ import main; sys.exit(main())"
    )
    result = run_process("-c", code, *line.split(), cwd=tmp_path, command=[sys.executable])
    assert result.code == 2
    hint = f"hint: {missing_extra(extra)}"
    assert result.lines == [f"error: {error} is not installed", hint]


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("fsspec", "s3://b/a.enc"),
        ("gcsfs", "gs://b/a.enc"),
        ("distributed", "--cluster tcp://x:1 ."),
    ],
)
def test_the_program_to_download_has_no_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, line: str
) -> None:
    """Nothing can be added to it: who needs more needs the package."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    result = run(*line.split(), PASSWORD, "opus", cwd=tmp_path)
    assert (result.code, result.lines[1:]) == (2, [f"hint: {missing_extra('')}"])
    assert "install filedecryptor with Python, as its README says" in result.lines[1]


def test_nothing_tells_to_install_from_an_index() -> None:
    """Neither the program nor the page."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for path in [*(ROOT / "src").rglob("*.py"), *pages]:
        text = path.read_text("utf-8")
        assert not re.search(r"(pipx?|uv tool) install .*['\" ]filedecryptor\b", text), path
