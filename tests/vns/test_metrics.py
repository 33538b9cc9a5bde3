"""Figures for Prometheus."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
pytest.importorskip("filelock", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.recordings import AUDIO, encrypt
from support.vns import TWO, failing, vns


def figures(path: Path) -> dict[str, float]:
    """Return what a file holds; it must be as Prometheus wants it."""
    text = path.read_text("utf-8")
    assert not re.sub(r"# HELP (\w+) .+\n# TYPE \1 gauge\n\1 [0-9.e+-]+\n", "", text)
    values = re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)
    return {name.removeprefix("vns_recordings_"): float(value) for name, value in values}


def test_figures(api: Server, tmp_path: Path) -> None:
    """Of a run that fetched one, and failed for another."""
    path = tmp_path / "vns.prom"
    path.write_text("old")
    api.recordings[TWO] = encrypt(AUDIO, "another password")
    assert vns(api, "archive", "calls", "--metrics", "vns.prom", cwd=tmp_path).code == 3
    found = figures(path)
    assert 0 < found.pop("seconds") < 60
    assert found == {"listed": 2, "fetched": 1, "failed": 1, "bytes": len(AUDIO)}
    del api.recordings[TWO]
    assert vns(api, "archive", "calls", "--metrics", "vns.prom", cwd=tmp_path).code == 0
    found = figures(path)
    assert (found["listed"], found["fetched"], found["failed"]) == (1, 0, 0)
    assert found["last_complete_timestamp_seconds"] > 1.7e9


def test_figures_of_a_run_without_a_list(api: Server, tmp_path: Path) -> None:
    """Somebody may wait for them to change."""
    vns(api, "archive", "calls", "--metrics", "vns.prom", cwd=tmp_path)
    complete = figures(tmp_path / "vns.prom")["last_complete_timestamp_seconds"]
    api.behaviours.append(failing(*[500] * 9, path=PATH))
    assert vns(api, "archive", "calls", "--metrics", "vns.prom", cwd=tmp_path).code == 7
    found = figures(tmp_path / "vns.prom")
    assert found["listed"] == 0
    assert found["last_complete_timestamp_seconds"] == complete


def test_a_file_that_cannot_be_written(api: Server, tmp_path: Path) -> None:
    """It is an error, after the recordings are stored."""
    result = vns(api, "archive", "calls", "--metrics", "no/vns.prom", cwd=tmp_path)
    assert result.code == 1
    assert "error: no/vns.prom: No such file or directory" in result.lines
    assert len(result.stdout.splitlines()) == 1
