"""The seven days."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.commands import AS_ANYBODY, VNS, run_process
from support.posix import make_fifo, posix_only
from support.recordings import AUDIO, encrypt
from support.vns import ONE, TWO, environment, failing, stored, vns

NAME = ".vns-recordings.json"


def set_back(folder: Path, **ages: timedelta) -> dict[str, str]:
    """Let the runs of an archive be so old."""
    now = datetime.now(UTC)
    times = {name: f"{now - age:%Y-%m-%dT%H:%M:%SZ}" for name, age in ages.items()}
    (folder / NAME).write_text(json.dumps(times))
    return times


def test_a_complete_run_is_remembered(api: Server, tmp_path: Path) -> None:
    """One that failed is not."""
    vns(api, "archive", ".", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong")
    assert set(json.loads((tmp_path / NAME).read_text("utf-8"))) == {"first"}
    vns(api, "archive", ".", cwd=tmp_path)
    assert set(json.loads((tmp_path / NAME).read_text("utf-8"))) == {"first", "complete"}


@pytest.mark.parametrize("fails", [True, False])
def test_a_warning_after_six_days(api: Server, tmp_path: Path, fails: bool) -> None:  # noqa: FBT001
    """With both dates, also if the run is quiet, and whether or not it was complete itself."""
    times = set_back(tmp_path, first=timedelta(days=30), complete=timedelta(days=6, hours=1))
    if fails:
        api.behaviours.append(failing(*[500] * 99, path=PATH))
    result = vns(api, "archive", ".", "-q", cwd=tmp_path)
    assert result.code == (7 if fails else 0)
    [warning] = [line for line in result.lines if line.startswith("warning: ")]
    assert f"the last complete run was at {times['complete']}, and it is 20" in warning
    assert "7 days" in warning
    assert (vns(api, "archive", ".", "-q", cwd=tmp_path).stderr == "") == (not fails)


def test_a_warning_if_no_run_was_ever_complete(api: Server, tmp_path: Path) -> None:
    """From the first one on."""
    times = set_back(tmp_path, first=timedelta(days=7))
    result = vns(api, "archive", ".", cwd=tmp_path, FILEDECRYPTOR_PASSWORD="wrong")
    assert f"warning: no run since {times['first']} was complete" in result.stderr


FUTURE = '{"first": "2099-01-01T00:00:00Z", "complete": "2099-01-01T00:00:00Z"}'


@pytest.mark.parametrize(
    "data", ["", "[]", '{"complete": 3}', "{", '{"complete": "soon"}', "\0" * 80, FUTURE]
)
def test_what_is_not_understood_is_begun_anew(api: Server, tmp_path: Path, data: str) -> None:
    """It is no reason to fail."""
    (tmp_path / NAME).write_text(data)
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
    found = json.loads((tmp_path / NAME).read_text("utf-8"))
    assert found.keys() == {"first", "complete"}
    assert found["first"] == found["complete"]


@posix_only("permissions")
def test_what_cannot_be_read_costs_no_night(api: Server, tmp_path: Path) -> None:
    """Another user's file is replaced; a pipe is not, but is no reason to wait either."""
    (tmp_path / NAME).write_text("{}")
    (tmp_path / NAME).chmod(0)
    words = ("archive", ".", "-q")
    command, env = (*AS_ANYBODY, VNS), environment(api)
    assert run_process(*words, cwd=tmp_path, env=env, command=command) == (0, b"", "")
    assert "complete" in json.loads((tmp_path / NAME).read_text("utf-8"))
    (tmp_path / NAME).unlink()
    make_fifo(tmp_path / NAME)
    api.recordings[TWO] = encrypt(AUDIO)
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.lines) == (1, [f"error: ./{NAME}: Not a regular file"])
    assert stored(tmp_path).keys() >= {f"{ONE}.opus", f"{TWO}.opus"}


def test_a_run_that_left_calls_out_is_not_complete(api: Server, tmp_path: Path) -> None:
    """Unless an earlier one has them."""
    vns(api, "archive", ".", "--since", "2026-01-01", cwd=tmp_path)
    assert "complete" not in json.loads((tmp_path / NAME).read_text("utf-8"))
    set_back(tmp_path, first=timedelta(days=3), complete=timedelta(days=3))
    vns(api, "archive", ".", "--since", "2026-01-01", cwd=tmp_path)
    assert (
        json.loads((tmp_path / NAME).read_text("utf-8"))["complete"][:10]
        == f"{datetime.now(UTC):%Y-%m-%d}"
    )
