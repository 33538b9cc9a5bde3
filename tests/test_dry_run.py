"""A dry run: what it says, and that it is what is done then, but for what only doing it shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.commands import COMMAND, run, run_process
from support.folders import contents, nothing_changes
from support.posix import make_fifo, posix_only
from support.recordings import AUDIO, PASSWORD, WAV, encrypt

from filedecryptor.core.format import SMALLEST_SIZE

NO_PASSWORD = ["--password-file", "there is none"]
SIZE = len(AUDIO)


def fill(folder: Path) -> None:
    """Make recordings, outputs of them, and what is none."""
    (folder / "r" / "late").mkdir(parents=True)
    for name in ("new", "there", "cut", "link", "late/x.opus", "same"):
        (folder / "r" / f"{name}.enc").write_bytes(encrypt(AUDIO))
    (folder / "same.enc").write_bytes(encrypt(AUDIO))
    (folder / "r" / "short.enc").write_bytes(bytes(43))
    (folder / "r" / "dangling.enc").symlink_to("nowhere")
    (folder / "r" / "there.opus").write_bytes(AUDIO)
    (folder / "r" / "cut.opus").write_bytes(AUDIO[:-1])
    (folder / "r" / "link.opus").symlink_to("nowhere")
    (folder / "taken.enc").write_bytes(encrypt(AUDIO))
    (folder / "taken.opus").mkdir()
    (folder / "list").write_text("r/new.enc\nr/there.enc\n")


# A call, its exit code, and lines that it writes; the last one is on standard error.
SAID = [
    ("r/new.enc opus", 0, ["to decrypt: r/new.enc -> r/new.opus"]),
    ("r/new.enc auto", 0, ["to decrypt: r/new.enc -> r/new.{opus,mp3,wav}"]),
    ("r/there.enc opus", 0, ["to replace: r/there.enc -> r/there.opus"]),
    ("r/there.enc auto", 0, ["to replace: r/there.enc -> r/there.opus"]),
    (
        "r/cut.enc auto",
        0,
        [
            "to replace: r/cut.enc -> r/cut.{opus,mp3,wav}",
            "note: r/cut.{opus,mp3,wav}: r/cut.opus would be replaced, if the audio has that form",
        ],
    ),
    ("r/link.enc opus", 0, ["to replace: r/link.enc -> r/link.opus"]),
    ("r/there.enc auto --if-exists skip", 0, ["skipped: r/there.enc -> r/there.opus"]),
    ("r/new.enc opus -o n", 0, ["to decrypt: r/new.enc -> n"]),
    ("r/new.enc opus -o r/there.opus", 0, ["to replace: r/new.enc -> r/there.opus"]),
    ("r/new.enc opus -o -", 0, ["to decrypt: r/new.enc"]),
    ("- opus", 0, ["to decrypt: -"]),
    ("- opus -o n", 0, ["to decrypt: - -> n"]),
    ("r/new.enc opus -d no/sub", 0, ["to decrypt: r/new.enc -> no/sub/new.opus"]),
    (
        "r/late auto -d no",
        0,
        ["to decrypt: r/late/x.opus.enc -> no/x.opus{,.mp3,.wav}", "1 to dec"],
    ),
    ("--files-from - opus", 0, ["to decrypt: r/new.enc -> r/new.opus", "1 to decrypt; 0.0 MB"]),
    ("r/gone.enc opus", 1, ["error: r/gone.enc: No such file or directory"]),
    ("r/short.enc opus -o -", 4, ["error: r/short.enc: not an .enc file: it is 43 bytes long"]),
    ("r/there.enc opus --if-exists fail", 1, ["error: r/there.opus: File exists"]),
    ("r/new.enc enc", 2, ["error: r/new.enc: the output would replace the input"]),
    ("r/same.enc same.enc opus -d no", 2, ["error: same.enc: it would have the same output as"]),
    ("r/new.enc opus -o no/x", 1, ["error: no/x: No such file or directory", "hint: there is no"]),
    ("r/new.enc opus -d list", 1, ["error: list: Is a file, not a directory"]),
    ("r/new.enc opus -d list/sub", 1, ["error: list: Is a file, not a directory"]),
    ("taken.enc opus", 1, ["error: taken.opus: Is a directory"]),
    ("r opus -q", 1, ["error: r/dangling.enc: No such file or directory"]),
    ("--verify r/new.enc opus", 2, ["error: --verify writes nothing that --dry-run could tell"]),
    ("- opus -d no", 2, ["error: standard input has no name for --output-dir"]),
]


@pytest.mark.parametrize(("line", "code", "said"), SAID)
def test_what_is_said(tmp_path: Path, line: str, code: int, said: list[str]) -> None:
    """A line for each recording; no password is asked for, and nothing is written or made."""
    fill(tmp_path)
    with nothing_changes(tmp_path):
        words = ["--dry-run", *line.split(), *NO_PASSWORD]
        result = run(*words, cwd=tmp_path, stdin=b"r/new.enc\n")
    assert result.code == code
    lines = [*result.stdout.decode().splitlines(), *result.lines]
    assert all(any(text.startswith(one) for text in lines) for one in said)
    if len(said) == 1 and "r opus" not in line and " same.enc" not in line:
        assert [text for text in lines if not text.startswith("hint: ")] == [
            text for text in lines if text.startswith(said[0])
        ]


@pytest.mark.parametrize("where", [[], ["-d", "out"], ["-d", "r"], ["-d", "list/x"]])
@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
@pytest.mark.parametrize("extension", ["opus", "auto", "wav"])
def test_what_is_said_is_done(
    tmp_path: Path, extension: str, if_exists: str, where: list[str]
) -> None:
    """By a run without the option: each outcome, output, size and failure, and no other change."""
    fill(tmp_path)
    (tmp_path / "secret").write_text(PASSWORD)
    words = ["r", "same.enc", "gone.enc", *where, "--json", "--if-exists", if_exists]
    words += ["taken.enc"] if extension != "auto" else []  # whose directory may be another's name
    words.append(extension)
    with nothing_changes(tmp_path):
        dry = run("--dry-run", *words, *NO_PASSWORD, cwd=tmp_path)
    before = contents(tmp_path)
    done = run(*words, "--password-file", "secret", cwd=tmp_path)
    assert dry.code == done.code
    assert dry.stdout or dry.stderr == done.stderr
    said, became = (
        {each["input"]: each for each in map(json.loads, result.stdout.splitlines())}
        for result in (dry, done)
    )
    assert said.keys() == became.keys()
    for name, each in said.items():
        real = became[name]
        is_there = real["output"] is not None and os.path.relpath(real["output"]) in before
        expected = {"decrypted": "to replace" if is_there else "to decrypt"}
        status = expected.get(real["status"], real["status"])
        assert each["status"] == status
        named = each["output"]
        if named is not None and "{" in named:
            named = f"{named.partition('{')[0]}{'' if 'x.opus{' in named else 'opus'}"
        assert (named, each["size"]) == (real["output"], real["size"])
        assert all(each[field] == real[field] for field in ("code", "error", "hint"))


def test_no_recording_is_read(tmp_path: Path) -> None:
    """Not a byte, however long; nor is a pipe waited for."""
    with (tmp_path / "a.enc").open("wb") as file:
        file.truncate(1 << 40)
    result = run("--dry-run", ".", "opus", "--json", *NO_PASSWORD, cwd=tmp_path)
    [found] = map(json.loads, result.stdout.splitlines())
    assert (found["size"], found["status"]) == ((1 << 40) - SMALLEST_SIZE, "to decrypt")


@posix_only("pipes and permissions like these")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pipe opus", "to decrypt: pipe -> pipe.opus"),
        ("closed.enc opus", "error: closed.enc: Permission denied"),
        ("closed.enc opus -o -", "error: closed.enc: Permission denied"),
        ("locked/a.enc opus", "error: locked/a.opus: Permission denied"),
        ("a.enc opus -d locked", "error: locked/a.opus: Permission denied"),
        ("a.enc opus -d locked/sub/sub", "error: locked/sub: Permission denied"),
        ("a.enc opus -o locked/x", "error: locked/x: Permission denied"),
        ("locked/a.enc opus -d .", "to decrypt: locked/a.enc -> ./a.opus"),
    ],
)
def test_what_may_not_be_read_or_written(folder: Path, line: str, said: str) -> None:
    """It is seen without trying it."""
    make_fifo(folder / "pipe")
    (folder / "closed.enc").write_bytes(encrypt(WAV))
    (folder / "closed.enc").chmod(0)
    (folder / "locked").mkdir()
    (folder / "locked" / "a.enc").write_bytes(encrypt(AUDIO))
    (folder / "locked").chmod(0o555)
    with nothing_changes(folder):
        words = ["--dry-run", *line.split(), *NO_PASSWORD]
        result = run_process(*words, cwd=folder, as_anybody=True)
    assert result.code == ("error" in said)
    assert said in [*result.stdout.decode().splitlines(), *result.lines]


def test_a_disk_that_is_read_only(folder: Path) -> None:
    """It is called so."""
    command = [
        "unshare",
        "--mount",
        "bash",
        "-c",
        'mount -r -B . "$PWD" || exit 99; cd "$PWD"; exec "$0" "$@"',
    ]
    result = run_process(
        COMMAND, "--dry-run", "a.enc", "opus", *NO_PASSWORD, cwd=folder, command=command
    )
    if result.code == 99:
        pytest.skip("nothing may be mounted here")
    assert result.lines[0] == "error: a.opus: Read-only file system"


def test_a_cluster_is_not_asked(folder: Path) -> None:
    """Paths are those that its workers would be given."""
    words = ["--dry-run", "--cluster", "tcp://127.0.0.1:1", "a.enc", "opus", *NO_PASSWORD]
    result = run(*words, cwd=folder)
    assert result.stdout.decode() == f"to decrypt: {folder / 'a.enc'} -> {folder / 'a.opus'}\n"


@pytest.mark.parametrize("if_exists", ["replace", "skip"])
def test_a_store_is_listed_only(tmp_path: Path, if_exists: str) -> None:
    """Objects that are there, too short or missing are told apart; none is read or written."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name, data in {"a.enc": encrypt(AUDIO), "b.enc": encrypt(AUDIO), "b.opus": AUDIO}.items():
        store.pipe_file(f"/dry/{name}", data)
    words = ["memory://dry/a.enc", "memory://dry/b.enc", "memory://dry/none.enc", "auto"]
    result = run(
        "--dry-run", *words, "--if-exists", if_exists, *NO_PASSWORD, "--json", cwd=tmp_path
    )
    found = {Path(each["input"]).name: each for each in map(json.loads, result.stdout.splitlines())}
    assert found["a.enc"]["output"] == "memory://dry/a.{opus,mp3,wav}"
    assert found["b.enc"]["output"] == "memory://dry/b.opus"
    status = "to replace" if if_exists == "replace" else "skipped"
    statuses = {"a.enc": "to decrypt", "b.enc": status, "none.enc": "failed"}
    assert {name: each["status"] for name, each in found.items()} == statuses
    assert found["none.enc"]["error"] == "No such file or directory"
    assert len(store.ls("/dry")) == 3
