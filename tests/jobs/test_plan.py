"""What is done and what is not: which inputs there are, and whose output is whose."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from contextlib import nullcontext
from pathlib import Path
from threading import Thread

import pytest
from support.commands import run
from support.folders import contents, nothing_changes
from support.posix import make_fifo, posix_only
from support.recordings import AUDIO, PASSWORD, WAV, encrypt

from filedecryptor import UsageError
from filedecryptor.jobs.job import Job
from filedecryptor.jobs.outputs import targets_of
from filedecryptor.jobs.plan import Plan
from filedecryptor.storage.disk import check_target

E = unicodedata.normalize("NFC", "\u00e9")
E_AND_ACCENT = unicodedata.normalize("NFD", E)

PAIRS = [
    ["x/Call.enc", "y/call.enc"],
    ["x/STRASSE.enc", "y/stra\u00dfe.enc"],
    ["x/Q/r.enc", "x/q/r.enc"],
    [f"x/{E}.enc", f"y/{E_AND_ACCENT}.enc"],
    [f"x/{E.upper()}.enc", f"y/{E_AND_ACCENT}.enc"],
]
"""Recordings whose outputs have names that differ in case or accents only."""


def make(folder: Path, *names: str, content: bytes = b"") -> None:
    """Make files, and the directories that they are in."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


# A call, how its error begins, if there is one, and what is written all the same.
COLLIDING = [
    ("a.enc a.dat P opus", "a.dat: it would have the same output as 'a.enc'", []),
    ("a.enc b/a.enc P opus -d o", "b/a.enc: it would have the same output as 'a.enc'", []),
    ("a.enc link/a.dat P opus", "link/a.dat: it would have the same output as 'a.enc'", []),
    ("a.opus.enc a.enc P auto", "a.enc: it would have the same output as 'a.opus.enc'", []),
    ("b/a.enc a.enc P enc", "b/a.enc: the output would replace the input", []),
    ("b c/ P enc -d c", "b/a.enc: its output would replace the input 'c/a.enc'", []),
    ("a.enc b c d P opus -d o", "a.enc: it would have the same output as 'b/a.enc'", ["o/d.opus"]),
    ("a.enc b c d P auto -d o", "a.enc: it would have the same output as 'b/a.enc'", ["o/d.opus"]),
    # Only the disk shows these, so it is the failure of that recording alone.
    ("self.enc a.enc P wav", "self.wav: the output would replace the input", ["a.wav"]),
    ("x.enc z.enc P opus", "x.enc: its output would replace the input 'z.enc'", ["z.opus"]),
    # With `auto`, the audio shows whether an input that is called like audio would be replaced.
    ("r.wav P auto", "", ["r.opus"]),
    ("r.wav d P auto -d .", "", ["d.opus", "r.opus"]),
    ("w.wav P auto", "w.wav: the output would replace the input", []),
    ("w.wav P auto --if-exists skip", "w.wav: the output would replace the input", []),
    ("w.wav d P auto -d .", "./w.wav: the output would replace the input", ["d.opus"]),
]


@pytest.mark.parametrize(("line", "error", "made"), COLLIDING)
def test_outputs_that_collide(folder: Path, line: str, error: str, made: list[str]) -> None:
    """They fail, however the names are spelled, and nothing else does."""
    recording = (folder / "a.enc").read_bytes()
    others = ("a.dat", "a.opus.enc", "b/a.enc", "c/a.enc", "d/d.enc", "r.wav", "self.enc", "x.enc")
    make(folder, *others, "x.opus", content=recording)
    make(folder, "w.wav", content=encrypt(WAV))
    (folder / "link").symlink_to(".")
    (folder / "self.wav").symlink_to("self.enc")
    (folder / "z.enc").symlink_to("x.opus")
    before = contents(folder)
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert result.code == (2 if error else 0)
    assert any(text.startswith(f"error: {error}") for text in result.lines) == bool(error)
    assert sorted(map(os.path.normpath, result.stdout.decode().split())) == made
    found = {name: content for name, content in contents(folder).items() if name != "o"}
    assert found == before | dict.fromkeys(made, AUDIO)


OPUS, FLAC_NOTE = (f"this is {name} audio already: passed over" for name in ("opus", "FLAC"))
# A call with several inputs, its code, what is written, and what is passed over with which note.
PASSED_OVER = [
    ("a.enc a.opus P auto", 0, ["a.opus"], {"a.opus": OPUS}),
    ("a.enc a.opus P opus", 0, ["a.opus"], {"a.opus": OPUS}),
    ("a.opus a.enc P bin", 0, ["a.bin"], {"a.opus": OPUS}),
    ("a.enc a.opus P auto -d .", 0, ["a.opus"], {"a.opus": OPUS}),
    ("a.enc a.opus P auto -d o", 0, ["o/a.opus"], {"a.opus": OPUS}),
    ("a.enc a.opus P auto --if-exists skip", 0, [], {"a.opus": OPUS}),
    ("a.enc a.opus P auto --if-exists fail", 1, [], {"a.opus": OPUS}),
    ("d a.opus P opus -d .", 0, ["a.opus", "d.opus"], {"a.opus": OPUS}),
    ("--verify a.enc a.opus P", 0, [], {"a.opus": OPUS}),
    ("a.enc b.opus P opus", 0, ["a.opus"], {"b.opus": OPUS}),
    ("a.enc b.opus x.flac P auto", 0, ["a.opus"], {"b.opus": OPUS, "x.flac": FLAC_NOTE}),
    ("b.opus plain.enc P auto --if-exists fail", 4, [], {"b.opus": OPUS}),
    # Others fail as they did: nobody would get the audio of what is called .enc, or of a recording.
    ("a.enc plain.enc P auto", 4, ["a.opus"], {}),
    ("a.enc plain.ENC P auto", 4, ["a.opus"], {}),
    ("b.opus P auto", 4, [], {}),
    ("b.opus P opus -d o", 4, [], {}),
    ("a.enc a.wav P auto", 2, [], {}),
    ("a.enc a.mp3 P auto", 2, [], {}),
]


@pytest.mark.parametrize(("line", "code", "made", "notes"), PASSED_OVER)
def test_audio_among_several_inputs_is_passed_over(
    folder: Path, line: str, code: int, made: list[str], notes: dict[str, str]
) -> None:
    """As in a second run over all files: it is not in the way of the recording that it came from."""
    recording = (folder / "a.enc").read_bytes()
    make(folder, "d/a.enc", "d/d.enc", "a.wav", content=recording)  # a recording, whatever its name
    make(folder, "a.opus", "b.opus", "plain.enc", "plain.ENC", content=AUDIO)
    make(folder, "x.flac", content=b"fLaC\0\0\0\x22" + bytes(60))
    make(folder, "a.mp3")
    before = contents(folder)
    result = run(*line.replace("P", PASSWORD).split(), cwd=folder)
    assert result.code == code
    assert sorted(map(os.path.normpath, result.stdout.decode().split())) == made
    said = {line.removeprefix("note: ") for line in result.lines if line.startswith("note: ")}
    shown = {line for line in said if "nothing is converted" not in line}
    assert shown == {f"{name}: {note}" for name, note in notes.items()}
    found = {name: content for name, content in contents(folder).items() if name != "o"}
    assert found == before | dict.fromkeys(made, AUDIO)
    if notes:
        quiet = run("-q", *line.replace("P", PASSWORD).split(), cwd=folder)
        assert (quiet.code, quiet.stderr.count("passed over")) == (code, 0)
        result = run("--json", *line.replace("P", PASSWORD).split(), cwd=folder)
        objects = {entry["input"]: entry for entry in map(json.loads, result.stdout.splitlines())}
        for name in notes:
            assert (objects[name]["status"], objects[name]["code"]) == ("skipped", 0)


@posix_only("pipes with names")
def test_a_pipe_among_several_inputs_is_read_once(folder: Path) -> None:
    """Though audio comes out of it, or its output would replace it."""
    make_fifo(folder / "p.opus")
    writer = Thread(target=(folder / "p.opus").write_bytes, args=(AUDIO,), daemon=True)
    writer.start()
    result = run("a.enc", "p.opus", PASSWORD, "auto", cwd=folder)
    writer.join(20)
    assert (result.code, result.stdout) == (0, b"a.opus\n")
    assert f"note: p.opus: {OPUS}" in result.lines
    result = run("a.enc", "p.opus", PASSWORD, "opus", cwd=folder)
    assert (result.code, result.lines[-2]) == (1, "error: p.opus: Not a regular file")


@pytest.mark.parametrize(
    "words", ["a.enc a.enc", "a.enc ./a.enc link/a.enc b/../a.enc", "b b/a.enc"]
)
@pytest.mark.parametrize("more", ["opus", "auto -d out", "--verify"])
def test_what_is_named_twice_is_done_once(folder: Path, words: str, more: str) -> None:
    """However it is spelled, and as it was named first."""
    make(folder, "b/a.enc", content=(folder / "a.enc").read_bytes())
    (folder / "link").symlink_to(".")
    (folder / "secret").write_text(PASSWORD)
    line = [*words.split(), *more.split(), "--password-file", "secret"]
    result = run(*line, cwd=folder)
    assert result.code == 0
    assert result.lines[-1].startswith(("1 decrypted; ", "1 verified; "))
    assert len(result.stdout.splitlines()) == (more != "--verify")


@posix_only("links for everybody, and disks that tell case apart")
def test_links_are_recordings_of_their_own(folder: Path) -> None:
    """Each gives an output of its own name, also a hard link whose name differs in case only."""
    (folder / "b.enc").symlink_to("a.enc")
    (folder / "A.enc").hardlink_to(folder / "a.enc")
    result = run("a.enc", "b.enc", "A.enc", "a.enc", PASSWORD, "opus", cwd=folder)
    assert sorted(result.stdout.split()) == [b"A.opus", b"a.opus", b"b.opus"]


@posix_only("disks that tell such names apart")
@pytest.mark.parametrize("names", PAIRS)
def test_names_that_differ_in_case_or_accents(here: Path, names: list[str]) -> None:
    """Only jobs that cannot see what others have written are refused, but never on a store."""
    make(here, *names)
    sources = sorted({name[0] for name in names})
    with nothing_changes(here):
        plan = Plan(sources, Job("", "auto"), output_dir="out/new", is_distributed=True)
    assert len(plan) == 0
    assert [outcome.input for outcome in plan.failures] == [str(here / name) for name in names]
    assert f"same output as '{here / names[0]}'" in str(plan.failures[1].error)
    assert len(Plan(sources, Job("", "auto"), output_dir="out/new")) == 2
    pytest.importorskip("fsspec")
    assert len(Plan(sources, Job("", "auto"), output_dir="memory://out", is_distributed=True)) == 2


@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
def test_on_a_disk_that_takes_them_for_one(here: Path, disk: Path, if_exists: str) -> None:
    """The first stays and the second fails, whichever that is; both are named."""
    for number, names in enumerate(PAIRS):
        folder, out = here / str(number), f"../disk/{number}"
        make(folder, *names, content=encrypt(WAV))
        words = [*sorted({name[0] for name in names}), PASSWORD, "wav"]
        words += ["-d", out, "--if-exists", if_exists]
        result = run(*words, cwd=folder)
        assert result.code == 2
        [output] = result.stdout.decode().splitlines()
        assert (folder / output).read_bytes() == WAV
        stem = output.removeprefix(f"{out}/").removesuffix(".wav")
        [failed] = [name for name in names if not name.endswith(f"/{stem}.enc")]
        error = f"error: {failed}: it would have the same output as another input, {output!r}"
        assert result.lines[0] == error
        assert len([path for path in (disk / str(number)).rglob("*") if path.is_file()]) == 1
        again = run(*words, cwd=folder)  # what was found done belongs to one of them as well
        assert again.code == (1 if if_exists == "fail" else 2)
        assert (folder / output).read_bytes() == WAV


def test_an_input_on_a_disk_that_ignores_case_is_not_replaced(here: Path, disk: Path) -> None:
    """Though it is written in another case."""
    make(disk, "CALL.WAV", content=encrypt(AUDIO))
    make(disk, "call.enc", content=encrypt(WAV))
    with nothing_changes(disk):
        result = run("call.enc", "CALL.WAV", PASSWORD, "wav", cwd=disk)
    assert result.code == 2
    assert result.lines[:2] == [
        "error: call.enc: its output would replace the input 'CALL.WAV'",
        "error: CALL.wav: the output would replace the input",
    ]


@posix_only("disks that tell case apart")
def test_an_input_is_known_by_its_identity(here: Path) -> None:
    """As where the disk ignores case: the name that the output would take is that of an input."""
    make(here, "CALL.WAV", "call.enc")
    (here / "call.wav").hardlink_to(here / "CALL.WAV")
    plan = Plan(["call.enc", "CALL.WAV"], Job("", "wav"))
    [failure] = plan.failures
    assert str(failure.error) == "call.enc: its output would replace the input 'CALL.WAV'"


@posix_only("disks that tell case apart")
@pytest.mark.parametrize(
    ("extension", "unknown_as"),
    [("auto", None), ("auto", "bin"), *((each, None) for each in ("opus", "gz", "tar.gz", "a..b"))],
)
def test_every_collision_is_found(here: Path, extension: str, unknown_as: str | None) -> None:
    """As if each output were compared with each other one and with each input."""
    stems = ["a", "A", "a.opus", "a.wav", "a.opus.wav", "a.x", "a.tar", "a.tar.gz", "a.", "a..b"]
    names = [f"{stem}.enc" for stem in [*stems, "", ".", ".opus", "opus", "opus.opus"]]
    names += ["a.wav", "a.gz", "a.b", "a.bin", "b.bin.enc", "b.enc"]
    make(here, *names)
    job = Job("", extension, unknown_as=unknown_as)
    targets = {name: set(targets_of(job._replace(input=name))) for name in names}
    expected = [
        name
        for name in names
        for others in [[other for other in names if other != name]]
        if any(targets[name] & {other, *targets[other]} for other in others)
    ]
    assert [outcome.input for outcome in Plan(names, job).failures] == expected


def test_directories_of_other_case_that_are_still_to_be_made(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows has them: what is not there has no case of its own yet."""
    make(here, "x/Sub/call.enc", "y/sub/call.enc")
    monkeypatch.setattr(os.path, "normcase", str.lower)
    plan = Plan(["x", "y"], Job("", "wav"), output_dir="OUT")
    assert ["same output" in str(outcome.error) for outcome in plan.failures] == [True, True]


@posix_only("links for everybody")
def test_links_and_pipes_in_a_tree(folder: Path) -> None:
    """A link to a recording is one. Links to directories are mentioned, and not followed."""
    (folder / "there").mkdir()
    shutil.copy(folder / "a.enc", folder / "there" / "b.enc")
    below = folder / "in"
    (below / "sub").mkdir(parents=True)
    shutil.copy(folder / "a.enc", below)
    (below / "sub" / "line\nend").symlink_to("../../there")
    (below / "x.enc").symlink_to("../there")
    (below / "gone").symlink_to("nowhere")
    (below / "self").symlink_to("self")
    (below / "loop").symlink_to(".")
    (below / "linked.enc").symlink_to("a.enc")
    (below / "self.enc").symlink_to("self.enc")
    (below / ".filedecryptor-0123456789abcdef.tmp").write_bytes(b"left behind")
    make_fifo(below / "pipe.enc")
    result = run("in", PASSWORD, "opus", cwd=folder)
    assert result.code == 1
    assert sorted(result.stdout.splitlines()) == [b"in/a.opus", b"in/linked.opus"]
    assert (below / "linked.opus").read_bytes() == AUDIO
    assert "error: in/self.enc: Too many levels of symbolic links" in result.lines
    assert sorted(line for line in result.lines if line.startswith("note: ")) == [
        "note: in/loop: a link to a directory, which is not followed",
        "note: in/sub/line\\nend: a link to a directory, which is not followed",
        "note: in/x.enc: a link to a directory, which is not followed",
    ]
    assert len(result.lines) == 5
    (below / "self.enc").unlink()
    assert run("-q", "in", PASSWORD, "opus", cwd=folder).stderr == ""


def test_what_macos_leaves_beside_recordings_is_none(folder: Path) -> None:
    """Unless it is named itself."""
    make(folder, "._a.enc", "only/._b.enc", content=bytes(4096))
    assert run(".", PASSWORD, "opus", cwd=folder)[:2] == (0, b"./a.opus\n")
    result = run("only", PASSWORD, "opus", cwd=folder)
    assert result.lines[0] == "error: only: there is no .enc file in it"
    assert run("._a.enc", PASSWORD, "opus", cwd=folder).code == 3


@pytest.mark.parametrize("if_exists", ["replace", "skip", "fail"])
@pytest.mark.parametrize("names", [["a"], ["x" * 251], ["a", "x" * 251]])
def test_with_auto_only_the_output_that_fits_matters(
    here: Path, if_exists: str, names: list[str]
) -> None:
    """Not a directory or a name too long for the file system where another would go."""
    inputs = [f"{name}.enc" for name in names]
    make(here, *inputs, "a.opus/x", "a.mp3/x", content=encrypt(WAV))
    assert run("--if-exists", if_exists, *inputs, PASSWORD, "auto", cwd=here).code == 0
    assert all((here / f"{name}.wav").read_bytes() == WAV for name in names)


@pytest.mark.parametrize("number", [0, 7])
def test_a_disk_that_gives_its_files_no_identity(
    here: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """There an output is the input if it has its path: not any that is there."""
    make(here, "a.enc", "a.opus", "b/x")
    same = os.stat_result((0o100644, number, 1, 1, 0, 0, 0, 0, 0, 0))
    for name in ("stat", "lstat"):
        monkeypatch.setattr(os, name, lambda *_, **__: same)
    with pytest.raises(UsageError):
        check_target("b/../a.enc", "a.enc")
    with pytest.raises(UsageError) if number else nullcontext():
        check_target("a.opus", "a.enc")
    monkeypatch.undo()
