"""The house: which module may know which, and what each may use, seen in the source itself."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import filedecryptor

SOURCE = Path(filedecryptor.__file__).parent

# From top to bottom. A module imports from lines below its own only.
ORDER = """
__main__ vns.__main__
cli vns.cli
command vns.nightly vns.options
running inputs
terminal.options terminal.progress
terminal.report terminal.table terminal.password
terminal.process
terminal.console
terminal
vns
vns.archive
vns.fetching
vns.storing vns.trouble
vns.client
vns.download vns.refusals vns.paging
vns.network
vns.limits vns.listing vns.records vns.locking vns.runs vns.metrics
vns.address vns.guids vns.pace vns.times vns.webhook vns.wholeness vns.words
cluster
batch
plan single
workers
grammar
job
decryptor existing
keys
machine
trial
compiler
lanes
executable kernels memory
hints spool passwords
storage.places
storage
storage.objects
storage.uploads
storage.stores
storage.s3
storage.disk
storage.outputs
storage.attributes
storage.temporary storage.names
storage.windows
audio
mpeg guesses
crypto format kinds sha256
outcome
errors extras
"""
RANKS = {name: rank for rank, line in enumerate(ORDER.split("\n")) for name in line.split()}

SEEN_BY_THE_TERMINAL = {"", "outcome", "errors"}
"""What `terminal` may see of the rest."""

SEES_THE_TERMINAL = {
    "__main__",
    "vns.__main__",
    "cli",
    "vns.cli",
    "command",
    "running",
    "inputs",
    "vns.nightly",
    "vns.options",
}

USES = {
    "click": {"cli", "vns.cli", "vns.options", "terminal.options", "terminal.password"},
    "cryptography": {"crypto"},
    "llvmlite": {"compiler"},
    "distributed": {"cluster"},
    "fsspec": {"storage.objects", "storage.stores", "storage.uploads", "storage.s3"},
    "s3fs": {"storage.s3"},
    "httpcore": {"vns.network", "vns.limits"},
}
"""Other packages, and the modules that may import them."""


def name_of(path: Path) -> str:
    """Return how a module is called within the package; the package itself is ''."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield all that a module imports, wherever in it, as dotted names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "an import is written out"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str) -> str | None:
    """Return the module of the package that an import is about; None if it is another package's."""
    package, _, rest = name.partition(".")
    if package != "filedecryptor":
        return None
    while rest and rest not in MODULES:
        rest = rest.rpartition(".")[0]
    return rest


def test_every_module_has_its_place() -> None:
    """No module is missing from the order, and none in it is missing from the source."""
    assert MODULES.keys() == RANKS.keys() | {""}


@pytest.mark.parametrize("name", sorted(RANKS))
def test_imports_go_down(name: str) -> None:
    """A module knows those below it, never those above or beside it."""
    for imported in imports(MODULES[name]):
        below = own(imported)
        if below:
            assert RANKS[name] < RANKS[below], f"{name} imports {imported}"


@pytest.mark.parametrize("name", sorted(RANKS))
def test_the_terminal_is_a_room_of_its_own(name: str) -> None:
    """It sees outcomes and errors only, and only the commands see it."""
    is_terminal = name.partition(".")[0] == "terminal"
    for imported in imports(MODULES[name]):
        found = own(imported)
        if found is None:
            continue
        if found.partition(".")[0] == "terminal":
            assert is_terminal or name in SEES_THE_TERMINAL, f"{name} imports {imported}"
        elif is_terminal:
            assert found in SEEN_BY_THE_TERMINAL, f"{name} imports {imported}"


@pytest.mark.parametrize("package", sorted(USES))
def test_each_package_is_used_in_one_place(package: str) -> None:
    """Whoever replaces it finds all that knows it."""
    users = {
        name
        for name, tree in MODULES.items()
        if any(imported.partition(".")[0] == package for imported in imports(tree))
    }
    assert users == USES[package]


def test_streams_are_asked_for_in_one_place() -> None:
    """`Console` hands them on, so that a whole command can be run with others."""
    users = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("sys", f"std{kind}") for kind in ("in", "out", "err")}
    }
    assert users == {"terminal.console"}


def test_tests_mirror_the_source() -> None:
    """A module's tests are in the file of its name."""
    tests = Path(__file__).parent
    missing = [
        name
        for name in RANKS
        if name.rpartition(".")[2] != "__main__"
        and not (tests / Path(*name.split(".")[:-1], f"test_{name.rpartition('.')[2]}.py")).exists()
        and name not in {"terminal", "storage", "vns"}
    ]
    assert missing == []


@pytest.mark.parametrize("name", sorted(RANKS))
def test_functions_are_short(name: str) -> None:
    """A function fits on a screen; docstrings are not counted."""
    for node in ast.walk(MODULES[name]):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[1] if ast.get_docstring(node) and node.body[1:] else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


def test_the_top_of_the_tree_holds_what_belongs_there() -> None:
    """A stranger finds the way in; what a tool has left there is not committed by mistake."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("this is no clone")
    done = subprocess.run(["git", "ls-files"], check=True, cwd=root, capture_output=True, text=True)
    names = {line.partition("/")[0] for line in done.stdout.splitlines()}
    files = {"pyproject.toml", "README.md", "LICENSE", "src", "tests", "fixtures"}
    assert {name for name in names if not name.startswith(".")} == files
