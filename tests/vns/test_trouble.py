"""When a run stops before its end, and when it does not."""

from __future__ import annotations

import errno
import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Handler, Server
from support.commands import VNS, run_process
from support.posix import IS_WINDOWS, posix_only
from support.recordings import AUDIO, encrypt
from support.store_proxy import Answer, Request, proxy, refusal
from support.vns import NUMBERED, ONE, THREE, TWO, answering, environment, stored, vns, vns_process

from filedecryptor.storage.atomic import PendingFile

if TYPE_CHECKING:
    from support.bucket import Bucket

COUNT = 40


@pytest.fixture
def many(api: Server) -> Server:
    """An account with many recordings."""
    api.recordings = dict.fromkeys(NUMBERED[:COUNT], encrypt(AUDIO))
    return api


GENERAL = {
    "401": (6, "the API refused the token (status 401)"),
    "403": (6, "the API refused the token (status 403)"),
    "503": (7, "the API kept failing (status 503)"),
    "server": (7, "the answer of "),
    "disk": (1, "No space left on device"),
    "directory": (1, "Permission denied"),
}


@pytest.mark.parametrize("trouble", GENERAL)
def test_what_concerns_all(
    many: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """One line says why, one how many are left, and each of those is reported."""
    if trouble == "directory" and IS_WINDOWS:
        pytest.skip("Windows has no permissions")
    calls = tmp_path / "calls"
    calls.mkdir()

    def run_out(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def begin(handler: Handler) -> bool:
        if sum(path != PATH for _, path, _ in many.seen) <= 10:
            return False
        handler.close_connection = trouble == "server"
        if trouble.isdigit():
            handler.send(int(trouble), b"")
        elif trouble == "disk":
            monkeypatch.setattr(PendingFile, "write", run_out)
        elif trouble == "directory":
            calls.chmod(0o500)
        return trouble.isdigit() or trouble == "server"

    many.behaviours.append(begin)
    words = ("archive", "calls", "--json", "-j", "2")
    if trouble == "directory":
        result = vns_process(many, *words, cwd=tmp_path, as_anybody=True)
    else:
        result = vns(many, *words, cwd=tmp_path)
    calls.chmod(0o700)
    code, said = GENERAL[trouble]
    outcomes = [json.loads(line) for line in result.stdout.splitlines()][:-1]
    left = [outcome["code"] for outcome in outcomes if outcome["status"] == "not tried"]
    assert (result.code, len(outcomes), set(left)) == (code, COUNT, {code})
    errors = [line for line in result.lines if line.startswith("error: ")]
    assert (len(errors), said in errors[0]) == (2, True)
    assert f"{len(left)} recordings not tried" in errors[1]
    assert f"{len(left)} not tried, 1 failed" in result.stderr
    # What cannot be recorded may be there all the same.
    assert 0 <= len(stored(calls)) - (COUNT - len(left) - 1) <= 4
    assert len(left) > COUNT / 2
    assert len(many.seen) < COUNT
    assert not [path for path in calls.iterdir() if path.suffix == ".tmp"]


@posix_only("small disks and limits of this kind")
@pytest.mark.parametrize(
    ("size", "shell", "said"),
    [
        (9_000_000, "unshare -m sh -c 'mount -t tmpfs -o size=8m n calls && exec", "No space left"),
        (500_000, "sh -c 'ulimit -f 500; exec", "File too large"),
    ],
)
def test_a_long_recording(many: Server, tmp_path: Path, size: int, shell: str, said: str) -> None:
    """Others may, so they are fetched as long as there is room for such."""
    many.recordings = {THREE: encrypt(AUDIO + os.urandom(size))} | many.recordings
    (tmp_path / "calls").mkdir()
    command = [*shlex.split(f"""{shell} "$@"' sh"""), VNS]
    if subprocess.run([*command[:-1], "true"], check=False, cwd=tmp_path).returncode:
        pytest.skip("nothing can be mounted here")
    words = ("archive", "calls", "-j", "1")
    result = run_process(*words, cwd=tmp_path, env=environment(many), command=command)
    assert (result.code, len(result.stdout.splitlines())) == (1, COUNT)
    assert said in result.lines[0]
    assert "not tried" not in result.stderr


@pytest.mark.parametrize(("status", "count"), [(403, 10), (500, 10), (400, 40), (204, 40)])
def test_what_concerns_one(many: Server, tmp_path: Path, status: int, count: int) -> None:
    """If the API still answers for the list, the others are fetched; it is asked for once more."""
    many.behaviours.append(answering(status, guids=list(many.recordings)[:count]))
    result = vns(many, "archive", ".", "-j", "1", cwd=tmp_path)
    assert result.code == (6 if status == 403 else 7)
    assert len(stored(tmp_path)) == COUNT - count
    assert f"{count} failed" in result.stderr
    assert "not tried" not in result.stderr
    assert many.count("GET", PATH) == 2  # it may have megabytes


@pytest.mark.parametrize("is_down", [True, False])
def test_unreadable_objects(api: Server, bucket: Bucket, tmp_path: Path, *, is_down: bool) -> None:
    """A store may have lost some of its objects; only one that answers for none ends a run."""
    api.recordings = {guid: encrypt(AUDIO) for guid in (ONE, TWO, THREE)}
    place = f"{bucket.url}/calls"
    assert vns(api, "archive", place, cwd=tmp_path, **bucket.env).code == 0
    bucket.client.delete_object(Bucket=bucket.name, Key=f"calls/{THREE}.json")

    def behave(request: Request, forward: Callable[[Request], Answer]) -> Answer:
        if is_down or ONE in request.path:
            return refusal(500, "InternalError", "We encountered an internal error")
        return forward(request)

    with proxy(bucket.env["AWS_ENDPOINT_URL"], behave) as between:
        more = {**bucket.env, "AWS_ENDPOINT_URL": between.url, "AWS_MAX_ATTEMPTS": "1"}
        for words in (["--dry-run"], ["--check"], []):
            result = vns(api, "archive", place, *words, "-j", "1", cwd=tmp_path, **more)
            assert result.code == 1
            assert "We encountered an internal error" in result.stderr
            is_said = [text in result.stderr for text in ("skipped", "1 failed", "not tried")]
            assert is_down or is_said == [True, True, False]


def test_deletions_that_are_refused(many: Server, tmp_path: Path) -> None:
    """Each is its own recording's trouble, and is said."""
    held = list(many.recordings)[:5]
    many.behaviours.append(answering(403, command="DELETE", guids=held))
    result = vns(many, "archive", ".", "--delete-after", "-j", "1", cwd=tmp_path)
    assert (result.code, len(many.deleted)) == (6, COUNT - len(held))
    assert result.stderr.count("stored, but not deleted") == len(held)


def test_what_is_not_tried_is_checked_all_the_same(many: Server, tmp_path: Path) -> None:
    """It may have been here before the server was not."""
    vns(many, "archive", ".", cwd=tmp_path)
    (tmp_path / f"{NUMBERED[0]}.opus").unlink()

    def refuse(handler: Handler) -> bool:
        is_asked = handler.path != PATH or len(many.seen) > 1
        if is_asked:
            handler.send(401, b"")
        return is_asked

    many.seen.clear()
    many.behaviours.append(refuse)
    result = vns(many, "archive", ".", "--check", "-j", "1", cwd=tmp_path)
    assert result.code == 6
    assert f"{COUNT - 1} verified, {COUNT - 1} not tried" in result.stderr
