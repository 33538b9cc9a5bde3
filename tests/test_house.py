"""The house: which module may know which, what each may use, and what the package shows."""

from __future__ import annotations

import ast
import pydoc
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from support.commands import run_process
from support.posix import IS_WINDOWS
from support.recordings import AUDIO, PASSWORD

import filedecryptor
from filedecryptor import errors, vns

SOURCE = Path(filedecryptor.__file__).parent

# From top to bottom: a package imports from lines below its own only, and within itself.
ORDER = """
vns.__main__
__main__
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

USES = {
    "filedecryptor.terminal": {
        "__main__",
        "vns.__main__",
        "cli",
        "command",
        "vns.cli",
        "vns.nightly",
    },
    "click": {"cli", "vns.cli", "terminal.options"},
    "cryptography": {"core.crypto"},
    "llvmlite": {"lanes.compiler"},
    "distributed": {"jobs.cluster"},
    "fsspec": {"storage.addresses", "storage.objects", "storage.s3", "storage.uploads"},
    **{name: {"storage.s3"} for name in ("s3fs", "aiobotocore", "aiohttp", "botocore")},
    "httpcore": {"vns.http"},
}
"""Packages, and the modules outside of each that may import it."""


def name_of(path: Path) -> str:
    """Return how a module is called within the package; the package itself is ''."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def imports(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """Yield all that is imported, as dotted names."""
    for node in nodes:
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


IMPORTS = {name: set(imports(ast.walk(tree))) for name, tree in MODULES.items()}


def rank_of(name: str) -> int:
    """Return where a module stands: by its own name, or as its package."""
    return RANKS[name if name in RANKS else name.partition(".")[0]]


def test_the_package_has_twelve_entries() -> None:
    """So that a stranger finds the door."""
    entries = {path.stem for path in SOURCE.iterdir() if path.suffix in {"", ".py"}}
    assert entries - {"__pycache__"} == {"__init__", *(name.partition(".")[0] for name in RANKS)}


def test_imports_go_down() -> None:
    """A module knows its own package and those below it, never those above or beside it."""
    for name, found in IMPORTS.items():
        for imported in filter(None, map(own, found)):
            if name and imported.partition(".")[0] != name.partition(".")[0]:
                assert rank_of(name) < rank_of(imported), f"{name} imports {imported}"


def test_imports_make_no_circle() -> None:
    """What stands at the top of a module needs nothing that needs the module itself."""
    needs = {name: set(map(own, imports(tree.body))) - {None, ""} for name, tree in MODULES.items()}
    TopologicalSorter(needs).prepare()


@pytest.mark.parametrize("package", USES)
def test_each_package_is_used_in_one_place(package: str) -> None:
    """To replace it is to change that; only the command lines see the terminal."""
    users = {
        name
        for name, found in IMPORTS.items()
        if any(f"{imported}.".startswith(f"{package}.") for imported in found)
        and not f"filedecryptor.{name}.".startswith(f"{package}.")
    }
    assert users == USES[package]


def test_no_other_package_is_used() -> None:
    """So what uses none of the extras is the same where they are missing."""
    found = {imported.partition(".")[0] for names in IMPORTS.values() for imported in names}
    others = found - sys.stdlib_module_names - {"filedecryptor"}
    assert others == USES.keys() - {"filedecryptor.terminal"}


def test_streams_are_asked_for_in_one_place() -> None:
    """`Console` hands them on, so that a whole command can be run with others."""
    users = {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in {"sys.stdin", "sys.stdout", "sys.stderr"}
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


def test_a_name_stands_for_one_thing() -> None:
    """A class or a constant that others may import has its name alone."""
    names: Counter[str] = Counter()
    for tree in MODULES.values():
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                names[node.name] += 1
            elif isinstance(node, ast.Assign):
                names.update(one.id for one in node.targets if isinstance(one, ast.Name))
    several = {name for name, count in names.items() if count > 1 and name[0].isupper()}
    assert several <= {"Result", "TYPE_CHECKING"}


def test_the_top_of_the_tree_holds_what_belongs_there() -> None:
    """A stranger finds the way in; what a tool has left there is not committed by mistake."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        pytest.skip("this is no clone")
    done = subprocess.run(["git", "ls-files"], check=True, cwd=root, capture_output=True, text=True)
    names = {line.partition("/")[0] for line in done.stdout.splitlines()}
    files = {"pyproject.toml", "README.md", "LICENSE", "docs", "src", "tests", "fixtures"}
    assert {name for name in names if not name.startswith(".")} <= files


FOR_LANES = {"llvmlite", "subprocess", "filedecryptor.lanes.kernel"}
FOR_LANES |= set() if IS_WINDOWS else {"ctypes"}
CALL = ["-m", "filedecryptor", "a.enc", PASSWORD, "opus"]


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        (["-c", "import filedecryptor"], {"click", "cryptography"}),
        (["-m", "filedecryptor", "--version"], {"cryptography"}),
        (["-m", "filedecryptor", "--help"], {"cryptography"}),
        ([*CALL, "-d", "."], {"fsspec", "s3fs", "dask", "distributed"}),
        (["-c", "import filedecryptor.jobs.batch"], FOR_LANES),
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
        assert re.search(rf"^    (class )?{name}(\(| = )", page, re.MULTILINE), name


def test_what_a_function_raises_is_public() -> None:
    """Its caller can catch it; only what the command alone meets has no public name."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    assert all(hasattr(vns, name) and name in dir(vns) for name in vns.__all__)
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, filedecryptor.FileDecryptorError)
    }
    assert kinds - {"ClusterError"} <= {*filedecryptor.__all__, *vns.__all__}
