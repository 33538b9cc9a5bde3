"""The house: which module may know which, and what each may use, seen in the source itself."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import filedecryptor

SOURCE = Path(filedecryptor.__file__).parent

# From top to bottom: a package imports from lines below its own only, and within itself.
ORDER = """
__main__ vns.__main__
cli vns
command
terminal
jobs
storage lanes
core
audio
errors
"""
RANKS = {name: rank for rank, line in enumerate(ORDER.split("\n")) for name in line.split()}

SEES_THE_TERMINAL = {"__main__", "vns.__main__", "cli", "command", "vns.cli", "vns.nightly"}

USES = {
    "click": {"cli", "vns.cli", "terminal.options", "terminal.password"},
    "cryptography": {"core.crypto"},
    "llvmlite": {"lanes.compiler"},
    "distributed": {"jobs.cluster"},
    "fsspec": {"storage.objects", "storage.s3"},
    "s3fs": {"storage.s3"},
    "httpcore": {"vns.http"},
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


def rank_of(name: str) -> int:
    """Return where a module stands: by its own name, or as its package."""
    return RANKS[name if name in RANKS else name.partition(".")[0]]


def test_the_package_has_twelve_entries() -> None:
    """So that a stranger finds the door."""
    entries = {path.name for path in SOURCE.iterdir() if path.suffix in {"", ".py"}}
    packages = {name.partition(".")[0] for name in RANKS}
    own_files = {"__init__.py", "__main__.py", "cli.py", "command.py", "errors.py"}
    assert entries - {"__pycache__"} == own_files | {
        name for name in packages if f"{name}.py" not in own_files
    }


def test_imports_go_down() -> None:
    """A module knows its own package and those below it, never those above or beside it."""
    for name, tree in MODULES.items():
        for imported in imports(tree):
            found = own(imported)
            if not name or not found or found.partition(".")[0] == name.partition(".")[0]:
                continue
            assert rank_of(name) < rank_of(found), f"{name} imports {imported}"


def test_imports_make_no_circle() -> None:
    """What stands at the top of a module needs nothing that needs the module itself."""
    needs: dict[str, set[str]] = {}
    for name, tree in MODULES.items():
        top = ast.Module([node for node in tree.body if not isinstance(node, ast.If)], [])
        own_imports = (node for node in top.body if isinstance(node, (ast.Import, ast.ImportFrom)))
        found = {own(one) for one in imports(ast.Module(list(own_imports), []))}
        needs[name] = {one for one in found if one}
    while free := {name for name, needed in needs.items() if not needed & needs.keys()}:
        needs = {name: needed for name, needed in needs.items() if name not in free}
    assert not needs


def test_the_terminal_is_a_room_of_its_own() -> None:
    """Only the command lines see it."""
    users = {
        name
        for name, tree in MODULES.items()
        if any((own(one) or "").partition(".")[0] == "terminal" for one in imports(tree))
        and name.partition(".")[0] != "terminal"
    }
    assert users <= SEES_THE_TERMINAL


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


def test_functions_are_short() -> None:
    """A function fits on a screen; docstrings are not counted."""
    for tree in MODULES.values():
        for node in ast.walk(tree):
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
    files = {"pyproject.toml", "README.md", "LICENSE", "docs", "src", "tests", "fixtures"}
    assert {name for name in names if not name.startswith(".")} <= files
