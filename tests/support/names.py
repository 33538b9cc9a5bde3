"""Names that some disks hold to be one."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from filedecryptor.jobs.plan import Folding

E = unicodedata.normalize("NFC", "\u00e9")


E_AND_ACCENT = unicodedata.normalize("NFD", E)


def make(folder: Path, *names: str) -> None:
    """Make empty files, and the directories that they are in."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


class OverlookingSystem:
    """Lets the operating system overlook what some file systems do in the names of files.

    Attributes:
        looks: The paths that were looked for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, case: bool, form: bool) -> None:
        fold = Folding(case=case, form=form)
        self.looks: list[str] = []

        def lexists(path: str) -> bool:
            directory, name = os.path.split(path)
            self.looks.append(path)
            return any(fold(other) == fold(name) for other in os.listdir(directory))

        monkeypatch.setattr(os.path, "lexists", lexists)
