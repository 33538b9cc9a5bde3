"""One recording in, one audio file out: what it is called, and what if it is there already."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from support.commands import begin, run
from support.folders import contents, nothing_changes
from support.posix import IS_ROOT, make_fifo, posix_only
from support.recordings import AUDIO, FIXTURES, MP3, PASSWORD, RECORDINGS, WAV, MakeEnc, encrypt

from filedecryptor import AuthenticationError, UnknownFormatError, UsageError, decrypt_file

SAME_LENGTH = bytes(len(AUDIO))
CUT = AUDIO[:100]
LONG = b"RIFF\0\0\0\0WAVE" + bytes(9_000_000)  # more than is held in memory
AGAIN = "{} bytes, not the 14165 of the recording: done again"

# What is to be done, what is there, the exit code, and what is said.
EXISTING: list[tuple[str, bytes, int, str]] = [
    ("replace", SAME_LENGTH, 0, ""),
    ("skip", SAME_LENGTH, 0, "skipped"),
    ("skip", b"", 0, AGAIN.format(0)),
    ("skip", CUT, 0, AGAIN.format(100)),
    ("skip", AUDIO + b"\0", 0, AGAIN.format(14166)),
    ("fail", SAME_LENGTH, 1, "File exists"),
    ("fail", CUT, 1, "exists with another length: 100 bytes instead of 14165"),
]
a_table_of_outputs = pytest.mark.parametrize(("if_exists", "there", "code", "said"), EXISTING)


@a_table_of_outputs
@pytest.mark.parametrize("source", ["a.enc", "."])
@pytest.mark.parametrize("extension", ["opus", "auto"])
def test_an_output_that_is_there(  # noqa: PLR0917 - a table
    folder: Path, extension: str, source: str, if_exists: str, there: bytes, code: int, said: str
) -> None:
    """It counts as done if it is as long as the audio, alone or in a batch."""
    (folder / "a.opus").write_bytes(there)
    result = run("--if-exists", if_exists, source, PASSWORD, extension, cwd=folder)
    stays = code != 0 or said == "skipped"
    assert (result.code, bool(result.stdout)) == (code, not stays)
    assert said in result.stderr
    assert contents(folder) == {"a.enc": encrypt(AUDIO), "a.opus": there if stays else AUDIO}


@a_table_of_outputs
def test_an_output_that_appears_meanwhile(
    folder: Path, if_exists: str, there: bytes, code: int, said: str
) -> None:
    """It counts as one that was there."""
    process = begin(folder, encrypt(AUDIO), "--if-exists", if_exists)
    (folder / "a.opus").write_bytes(there)
    stderr = process.communicate(encrypt(AUDIO)[5000:], timeout=30)[1].decode()
    assert process.returncode == code
    assert said in stderr
    stays = code != 0 or said == "skipped"
    assert contents(folder) == {"a.enc": encrypt(AUDIO), "a.opus": there if stays else AUDIO}


WRONG = "authentication failed"
NOWHERE = "note: a.opus: a link to nowhere: done"
AUTO = {"a.opus": CUT, "a.wav": SAME_LENGTH}


@pytest.mark.parametrize(
    ("there", "line", "code", "said", "made"),
    [
        # Only authenticated audio takes the place of what is not the audio.
        ({"a.opus": CUT}, "skip a.enc wrong opus", 3, f"error: a.enc: {WRONG}", {}),
        ({"a.opus": CUT}, "skip a.enc P opus -q", 0, "", {"a.opus": AUDIO}),
        ({"a.opus": CUT}, "skip a.enc P opus --json", 0, "note: a.opus: 100 b", {"a.opus": AUDIO}),
        ({"long.wav": CUT}, "skip long.enc P auto", 0, "note: long.wav: 100 b", {"long.wav": LONG}),
        # With `auto`, one of the right length is enough, and no key is derived.
        (AUTO, "skip a.enc wrong auto", 0, "skipped: a.enc: a.wav exists", {}),
        (AUTO, "fail a.enc wrong auto", 1, "error: a.wav: File exists", {}),
        ({"a.mp3": b"another"}, "skip a.enc P auto", 0, "", {"a.opus": AUDIO}),
        # A link to nowhere is not the audio.
        ({"a.opus": "nowhere"}, "skip a.enc P auto", 0, NOWHERE, {"a.opus": AUDIO}),
        # The output of a recording without audio is empty.
        ({"none.wav": b""}, "skip none.enc wrong wav", 0, "skipped: none.enc: none.wav exists", {}),
        ({"none.wav": "nowhere"}, "skip none.enc wrong wav", 3, f"error: none.enc: {WRONG}", {}),
        ({"none.wav": None}, "skip none.enc wrong wav", 1, "error: none.wav: Is a directory", {}),
        # What is too short for a recording has no output.
        ({"short.wav": b""}, "skip short.enc P wav", 4, "error: short.enc: not an .enc file", {}),
        # Where the length is not known, what is there counts.
        ({"a.opus": CUT}, "skip - P opus -o a.opus", 0, "skipped: -: a.opus exists", {}),
        ({"a.opus": CUT}, "skip pipe P opus -o a.opus", 0, "skipped: pipe: a.opus exists", {}),
    ],
)
def test_what_counts_as_the_audio(  # noqa: PLR0917 - a table
    folder: Path,
    there: dict[str, bytes | str | None],
    line: str,
    code: int,
    said: str,
    made: dict[str, bytes],
) -> None:
    """Of outputs that are there: bytes, a link, or None for a directory."""
    make_fifo(folder / "pipe")
    for name, recording in ("none", encrypt(b"")), ("long", encrypt(LONG)), ("short", bytes(43)):
        (folder / f"{name}.enc").write_bytes(recording)
    for name, content in there.items():
        if content is None:
            (folder / name).mkdir()
        elif isinstance(content, str):
            (folder / name).symlink_to(content)
        else:
            (folder / name).write_bytes(content)
    before = contents(folder)
    result = run("--if-exists", *line.replace("P", PASSWORD).split(), cwd=folder)
    assert (result.code, [*result.lines, ""][0][: len(said)]) == (code, said)
    assert bool(result.stdout) == (bool(made) and "-q" not in line)
    assert contents(folder) == before | made


@posix_only("links for everybody")
def test_outputs_that_are_hard_links_are_two(folder: Path, encrypted_audio: bytes) -> None:
    """As programs make them of files that are equal."""
    (folder / "b.enc").write_bytes(encrypted_audio)
    (folder / "a.opus").write_bytes(AUDIO)
    (folder / "b.opus").hardlink_to(folder / "a.opus")
    result = run(".", PASSWORD, "opus", "--if-exists", "skip", cwd=folder)
    assert (result.code, result.lines[0][:10]) == (0, "2 skipped ")


@posix_only("permissions of this kind")
@pytest.mark.parametrize("mode", [0o000, 0o200, 0o044, 0o400, 0o644], ids=oct)
@pytest.mark.parametrize("there", [None, AUDIO, CUT], ids=["new", "old", "unfinished"])
def test_an_output_that_its_owner_cannot_read(folder: Path, there: bytes | None, mode: int) -> None:
    """A note says so: the recording has such permissions, as of some mounts, or the old output."""
    (folder / "a.enc").chmod(mode)
    if there is not None:
        (folder / "a.enc").chmod(0o600)
        (folder / "a.opus").write_bytes(there)
        (folder / "a.opus").chmod(mode)
    elif not IS_ROOT:
        pytest.skip("only root can read such a recording")
    options = ["--if-exists", "skip"] if there == CUT else []
    result = run("a.enc", PASSWORD, "opus", *options, cwd=folder)
    assert (result.code, stat.S_IMODE((folder / "a.opus").stat().st_mode)) == (0, mode & 0o666)
    notes = [line for line in result.lines if "'chmod u+r' changes that" in line]
    assert len(notes) == (not mode & 0o400)
    assert ("nobody but root can read it" in result.stderr) == (mode in {0, 0o200})


# The names of outputs.

FLAC = b"fLaC\0\0\0\x22" + bytes(100)
CONVERTED = "the audio is {}, and nothing is converted; 'auto' names it right"
UNKNOWN = (
    "its audio begins with 66 4c 61 43 00 00 00 22, which is not opus, mp3 or wav; it may be FLAC"
)


@pytest.fixture
def three(folder: Path) -> Path:
    """A folder with opus, audio that is not recognised, and a recording of nothing."""
    (folder / "flac.enc").write_bytes(encrypt(FLAC))
    (folder / "none.enc").write_bytes(encrypt(b""))
    return folder


def test_a_batch_notes_it_once(folder: Path) -> None:
    """Not for each of a thousand."""
    for name in "bcd":
        (folder / f"{name}.enc").write_bytes(encrypt(AUDIO))
    (folder / "e.enc").write_bytes(encrypt(MP3))
    result = run(".", PASSWORD, "wav", cwd=folder)
    notes = [line.partition(".wav: ")[2] for line in result.lines if line.startswith("note: ")]
    assert sorted(notes) == [CONVERTED.format("mp3"), CONVERTED.format("opus")]


def test_unknown_audio_can_be_stored_all_the_same(three: Path) -> None:
    """By an extension that is for such audio only, or that of another format."""
    result = run(".", PASSWORD, "auto", "--unknown-as", ".bin", cwd=three)
    assert result.code == 0
    found = contents(three)
    assert (found["flac.bin"], found["none.bin"], found["a.opus"]) == (FLAC, b"", AUDIO)
    result = run(".", PASSWORD, "auto", "--unknown-as", "bin", "--if-exists", "skip", cwd=three)
    assert result.lines[-1].startswith("3 skipped in ")
    result = run("flac.enc", PASSWORD, "auto", "--unknown-as", "wav", cwd=three)
    assert (result.code, result.stdout) == (0, b"flac.wav\n")


def test_verify_says_that_auto_would_not_know_it(three: Path) -> None:
    """For one recording, and for each of a batch."""
    result = run("--verify", "flac.enc", PASSWORD, cwd=three)
    assert result.code == 0
    assert result.lines == [
        f"note: flac.enc: 'auto' would not know it: {UNKNOWN}",
        "verified: flac.enc: 108 bytes of unknown audio",
    ]
    (three / "more.enc").write_bytes(encrypt(FLAC))
    result = run("--verify", ".", PASSWORD, cwd=three)
    assert sum(UNKNOWN in line for line in result.lines) == 2
    assert "note: ./none.enc: 'auto' would not know it: it holds no audio" in result.lines
    assert result.lines[-1].startswith("4 verified; ")


# The function.


@pytest.mark.real_iterations
@pytest.mark.parametrize("entry", RECORDINGS, ids=lambda entry: entry["format"])
def test_decrypted_audio_plays(entry: dict[str, str], tmp_path: Path) -> None:
    """A real decoder reads all of it, and it lasts as long as what was spoken."""
    soundfile = pytest.importorskip("soundfile")
    output = tmp_path / f"x.{entry['format']}"
    path = decrypt_file(FIXTURES / entry["file"], entry["password"], "auto", output=output)
    samples, rate = soundfile.read(path)
    assert len(samples) / rate == pytest.approx(float(entry["seconds"]), abs=0.01)
    assert abs(samples).max() > 0.1


@pytest.mark.parametrize("kind", [str, Path])
def test_decrypt_file_names_the_output(make_enc: MakeEnc, kind: type) -> None:
    """Beside the input, as the .NET utility does; `auto` follows the format; paths may be text."""
    source = make_enc(audio=WAV)
    source.with_suffix(".opus").write_bytes(b"old")
    assert decrypt_file(kind(source), PASSWORD, "opus") == source.with_suffix(".opus")
    assert source.with_suffix(".opus").read_bytes() == WAV
    assert decrypt_file(kind(source), ["wrong", PASSWORD], "auto").name == "a.wav"
    output = kind(source.with_name("x"))
    assert decrypt_file(kind(source), PASSWORD, "auto", output=output) == Path(output)
    with nothing_changes(source.parent):
        done = decrypt_file(kind(source), "wrong", "auto", if_exists="skip")
        assert done == source.with_suffix(".opus")


@pytest.mark.parametrize(
    ("words", "if_exists", "kind", "message"),
    [
        (("a.enc", "wrong", "wav"), "replace", AuthenticationError, "^a.enc: authentication fail"),
        (("nowhere.enc", "x", "wav"), "replace", FileNotFoundError, "'nowhere.enc'"),
        (("a.enc", PASSWORD, "opus"), "fail", FileExistsError, "'a.opus'"),
        (("a.enc", PASSWORD, "opus"), "overwrite", UsageError, "if_exists"),
        (("a.enc", PASSWORD, "a/b"), "replace", UsageError, "extension"),
        (("none.enc", PASSWORD, "auto"), "replace", UnknownFormatError, "^none.enc: the recording"),
    ],
)
def test_errors_say_which_file(  # noqa: PLR0917 - a table
    here: Path,
    make_enc: MakeEnc,
    words: tuple[str, str, str],
    if_exists: Any,
    kind: type[Exception],
    message: str,
) -> None:
    """A traceback in a log is enough to find the recording; nothing is written."""
    make_enc()
    make_enc("none.enc", b"")
    (here / "a.opus").write_bytes(SAME_LENGTH)
    with nothing_changes(here), pytest.raises(kind, match=message):
        decrypt_file(*words, if_exists=if_exists)
