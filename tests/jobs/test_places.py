"""Which names are one place on a disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.folders import nothing_changes
from support.names import OverlookingSystem, make
from support.posix import posix_only

from filedecryptor.jobs.plan import Plan, folding


@pytest.mark.parametrize("overlooked", [set(), {"case"}, {"form"}, {"case", "form"}])
def test_what_a_disk_overlooks_is_seen_on_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, overlooked: set[str]
) -> None:
    """By a file that is there for a moment; case and normalisation each for itself."""
    OverlookingSystem(monkeypatch, case="case" in overlooked, form="form" in overlooked)
    with nothing_changes(here):
        assert folding(".") == ("case" in overlooked, "form" in overlooked)


def test_what_a_real_disk_overlooks(disk: Path) -> None:
    """The directory is as empty as before; the one beside it is another file system."""
    assert folding(str(disk)) == (True, True)
    assert folding(str(disk.parent)) == (False, False)
    assert list(disk.iterdir()) == []


@posix_only("disks that tell case apart")
def test_where_no_file_can_be_made_nothing_is_overlooked(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read only fails later, by its own words."""
    OverlookingSystem(monkeypatch, case=True, form=True)
    make(here, "x/Call.enc", "x/call.enc")

    def refuse(path: str, *_: object) -> int:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "open", refuse)
    assert folding(".") == (False, False)
    assert len(Plan(["x"], "opus", output_dir=".")) == 2
