"""Many recordings: the command as a user runs it, and the function behind it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.commands import COMMAND, Result, run, run_process
from support.folders import contents
from support.posix import not_under_wine, posix_only
from support.recordings import (
    AUDIO,
    PASSWORD,
    PLAIN,
    RECORDINGS,
    MakeEnc,
    altered,
    encrypt,
    fixture,
)
from support.terminal import run_in_terminal

from filedecryptor import AuthenticationError, UsageError, decrypt_files
from filedecryptor.errors import WorkerError
from filedecryptor.jobs.batch import GroupWork

ENV = {"FILEDECRYPTOR_PASSWORD": PASSWORD}
NAMES = [entry["file"] for entry in RECORDINGS]
INPUTS = [*NAMES[:2], f"late/{NAMES[2].replace('.enc', '.ENC')}"]
OUTPUTS = [
    f"{name.rpartition('.')[0]}.{entry['format']}"
    for name, entry in zip(INPUTS, RECORDINGS, strict=True)
]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A night's recordings, one of each format, some of them in a subfolder."""
    (tmp_path / "night" / "late").mkdir(parents=True)
    for name in INPUTS:
        (tmp_path / "night" / name).write_bytes(fixture(Path(name).name))
    return tmp_path


def batch(*words: str | Path | bytes, cwd: Path, **options: Any) -> Result:
    """Run the command with the password in the environment."""
    return run(*words, cwd=cwd, env=ENV, **options)


def files_in(folder: Path) -> list[str]:
    """Return the names of the files below a folder."""
    return [name for name, content in contents(folder).items() if content is not None]


def test_an_output_directory(night: Path) -> None:
    """In it subfolders stay, the inputs' folders do not; 5 if nothing but the audio is unknown."""
    (night / "b").mkdir()
    (night / "b" / "b.enc").write_bytes(fixture(NAMES[0]))
    (night / "c.enc").write_bytes(encrypt(b"\0"))
    before = contents(night)
    result = batch("-q", "night", "b/", "c.enc", "-", "auto", "-d", "new/out/", cwd=night)
    assert (result.code, result.stdout) == (5, b"")
    assert [line.partition(":")[0] for line in result.lines] == ["error", "hint"]
    assert result.lines[0].startswith("error: c.enc: the recording is intact")
    audio = {name: (PLAIN / Path(name).name).read_bytes() for name in OUTPUTS}
    found = contents(night / "new" / "out")
    assert found == audio | {"b.opus": audio[OUTPUTS[0]], "late": None}
    shutil.rmtree(night / "new")
    assert contents(night) == before


def test_the_good_are_done_although_others_fail(night: Path) -> None:
    """Altered, short, unreadable, plain, gone: a line or an object for each, and the exit code 1."""
    folder = night / "night"
    good = (folder / NAMES[0]).read_bytes()
    (folder / "altered.enc").write_bytes(altered(good))
    (folder / "short.enc").write_bytes(good[:43])
    (folder / "secret.enc").write_bytes(good)
    (folder / "secret.enc").chmod(0)
    (folder / "closed").mkdir(mode=0)
    (folder / "dangling.enc").symlink_to("nowhere")
    shutil.copy(PLAIN / OUTPUTS[0], folder / "plain.enc")
    (folder / "taken.enc").write_bytes(good)
    (folder / "taken.opus").mkdir()
    words = ("night", "none.enc", "-", "auto")
    result = run_process(*words, cwd=night, env=ENV, as_anybody=True)
    assert result.code == 1
    assert len(result.stdout.split()) == 3
    wrong = "authentication failed: the password is wrong, or the file was altered"
    failures = {
        "night/altered.enc": (3, wrong),
        "night/closed": (1, "Permission denied"),
        "night/dangling.enc": (1, "No such file or directory"),
        "night/plain.enc": (4, "this is opus audio already"),
        "night/secret.enc": (1, "Permission denied"),
        "night/short.enc": (4, "not an .enc file: it is 43 bytes long, the smallest is 44"),
        "night/taken.opus": (1, "Is a directory"),
        "none.enc": (1, "No such file or directory"),
    }
    assert sorted(line for line in result.lines if line.startswith("error: ")) == [
        f"error: {name}: {cause}" for name, (_, cause) in failures.items()
    ]
    assert any("if its name ends in .enc, rename it" in line for line in result.lines)
    assert result.lines[-1].startswith("3 decrypted, 8 failed; ")
    result = run_process("--json", *words, cwd=night, env=ENV, as_anybody=True)
    found = {entry["input"]: entry for entry in map(json.loads, result.stdout.splitlines())}
    good = {"size": len(AUDIO), "status": "decrypted", "code": 0, "error": None, "hint": None}
    names = {"input": f"night/{INPUTS[0]}", "output": f"night/{OUTPUTS[0]}", "format": "opus"}
    assert found[f"night/{INPUTS[0]}"] == names | good
    assert found["night/plain.enc"]["hint"].startswith("either it is decrypted, or")
    code, cause = failures.pop("night/taken.opus")
    failures["night/taken.enc"] = (code, f"night/taken.opus: {cause}")
    assert failures == {
        name: (entry["code"], entry["error"]) for name, entry in found.items() if entry["code"]
    }


NASTY = [b"-a.enc", b"a b.enc", b"line\nend.enc", b"caf\xe9.enc", "🎧.enc".encode(), b"--.enc"]


@posix_only("names like these")
def test_names_of_every_kind(tmp_path: Path, encrypted_audio: bytes) -> None:
    """Spaces, line ends, dashes, bytes that are no text, emoji: as words and in a directory."""
    for name in NASTY:
        Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name))).write_bytes(encrypted_audio)
    as_words = batch("--", *NASTY, "-", "opus", cwd=tmp_path)
    in_json = batch("--json", ".", "-", "wav", cwd=tmp_path)
    expected = {os.path.splitext(name)[0] for name in NASTY}
    assert as_words.code == in_json.code == 0
    assert all(name + b".opus\n" in as_words.stdout for name in expected)
    found = {os.path.splitext(name)[0] for name in os.listdir(os.fsencode(tmp_path))}
    assert found == expected
    outputs = [json.loads(line)["output"] for line in in_json.stdout.splitlines()]
    assert {os.fsencode(name) for name in outputs} == {b"./" + name + b".wav" for name in expected}
    assert all(Path(tmp_path, name).read_bytes() == AUDIO for name in outputs)


@posix_only("signals from elsewhere")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle(many: Path, name: str) -> None:
    """What is done is whole, nothing half-done stays, the summary is printed, the code is 130."""
    process = subprocess.Popen(
        [COMMAND, ".", PASSWORD, "opus"],
        cwd=many,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    first = [process.stdout.readline() for _ in range(5)]
    process.send_signal(getattr(signal, name))
    rest, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    outputs = [name for name in files_in(many) if not name.endswith(".enc")]
    assert 5 <= len(outputs) < 200
    assert {line.strip() for line in [*first, *rest.splitlines()]} <= {f"./{x}" for x in outputs}
    assert all((many / output).read_bytes() == AUDIO for output in outputs)
    go_on = "; what is done stays; run this again with --if-exists skip to go on"
    interrupted = "filedecryptor: error: interrupted"
    assert re.fullmatch(f"filedecryptor: .* decrypted; .*{go_on}\n{interrupted}\n", stderr)


@posix_only("terminals like these")
def test_a_bar_with_files_bytes_rate_and_failures(many: Path) -> None:
    """In a real terminal; results and errors stand whole above it, and no line is torn."""
    (many / "007.enc").write_bytes(bytes(1000))
    screen = run_in_terminal(".", PASSWORD, "opus", cwd=many, columns=80)
    assert screen.code == 3
    shown = [line.split("\r")[-1] for line in screen.text.split("\r\n")]
    assert "./006.opus" in shown
    assert any(line.startswith("filedecryptor: error: ./007.enc: auth") for line in shown)
    assert any(line.startswith("filedecryptor: 199 decrypted, 1 failed; ") for line in shown)
    states = re.findall(r"\[[#-]+\] [^\r\n]*", screen.text)
    assert re.search(r"200/200 files 1 failed 2/2 MB \d+ MB/s \d+\.\d recordings/s", states[-1])
    assert max(map(len, states)) < 80


# From here on the function.


def test_decrypt_files(night: Path) -> None:
    """Outcomes say what became of each input; failures are outcomes, not exceptions."""
    (night / "night" / "bad.enc").write_bytes(bytes(44))
    done = decrypt_files([night, "none.enc"], PASSWORD, "auto", jobs=1)
    outcomes = {outcome.input: outcome for outcome in done}
    assert len(outcomes) == 5
    bad, missing = outcomes[str(night / "night" / "bad.enc")], outcomes["none.enc"]
    assert (type(bad.error), type(missing.error)) == (AuthenticationError, FileNotFoundError)
    assert bad.status == missing.status == "failed"
    first = outcomes[str(night / "night" / NAMES[0])]
    output = str(night / "night" / OUTPUTS[0])
    assert first == (first.input, output, "opus", len(AUDIO), "decrypted", None, None, None)


@pytest.mark.parametrize(
    ("sources", "extension", "if_exists", "message"),
    [
        # Of a text it would take each letter for a path, and `/` is the whole machine.
        *((one, "opus", "replace", "one path") for one in ("/a", b"/b", Path("/c"))),
        (["a.enc"], "opus", "never", "if_exists"),
        (["a.enc"], "a/b", "replace", "extension"),
    ],
)
def test_decrypt_files_refuses_a_bad_plan_at_once(
    sources: Any, extension: str, if_exists: Any, message: str
) -> None:
    """When it is called, not when it is iterated over; as it does where there is no password."""
    with pytest.raises(UsageError, match=message):
        decrypt_files(sources, PASSWORD, extension, if_exists=if_exists)
    with pytest.raises(UsageError, match="no password"):
        decrypt_files([], [])


@pytest.mark.parametrize(
    "kind", [ThreadPoolExecutor, pytest.param(ProcessPoolExecutor, marks=not_under_wine)]
)
def test_decrypt_files_runs_on_any_executor(
    night: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    """Also in other processes, where paths mean the same; it gets no work that needs none."""
    monkeypatch.chdir(night)
    Path("night", "bad.enc").write_bytes(bytes(44))
    with kind(2) as executor:
        for password, status in ((PASSWORD, "decrypted"), ("wrong", "skipped")):
            plan: Any = {"output_dir": "out", "if_exists": "skip", "executor": executor}
            outcomes = list(decrypt_files(["night"], password, "auto", **plan))
            assert sorted(outcome.status for outcome in outcomes) == sorted(
                [status] * 3 + ["failed"]
            )
            outputs = {outcome.output for outcome in outcomes if outcome.output}
            assert outputs == {str(night / "out" / name) for name in OUTPUTS}
            [error] = [outcome.error for outcome in outcomes if outcome.error]
            assert isinstance(error, AuthenticationError)
            assert error.hint
        assert executor.submit(len, "abc").result() == 3  # it is left running


@not_under_wine
def test_an_executor_that_breaks_loses_no_outcome(many: Path) -> None:
    """Each recording that nothing worked on any more is a failure, with a hint."""
    with ProcessPoolExecutor(1) as executor:
        executor.submit(os._exit, 1)  # as if the system had run out of memory
        outcomes = list(decrypt_files([many], PASSWORD, "opus", executor=executor))
    assert len(outcomes) == 200
    assert {type(outcome.error) for outcome in outcomes if outcome.error} == {WorkerError}


def test_work_for_others_shows_no_password() -> None:
    """Neither itself nor the name that Dask would give its tasks; that is always another one."""
    one, other = GroupWork("marked"), GroupWork("marked")
    assert "marked" not in repr(one)
    assert one.__dask_tokenize__() != other.__dask_tokenize__() != one.__dask_tokenize__()


def test_tasks_are_submitted_in_a_bounded_window(many: Path) -> None:
    """However many inputs there are, few are under way."""
    waiting: list[int] = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *args: Any, **keywords: Any) -> Future[Any]:
            waiting.append(self._work_queue.qsize())
            return super().submit(*args, **keywords)

    with Counting(2) as executor:
        done = decrypt_files([many], PASSWORD, "opus", jobs=2, executor=executor)
        assert len(list(done)) == 200
    assert max(waiting) <= 10


@pytest.mark.parametrize("sources", [["long.enc", "a.enc"], ["a.enc"]])
def test_progress_is_told(make_enc: MakeEnc, here: Path, sources: list[str]) -> None:
    """In bytes of audio for each input, all of them before its outcome comes."""
    sizes = {"long.enc": 20_000_000, "a.enc": len(AUDIO), "bad.enc": 0}
    make_enc("long.enc", bytes(sizes["long.enc"]))
    make_enc("a.enc")
    make_enc("bad.enc").write_bytes(bytes(10))
    told: Counter[str] = Counter()

    def advance(name: str, count: int) -> None:
        told[name] += count

    for outcome in decrypt_files([*sources, "bad.enc"], PASSWORD, "wav", on_progress=advance):
        assert told[outcome.input] == (outcome.size or 0) == sizes[outcome.input]


def test_what_progress_raises_ends_the_work(many: Path) -> None:
    """It reaches the caller as it is; nothing unfinished stays, and no recording fails for it."""

    def stop(_: str, count: int) -> None:
        if count:
            raise ZeroDivisionError("ours")

    outcomes = decrypt_files([many], PASSWORD, "opus", on_progress=stop)
    with pytest.raises(ZeroDivisionError, match="ours"):
        assert [outcome.status for outcome in outcomes] == []
    assert [name for name in files_in(many) if not name.endswith(".enc")] == []


def test_leaving_early_abandons_the_rest(many: Path) -> None:
    """No thread goes on, no temporary file stays."""
    outcomes: Any = decrypt_files([many], PASSWORD, "opus")
    next(outcomes)
    outcomes.close()
    names = files_in(many)
    assert all(name.endswith((".enc", ".opus")) for name in names)
    time.sleep(0.2)
    assert files_in(many) == names
    assert len(names) < 300
