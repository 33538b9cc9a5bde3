"""One recording in, one audio file out: what it is called, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.commands import run, run_process
from support.folders import contents
from support.recordings import AUDIO, MP3, PASSWORD, encrypt

FLAC = b"fLaC\0\0\0\x22" + bytes(100)
CONVERTED = "the audio is opus, and nothing is converted; 'auto' names it right"
UNKNOWN = (
    "its audio begins with 66 4c 61 43 00 00 00 22, which is not opus, mp3 or wav; it may be FLAC"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with opus, audio that is not recognised, and a recording of nothing."""
    (tmp_path / "a.enc").write_bytes(encrypt(AUDIO))
    (tmp_path / "flac.enc").write_bytes(encrypt(FLAC))
    (tmp_path / "none.enc").write_bytes(encrypt(b""))
    return tmp_path


@pytest.mark.parametrize("extension", ["wav", "mp3", "WAV", "flac", "m4a"])
def test_a_name_for_another_format_is_noted(folder: Path, extension: str) -> None:
    """The output is the reference's, and a note says what it is."""
    result = run("a.enc", PASSWORD, extension, cwd=folder)
    assert (result.code, result.stdout.decode()) == (0, f"a.{extension}\n")
    assert result.lines == [f"note: a.{extension}: {CONVERTED}"]
    assert contents(folder)[f"a.{extension}"] == AUDIO
    assert run("a.enc", PASSWORD, extension, "-q", cwd=folder).stderr == ""


@pytest.mark.parametrize("extension", ["opus", "ogg", "OPUS", "oga", "auto", "AUTO", "bin", "enc2"])
def test_other_names_are_not_noted(folder: Path, extension: str) -> None:
    """What is right, and what stands for nothing."""
    assert run("a.enc", PASSWORD, extension, cwd=folder).stderr == ""


def test_a_name_of_its_own_is_noted_as_well(folder: Path) -> None:
    """`-o` names the format too; standard output has no name."""
    result = run("a.enc", PASSWORD, "auto", "-o", "x.mp3", cwd=folder)
    assert result.lines == [f"note: x.mp3: {CONVERTED}"]
    result = run("a.enc", PASSWORD, "wav", "-o", "-", cwd=folder)
    assert (result.stdout, result.lines) == (AUDIO, [])


def test_a_batch_notes_it_once(folder: Path) -> None:
    """Not for each of a thousand."""
    for name in "bcd":
        (folder / f"{name}.enc").write_bytes(encrypt(AUDIO))
    (folder / "e.enc").write_bytes(encrypt(MP3))
    names = [f"{name}.enc" for name in "abcde"]
    result = run(*names, PASSWORD, "wav", cwd=folder)
    notes = [line for line in result.lines if line.startswith("note: ")]
    assert sorted(note.partition(": the ")[2] for note in notes) == [
        "audio is mp3, and nothing is converted; 'auto' names it right",
        "audio is opus, and nothing is converted; 'auto' names it right",
    ]


@pytest.mark.parametrize(
    ("name", "words"), [("flac.enc", UNKNOWN), ("none.enc", "it holds no audio")]
)
def test_audio_that_auto_does_not_know(folder: Path, name: str, words: str) -> None:
    """The error says that nothing is wrong with the recording, and what the audio is."""
    result = run(name, PASSWORD, "auto", cwd=folder)
    assert (result.code, result.stdout) == (5, b"")
    assert result.lines == [
        f"error: {name}: the recording is intact and the password right; {words}",
        (
            "hint: name the output's extension instead of 'auto', or store such audio by "
            "--unknown-as"
        ),
    ]


def test_it_can_be_stored_all_the_same(folder: Path) -> None:
    """By an extension that is for such audio only."""
    result = run(".", PASSWORD, "auto", "--unknown-as", ".bin", cwd=folder)
    assert result.code == 0
    assert contents(folder)["flac.bin"] == FLAC
    assert contents(folder)["none.bin"] == b""
    assert contents(folder)["a.opus"] == AUDIO
    result = run(".", PASSWORD, "auto", "--unknown-as", "bin", "--if-exists", "skip", cwd=folder)
    assert result.lines[-1].startswith("3 skipped in ")


def test_it_may_be_stored_as_one_of_the_three(folder: Path) -> None:
    """That is only a name."""
    result = run("flac.enc", PASSWORD, "auto", "--unknown-as", "wav", cwd=folder)
    assert (result.code, result.stdout) == (0, b"flac.wav\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wav", "--unknown-as", "bin"], "--unknown-as is for audio that 'auto' does not know"),
        (["auto", "--unknown-as", "a/b"], "the output extension holds a path separator or a NUL"),
        (["auto", "--unknown-as", ""], "the output extension is empty"),
        (["auto", "--unknown-as", "auto"], "--unknown-as takes an extension, and 'auto' is none"),
    ],
)
def test_what_cannot_be_meant(folder: Path, words: list[str], message: str) -> None:
    """It is refused before anything is written."""
    before = contents(folder)
    result = run(".", PASSWORD, *words, cwd=folder)
    assert (result.code, result.lines[0]) == (2, f"error: {message}")
    assert contents(folder) == before


def test_verify_says_that_auto_would_not_know_it(folder: Path) -> None:
    """The night before, and for each recording of a batch."""
    result = run("--verify", "flac.enc", PASSWORD, cwd=folder)
    assert result.code == 0
    assert result.lines == [
        f"note: flac.enc: 'auto' would not know it: {UNKNOWN}",
        "verified: flac.enc: 108 bytes of unknown audio",
    ]
    (folder / "more.enc").write_bytes(encrypt(FLAC))
    result = run("--verify", ".", PASSWORD, cwd=folder)
    assert sum(UNKNOWN in line for line in result.lines) == 2
    assert "note: ./none.enc: 'auto' would not know it: it holds no audio" in result.lines
    assert result.lines[-1].startswith("4 verified; ")


def test_two_that_are_unknown_share_no_output(folder: Path) -> None:
    """The name for such audio counts as one that a recording may write."""
    (folder / "flac.mp3.enc").write_bytes(encrypt(FLAC))
    (folder / "flac.bin.enc").write_bytes(encrypt(FLAC))
    result = run_process(
        "flac.enc", "flac.bin.enc", "auto", "--unknown-as", "bin", "--password-file", "-",
        cwd=folder, stdin=PASSWORD.encode(),
    )  # fmt: skip
    assert result.code == 2
    assert "same output" in result.stderr
