"""Optional parts of the package."""

from __future__ import annotations

import sys


def missing_extra(extra: str) -> str:
    """Return what to type where an optional part of the package is not installed."""
    return f'in a clone of filedecryptor: {sys.executable} -m pip install ".[{extra}]"'
