"""The repository that the tests are in: its release, and copies of its source."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
RELEASE = str(_SETTINGS["tool"]["hatch"]["version"]["fallback-version"])


def copy_source(folder: Path) -> None:
    """Copy what a build needs, without any commit."""
    for name in ("src", "fixtures"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, folder)
