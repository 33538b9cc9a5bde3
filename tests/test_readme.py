"""The README and the pages in docs: each command that they show runs, and prints what they say."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import api_server, encryptor
from support.clone import RELEASE, ROOT, copy_source
from support.commands import COMMAND, SCRIPTS, VNS, wait_until
from support.folders import contents
from support.pages import FENCED, PAGES, blocks
from support.posix import posix_only
from support.recordings import AUDIO, FIXTURES, PASSWORD, WAV

GUIDS = {  # the recordings of the account in the examples
    "2c0e1f8a-5d0b-4e0f-9a57-1f0a6c1d9b11": "recording_abc123.enc",
    "7be3ab10-1c7e-4e57-8f5e-0a4f4c9d2e22": "recording_ghi789.enc",
}


def examples(page: str) -> list[tuple[list[str], list[str]]]:
    """Return each block of a page that shows commands: these, and the lines that they print."""
    found = []
    for block in re.findall(r"(?:^    .*\n)+", FENCED.sub("", PAGES[page]), re.MULTILINE):
        lines = [line.removeprefix("    ") for line in block.splitlines()]
        commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        found.append((commands, [line for line in lines if not line.startswith("$ ")]))
    return found


def comparable(lines: Iterable[str]) -> list[str]:
    """Return lines without what differs from run to run: seconds, times, and the order of a batch."""
    return sorted(re.sub(r"in \d+\.\d s$|\d{4}-\d\d-\d\dT[\d:]{8}Z", "...", line) for line in lines)


def test_every_block_is_run() -> None:
    """Each shows a command, or is in a language that a test takes: here, of units, of the program."""
    assert all(commands for page in PAGES for commands, _ in examples(page))
    languages = {name for text in PAGES.values() for name, _ in FENCED.findall(text)}
    assert languages == {"bat", "crontab", "ini", "python", "sh", "yaml"}


def test_links_lead_somewhere() -> None:
    """Each names a file that is there, and a heading in it, as GitHub makes an anchor of it."""
    for page in [*ROOT.glob("docs/*.md"), *ROOT.glob(".github/*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            name, _, anchor = target.partition("#")
            if name.endswith(".png"):
                assert (page.parent / name).is_file()
            elif not name.startswith("https://"):
                text = FENCED.sub("", (page.parent / (name or page.name)).read_text("utf-8"))
                headings = re.findall(r"^#+ (.*)$", text.lower(), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", one).replace(" ", "-") for one in headings}
                assert anchor in {"", *anchors}, f"{page.name}: {target}"


def write_program(folder: Path, name: str, script: str) -> None:
    """Let a program be there; it says so if its script fails."""
    path = folder / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script} || echo {name} has failed\n")
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What stands for a home, /srv and C:, with the recordings and the secrets of the pages."""
    for folder in ("recordings/late", "rotated", "secrets"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("secret.txt", ".vns-password", "secrets/vns.txt"):
        (tmp_path / name).write_text(f"{PASSWORD}\n")
    for name in ("vns-token", ".vns-token", "secrets/token.txt"):
        (tmp_path / name).write_text(f"{api_server.TOKEN}\n")
    (tmp_path / "old.txt").write_text("the one before\n")
    for path in FIXTURES.glob("*.enc"):
        shutil.copy(path, tmp_path / "recordings" / ("late" if "ghi" in path.name else ""))
        shutil.copy(path, tmp_path)
    shutil.copy(FIXTURES / "recording_abc123.enc", tmp_path / "rotated" / "new.enc")
    (tmp_path / "rotated" / "old.enc").write_bytes(encryptor.encrypt(WAV, "the one before"))
    return tmp_path


@pytest.fixture
def api() -> Iterator[str]:
    """The address of a server with an account."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    with api_server.serving() as server:
        server.recordings = {guid: (FIXTURES / name).read_bytes() for guid, name in GUIDS.items()}
        yield server.url


@pytest.fixture
def env(place: Path, api: str) -> Iterator[dict[str, str]]:
    """An environment in which the programs, a player, the account and a store are found."""
    for package in ("distributed", "s3fs"):
        pytest.importorskip(package, reason="an extra is not installed")
    from support.bucket import Bucket, serving

    audio = FIXTURES / "plain" / "recording_abc123.opus"
    write_program(place, "ffplay", f'[ "$*" = "-nodisp -autoexit -" ] && cmp - {audio}')
    path_of_all = f"{place / 'bin'}:{SCRIPTS}:{os.environ['PATH']}"
    with serving() as store:
        bucket = Bucket(store, "bucket")
        for path in (place / "recordings").rglob("*.enc"):
            bucket.put(str(path.relative_to(place)), path.read_bytes())
        ours = {"VNS_API_URL": api, "PYTHONPATH": "", "PATH": path_of_all}
        yield {**os.environ, **bucket.env, **ours}


def with_cluster(commands: Iterable[str]) -> str:
    """Return a script of commands that first starts the scheduler and the workers of the page."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    [block] = blocks("sh", "dask scheduler")
    scheduler, worker = block.splitlines()
    scheduler += f" --host 127.0.0.1 --port {port} --no-dashboard --idle-timeout 100"
    started = [f"{line} >>cluster.log 2>&1 &" for line in (scheduler, worker)]
    script = "\n".join([*started, *commands, "kill %1 %2"])
    return script.replace("scheduler:8786", f"127.0.0.1:{port}")


@posix_only("bash")
@pytest.mark.slow
@pytest.mark.real_iterations
@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
def test_the_examples_are_true(env: dict[str, str], tmp_path: Path, page: str) -> None:
    """Each command prints what the page shows, one after the other in one folder."""
    for commands, lines in examples(page):
        if "jq" in commands[0] and shutil.which("jq") is None:
            continue
        if "page.enc" in "".join(lines):
            cut = tmp_path / "recordings" / "cut.enc"
            cut.write_bytes((FIXTURES / "recording_abc123.enc").read_bytes()[:-100])
            (tmp_path / "recordings" / "page.enc").write_text("<!doctype html>")
        script = with_cluster(commands) if "--cluster" in commands[0] else "\n".join(commands)
        assert comparable(printed(script, tmp_path, env)) == comparable(lines), commands


def printed(script: str, folder: Path, env: dict[str, str]) -> list[str]:
    """Return the lines that a script prints."""
    words = ["bash", "-c", f"exec 2>&1\n{script}"]
    done = subprocess.run(
        words, check=False, cwd=folder, env=env, capture_output=True, text=True, timeout=90
    )
    return done.stdout.splitlines()


def check_the_night(place: Path) -> None:
    """Check that the recordings and the account's are there as audio."""
    audio = {"late", "late/recording_ghi789.wav", "recording_abc123.opus", "recording_def456.mp3"}
    assert contents(place / "audio").keys() == audio
    assert {path.stem for path in (place / "calls").glob("[!.]*")} == GUIDS.keys()


@posix_only("sh")
@pytest.mark.real_iterations
def test_the_crontabs_are_true(place: Path, api: str) -> None:
    """Their lines run as cron runs them: by sh, with hardly anything in the environment."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(place), "VNS_API_URL": api}
    for line in "".join(blocks("crontab")).splitlines():
        command = line.removeprefix("15 2 * * * ").replace("/usr/local/bin", str(SCRIPTS))
        words = ["/bin/sh", "-c", command.replace("/srv", str(place))]
        done = subprocess.run(words, check=False, env=env, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    check_the_night(place)
    for path in (*(place / "audio").rglob("*"), *(place / "calls").glob("[!.]*")):
        assert not path.stat().st_mode & 0o077


@pytest.mark.real_iterations
def test_the_lines_for_windows_are_true(place: Path, api: str) -> None:
    """The commands of the tasks are ones that the programs take; CI runs the installation there."""
    for line in re.findall(r'^schtasks .* /TR "(.*)"$', "".join(blocks("bat")), re.MULTILINE):
        program, *words = line.replace("C:", str(place)).replace("\\", "/").split()
        program = VNS if program.endswith("/vns-recordings.exe") else COMMAND
        subprocess.run([program, *words], check=True, env={**os.environ, "VNS_API_URL": api})
    check_the_night(place)
    jobs = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    [block] = blocks("bat", "fixtures")
    assert all(f"- run: {line}\n" in jobs for line in block.splitlines())


@pytest.mark.real_iterations
@pytest.mark.parametrize("source", blocks("python"))
def test_the_python_of_the_pages(
    place: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """It runs as it stands; the webhook fetches the one recording that a call's end names."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("VNS_API_TOKEN", api_server.TOKEN)
    monkeypatch.setenv("FILEDECRYPTOR_PASSWORD", PASSWORD)
    if "Client" in source:
        url = request.getfixturevalue("api")
        source = source.replace('TOKEN"]', f'TOKEN"], url={url!r}')
    names: dict[str, Any] = {}
    exec(source.replace("/srv", place.as_posix()), names)  # noqa: S102
    if "path" in names:
        assert names["path"].read_bytes() == AUDIO
    if "decrypt_files" in names:
        assert (place / "recordings" / "recording_abc123.opus").read_bytes() == AUDIO
    if "first" in names:
        assert names["first"] == b"OggS"
    if "outcomes" in names:
        assert (len(names["outcomes"]), names["rate"]) == (3, 24_000)
    if "call_end" in names:
        guid = next(iter(GUIDS))
        body = json.dumps({"sessionGuid": guid, "seconds": 12}).encode()
        environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        answers: list[str] = []
        assert names["call_end"](environ, lambda status, _: answers.append(status)) == []
        wait_until((place / "calls" / f"{guid}.json").exists)
        assert answers == ["204 No Content"]
        assert (place / "calls" / f"{guid}.opus").read_bytes() == AUDIO
        assert len(list((place / "calls").iterdir())) == 2


@posix_only("bash")
def test_the_completion_of_the_page(tmp_path: Path) -> None:
    """Both lines switch it on."""
    pytest.importorskip("httpcore", reason="the extra vns is not installed")
    [script] = blocks("sh", "eval")
    for words in ("filedecryptor --verif", "vns-recordings arch"):
        name = words.split()[0]
        script += f"COMP_WORDS=({words}); COMP_CWORD=1; COMPREPLY=()\n"
        script += f"_{name.replace('-', '_')}_completion {words} {name}; echo ${{COMPREPLY[@]}}\n"
    env = {**os.environ, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    assert printed(script, tmp_path, env) == ["--verify", "archive"]


LINES = re.findall(r"^\| .* \| `(.*)` \| `(.*)` \| `(.*)` \|$", PAGES["README.md"], re.MULTILINE)
FOR_ALL, REMOVAL, USER = (block for block in blocks("sh", "sudo") if "tar" not in block)
WAYS = dict(zip(("uv", "pipx", "venv"), zip(*LINES, strict=True), strict=True))
[FIRST] = blocks("sh", "fixtures")
WAYS["venv"] = (FIRST, *WAYS["venv"][1:])
WAYS["for all users"] = (f"{FOR_ALL}{USER}", FOR_ALL.splitlines()[1], REMOVAL)
"""How to install the programs, to update and to remove them."""

MANUALS = dict(
    re.findall(r"^\| (.*) \| `man (.*)filedecryptor` \|$", PAGES["schedule.md"], re.MULTILINE)
)
PROGRAMS = ("filedecryptor", "vns-recordings")


def test_the_first_line_installs_as_the_table_says() -> None:
    """So one of them is tried for both."""
    assert FIRST.replace(" -q ", " ").startswith(f"{LINES[0][2]} && ")


@posix_only("bash")
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_ways_to_install_are_true(tmp_path: Path, way: str) -> None:
    """With an optional part, too, and with each commit; what needs root is stood in for."""
    clone = tmp_path / "clone"
    copy_source(clone)
    programs = clone / ".venv" / "bin" if way == "venv" else tmp_path / "usr" / "local" / "bin"
    env = {**os.environ, "PYTHONPATH": "", "HOME": str(tmp_path / "home")}
    env |= {"PATH": f"{tmp_path / 'bin'}:{SCRIPTS}:{os.environ['PATH']}"}
    env |= {"UV_TOOL_DIR": str(tmp_path / "u"), "PIPX_HOME": str(tmp_path / "x")}
    env |= {"UV_TOOL_BIN_DIR": str(programs), "PIPX_BIN_DIR": str(programs)}
    for tool in ("git", way if way in {"uv", "pipx"} else "python3"):
        if shutil.which(tool, path=env["PATH"]) is None:
            pytest.skip(f"there is no {tool}")
    write_program(tmp_path, "sudo", '"$@"')
    write_program(tmp_path, "useradd", '[ "$*" = "--system recordings" ]')
    write_program(tmp_path, "install", '[ "$1 $2 $3" = "-d -o recordings" ] && mkdir "$4" "$5"')
    for name in ("opt", "srv", "usr/local/bin"):
        (tmp_path / name).mkdir(parents=True)

    def shell(script: str) -> str:
        script = re.sub("(?<![^ ])/(?=opt/|srv/|usr/local/)", f"{tmp_path}/", script)
        words = ["bash", "-ec", re.sub(r"(install (-q )?)\.", r"\1'.[vns]'", script)]
        done = subprocess.run(words, check=True, cwd=clone, env=env, capture_output=True, text=True)
        return done.stdout

    install, update, remove = WAYS[way]
    shell("git init --quiet; git add .; git config user.name a; git config user.email a@localhost")
    for line in (install, update):
        shell(f"git commit --quiet --allow-empty --message some; {line}")
        version = f"{RELEASE}+g{shell('git rev-parse HEAD')[:7]}"
        shown = [shell(f"{programs / name} --version") for name in PROGRAMS]
        told = zip(PROGRAMS, shown, strict=True)
        assert all(line.startswith(f"{name} {version}") for name, line in told), shown
    if way == "venv":
        assert (clone / "fixtures" / "recording_abc123.opus").read_bytes() == AUDIO
    pages = (
        MANUALS[way].removeprefix("-M ").strip() or "~/.local/share/man"
    )  # to which PATH leads `man`
    shell(f"ls {pages}/man1/filedecryptor.1")
    shell(remove)
    assert not any(os.path.lexists(programs / name) for name in PROGRAMS)
    assert (tmp_path / "srv" / "calls").exists() == (way == "for all users")
    assert shell("git status --porcelain") == ""
