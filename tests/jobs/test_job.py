"""One recording in, one audio file out: what it is called, and what if it is there already."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.commands import begin, run
from support.folders import contents, nothing_changes
from support.posix import make_fifo, posix_only
from support.recordings import AUDIO, FIXTURES, MP3, PASSWORD, RECORDINGS, WAV, MakeEnc, encrypt

from filedecryptor import (
    AuthenticationError,
    UnknownFormatError,
    UsageError,
    decrypt_file,
    decrypt_files,
)

SAME_LENGTH = bytes(len(AUDIO))
AGAIN = "{} bytes, not the 14165 of the recording: done again"
OTHER_LENGTH = "exists with another length: {} bytes instead of 14165"

EXISTING = [
    ("replace", SAME_LENGTH, 0, None),
    ("skip", SAME_LENGTH, 0, "exists"),
    ("skip", b"", 0, AGAIN.format(0)),
    ("skip", AUDIO[:100], 0, AGAIN.format(100)),
    ("skip", AUDIO + b"\0", 0, AGAIN.format(14166)),
    ("fail", SAME_LENGTH, 1, "File exists"),
    ("fail", AUDIO[:100], 1, OTHER_LENGTH.format(100)),
]
"""What is to be done, what is there, the exit code, and what is said."""

WAYS: dict[str, Any] = {
    "one": ["a.enc"],
    "many": ["."],
    "elsewhere": ["-j2", "a.enc", "-d", "out"],
    "meanwhile": None,
    "function": {},
    "executor": {},
}


@pytest.mark.parametrize("extension", ["opus", "auto"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("if_exists", "there", "code", "said"), EXISTING)
def test_an_output_that_is_there(  # noqa: PLR0917 - a table
    folder: Path,
    encrypted_audio: bytes,
    way: str,
    extension: str,
    if_exists: Any,
    there: bytes,
    code: int,
    said: str | None,
) -> None:
    """It counts as done if it is as long as the audio, whichever way the job is done."""
    output = folder / ("out" if way == "elsewhere" else "") / "a.opus"
    output.parent.mkdir(exist_ok=True)
    options = ["--if-exists", if_exists]
    if way == "meanwhile":
        process = begin(folder, encrypted_audio, *options)
        output.write_bytes(there)
        _, stderr = process.communicate(encrypted_audio[5000:], timeout=30)
        done, lines = process.returncode, stderr.decode()
    elif way in {"function", "executor"}:
        output.write_bytes(there)
        with ThreadPoolExecutor(1) as executor:
            more: Any = {"executor": executor} if way == "executor" else {}
            outcomes = decrypt_files([folder], PASSWORD, extension, if_exists=if_exists, **more)
            [outcome] = outcomes
        done, lines = int(outcome.status == "failed"), str(outcome.error or outcome.note)
        lines += " exists" if outcome.status == "skipped" else ""
    else:
        output.write_bytes(there)
        result = run(*options, *WAYS[way], PASSWORD, extension, cwd=folder)
        done, lines = result.code, result.stderr
        stays = code or said == "exists"
        assert bool(result.stdout) == (not stays)
        if way == "many" and said == "exists":
            said = "1 skipped"
    assert done == code
    assert said is None or said in lines
    stays = code or said in {"exists", "1 skipped"}
    assert output.read_bytes() == (there if stays else AUDIO)
    assert len([name for name in contents(folder) if name != "out"]) == 2


def test_what_is_done_again_with_json_or_quietly(folder: Path) -> None:
    """Its object is that of any other; quiet is quiet."""
    (folder / "a.opus").write_bytes(b"cut")
    result = run("--if-exists", "skip", "--json", "a.enc", PASSWORD, "opus", cwd=folder)
    assert json.loads(result.stdout)["status"] == "decrypted"
    assert result.lines == [f"note: a.opus: {AGAIN.format(3)}"]
    (folder / "a.opus").write_bytes(b"cut")
    assert run("-q", "--if-exists", "skip", "a.enc", PASSWORD, "opus", cwd=folder)[1:] == (b"", "")
    assert (folder / "a.opus").read_bytes() == AUDIO


def test_a_failure_leaves_what_is_not_the_audio(folder: Path) -> None:
    """Only authenticated audio takes its place."""
    (folder / "a.opus").write_bytes(b"cut")
    with nothing_changes(folder):
        assert run("--if-exists", "skip", "a.enc", "wrong", "opus", cwd=folder).code == 3


@posix_only("links for everybody")
def test_outputs_that_are_hard_links_are_two(folder: Path, encrypted_audio: bytes) -> None:
    """As programs make them of files that are equal."""
    (folder / "b.enc").write_bytes(encrypted_audio)
    assert run(".", PASSWORD, "opus", cwd=folder).code == 0
    (folder / "b.opus").unlink()
    (folder / "b.opus").hardlink_to(folder / "a.opus")
    result = run(".", PASSWORD, "opus", "--if-exists", "skip", cwd=folder)
    assert (result.code, result.lines[0][:10]) == (0, "2 skipped ")


def test_with_auto_one_of_the_right_length_is_enough(folder: Path) -> None:
    """Whatever its extension, and whatever else is there; no key is derived."""
    (folder / "a.opus").write_bytes(b"cut")
    (folder / "a.wav").write_bytes(SAME_LENGTH)
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
    (tmp_path / "a.enc").write_bytes(encrypt(audio))
    (tmp_path / "a.wav").write_bytes(audio[:8_000_000])
    assert run("--if-exists", "skip", "a.enc", PASSWORD, "auto", cwd=tmp_path).code == 0
    assert contents(tmp_path) == {"a.enc": encrypt(audio), "a.wav": audio}


def test_a_recording_without_audio(tmp_path: Path) -> None:
    """Its output is empty: an empty file is it, a link to nowhere and a directory are not."""
    (tmp_path / "a.enc").write_bytes(encrypt(b""))
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
def test_where_the_length_is_not_known_what_is_there_counts(folder: Path, name: str) -> None:
    """Standard input and pipes tell it at their end only."""
    (folder / "a.opus").write_bytes(b"old")
    make_fifo(folder / "pipe")
    words = ["--if-exists", "skip", name, PASSWORD, "opus", "-o", "a.opus"]
    result = run(*words, cwd=folder)
    assert (result.code, result.lines) == (0, [f"skipped: {name}: a.opus exists"])
    assert (folder / "a.opus").read_bytes() == b"old"


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


@pytest.mark.parametrize(
    ("words", "output", "is_noted"),
    [
        *(([name], f"a.{name}", True) for name in ("wav", "mp3", "WAV", "flac", "m4a")),
        *(([name], f"a.{name}", False) for name in ("opus", "ogg", "OPUS", "oga", "AUTO", "bin")),
        (["auto"], "a.opus", False),
        (["auto", "-o", "x.mp3"], "x.mp3", True),
    ],
)
def test_a_name_for_another_format_is_noted(
    folder: Path, words: list[str], output: str, *, is_noted: bool
) -> None:
    """The output is the reference's, and a note says what it is."""
    result = run("a.enc", PASSWORD, *words, cwd=folder)
    assert (result.code, result.stdout.decode()) == (0, f"{output}\n")
    assert result.lines == ([f"note: {output}: {CONVERTED.format('opus')}"] if is_noted else [])
    assert contents(folder)[output] == AUDIO
    assert run("a.enc", PASSWORD, *words, "-q", cwd=folder).stderr == ""


def test_a_batch_notes_it_once(folder: Path) -> None:
    """Not for each of a thousand."""
    for name in "bcd":
        (folder / f"{name}.enc").write_bytes(encrypt(AUDIO))
    (folder / "e.enc").write_bytes(encrypt(MP3))
    result = run(".", PASSWORD, "wav", cwd=folder)
    notes = [line.partition(".wav: ")[2] for line in result.lines if line.startswith("note: ")]
    assert sorted(notes) == [CONVERTED.format("mp3"), CONVERTED.format("opus")]


@pytest.mark.parametrize(
    ("name", "words"), [("flac.enc", UNKNOWN), ("none.enc", "it holds no audio")]
)
def test_audio_that_auto_does_not_know(three: Path, name: str, words: str) -> None:
    """Nothing is wrong with the recording, which is said; nothing is written."""
    with nothing_changes(three):
        result = run(name, PASSWORD, "auto", cwd=three)
        with pytest.raises(UnknownFormatError) as caught:
            decrypt_file(three / name, PASSWORD, "auto")
    hint = "name the output's extension instead of 'auto', or store such audio by --unknown-as"
    assert (result.code, result.stdout) == (5, b"")
    assert result.lines == [
        f"error: {name}: the recording is intact and the password right; {words}",
        f"hint: {hint}",
    ]
    assert (caught.value.filename, caught.value.hint) == (str(three / name), hint)


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


def test_decrypt_file_can_keep_an_existing_output(make_enc: MakeEnc, tmp_path: Path) -> None:
    """`skip` returns it without any work, `fail` raises, also for `auto`."""
    source = make_enc()
    existing = tmp_path / "a.mp3"
    existing.write_bytes(SAME_LENGTH)
    with nothing_changes(tmp_path):
        assert decrypt_file(source, "wrong", "mp3", if_exists="skip") == existing
        assert decrypt_file(source, "wrong", "auto", if_exists="skip") == existing
        with pytest.raises(FileExistsError):
            decrypt_file(source, PASSWORD, "mp3", if_exists="fail")
        with pytest.raises(UsageError, match="if_exists"):
            decrypt_file(source, PASSWORD, "opus", if_exists="overwrite")  # type: ignore[arg-type]
    assert decrypt_file(source, PASSWORD, "opus", if_exists="fail").read_bytes() == AUDIO


def test_errors_say_which_file(make_enc: MakeEnc) -> None:
    """A traceback in a log is enough to find the recording."""
    source = make_enc()
    with pytest.raises(AuthenticationError) as caught:
        decrypt_file(source, "wrong", "opus")
    assert str(caught.value).startswith(f"{source}: authentication failed")
    with pytest.raises(FileNotFoundError) as missing:
        decrypt_file("nowhere.enc", "x", "opus")
    assert missing.value.filename == "nowhere.enc"
    with pytest.raises(UsageError, match="extension"):
        decrypt_file(source, "x", "a/b")
