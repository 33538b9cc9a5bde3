"""What becomes of an output that is there already."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.commands import begin, run
from support.folders import contents, nothing_changes
from support.posix import make_fifo
from support.recordings import AUDIO, PASSWORD, encrypt

from filedecryptor import decrypt_files


@pytest.mark.parametrize("extension", ["opus", "auto"])
@pytest.mark.parametrize("words", [["a.enc"], ["."], ["-j2", "a.enc", "-d", "out"]])
@pytest.mark.parametrize("content", [b"", AUDIO[:100], AUDIO + b"\0"])
def test_skip_does_again_what_is_not_as_long_as_the_audio(
    folder: Path, words: list[str], extension: str, content: bytes
) -> None:
    """For one recording and for many: it is replaced, and said."""
    output = folder / ("out" if "-d" in words else "") / "a.opus"
    output.parent.mkdir(exist_ok=True)
    output.write_bytes(content)
    command = ["--if-exists", "skip", *words, PASSWORD, extension]
    result = run(*command, cwd=folder)
    shown = result.stdout.decode().strip()
    assert (result.code, Path(folder, shown)) == (0, output)
    note = f"note: {shown}: {len(content)} bytes, not the 14165 of the recording: done again"
    assert result.lines[0] == note
    assert output.read_bytes() == AUDIO
    with nothing_changes(folder):
        again = run(*command, cwd=folder)
    assert (again.code, again.stdout) == (0, b"")


def test_what_is_done_again_with_json_or_quietly(folder: Path) -> None:
    """Its object is that of any other; quiet is quiet."""
    (folder / "a.opus").write_bytes(b"cut")
    result = run("--if-exists", "skip", "--json", "a.enc", PASSWORD, "opus", cwd=folder)
    assert json.loads(result.stdout)["status"] == "decrypted"
    assert result.lines == ["note: a.opus: 3 bytes, not the 14165 of the recording: done again"]
    (folder / "a.opus").write_bytes(b"cut")
    assert run("-q", "--if-exists", "skip", "a.enc", PASSWORD, "opus", cwd=folder)[1:] == (b"", "")
    assert (folder / "a.opus").read_bytes() == AUDIO


@pytest.mark.parametrize("extension", ["opus", "auto"])
@pytest.mark.parametrize("words", [["a.enc"], ["."]])
def test_fail_says_that_the_length_is_another(
    folder: Path, words: list[str], extension: str
) -> None:
    """It is an error as any output that is there is one."""
    (folder / "a.opus").write_bytes(AUDIO[:100])
    with nothing_changes(folder):
        result = run("--if-exists", "fail", *words, PASSWORD, extension, cwd=folder)
    assert (result.code, result.stdout) == (1, b"")
    said = "a.opus: exists with another length: 100 bytes instead of 14165"
    assert result.lines[0].removeprefix("error: ").removeprefix("./") == said


def test_a_failure_leaves_what_is_not_the_audio(folder: Path) -> None:
    """Only authenticated audio takes its place."""
    (folder / "a.opus").write_bytes(b"cut")
    with nothing_changes(folder):
        assert run("--if-exists", "skip", "a.enc", "wrong", "opus", cwd=folder).code == 3


def test_with_auto_one_of_the_right_length_is_enough(folder: Path) -> None:
    """Whatever its extension, and whatever else is there."""
    (folder / "a.opus").write_bytes(b"cut")
    (folder / "a.wav").write_bytes(bytes(len(AUDIO)))
    with nothing_changes(folder):
        skipped = run("--if-exists", "skip", "a.enc", "wrong", "auto", cwd=folder)
        failed = run("--if-exists", "fail", "a.enc", "wrong", "auto", cwd=folder)
    assert (skipped.code, skipped.lines) == (0, ["skipped: a.enc: a.wav exists"])
    assert (failed.code, failed.lines) == (1, ["error: a.wav: File exists"])


def test_with_auto_what_the_audio_does_not_fit_stays(folder: Path) -> None:
    """It may be anything."""
    (folder / "a.mp3").write_bytes(b"another")
    result = run("--if-exists", "skip", "a.enc", PASSWORD, "auto", cwd=folder)
    assert result == (0, b"a.opus\n", "")
    assert (folder / "a.mp3").read_bytes() == b"another"


def test_a_long_recording_is_done_again(tmp_path: Path) -> None:
    """Of more than is held in memory."""
    audio = b"RIFF\0\0\0\0WAVE" + bytes(9_000_000)
    (tmp_path / "a.enc").write_bytes(encrypt(audio, PASSWORD))
    (tmp_path / "a.wav").write_bytes(audio[:8_000_000])
    assert run("--if-exists", "skip", "a.enc", PASSWORD, "auto", cwd=tmp_path).code == 0
    assert (tmp_path / "a.wav").read_bytes() == audio
    assert list(contents(tmp_path)) == ["a.enc", "a.wav"]


def test_a_recording_without_audio(tmp_path: Path) -> None:
    """Its output is empty: an empty file is it, a link to nowhere and a directory are not."""
    (tmp_path / "a.enc").write_bytes(encrypt(b"", PASSWORD))
    (tmp_path / "a.wav").touch()
    (tmp_path / "a.mp3").symlink_to("nowhere")
    words = ["--if-exists", "skip", "a.enc", "wrong"]
    assert run(*words, "wav", cwd=tmp_path).lines == ["skipped: a.enc: a.wav exists"]
    assert run(*words, "mp3", cwd=tmp_path).code == 3
    (tmp_path / "a.opus").mkdir()
    assert run(*words, "opus", cwd=tmp_path).lines == ["error: a.opus: Is a directory"]


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_what_is_too_short_for_a_recording_has_no_output(tmp_path: Path, if_exists: str) -> None:
    """Whatever is there cannot be its audio, and it says itself what is wrong."""
    (tmp_path / "a.enc").write_bytes(bytes(43))
    (tmp_path / "a.wav").write_bytes(b"")
    with nothing_changes(tmp_path):
        assert run("--if-exists", if_exists, "a.enc", PASSWORD, "wav", cwd=tmp_path).code == 4


@pytest.mark.parametrize("name", ["-", "pipe"])
def test_where_nobody_knows_the_length_what_is_there_counts(folder: Path, name: str) -> None:
    """Standard input and pipes tell it at their end only."""
    (folder / "a.opus").write_bytes(b"old")
    make_fifo(folder / "pipe")
    words = ["--if-exists", "skip", name, PASSWORD, "opus", "-o", "a.opus"]
    result = run(*words, cwd=folder)
    assert (result.code, result.lines) == (0, [f"skipped: {name}: a.opus exists"])
    assert (folder / "a.opus").read_bytes() == b"old"


def test_an_executor_believes_the_same(folder: Path) -> None:
    """Its workers look for themselves; the outcome says what was wrong."""
    (folder / "a.opus").write_bytes(b"cut")
    with ThreadPoolExecutor(1) as executor:
        [outcome] = decrypt_files([folder], PASSWORD, "auto", if_exists="skip", executor=executor)
    assert outcome.status == "decrypted"
    assert outcome.note == "3 bytes, not the 14165 of the recording: done again"
    assert (folder / "a.opus").read_bytes() == AUDIO


@pytest.mark.parametrize(("if_exists", "code"), [("fail", 1), ("skip", 0)])
def test_an_output_that_appears_meanwhile_stays(
    folder: Path, encrypted_audio: bytes, if_exists: str, code: int
) -> None:
    """Unless it is to be replaced, whoever came first wins."""
    process = begin(folder, encrypted_audio, "--if-exists", if_exists)
    first = bytes(len(AUDIO))
    (folder / "a.opus").write_bytes(first)
    _, stderr = process.communicate(encrypted_audio[5000:], timeout=30)
    assert process.returncode == code
    said = "error: a.opus: File exists" if code else "skipped: -: a.opus exists"
    assert stderr.decode() == f"filedecryptor: {said}\n"
    assert contents(folder) == {"a.enc": encrypted_audio, "a.opus": first}


@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_what_appears_meanwhile_is_the_audio_only_if_it_is_as_long(
    folder: Path, encrypted_audio: bytes, if_exists: str
) -> None:
    """What cannot be it is replaced under `skip`, and an error under `fail`."""
    process = begin(folder, encrypted_audio, "--if-exists", if_exists)
    (folder / "a.opus").write_bytes(b"first")
    _, stderr = process.communicate(encrypted_audio[5000:], timeout=30)
    fails = if_exists == "fail"
    assert process.returncode == int(fails)
    said = (
        "error: a.opus: exists with another length: 5 bytes instead of 14165"
        if fails
        else "note: a.opus: 5 bytes, not the 14165 of the recording: done again"
    )
    assert stderr.decode() == f"filedecryptor: {said}\n"
    assert contents(folder)["a.opus"] == (b"first" if fails else AUDIO)
