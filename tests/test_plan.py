"""What is done and what is not: whose output is whose, and what counts as done already."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import odd_disk
import pytest
from conftest import AUDIO, FIXTURES, PASSWORD, PLAIN, contents, nothing_changes, run
from encryptor import encrypt

from filedecryptor import UsageError, decrypt_files
from filedecryptor.files import check_target
from filedecryptor.folding import Folding, folding
from filedecryptor.plan import Plan

WAV = FIXTURES / "recording_ghi789.enc"
WAV_AUDIO = (PLAIN / "recording_ghi789.wav").read_bytes()

E = unicodedata.normalize("NFC", "\u00e9")
E_AND_ACCENT = unicodedata.normalize("NFD", E)

PAIRS = [
    (["x/Call.enc", "y/call.enc"], "same output as 'x/Call.enc'"),
    (["x/STRASSE.enc", "y/stra\u00dfe.enc"], "same output as 'x/STRASSE.enc'"),
    (["x/Q/r.enc", "x/q/r.enc"], "same output as 'x/Q/r.enc'"),
    ([f"x/{E}.enc", f"y/{E_AND_ACCENT}.enc"], f"same output as 'x/{E}.enc'"),
    ([f"x/{E.upper()}.enc", f"y/{E_AND_ACCENT}.enc"], f"same output as 'x/{E.upper()}.enc'"),
]


def make(folder: Path, *names: str) -> None:
    """Make empty files, and the directories that they are in."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


class Disk:
    """Lets the operating system overlook what some file systems do in the names of files.

    Attributes:
        looks: The paths that were looked for.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, case: bool, form: bool) -> None:
        fold = Folding(case=case, form=form)
        self.looks: list[str] = []

        def lexists(path: str) -> bool:
            directory, name = os.path.split(path)
            self.looks.append(path)
            return any(fold(other) == fold(name) for other in os.listdir(directory))

        monkeypatch.setattr(os.path, "lexists", lexists)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def disk(here: Path) -> Iterator[Path]:
    """A real disk that overlooks case and normalisation, as the working directory's `disk`."""
    if not odd_disk.is_possible():
        pytest.skip(odd_disk.REASON)
    with odd_disk.mounted(here) as path:
        yield path


@pytest.mark.parametrize("overlooked", [set(), {"case"}, {"form"}, {"case", "form"}])
def test_what_a_disk_overlooks_is_seen_on_it(
    here: Path, monkeypatch: pytest.MonkeyPatch, overlooked: set[str]
) -> None:
    """By a file that is there for a moment; case and normalisation each for itself."""
    Disk(monkeypatch, case="case" in overlooked, form="form" in overlooked)
    with nothing_changes(here):
        assert folding(".") == ("case" in overlooked, "form" in overlooked)


def test_what_a_real_disk_overlooks(disk: Path) -> None:
    """The directory is as empty as before; the one beside it is another file system."""
    assert folding(str(disk)) == (True, True)
    assert folding(str(disk.parent)) == (False, False)
    assert list(disk.iterdir()) == []


def test_where_no_file_can_be_made_nothing_is_overlooked(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read only fails later, by its own words."""
    Disk(monkeypatch, case=True, form=True)
    make(here, "x/Call.enc", "x/call.enc")

    def refuse(path: str, *_: object) -> int:
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(os, "open", refuse)
    assert folding(".") == (False, False)
    assert len(Plan(["x"], "opus", output_dir=".")) == 2


@pytest.mark.parametrize("extension", ["opus", "auto"])
@pytest.mark.parametrize(("names", "message"), PAIRS)
def test_names_that_are_one_on_the_disk_are_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str, extension: str
) -> None:
    """Also where the directory is still to be made; nothing is written."""
    make(here, *names)
    Disk(monkeypatch, case=True, form=True)
    with nothing_changes(here), pytest.raises(UsageError, match="would have the") as caught:
        Plan(sorted({name[0] for name in names}), extension, output_dir="out/new")
    assert message in str(caught.value)


@pytest.mark.parametrize("output_dir", ["out", "memory://out"])
@pytest.mark.parametrize("names", [names for names, _ in PAIRS])
def test_names_that_are_two_are_done(here: Path, names: list[str], output_dir: str) -> None:
    """On a disk that tells them apart, and on every store."""
    if "://" in output_dir:
        pytest.importorskip("fsspec")
    make(here, *names)
    assert len(Plan(sorted({name[0] for name in names}), "opus", output_dir=output_dir)) == 2


@pytest.mark.parametrize(("overlooked", "names"), [("case", PAIRS[3][0]), ("form", PAIRS[0][0])])
def test_what_the_disk_does_not_overlook_is_done(
    here: Path, monkeypatch: pytest.MonkeyPatch, overlooked: str, names: list[str]
) -> None:
    """The one overlooks case only, as exFAT, the other normalisation only."""
    make(here, *names)
    Disk(monkeypatch, case=overlooked == "case", form=overlooked == "form")
    assert len(Plan(["x", "y"], "opus", output_dir="out")) == 2


def test_directories_that_differ_are_two_whatever_is_overlooked_in_them(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two disks may be mounted at names that differ in case only."""
    make(here, "A/x.enc", "a/x.enc")
    Disk(monkeypatch, case=True, form=True)
    assert len(Plan(["A", "a"], "opus")) == 2


def test_an_input_of_another_suffix_is_not_replaced(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its name is the output's on that disk."""
    make(here, "CALL.WAV", "call.enc")
    Disk(monkeypatch, case=True, form=True)
    with pytest.raises(UsageError, match=r"call\.enc: its output would replace the input 'CALL"):
        Plan(["call.enc", "CALL.WAV"], "wav")


def test_a_disk_is_asked_once_for_each_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each pair of names, and not at all where no names are alike."""
    make(here, *(f"x/{letter}{number}.enc" for number in range(500) for letter in "aA"))
    make(here, "y/b.enc", "y/c.enc")
    asked = Disk(monkeypatch, case=False, form=False)
    assert len(Plan(["y"], "auto")) == 2
    assert asked.looks == []
    assert len(Plan(["x"], "auto", output_dir="out/new")) == 1000
    assert len(asked.looks) == 2


def test_directories_of_other_case_that_are_still_to_be_made(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows has them: what is not there has no case of its own yet."""
    make(here, "x/Sub/call.enc", "y/sub/call.enc")
    monkeypatch.setattr(os.path, "normcase", str.lower)
    with pytest.raises(UsageError, match="same output"):
        Plan(["x", "y"], "wav", output_dir="OUT")


@pytest.mark.parametrize("if_exists", ["replace", "skip"])
@pytest.mark.parametrize(("names", "message"), PAIRS)
def test_on_a_real_disk(
    here: Path, disk: Path, names: list[str], message: str, if_exists: str
) -> None:
    """The command as a user runs it: exit code 2, and nothing on the disk."""
    make(here, *names)
    for name in names:
        shutil.copy(WAV, here / name)
    words = ["x", *(["y"] if (here / "y").exists() else []), PASSWORD, "wav"]
    result = run(*words, "-d", "disk/out", "--if-exists", if_exists, cwd=here)
    assert (result.code, result.stdout) == (2, b"")
    assert message in result.lines[0]
    assert list(disk.iterdir()) == []


def test_an_input_on_a_real_disk_is_not_replaced(here: Path, disk: Path) -> None:
    """Though it is written in another case."""
    shutil.copyfile(FIXTURES / "recording_abc123.enc", disk / "CALL.WAV")
    shutil.copyfile(WAV, disk / "call.enc")
    with nothing_changes(disk):
        result = run("call.enc", "CALL.WAV", PASSWORD, "wav", cwd=disk)
    assert result.code == 2
    assert result.lines == ["error: call.enc: its output would replace the input 'CALL.WAV'"]


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
    os.mkfifo(folder / "pipe")
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


def test_linked_folders_are_mentioned(folder: Path) -> None:
    """Once each, as one line, unless it is to be quiet; a link that leads nowhere is none."""
    (folder / "there").mkdir()
    (folder / "there" / "b.enc").write_bytes((folder / "a.enc").read_bytes())
    below = folder / "in"
    (below / "sub").mkdir(parents=True)
    shutil.copy(folder / "a.enc", below)
    (below / "sub" / "line\nend").symlink_to("../../there")
    (below / "x.enc").symlink_to("../there")
    (below / "gone").symlink_to("nowhere")
    (below / "self").symlink_to("self")
    result = run("in", PASSWORD, "opus", cwd=folder)
    assert (result.code, result.stdout) == (0, b"in/a.opus\n")
    assert sorted(result.lines[:2]) == [
        "note: in/sub/line\\nend: a link to a directory, which is not followed",
        "note: in/x.enc: a link to a directory, which is not followed",
    ]
    assert len(result.lines) == 3
    assert run("-q", "in", PASSWORD, "opus", cwd=folder).stderr == ""


def test_what_macos_leaves_beside_recordings_is_none(folder: Path) -> None:
    """Unless it is named itself."""
    (folder / "._a.enc").write_bytes(bytes(4096))
    (folder / "only").mkdir()
    (folder / "only" / "._b.enc").write_bytes(bytes(4096))
    assert run(".", PASSWORD, "opus", cwd=folder)[:2] == (0, b"./a.opus\n")
    assert run("only", PASSWORD, "opus", cwd=folder).lines == ["only: there is no .enc file in it"]
    assert run("._a.enc", PASSWORD, "opus", cwd=folder).code == 3


@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
@pytest.mark.parametrize("names", [["a"], ["x" * 251], ["a", "x" * 251]])
def test_with_auto_only_the_output_that_fits_matters(
    tmp_path: Path, if_exists: str, names: list[str]
) -> None:
    """Not a directory or a name too long for the file system where another would go."""
    for name in names:
        shutil.copy(WAV, tmp_path / f"{name}.enc")
    (tmp_path / "a.opus").mkdir()
    (tmp_path / "a.mp3").mkdir()
    inputs = [f"{name}.enc" for name in names]
    result = run("--if-exists", if_exists, *inputs, PASSWORD, "auto", cwd=tmp_path)
    assert result.code == 0
    for name in names:
        assert (tmp_path / f"{name}.wav").read_bytes() == WAV_AUDIO


@pytest.mark.parametrize("if_exists", ["replace", "skip"])
@pytest.mark.parametrize("words", [["r.wav"], ["r.wav", "b.enc"], ["r.wav", "-d", "."]])
def test_with_auto_an_input_called_like_audio(
    folder: Path, words: list[str], if_exists: str
) -> None:
    """It is decrypted if its own output has another name, and never replaced."""
    command = ["--if-exists", if_exists, *words, PASSWORD, "auto"]
    shutil.copy(folder / "a.enc", folder / "r.wav")
    shutil.copy(folder / "a.enc", folder / "b.enc")
    assert run(*command, cwd=folder).code == 0
    assert (folder / "r.opus").read_bytes() == AUDIO
    (folder / "r.opus").unlink()
    shutil.copy(WAV, folder / "r.wav")
    refused = run(*command, cwd=folder)
    assert refused.code == 2
    assert refused.lines[0].endswith("r.wav: the output would replace the input")
    assert (folder / "r.wav").read_bytes() == WAV.read_bytes()


def test_with_auto_another_input_called_like_audio(folder: Path) -> None:
    """It is not replaced, so the plan is refused."""
    shutil.copy(folder / "a.enc", folder / "a.wav")
    with nothing_changes(folder):
        assert run("a.enc", "a.wav", PASSWORD, "auto", cwd=folder).code == 2


@pytest.mark.parametrize("number", [0, 7])
def test_a_disk_that_gives_its_files_no_identity(
    here: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """There an output is the input if it has its path: not any that is there."""
    make(here, "a.enc", "a.opus", "b/x")

    def same(path: str, **_: object) -> os.stat_result:
        return os.stat_result((0o100644, number, 1, 1, 0, 0, 0, 0, 0, 0))

    def is_taken_for_the_input(target: str) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", same)
            patch.setattr(os, "lstat", same)
            try:
                check_target(target, "a.enc")
            except UsageError:
                return True
            return False

    assert is_taken_for_the_input("a.opus") == (number == 7)
    assert is_taken_for_the_input("b/../a.enc")
