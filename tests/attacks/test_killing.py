"""SIGKILL at any moment: no half-written output, no leftover that stays."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import AUDIO, COMMAND, PASSWORD, contents, run, wait_until
from encryptor import encrypt

KILLS = 500
LEFTOVER = re.compile(r"\.filedecryptor-.*\.tmp")


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the command, with a pipe as its standard input."""
    return subprocess.Popen(
        [COMMAND, *words],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process without a chance to clean up."""
    process.kill()
    process.communicate()


def leftovers(folder: Path) -> list[str]:
    """Return the names of what looks like a leftover."""
    return [name for name in contents(folder) if LEFTOVER.fullmatch(Path(name).name)]


def kill_often(folder: Path, kills: int) -> Counter[str]:
    """Kill runs of one output at random moments, looking at the folder after each."""
    chance = random.Random(folder.name)  # noqa: S311 - chance that can be repeated
    audio = AUDIO + chance.randbytes(2_000_000)
    old = chance.randbytes(1000)
    target = folder / "a.opus"
    (folder / "a.enc").write_bytes(encrypt(audio, PASSWORD))
    seen: Counter[str] = Counter()
    begin = time.monotonic()
    assert run("a.enc", PASSWORD, "opus", cwd=folder).code == 0
    seconds = time.monotonic() - begin
    for number in range(kills):
        if before := number % 2:
            target.write_bytes(old)
        else:
            target.unlink(missing_ok=True)
        process = start(folder, "a.enc", PASSWORD, "opus")
        # Most kills go to the end of a run, where it writes.
        time.sleep(chance.triangular(0, 1.3 * seconds, seconds))
        kill(process)
        found = target.read_bytes() if target.exists() else None
        assert found in {old if before else None, audio}
        seen["new" if found == audio else "old" if before else "absent"] += 1
        left = leftovers(folder)
        assert len(left) <= 1
        seen["with a leftover"] += bool(left)
        if number % 10 < 9:  # the tenth run finds it
            for name in left:
                (folder / name).unlink()
    assert run("a.enc", PASSWORD, "opus", cwd=folder).code == 0
    assert set(contents(folder)) == {"a.enc", "a.opus"}
    assert target.read_bytes() == audio
    return seen


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    """The output is absent, the old one or the new one, whole; the next run cleans up."""
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with ThreadPoolExecutor() as pool:
        counts = list(pool.map(kill_often, folders, [KILLS // 2] * 2))
    print(f"{KILLS} kills:", dict(sum(counts, Counter())))  # noqa: T201 - for pytest -s


def killed_while_writing(folder: Path, output: str) -> str:
    """Kill a run that is surely in the middle of its output; return what it left."""
    before = leftovers(folder)
    process = start(folder, "-", PASSWORD, "opus", "-o", output)
    assert process.stdin
    process.stdin.write((folder / "a.enc").read_bytes()[:5000])
    process.stdin.flush()
    wait_until(lambda: leftovers(folder) != before)
    kill(process)
    [left] = set(leftovers(folder)) - set(before)
    return left


@pytest.mark.parametrize("extension", ["opus", "auto"])
def test_the_next_run_removes_what_a_killed_one_left(folder: Path, extension: str) -> None:
    """Its name is recognised; what another output's run has left is not looked for."""
    killed_while_writing(folder, "a.opus")
    other = killed_while_writing(folder, "other.opus")
    result = run("a.enc", PASSWORD, extension, cwd=folder)
    assert (result.code, result.stdout, result.stderr) == (0, b"a.opus\n", "")
    assert set(contents(folder)) == {"a.enc", "a.opus", other}


def test_leftovers_are_no_recordings(folder: Path) -> None:
    """A directory is searched for recordings only, and the batch cleans up as well."""
    killed_while_writing(folder, "a.opus")
    other = killed_while_writing(folder, "other.opus")
    result = run(".", PASSWORD, "auto", cwd=folder)
    assert result.code == 0
    assert result.stdout == b"./a.opus\n"
    assert set(contents(folder)) == {"a.enc", "a.opus", other}


def test_a_failed_run_cleans_up_too(folder: Path, encrypted_audio: bytes) -> None:
    """It would have written the same output."""
    left = killed_while_writing(folder, "a.opus")
    (folder / "a.enc").write_bytes(encrypted_audio[:-1])
    assert run("a.enc", PASSWORD, "opus", cwd=folder).code == 3
    assert left not in contents(folder)


def test_two_runs_of_one_output_do_not_meet(folder: Path) -> None:
    """What another run is writing is no leftover: both succeed, the last one stays."""
    slow = start(folder, "-", PASSWORD, "opus", "-o", "a.opus")
    assert slow.stdin
    slow.stdin.write((folder / "a.enc").read_bytes()[:5000])
    slow.stdin.flush()
    wait_until(lambda: bool(leftovers(folder)))
    assert run("a.enc", PASSWORD, "opus", cwd=folder).code == 0
    assert leftovers(folder)
    slow.communicate((folder / "a.enc").read_bytes()[5000:])
    assert slow.returncode == 0
    assert contents(folder) == {"a.enc": (folder / "a.enc").read_bytes(), "a.opus": AUDIO}


@pytest.mark.slow
def test_a_killed_batch_is_simply_repeated(tmp_path: Path) -> None:
    """With `skip`, the next run does what is missing and leaves nothing of the killed ones."""
    chance = random.Random("batch")  # noqa: S311 - as above
    audio = AUDIO + chance.randbytes(500_000)
    recordings = {f"{number:02}.enc": encrypt(audio, PASSWORD) for number in range(20)}
    for name, recording in recordings.items():
        (tmp_path / name).write_bytes(recording)
    words = [".", PASSWORD, "auto", "--if-exists", "skip"]
    for _ in range(10):
        process = start(tmp_path, *words)
        time.sleep(chance.uniform(0.1, 0.6))
        kill(process)
        found = contents(tmp_path)
        assert all(data == audio for name, data in found.items() if name.endswith(".opus"))
    assert run(*words, cwd=tmp_path).code == 0
    opus = {name.replace(".enc", ".opus"): audio for name in recordings}
    assert contents(tmp_path) == {**recordings, **opus}
