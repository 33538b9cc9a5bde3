"""The version: that of the release, with the commit of the source where that is known."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.clone import RELEASE, copy_source
from support.commands import run, run_process

import filedecryptor


@pytest.mark.parametrize("module", ["filedecryptor", "filedecryptor.vns"])
def test_both_programs_tell_it(tmp_path: Path, module: str) -> None:
    """The same as Python does, and as the installation knows it."""
    if module.endswith("vns"):
        pytest.importorskip("httpcore", reason="the extra vns is not installed")
    name = {"filedecryptor": module}.get(module, "vns-recordings")
    result = run_process("--version", cwd=tmp_path, command=[sys.executable, "-m", module])
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.decode().split() == [name, filedecryptor.__version__]
    assert filedecryptor.__version__ == metadata.version("filedecryptor")
    assert filedecryptor.__version__.partition("+")[0] == RELEASE


@pytest.mark.parametrize("module", ["filedecryptor", "filedecryptor.vns"])
def test_source_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """It is run by PYTHONPATH: it has no version, but works."""
    if module.endswith("vns"):
        pytest.importorskip("httpcore", reason="the extra vns is not installed")

    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    result = run("--version", cwd=tmp_path, cli=f"{module}.cli")
    assert (result.code, result.stderr, result.stdout[-8:]) == (0, "", b"unknown\n")


@pytest.mark.slow
@pytest.mark.parametrize("is_clone", [False, True], ids=["zip", "clone"])
def test_what_is_built(tmp_path: Path, *, is_clone: bool) -> None:
    """A clone tells its commit, whatever its tags; a ZIP file not that of a folder further up."""
    copy_source(tmp_path / "copy")
    top = tmp_path / "copy" if is_clone else tmp_path
    for words in ("init -q", "add .", "commit -q -m x", "tag deploy-2024"):
        line = ["git", "-c", "user.name=x", "-c", "user.email=x", *words.split()]
        subprocess.run(line, check=True, cwd=top)
    words = "-m pip wheel --quiet --no-deps --wheel-dir w ./copy"
    subprocess.run([sys.executable, *words.split()], check=True, cwd=tmp_path)
    [wheel] = (tmp_path / "w").iterdir()
    release, _, commit = wheel.name.split("-")[1].partition("+")
    assert (release, commit[:1]) == (RELEASE, "g" * is_clone)
