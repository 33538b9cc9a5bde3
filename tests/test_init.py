"""The public names of the package."""

from __future__ import annotations

import pydoc
import re
import subprocess
import sys

import pytest

import filedecryptor
from filedecryptor import errors, vns


def test_importing_the_package_imports_neither_click_nor_cryptography() -> None:
    """Programs that use the functions do not pay for the command."""
    code = "import filedecryptor, sys; print({'click', 'cryptography'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_every_public_name_is_there() -> None:
    """`__all__` promises nothing that is missing."""
    assert all(hasattr(filedecryptor, name) for name in filedecryptor.__all__)


def test_the_public_names_are_shown() -> None:
    """By `dir` and `help`, although they are loaded when they are used; nothing else is."""
    shown = {name for name in dir(filedecryptor) if not name.startswith("__")}
    assert shown == set(filedecryptor.__all__) - {"__version__"}
    page = pydoc.plain(pydoc.render_doc(filedecryptor))
    for name in shown:
        assert re.search(rf"^    (class )?{name}\(", page, re.MULTILINE), name


def test_what_a_function_raises_is_public() -> None:
    """Whoever calls one can catch it; only what the command alone meets has no public name."""
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
