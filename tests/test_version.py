"""The version: that of the release, with the commit of the source where that is known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from support.commands import run_process
from support.posix import IS_ROOT

import filedecryptor
from filedecryptor import RELEASE

SOURCE = Path(filedecryptor.__file__)


def git(folder: Path, *words: str) -> str:
    """Run git as some user, and return what it prints."""
    settings = ["user.name=a", "user.email=a@localhost", "safe.directory=*"]
    options = [word for setting in settings for word in ("-c", setting)]
    command = ["git", *options, "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone, within another as in a home that is one, with what knows the version."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    for folder in (tmp_path, tmp_path / "clone"):
        package = folder / "src" / "filedecryptor"
        package.mkdir(parents=True)
        shutil.copy(SOURCE, package)
        git(folder, "init", "--quiet")
        git(folder, "add", "src")
        git(folder, "commit", "--quiet", "--message", folder.name)
    return tmp_path / "clone"


def version_of(clone: Path, **env: str) -> str:
    """Return the version that a build of a folder would have."""
    code = "import filedecryptor; print(filedecryptor.version_of_source())"
    env = {**os.environ, "PYTHONPATH": str(clone / "src"), **env}
    words = [sys.executable, "-c", code]
    return subprocess.run(words, check=True, env=env, capture_output=True, text=True).stdout.strip()


def test_it_changes_with_the_commit(clone: Path) -> None:
    """And with what is not committed; what belongs to no commit does not count."""
    first = git(clone, "rev-parse", "HEAD")[:7]
    (clone / "notes").touch()
    assert version_of(clone) == f"{RELEASE}+g{first}"
    with (clone / "src" / "filedecryptor" / "__init__.py").open("a") as file:
        file.write("# changed\n")
    assert version_of(clone) == f"{RELEASE}+g{first}.dirty"
    git(clone, "checkout", "--quiet", "-b", "Ångström")
    git(clone, "commit", "--quiet", "--all", "--message", "second")
    second = git(clone, "rev-parse", "HEAD")[:7]
    assert version_of(clone) == f"{RELEASE}+g{second}" != f"{RELEASE}+g{first}"


def shallow(clone: Path) -> None:
    """Leave the last commit only, and no branch."""
    git(clone.parent, "clone", "--quiet", "--depth=1", clone.as_uri(), "other")
    shutil.rmtree(clone)
    (clone.parent / "other").rename(clone)
    git(clone, "checkout", "--quiet", "--detach")


def linked(clone: Path) -> None:
    """Make it a work tree of another clone."""
    clone.rename(clone.with_name("other"))
    git(clone.with_name("other"), "worktree", "add", "--quiet", "--detach", str(clone))


def configured(clone: Path) -> None:
    """Let git print more."""
    for name in ("showStash", "short", "branch"):
        git(clone, "config", f"status.{name}", "true")
    (clone / "src" / "filedecryptor" / "__init__.py").write_text("")
    git(clone, "stash")


def owned(clone: Path) -> None:
    """Give it to another user."""
    if not IS_ROOT:
        pytest.skip("only root can")
    for path in (clone, *clone.rglob("*")):
        os.chown(path, 65534, 65534)


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return all that is in a folder, with what shows that it was written anew."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("change", [shallow, linked, configured, owned])
def test_any_clone_has_a_commit(clone: Path, change: Callable[[Path], None]) -> None:
    """Nothing of it is changed by the question."""
    expected = f"{RELEASE}+g{git(clone, 'rev-parse', 'HEAD')[:7]}"
    change(clone)
    os.utime(clone / "src" / "filedecryptor" / "__init__.py", (0, 0))
    before = files(clone)
    assert version_of(clone, PYTHONDONTWRITEBYTECODE="1", GIT_DIR=str(clone.parent)) == expected
    assert files(clone) == before


def packed(clone: Path) -> dict[str, str]:
    """Leave what a ZIP file has."""
    shutil.rmtree(clone / ".git")
    return {}


def new(clone: Path) -> dict[str, str]:
    """Leave no commit."""
    git(clone, "checkout", "--quiet", "--orphan", "new")
    return {}


def spoilt(clone: Path) -> dict[str, str]:
    """Leave what git does not understand."""
    (clone / ".git" / "HEAD").write_text("?")
    return {}


@pytest.mark.parametrize("change", [packed, new, spoilt, lambda _: {"PATH": ""}])
def test_without_a_commit_it_is_that_of_the_release(
    clone: Path, change: Callable[[Path], dict[str, str]]
) -> None:
    """The commit of a folder further up is another package's."""
    assert version_of(clone, **change(clone)) == RELEASE


@pytest.mark.parametrize("module", ["filedecryptor", "filedecryptor.vns"])
def test_both_programs_tell_it(tmp_path: Path, module: str) -> None:
    """The same as Python does, and as the installation knew it if this is not a clone."""
    if module.endswith("vns"):
        pytest.importorskip("httpcore", reason="the extra vns is not installed")
    name = {"filedecryptor": module}.get(module, "vns-recordings")
    command = [sys.executable, "-m", module]
    result = run_process("--version", cwd=tmp_path, command=command)
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.decode().split() == [name, filedecryptor.__version__]
    assert filedecryptor.__version__.partition("+")[0] == RELEASE
    if SOURCE.parents[1].name == "site-packages":
        assert filedecryptor.__version__ == metadata.version("filedecryptor")
