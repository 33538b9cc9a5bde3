"""Recordings encrypted by an independent implementation (Node.js, checked with Java)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import run
from support.folders import contents
from support.recordings import FIXTURES

from filedecryptor import AuthenticationError, NotEncError, decrypt

SHARED = Path(__file__).parents[2] / "shared" / "vectors"
FAILURES = {"authentication-failed": AuthenticationError, "not-enc": NotEncError}

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
    """The plaintext's size and hash; or the failure, its exit code, and nothing written."""
    data, password = vector["path"].read_bytes(), vector["password"]
    (tmp_path / "x.enc").write_bytes(data)
    before = contents(tmp_path)
    result = run("x.enc", password, "bin", cwd=tmp_path)
    if vector["expect"] == "ok":
        audio = decrypt(data, password)
        assert (len(audio), hashlib.sha256(audio).hexdigest()) == (vector["size"], vector["sha256"])
        assert result == (0, b"x.bin\n", "")
        assert contents(tmp_path) == before | {"x.bin": audio}
        return
    failure = FAILURES[vector["expect"]]
    with pytest.raises(failure):
        decrypt(data, password)
    assert (result.code, result.stdout) == (failure.exit_code, b"")
    assert result.lines[0].startswith("error: x.enc: ")
    assert contents(tmp_path) == before
