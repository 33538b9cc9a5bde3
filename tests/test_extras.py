"""What to do where an optional part is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from filedecryptor import errors
from filedecryptor.errors import missing_extra

ROOT = Path(__file__).parents[1]


def test_a_missing_extra_comes_from_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Into this Python: the name alone would be fetched from whoever has put it on an index."""
    monkeypatch.setattr(errors, "find_spec", lambda _: object())
    assert missing_extra("s3").endswith(f'{sys.executable} -m pip install ".[s3]"')


def test_where_there_is_no_pip_uv_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment that uv has made for a tool."""
    monkeypatch.setattr(errors, "find_spec", lambda _: None)
    assert missing_extra("vns").endswith(': uv tool install --force ".[vns]"')


def test_nothing_tells_to_install_from_an_index() -> None:
    """Neither the program nor a page."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for path in [*(ROOT / "src").rglob("*.py"), *pages]:
        text = path.read_text("utf-8")
        for command in ("pip install ", "pipx install ", "uv tool install "):
            for line in text.splitlines():
                if command in line:
                    assert "install filedecryptor" not in line, path
                    assert not any(
                        f"install {quote}filedecryptor[" in line for quote in ("'", '"', "")
                    ), path
