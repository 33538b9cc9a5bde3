"""Recordings encrypted by an independent implementation (Node.js, checked with Java)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import run
from support.recordings import FIXTURES

SHARED = Path(__file__).parents[2] / "shared" / "vectors"
CODES = {"ok": 0, "authentication-failed": 3, "not-enc": 4}

pytestmark = pytest.mark.real_iterations


def vectors() -> list[Any]:
    """Return a test parameter for each vector: those of the project, and the whole set."""
    found = []
    for folder in (FIXTURES, FIXTURES / "vectors", SHARED):
        if not folder.exists():
            reason = "the whole set of vectors is not beside this checkout"
            found.append(pytest.param({}, marks=pytest.mark.skip(reason=reason), id="whole set"))
            continue
        for entry in json.loads((folder / "manifest.json").read_text("utf-8")):
            path = folder / entry["file"]
            name = f"{folder.parent.name}-{path.stem}"
            found.append(pytest.param({"expect": "ok", "path": path} | entry, id=name))
    return found


@pytest.mark.parametrize("vector", vectors())
def test_it_is_as_the_manifest_says(vector: dict[str, Any], tmp_path: Path) -> None:
    """The plaintext's size and hash; or the failure's exit code, and nothing written."""
    recording = vector["path"].read_bytes()
    (tmp_path / "x.enc").write_bytes(recording)
    result = run("x.enc", vector["password"], "bin", cwd=tmp_path)
    assert result.code == CODES[vector["expect"]]
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made.pop("x.enc") == recording
    found = [(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in made.items()]
    assert found == ([] if result.code else [("x.bin", vector["size"], vector["sha256"])])
