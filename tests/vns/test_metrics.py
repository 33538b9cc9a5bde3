"""Figures for Prometheus."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import PATH, Server
from support.commands import VNS, run_process
from support.posix import make_fifo, make_null, make_socket, posix_only
from support.recordings import AUDIO, encrypt
from support.vns import TWO, environment, failing, vns


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


@posix_only("/proc/self")
@pytest.mark.parametrize("name", ["-", "stdout"])
def test_to_standard_output(api: Server, tmp_path: Path, name: str) -> None:
    """With a pipe, and with a file, to which it is added. The real `/dev` is not for tests."""
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    words, env = ("archive", "calls", "-q", "--metrics", name), environment(api)
    result = run_process(*words, cwd=tmp_path, env=env, command=(VNS,))
    assert (result.code, result.stderr) == (0, "")
    (tmp_path / "piped").write_bytes(result.stdout)
    with (tmp_path / "file").open("wb") as file:
        file.write(b"begin\n")
        file.flush()
        command = [VNS, *words]
        subprocess.run(command, check=True, cwd=tmp_path, env=env, stdout=file)
    begin, _, rest = (tmp_path / "file").read_text("utf-8").partition("\n")
    (tmp_path / "file").write_text(rest)
    assert (begin, figures(tmp_path / "file")["listed"]) == ("begin", 1)
    assert figures(tmp_path / "piped")["fetched"] == 1
    assert (tmp_path / "stdout").is_symlink()


def test_to_a_pipe_that_has_a_name(api: Server, tmp_path: Path) -> None:
    """Its reader gets them; where there is none, nobody waits, and the pipe stays a pipe."""
    pipe = make_fifo(tmp_path / "pipe")
    words = ("archive", "calls", "--metrics", "pipe")
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.lines[0]) == (1, "error: pipe: Nobody reads from it")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert vns(api, *words, cwd=tmp_path).code == 0
    (tmp_path / "read").write_bytes(os.read(reader, 65536))
    assert figures(tmp_path / "read")["listed"] == 1
    filling = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while os.write(filling, bytes(4096)):
            pass
    result = vns(api, *words, cwd=tmp_path)
    assert (result.code, result.lines[0]) == (1, "error: pipe: Nobody reads from it")
    os.close(filling)
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_to_a_device(api: Server, tmp_path: Path) -> None:
    """It takes them, and is a device all the same; so does a link to one."""
    device = make_null(tmp_path / "null")
    (tmp_path / "link").symlink_to("null")
    for name in ("null", "link"):
        assert vns(api, "archive", "calls", "--metrics", name, cwd=tmp_path).code == 0
    assert stat.S_ISCHR(device.stat().st_mode)
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("name", ["directory", "socket"])
def test_to_what_takes_none(api: Server, tmp_path: Path, name: str) -> None:
    """It stays what it is."""
    if name == "directory":
        (tmp_path / name).mkdir()
    else:
        make_socket(tmp_path / name)
    mode = (tmp_path / name).stat().st_mode
    result = vns(api, "archive", "calls", "--metrics", name, cwd=tmp_path)
    cause = "Is a directory" if name == "directory" else "Not a regular file"
    assert (result.code, result.lines[0]) == (1, f"error: {name}: {cause}")
    assert (tmp_path / name).stat().st_mode == mode


def test_to_a_link(api: Server, tmp_path: Path) -> None:
    """What it leads to is where somebody looks for the figures."""
    (tmp_path / "real.prom").write_text("old")
    (tmp_path / "link.prom").symlink_to("real.prom")
    assert vns(api, "archive", "calls", "--metrics", "link.prom", cwd=tmp_path).code == 0
    assert (tmp_path / "link.prom").is_symlink()
    assert figures(tmp_path / "real.prom")["listed"] == 1


def test_standard_output_takes_one_of_them(api: Server, tmp_path: Path) -> None:
    """Objects and figures together could be read by nobody."""
    result = vns(api, "archive", "calls", "--json", "--metrics", "-", cwd=tmp_path)
    assert (result.code, result.stdout, api.seen) == (2, b"", [])


def test_a_file_that_cannot_be_written(api: Server, tmp_path: Path) -> None:
    """It is an error, after the recordings are stored."""
    result = vns(api, "archive", "calls", "--metrics", "no/vns.prom", cwd=tmp_path)
    assert result.code == 1
    assert "error: no/vns.prom: No such file or directory" in result.lines
    assert len(result.stdout.splitlines()) == 1
