"""What is done and what is not: whose output is whose, and what counts as done already."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support.commands import run
from support.folders import nothing_changes
from support.names import E_AND_ACCENT, E, OverlookingSystem, make
from support.posix import posix_only
from support.recordings import AUDIO, PASSWORD, WAV, encrypt

from filedecryptor import UsageError
from filedecryptor.jobs.plan import Plan
from filedecryptor.storage.disk import check_target

PAIRS = [
    (["x/Call.enc", "y/call.enc"], "same output as 'x/Call.enc'"),
    (["x/STRASSE.enc", "y/stra\u00dfe.enc"], "same output as 'x/STRASSE.enc'"),
    (["x/Q/r.enc", "x/q/r.enc"], "same output as 'x/Q/r.enc'"),
    ([f"x/{E}.enc", f"y/{E_AND_ACCENT}.enc"], f"same output as 'x/{E}.enc'"),
    ([f"x/{E.upper()}.enc", f"y/{E_AND_ACCENT}.enc"], f"same output as 'x/{E.upper()}.enc'"),
]


@posix_only("disks that tell such names apart")
@pytest.mark.parametrize("extension", ["opus", "auto"])
@pytest.mark.parametrize(("names", "message"), PAIRS)
def test_names_that_are_one_on_the_disk_fail(
    here: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], message: str, extension: str
) -> None:
    """Also where the directory is still to be made; nothing is written."""
    make(here, *names)
    OverlookingSystem(monkeypatch, case=True, form=True)
    with nothing_changes(here):
        plan = Plan(sorted({name[0] for name in names}), extension, output_dir="out/new")
    assert len(plan) == 0
    assert [outcome.input for outcome in plan.failures] == names
    assert message in str(plan.failures[1].error)


@posix_only("disks that tell such names apart")
@pytest.mark.parametrize("output_dir", ["out", "memory://out"])
@pytest.mark.parametrize("names", [names for names, _ in PAIRS])
def test_names_that_are_two_are_done(here: Path, names: list[str], output_dir: str) -> None:
    """On a disk that tells them apart, and on every store."""
    if "://" in output_dir:
        pytest.importorskip("fsspec")
    make(here, *names)
    assert len(Plan(sorted({name[0] for name in names}), "opus", output_dir=output_dir)) == 2


@posix_only("disks that tell such names apart")
@pytest.mark.parametrize(("overlooked", "names"), [("case", PAIRS[3][0]), ("form", PAIRS[0][0])])
def test_what_the_disk_does_not_overlook_is_done(
    here: Path, monkeypatch: pytest.MonkeyPatch, overlooked: str, names: list[str]
) -> None:
    """The one overlooks case only, as exFAT, the other normalisation only."""
    make(here, *names)
    OverlookingSystem(monkeypatch, case=overlooked == "case", form=overlooked == "form")
    assert len(Plan(["x", "y"], "opus", output_dir="out")) == 2


@posix_only("disks that tell such names apart")
def test_directories_that_differ_are_two_whatever_is_overlooked_in_them(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two disks may be mounted at names that differ in case only."""
    make(here, "A/x.enc", "a/x.enc")
    OverlookingSystem(monkeypatch, case=True, form=True)
    assert len(Plan(["A", "a"], "opus")) == 2


def test_an_input_of_another_suffix_is_not_replaced(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its name is the output's on that disk."""
    make(here, "CALL.WAV", "call.enc")
    OverlookingSystem(monkeypatch, case=True, form=True)
    plan = Plan(["call.enc", "CALL.WAV"], "wav")
    assert [str(outcome.error) for outcome in plan.failures] == [
        "call.enc: its output would replace the input 'CALL.WAV'",
        "CALL.WAV: the output would replace the input",
    ]


@posix_only("disks that tell such names apart")
def test_a_disk_is_asked_once_for_each_directory(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for each pair of names, and not at all where no names are alike."""
    make(here, *(f"x/{letter}{number}.enc" for number in range(500) for letter in "aA"))
    make(here, "y/b.enc", "y/c.enc")
    asked = OverlookingSystem(monkeypatch, case=False, form=False)
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
    plan = Plan(["x", "y"], "wav", output_dir="OUT")
    assert ["same output" in str(outcome.error) for outcome in plan.failures] == [True, True]


@pytest.mark.parametrize("if_exists", ["replace", "skip"])
@pytest.mark.parametrize(("names", "message"), PAIRS)
def test_on_a_real_disk(
    here: Path, disk: Path, names: list[str], message: str, if_exists: str
) -> None:
    """The command as a user runs it: exit code 2, and nothing on the disk."""
    make(here, *names)
    for name in names:
        (here / name).write_bytes(encrypt(WAV))
    words = ["x", *(["y"] if (here / "y").exists() else []), PASSWORD, "wav"]
    result = run(*words, "-d", "disk/out", "--if-exists", if_exists, cwd=here)
    assert (result.code, result.stdout) == (2, b"")
    assert any(message in line for line in result.lines)
    assert list(disk.iterdir()) == []


def test_an_input_on_a_real_disk_is_not_replaced(here: Path, disk: Path) -> None:
    """Though it is written in another case."""
    (disk / "CALL.WAV").write_bytes(encrypt(AUDIO))
    (disk / "call.enc").write_bytes(encrypt(WAV))
    with nothing_changes(disk):
        result = run("call.enc", "CALL.WAV", PASSWORD, "wav", cwd=disk)
    assert result.code == 2
    assert result.lines[:2] == [
        "error: call.enc: its output would replace the input 'CALL.WAV'",
        "error: CALL.WAV: the output would replace the input",
    ]


@posix_only("links for everybody")
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
        (tmp_path / f"{name}.enc").write_bytes(encrypt(WAV))
    (tmp_path / "a.opus").mkdir()
    (tmp_path / "a.mp3").mkdir()
    inputs = [f"{name}.enc" for name in names]
    result = run("--if-exists", if_exists, *inputs, PASSWORD, "auto", cwd=tmp_path)
    assert result.code == 0
    for name in names:
        assert (tmp_path / f"{name}.wav").read_bytes() == WAV


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
    (folder / "r.wav").write_bytes(encrypt(WAV))
    refused = run(*command, cwd=folder)
    assert refused.code == 2
    assert refused.lines[0].endswith("r.wav: the output would replace the input")
    assert (folder / "r.wav").read_bytes() == encrypt(WAV)


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
