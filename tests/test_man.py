"""The manual pages say what the commands say of themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("click_man", reason="what makes the pages is not installed")
pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.make_man import PAGES, write_pages

from filedecryptor import cli
from filedecryptor.errors import ExitCode


def test_the_pages_are_those_of_the_commands(tmp_path: Path) -> None:
    """Whoever changes an option makes the pages anew: python tests/support/make_man.py."""
    write_pages(tmp_path)
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    there = {path.name: path.read_text("utf-8") for path in PAGES.iterdir()}
    assert made.keys() >= {"filedecryptor.1", "vns-recordings.1", "vns-recordings-archive.1"}
    assert made == there


def test_every_option_is_on_the_page() -> None:
    """With the examples and the exit codes."""
    page = (PAGES / "filedecryptor.1").read_text("utf-8").replace("\\-", "-")
    for parameter in cli.main.params:
        assert all(option in page for option in parameter.opts if option.startswith("-"))
    assert all(example in page for example in cli.EXAMPLES)
    page = (PAGES / "vns-recordings.1").read_text("utf-8")
    assert all(f"\n.TP\n{code.value}\n{code.meaning}" in page for code in ExitCode)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc")
@pytest.mark.parametrize("page", sorted(PAGES.glob("*.1")), ids=lambda page: page.name)
def test_the_pages_are_well_formed(page: Path) -> None:
    """A strict reader finds no error in them, and a terminal of 80 columns shows them whole."""
    found = subprocess.run(
        ["mandoc", "-Tlint", "-Werror", page], check=False, capture_output=True, text=True
    )
    assert found.stdout == ""
    shown = subprocess.run(
        ["mandoc", "-Tascii", "-O", "width=78", page], check=True, capture_output=True
    )
    assert b"\x08\n" not in shown.stdout
