"""The package: its public names, and what its start imports."""

from __future__ import annotations

import pydoc
import re
import sys
from pathlib import Path

import pytest
from support.commands import run_process
from support.recordings import AUDIO, PASSWORD

import filedecryptor
from filedecryptor import errors, vns

CALL = ["-m", "filedecryptor", "a.enc", PASSWORD, "opus"]


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["-c", "import filedecryptor"], {"click", "cryptography"}),
        (["-m", "filedecryptor", "--version"], {"cryptography"}),
        (["-m", "filedecryptor", "--help"], {"cryptography"}),
        ([*CALL, "-d", "."], {"fsspec", "s3fs", "dask", "distributed"}),
        (CALL, {"click", "concurrent", "filedecryptor.jobs.plan"}),
    ],
)
def test_nothing_is_imported_in_vain(folder: Path, command: list[str], absent: set[str]) -> None:
    """Help needs no cryptography, the reference's call no option parser, files no stores."""
    done = run_process("-X", "importtime", *command, cwd=folder, command=[sys.executable])
    assert done.code == 0
    found = {line.split()[-1] for line in done.lines if line.startswith("import time:")}
    assert "filedecryptor" in found
    assert not found & absent
    if "opus" in command:
        assert (folder / "a.opus").read_bytes() == AUDIO


def test_the_public_names_are_shown() -> None:
    """By `dir` and `help`, although they are loaded when they are used; nothing else is."""
    assert all(hasattr(filedecryptor, name) for name in filedecryptor.__all__)
    shown = {name for name in dir(filedecryptor) if not name.startswith("__")}
    assert shown == set(filedecryptor.__all__) - {"__version__"}
    page = pydoc.plain(pydoc.render_doc(filedecryptor))
    for name in shown:
        assert re.search(rf"^    (class )?{name}\(", page, re.MULTILINE), name


def test_what_a_function_raises_is_public() -> None:
    """Its caller can catch it; only what the command alone meets has no public name."""
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, filedecryptor.FileDecryptorError)
    }
    assert kinds - {"ClusterError"} <= {*filedecryptor.__all__, *vns.__all__}


def test_the_public_names_of_the_api() -> None:
    """All of them are there, if the extra is."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    assert all(hasattr(vns, name) and name in dir(vns) for name in vns.__all__)
