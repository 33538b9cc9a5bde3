"""The README: every command that it shows runs, and prints what it says."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import encryptor
from support.commands import COMMAND, SCRIPTS, wait_until
from support.posix import posix_only
from support.recordings import AUDIO, FIXTURES, WAV

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")

GUIDS = {
    "2c0e1f8a-5d0b-4e0f-9a57-1f0a6c1d9b11": "recording_abc123.enc",
    "7be3ab10-1c7e-4e57-8f5e-0a4f4c9d2e22": "recording_ghi789.enc",
}
"""The recordings of the account in the examples."""


def examples() -> list[tuple[list[str], list[str]]]:
    """Return each block of the README that shows commands: these, and the lines that they print."""
    found = []
    for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE):
        lines = [line.removeprefix("    ") for line in block.splitlines()]
        commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if commands:
            found.append((commands, [line for line in lines if not line.startswith("$ ")]))
    return found


def comparable(lines: Iterable[str]) -> list[str]:
    """Return lines without what differs from run to run: seconds, times, and the order of a batch."""
    varying = r"in \d+\.\d s$|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    return sorted(re.sub(varying, "...", line) for line in lines)


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """All that the examples need: recordings, secrets, a store, an account, a cluster."""
    for package in ("distributed", "s3fs", "httpcore"):
        pytest.importorskip(package, reason="an extra is not installed")
    from support import api_server, dask_cluster
    from support.bucket import Bucket, serving

    (tmp_path / "secret.txt").write_text("EncryptMe\n")
    (tmp_path / "vns-token").write_text(f"{api_server.TOKEN}\n")
    late = tmp_path / "recordings" / "late"
    late.mkdir(parents=True)
    with serving() as store, api_server.serving() as api:
        bucket = Bucket(store, "bucket")
        for path in FIXTURES.glob("*.enc"):
            folder = late if "ghi" in path.name else late.parent
            shutil.copy(path, folder)
            shutil.copy(path, tmp_path)
            bucket.put(str((folder / path.name).relative_to(tmp_path)), path.read_bytes())
        (tmp_path / "old.txt").write_text("the one before\n")
        (tmp_path / "rotated").mkdir()
        shutil.copy(FIXTURES / "recording_abc123.enc", tmp_path / "rotated" / "new.enc")
        before = encryptor.encrypt(WAV, "the one before")
        (tmp_path / "rotated" / "old.enc").write_bytes(before)
        for guid, name in GUIDS.items():
            api.recordings[guid] = (FIXTURES / name).read_bytes()
        environment = {**os.environ, **bucket.env, "VNS_API_URL": api.url, "PYTHONPATH": ""}
        with dask_cluster.running(tmp_path / "dask", "", "", env=environment) as cluster:
            (tmp_path / "bin").mkdir()
            player = tmp_path / "bin" / "ffplay"
            player.write_text('#!/bin/sh\n[ "$*" = "-nodisp -autoexit -" ] && cat >played\n')
            player.chmod(0o755)
            environment["PATH"] = f"{tmp_path / 'bin'}:{SCRIPTS}:{os.environ['PATH']}"
            yield {**environment, "SCHEDULER": cluster.address}


@pytest.mark.slow
@pytest.mark.real_iterations
def test_the_examples_are_true(surroundings: dict[str, str], tmp_path: Path) -> None:
    """Each command prints what the page shows, one after the other in one folder."""
    assert len(examples()) > 8
    for commands, lines in examples():
        if "jq" in commands[0]:
            if shutil.which("jq") is None:
                continue
            cut = (FIXTURES / "recording_abc123.enc").read_bytes()[:-100]
            (tmp_path / "recordings" / "cut.enc").write_bytes(cut)
            (tmp_path / "recordings" / "page.enc").write_text("<!doctype html>")
        script = "\n".join(commands).replace("tcp://scheduler:8786", surroundings["SCHEDULER"])
        done = subprocess.run(
            ["bash", "-c", script],
            check=False,
            cwd=tmp_path,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert comparable(done.stdout.splitlines()) == comparable(lines), commands
    for name in ("cut.enc", "page.enc"):
        (tmp_path / "recordings" / name).unlink(missing_ok=True)
    for line in first_screen():
        script = f"set -o pipefail; {line}"
        subprocess.run(["bash", "-c", script], check=True, cwd=tmp_path, env=surroundings)
    assert (tmp_path / "played").read_bytes() == AUDIO


def first_screen() -> list[str]:
    """Return the commands that the page begins with."""
    [block] = re.findall(r"\A# filedecryptor\n\n[^#]*?\n\n((?:    .*\n)+)", README)
    lines = [line.strip() for line in block.splitlines()]
    assert len(lines) == 4
    return lines


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """Return what stands for /srv, with recordings, and the password in two files."""
    for name in (".vns-password", "vns-password"):
        (tmp_path / name).write_text("EncryptMe\n")
    (tmp_path / ".vns-token").write_text("the token\n")
    (tmp_path / "recordings" / "late").mkdir(parents=True)
    shutil.copy(FIXTURES / "recording_abc123.enc", tmp_path / "recordings")
    shutil.copy(FIXTURES / "recording_ghi789.enc", tmp_path / "recordings" / "late")
    return tmp_path


def check_night(srv: Path, mode: int | None = None) -> None:
    """Check that the audio is there, with these permissions if some are expected."""
    made = sorted(path.relative_to(srv).as_posix() for path in srv.glob("audio/**/*.*"))
    assert made == ["audio/late/recording_ghi789.wav", "audio/recording_abc123.opus"]
    if mode is not None:
        assert {stat.S_IMODE((srv / name).stat().st_mode) for name in made} == {mode}


@posix_only("sh")
@pytest.mark.real_iterations
def test_the_crontab_is_true(srv: Path) -> None:
    """Its lines run as cron runs them: by sh, with nothing in the environment."""
    lines = re.findall(r"^    PATH=(.*)\n    15 2 \* \* \* (.*)$", README, re.MULTILINE)
    assert [command.split()[2] for _, command in lines] == ["filedecryptor", "vns-recordings"]
    for path, command in lines:
        assert path == "/usr/local/bin:/usr/bin:/bin"
        environment = {"PATH": f"{SCRIPTS}:{path}", "HOME": str(srv)}
        if "vns-recordings" in command:
            environment["VNS_API_URL"] = "http://127.0.0.1:9"  # where nobody answers
        done = subprocess.run(
            ["/bin/sh", "-c", command.replace("/srv", str(srv)).replace("7200", "1")],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
        if "vns-recordings" in command:
            assert "missing" not in done.stderr
            assert done.returncode in {1, 7}
        else:
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            check_night(srv, 0o600)


@pytest.mark.real_iterations
def test_the_scheduled_task_is_true(srv: Path) -> None:
    """Its command line is one that the program takes."""
    [command] = re.findall(r'^    schtasks .* /TR "(.*)"$', README, re.MULTILINE)
    places = {
        r"C:\tools\.venv\Scripts\filedecryptor.exe": COMMAND,
        r"C:\secrets\vns.txt": str(srv / "vns-password"),
        r"C:\recordings": str(srv / "recordings"),
        r"C:\audio": str(srv / "audio"),
    }
    subprocess.run([places.get(word, word) for word in command.split()], check=True)
    check_night(srv)


@pytest.mark.real_iterations
def test_the_python_of_the_example(srv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as it stands."""
    [source] = [
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "open_rec" in code
    ]
    shutil.copy(FIXTURES / "recording_abc123.enc", srv)
    monkeypatch.chdir(srv)
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102
    assert names["path"] == Path("recording_abc123.opus")
    assert names["first"] == b"OggS"
    assert (srv / "recordings" / "recording_abc123.opus").read_bytes() == AUDIO


@posix_only("bash")
def test_the_completion_of_the_page(tmp_path: Path) -> None:
    """Both lines switch it on."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    [block] = re.findall(r"```sh\n(eval .*?)```", README, re.DOTALL)
    script = (
        f"PATH={SCRIPTS}:$PATH\n{block}\n"
        "COMP_WORDS=(filedecryptor --verif); COMP_CWORD=1\n"
        "_filedecryptor_completion filedecryptor --verif filedecryptor; echo ${COMPREPLY[@]}\n"
        "COMPREPLY=(); COMP_WORDS=(vns-recordings arch); COMP_CWORD=1\n"
        "_vns_recordings_completion vns-recordings arch vns-recordings; echo ${COMPREPLY[@]}\n"
    )
    done = subprocess.run(
        ["bash", "-c", script], check=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == ["--verify", "archive"]


@posix_only("bash")
@pytest.mark.slow
@pytest.mark.parametrize("way", ["quick start", "a virtual environment", "uv", "pipx"])
def test_the_ways_to_install_are_true(tmp_path: Path, way: str) -> None:
    """In a clone, with nothing but what the page names."""
    [quick] = re.findall(r"```sh\n(.* fixtures/recording_abc123\.enc .*)\n```", README)
    lines = {
        "quick start": quick,
        "a virtual environment": "python3 -m venv .venv && .venv/bin/pip install .",
        "uv": "uv tool install .",
        "pipx": "pipx install .",
    }
    assert f"\n    {lines[way]}\n" in README or way == "quick start"
    tool = lines[way].split()[0]
    if shutil.which(tool, path=f"{SCRIPTS}:{os.environ['PATH']}") is None:
        pytest.skip(f"there is no {tool}")
    clone = tmp_path / "clone"
    for name in ("src", "fixtures"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    home = {
        "HOME": str(tmp_path),
        "PYTHONPATH": "",
        "PIPX_HOME": str(tmp_path / "x"),
        "PIPX_BIN_DIR": str(tmp_path),
    }
    places = {"UV_TOOL_DIR": str(tmp_path / "u"), "UV_TOOL_BIN_DIR": str(tmp_path)}
    environment = {**os.environ, **home, **places, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", lines[way]], check=True, cwd=clone, env=environment)
    program = (
        tmp_path / "filedecryptor" if way in {"uv", "pipx"} else clone / ".venv/bin/filedecryptor"
    )
    if way != "quick start":
        words = [str(program), "fixtures/recording_abc123.enc", "EncryptMe", "opus"]
        subprocess.run(words, check=True, cwd=clone, env=environment)
    assert (clone / "fixtures" / "recording_abc123.opus").read_bytes() == AUDIO


def test_the_webhook_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of the page fetches the one recording that a call's end names."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    from support import api_server
    from support.recordings import encrypt

    [source] = [
        code for code in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "wsgi" in code
    ]
    guid = next(iter(GUIDS))
    monkeypatch.setenv("VNS_API_TOKEN", api_server.TOKEN)
    monkeypatch.setenv("FILEDECRYPTOR_PASSWORD", "EncryptMe")
    with api_server.serving() as api:
        api.recordings = {name: encrypt(AUDIO) for name in GUIDS}
        source = source.replace('TOKEN"]', f'TOKEN"], url={api.url!r}')
        names: dict[str, Any] = {}
        exec(source.replace("/srv/calls", (tmp_path / "calls").as_posix()), names)  # noqa: S102
        body = json.dumps({"sessionGuid": guid, "seconds": 12}).encode()
        environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        answers: list[str] = []
        assert names["call_end"](environ, lambda status, _: answers.append(status)) == []
        target = tmp_path / "calls" / f"{guid}.opus"
        wait_until((tmp_path / "calls" / f"{guid}.json").exists)
    assert answers == ["204 No Content"]
    assert target.read_bytes() == AUDIO
    assert len(list((tmp_path / "calls").iterdir())) == 2
