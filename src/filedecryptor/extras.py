"""Optional parts of the package."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def missing_extra(extra: str) -> str:
    """Return what to type where an optional part of the package is not installed."""
    # uv leaves pip out of the environments that it makes for tools.
    installer = "uv tool" if find_spec("pip") is None else f"{sys.executable} -m pip"
    more = " --force" if installer == "uv tool" else ""
    return f'in a clone of filedecryptor: {installer} install{more} ".[{extra}]"'
