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
def test_a_copy_without_commits_has_that_of_the_release(tmp_path: Path) -> None:
    """As a ZIP file is; the commit of a folder further up is another package's."""
    copy_source(tmp_path / "copy")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "w", "./copy"]
    subprocess.run([sys.executable, *words], check=True, cwd=tmp_path)
    [wheel] = (tmp_path / "w").iterdir()
    assert wheel.name.split("-")[:2] == ["filedecryptor", RELEASE]
