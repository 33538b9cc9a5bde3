"""Recordings in an object store: the command against a real S3 server on loopback."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from support import odd_disk
from support.commands import run
from support.folders import contents
from support.recordings import AUDIO, PASSWORD, PLAIN, RECORDINGS, encrypt, fixture

pytest.importorskip("s3fs", reason="the extra s3 is not installed")


from support.bucket import Bucket, added
from support.store_proxy import proxy

from filedecryptor import AuthenticationError, UsageError, decrypt_files, open_recording
from filedecryptor.storage import objects
from filedecryptor.storage.objects import READ_AHEAD
from filedecryptor.storage.s3 import S3


@pytest.fixture
def night(bucket: Bucket) -> Bucket:
    """A bucket with a night's recordings, one of each format, one of them below the others."""
    for entry, key in zip(RECORDINGS, ["in/a.enc", "in/b c.ENC", "in/late/d.enc"], strict=True):
        bucket.put(key, fixture(entry["file"]))
    bucket.put("in/notes.txt", b"")
    bucket.put("in/", b"")  # as consoles mark folders
    bucket.put("inside.enc", b"not in the folder")
    return bucket


AUDIO_OF = [
    (PLAIN / f"{Path(entry['file']).stem}.{entry['format']}").read_bytes() for entry in RECORDINGS
]
OUTPUTS = {
    f"{name}.{entry['format']}": audio
    for name, entry, audio in zip(["a", "b c", "late/d"], RECORDINGS, AUDIO_OF, strict=True)
}


def test_one_recording(night: Bucket, tmp_path: Path) -> None:
    """Beside its recording, with the address on standard output."""
    before = night.contents()
    result = night.run(f"{night.url}/in/a.enc", PASSWORD, "opus", cwd=tmp_path)
    assert result == (0, f"{night.url}/in/a.opus\n".encode(), "")
    assert added(night, before) == {"in/a.opus": OUTPUTS["a.opus"]}
    assert contents(tmp_path) == {}


def test_a_folder_into_another(night: Bucket, tmp_path: Path) -> None:
    """Subfolders are kept; what is no recording, or only begins alike, stays out."""
    before = night.contents()
    result = night.run(f"{night.url}/in/", "-", "auto", "-d", f"{night.url}/out", cwd=tmp_path)
    assert result.code == 0, result
    assert added(night, before) == {f"out/{name}": audio for name, audio in OUTPUTS.items()}
    lines = result.stdout.decode().splitlines()
    assert sorted(lines) == sorted(f"{night.url}/out/{name}" for name in OUTPUTS)
    assert re.fullmatch(r"3 decrypted; 0\.\d MB of audio in \d+\.\d s", result.lines[-1])


def test_the_whole_bucket(night: Bucket, tmp_path: Path) -> None:
    """A bucket is a folder too; one failure does not stop the others."""
    result = night.run(night.url, "-", "auto", cwd=tmp_path)
    assert result.code == 4
    assert f"error: {night.url}/inside.enc: not an .enc file: it is 17 bytes long" in result.stderr
    assert {f"in/{name}" for name in OUTPUTS} <= set(night.keys())


def test_from_the_store_to_the_disk_and_back(night: Bucket, tmp_path: Path) -> None:
    """Input and output may be in different places."""
    assert night.run(f"{night.url}/in", "-", "auto", "-d", "out", cwd=tmp_path).code == 0
    found = {f"out/{name}": audio for name, audio in OUTPUTS.items()}
    assert contents(tmp_path) == {**found, "out": None, "out/late": None}
    (tmp_path / "z.enc").write_bytes(encrypt(AUDIO, PASSWORD))
    before = night.contents()
    result = night.run("z.enc", "-", "opus", "-o", f"{night.url}/x/y.opus", cwd=tmp_path)
    assert result == (0, f"{night.url}/x/y.opus\n".encode(), "")
    assert added(night, before) == {"x/y.opus": AUDIO}


def test_to_standard_output(night: Bucket, tmp_path: Path) -> None:
    """And from standard input to an object."""
    url = f"{night.url}/in/a.enc"
    assert night.run(url, "-", "opus", "-o", "-", cwd=tmp_path).stdout == OUTPUTS["a.opus"]
    words = ["-", "-", "opus", "-o", f"{night.url}/new.opus"]
    env = {**night.env, "FILEDECRYPTOR_PASSWORD": PASSWORD}
    assert run(*words, cwd=tmp_path, env=env, stdin=night.get("in/a.enc")).code == 0
    assert night.get("new.opus") == OUTPUTS["a.opus"]


def test_verify(night: Bucket, tmp_path: Path) -> None:
    """Nothing is written."""
    before = night.contents()
    result = night.run("--verify", f"{night.url}/in", "-", "auto", cwd=tmp_path)
    assert result.code == 0
    assert result.lines[-1].startswith("3 verified; ")
    assert added(night, before) == {}


def test_a_mix_of_good_and_bad(night: Bucket, tmp_path: Path) -> None:
    """Each is told apart as on the disk; the good ones are done."""
    good = night.get("in/a.enc")
    night.put("in/altered.enc", good[:-1] + bytes([good[-1] ^ 1]))
    night.put("in/short.enc", good[:43])
    night.put("in/empty.enc", b"")
    night.put("in/plain.enc", AUDIO)
    before = night.contents()
    result = night.run(
        f"{night.url}/in",
        f"{night.url}/gone.enc",
        "-",
        "auto",
        "--json",
        "-d",
        f"{night.url}/out",
        cwd=tmp_path,
    )
    assert result.code == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    found = {line["input"].rpartition("/")[2]: line for line in lines}
    codes = {name: line["code"] for name, line in found.items()}
    assert codes == {
        "a.enc": 0,
        "b c.ENC": 0,
        "d.enc": 0,
        "altered.enc": 3,
        "plain.enc": 3,
        "short.enc": 4,
        "empty.enc": 4,
        "gone.enc": 1,
    }
    assert found["gone.enc"]["error"] == "The specified key does not exist."
    assert found["a.enc"]["output"] == f"{night.url}/out/a.opus"
    assert found["a.enc"]["size"] == len(OUTPUTS["a.opus"])
    assert "this is plain opus audio already" in result.stderr
    assert added(night, before) == {f"out/{name}": audio for name, audio in OUTPUTS.items()}


def test_skip_and_fail(night: Bucket, tmp_path: Path) -> None:
    """With `auto`, an output of any of the three extensions counts; nothing is read again."""
    words = [f"{night.url}/in", "-", "auto", "-d", f"{night.url}/out"]
    night.put("out/a.wav", bytes(len(OUTPUTS["a.opus"])))
    skipping = night.run(*words, "--if-exists", "skip", cwd=tmp_path)
    assert skipping.code == 0
    assert skipping.lines[-1].startswith("2 decrypted, 1 skipped; ")
    again = night.run(*words, "--if-exists", "skip", cwd=tmp_path)
    assert again.lines[-1].startswith("3 skipped in ")
    before = night.contents()
    failing = night.run(*words, "--if-exists", "fail", cwd=tmp_path)
    assert failing.code == 1
    assert f"error: {night.url}/out/a.wav: File exists" in failing.stderr
    assert added(night, before) == {}


def test_skip_and_fail_for_one(night: Bucket, tmp_path: Path) -> None:
    """As on the disk."""
    old = bytes(len(AUDIO))
    night.put("in/a.opus", old)
    words = [f"{night.url}/in/a.enc", "-", "opus", "--if-exists"]
    skipped = night.run(*words, "skip", cwd=tmp_path)
    assert (skipped.code, skipped.stdout) == (0, b"")
    assert skipped.lines == [f"skipped: {night.url}/in/a.enc: {night.url}/in/a.opus exists"]
    failed = night.run(*words, "fail", cwd=tmp_path)
    assert failed.lines == [f"error: {night.url}/in/a.opus: File exists"]
    assert night.get("in/a.opus") == old


@pytest.mark.parametrize("words", [["in/a.enc"], ["in/"]])
def test_what_is_not_as_long_as_the_audio_is_done_again(
    night: Bucket, tmp_path: Path, words: list[str]
) -> None:
    """As on the disk; for many, the listings tell."""
    night.put("in/a.opus", b"cut")
    words = [*(f"{night.url}/{word}" for word in words), "-", "auto", "--if-exists"]
    failed = night.run(*words, "fail", cwd=tmp_path)
    said = f"{night.url}/in/a.opus: exists with another length: 3 bytes instead of 14165"
    assert failed.code == 1
    assert f"error: {said}" in failed.lines
    done = night.run(*words, "skip", cwd=tmp_path)
    assert done.code == 0
    note = f"note: {night.url}/in/a.opus: 3 bytes, not the 14165 of the recording: done again"
    assert note in done.lines
    assert night.get("in/a.opus") == OUTPUTS["a.opus"]


def test_skip_between_the_store_and_the_disk(night: Bucket, tmp_path: Path) -> None:
    """A second run believes what is as long as the audio, and nothing else."""
    (tmp_path / "a.enc").write_bytes(night.get("in/a.enc"))
    for words, output in (
        ([f"{night.url}/in", "-", "auto", "-d", "out"], "out/a.opus"),
        (["a.enc", "-", "auto", "-d", f"{night.url}/up"], f"{night.url}/up/a.opus"),
    ):
        assert night.run(*words, cwd=tmp_path).code == 0
        assert night.run(*words, "--if-exists", "skip", cwd=tmp_path).stdout == b""
        if output.startswith("out"):
            (tmp_path / output).write_bytes(b"cut")
        else:
            night.put("up/a.opus", b"cut")
        done = night.run(*words, "--if-exists", "skip", cwd=tmp_path)
        assert (done.code, done.stdout.decode()) == (0, output + "\n")
        assert "3 bytes, not the 14165" in done.lines[0]


@pytest.mark.parametrize("jobs", ["1", "32"])
def test_any_number_of_jobs(bucket: Bucket, tmp_path: Path, jobs: str) -> None:
    """One after the other, or many at once."""
    recording = encrypt(AUDIO, PASSWORD)
    for number in range(20):
        bucket.put(f"{number}.enc", recording)
    assert bucket.run(bucket.url, "-", "auto", "-j", jobs, cwd=tmp_path).code == 0
    assert list(bucket.contents().values()).count(AUDIO) == 20


NAMES = [
    "a b", "-dash", "--", "new\tline", "ünï☃🔐", "e\u0301", "#", "?x=1", "%41", "*", "[a]", "a+b",
    "back\\slash", "a//b", "x/../y", "..hidden", "a::b", "c::d/e",
]  # fmt: skip


def test_keys_of_every_kind(bucket: Bucket, tmp_path: Path) -> None:
    """A key is taken as it is: nothing in it is a pattern, a path or an escape."""
    recording = encrypt(AUDIO, PASSWORD)
    for name in NAMES:
        bucket.put(f"in/{name}.enc", recording)
    result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", f"{bucket.url}/out", cwd=tmp_path)
    assert result.code == 1  # for those that fsspec would take for chains of addresses
    assert all(
        f"error: {bucket.url}/in/{name}.enc: an address cannot hold" in result.stderr
        for name in NAMES
        if "::" in name
    )
    outputs = {key for key in bucket.keys() if key.startswith("out/")}  # noqa: SIM118 - no dict
    assert outputs == {f"out/{name}.opus" for name in NAMES if "::" not in name}


def test_keys_never_choose_a_directory_here(bucket: Bucket, tmp_path: Path) -> None:
    """What would lead out of the output directory is refused by its name; the rest is done."""
    recording = encrypt(AUDIO, PASSWORD)
    for key in ("in/good.enc", "in/../../evil.enc", "in//etc/evil.enc", "in/./x.enc"):
        bucket.put(key, recording)
    folder = tmp_path / "deep" / "down"
    folder.mkdir(parents=True)
    result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", "out", cwd=folder)
    assert result.code == 1
    said = [line.partition(": ")[2] for line in result.lines if "plain" in line]
    assert sorted(said) == [
        f"{bucket.url}/in/{key}: its key is not a plain relative path"
        for key in ("../../evil.enc", "./x.enc", "/etc/evil.enc")
    ]
    assert set(contents(tmp_path)) == {
        "deep", "deep/down", "deep/down/out", "deep/down/out/good.opus",
    }  # fmt: skip


def test_keys_that_are_one_name_on_the_disk(bucket: Bucket, tmp_path: Path) -> None:
    """Two objects never share an output: where the disk ignores case, the second fails."""
    if not odd_disk.is_possible():
        pytest.skip(odd_disk.REASON)
    for key in ("in/A/x.enc", "in/a/x.enc"):
        bucket.put(key, encrypt(AUDIO, PASSWORD))
    with odd_disk.mounted(tmp_path) as disk:
        result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", disk / "out", cwd=tmp_path)
        assert (result.code, len(result.stdout.splitlines())) == (2, 1)
        assert "it would have the same output as" in result.lines[0]
    result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", f"{bucket.url}/out", cwd=tmp_path)
    assert result.code == 0


@pytest.mark.parametrize("if_exists", ["skip", "fail"])
def test_slashes_too_many_hide_nothing(night: Bucket, tmp_path: Path, if_exists: str) -> None:
    """At the end of `-d` they count as one; a folder without a name is one of its own."""
    night.put("in//a.enc", night.get("in/a.enc"))
    old = bytes(len(AUDIO))
    night.put("out//a.opus", old)
    words = [f"{night.url}/in", "-", "auto", "-d", f"{night.url}/out//", "--if-exists", if_exists]
    result = night.run(*words, cwd=tmp_path)
    assert result.code == (0 if if_exists == "skip" else 1), result.stderr
    found = night.contents()
    assert found["out//a.opus"] == old
    assert {name: found.get(f"out/{name}") for name in OUTPUTS} == OUTPUTS


def test_an_object_of_a_folders_name_hides_nothing(night: Bucket, tmp_path: Path) -> None:
    """It is not in that folder."""
    night.put("out/a.opus", b"not an output")
    words = [f"{night.url}/in/a.enc", "-", "opus", "-d", f"{night.url}/out/a.opus"]
    result = night.run(*words, "--if-exists", "skip", cwd=tmp_path)
    assert result.stdout.decode() == f"{night.url}/out/a.opus/a.opus\n"


def test_collisions_are_refused(night: Bucket, tmp_path: Path) -> None:
    """Before anything is written; what is named twice is done once, in any spelling."""
    words = [f"{night.url}/in/a.enc", f"s3a://{night.name}/in/a.enc", "-", "opus"]
    same = night.run(*words, cwd=tmp_path)
    assert same.lines[-1].startswith("1 decrypted")
    assert same.code == 0
    shared = [f"{night.url}/in/a.enc", f"{night.url}/in/late/a.enc", "-", "opus"]
    night.put("in/late/a.enc", night.get("in/a.enc"))
    before = night.contents()
    same = night.run(*shared, "-d", f"{night.url}/out", cwd=tmp_path)
    assert (same.code, same.stdout) == (2, b"")
    assert same.stderr.count("it would have the same output as") == 2
    itself = night.run(f"{night.url}/in/a.enc", "-", "enc", cwd=tmp_path)
    assert itself.code == 2
    assert "the output would replace the input" in itself.stderr
    over = night.run(
        f"{night.url}/in/a.enc", "-", "x", "-o", f"s3a://{night.name}/in/a.enc", cwd=tmp_path
    )
    assert over.code == 2
    assert added(night, before) == {}


def test_an_empty_folder(bucket: Bucket, tmp_path: Path) -> None:
    """There is nothing to do, and that is said."""
    bucket.put("in/notes.txt", b"")
    result = bucket.run(f"{bucket.url}/in/", "-", "auto", cwd=tmp_path)
    assert (result.code, result.stdout) == (0, b"")
    assert result.lines == [f"{bucket.url}/in/: there is no .enc file in it"]


def test_an_object_that_disappears_after_planning(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a failure of its own."""
    for name, value in bucket.env.items():
        monkeypatch.setenv(name, value)
    recording = encrypt(AUDIO, PASSWORD)
    for number in range(40):
        bucket.put(f"{number:02}.enc", recording)
    outcomes = decrypt_files([bucket.url], PASSWORD, "opus", jobs=1)
    next(outcomes)
    bucket.client.delete_object(Bucket=bucket.name, Key="39.enc")
    [failure] = [outcome for outcome in outcomes if outcome.error]
    assert failure.input == f"{bucket.url}/39.enc"
    assert isinstance(failure.error, FileNotFoundError)


def test_from_python(night: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are taken where paths are, but for `decrypt_file`, which returns a path."""
    for name, value in night.env.items():
        monkeypatch.setenv(name, value)
    with open_recording(f"{night.url}/in/a.enc", PASSWORD) as recording:
        assert recording.read() == OUTPUTS["a.opus"]
    with pytest.raises(AuthenticationError):
        open_recording(f"{night.url}/in/a.enc", "wrong")
    with pytest.raises(UsageError):
        from filedecryptor import decrypt_file

        decrypt_file(f"{night.url}/in/a.enc", PASSWORD, "opus")


@pytest.mark.slow
def test_more_objects_than_one_page_lists(bucket: Bucket, tmp_path: Path) -> None:
    """All are found, page by page; a second run does none of them again."""
    recording = encrypt(b"tiny")
    wanted = []
    for number in range(1100):
        is_recording = number % 11 == 0
        name = f"{number % 50:02}/{number:04}"
        bucket.put(f"in/{name}.{'enc' if is_recording else 'txt'}", recording)
        wanted += [f"out/{name}.wav"] if is_recording else []
    words = [f"{bucket.url}/in", PASSWORD, "wav", "-d", f"{bucket.url}/out"]
    for if_exists in ("replace", "skip"):
        done = bucket.run(*words, "--if-exists", if_exists, cwd=tmp_path)
        assert done.code == 0, done
        assert len(done.stdout.splitlines()) == (100 if if_exists == "replace" else 0)
    outputs = [key for key in bucket.keys() if key.startswith("out/")]  # noqa: SIM118 - as above
    assert outputs == sorted(wanted)


def test_few_requests(with_recording: Bucket, tmp_path: Path) -> None:
    """A short recording is one request to read, and one to write."""
    with proxy(
        with_recording.env["AWS_ENDPOINT_URL"], lambda request, forward: forward(request)
    ) as store:
        env = {"AWS_ENDPOINT_URL": store.url}
        assert (
            with_recording.run(f"{with_recording.url}/in/", "-", "x", cwd=tmp_path, env=env).code
            == 0
        )
    methods = [(request.method, request.path.partition("?")[0]) for request in store.requests]
    assert methods == [
        ("GET", f"/{with_recording.name}"),
        ("GET", f"/{with_recording.name}/in/a.enc"),
        ("PUT", f"/{with_recording.name}/in/a.x"),
    ]


@pytest.mark.parametrize("size", [0, 44, READ_AHEAD, READ_AHEAD + 1, 2 * READ_AHEAD])
def test_a_reader_finds_the_end(
    with_recording: Bucket, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Wherever it lies: stores refuse a range that begins there."""
    for name, value in with_recording.env.items():
        monkeypatch.setenv(name, value)
    data = os.urandom(size)
    with_recording.put("x", data)
    S3.clear_instance_cache()
    read = bytearray()
    buffer = memoryview(bytearray(300_000))
    with objects.open_source(f"{with_recording.url}/x") as source:
        while count := source.readinto(buffer):
            read += buffer[:count]
        assert source.readinto(buffer) == 0
    assert read == data
    S3.clear_instance_cache()


def test_sizes_come_with_the_listing(
    with_recording: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody need ask for each."""
    with proxy(
        with_recording.env["AWS_ENDPOINT_URL"], lambda request, forward: forward(request)
    ) as store:
        for name, value in {**with_recording.env, "AWS_ENDPOINT_URL": store.url}.items():
            monkeypatch.setenv(name, value)
        S3.clear_instance_cache()
        with_recording.put("in/b.enc", b"12345")
        with_recording.put("in/late/c.enc", b"123")
        found = {
            path: names
            for path, names, _ in objects.recordings_below(with_recording.url, print, print)
        }
        assert found == {
            f"{with_recording.url}/in/": ["a.enc", "b.enc"],
            f"{with_recording.url}/in/late/": ["c.enc"],
        }
        sizes = {"a.enc": len(with_recording.get("in/a.enc")), "b.enc": 5}
        assert len(store.requests) == 1
        assert objects.sizes_in(f"{with_recording.url}/in") == sizes
        assert len(store.requests) == 2
        assert objects.sizes_in(f"{with_recording.url}/nowhere") == {}
        assert objects.size_of(f"{with_recording.url}/in/late/c.enc") == 3
        assert objects.size_of(f"{with_recording.url}/in/none.enc") is None
    S3.clear_instance_cache()


def test_a_file_takes_the_time_of_its_object(night: Bucket, tmp_path: Path) -> None:
    """As the store tells it, in whole seconds; an object has no permissions to take."""
    result = night.run(f"{night.url}/in/a.enc", "-", "opus", "-o", "a.opus", cwd=tmp_path)
    assert result.code == 0
    found = (tmp_path / "a.opus").stat()
    assert found.st_mtime_ns % 1_000_000_000 == 0
    assert abs(found.st_mtime - time.time()) < 600
    (tmp_path / "new").touch()
    assert found.st_mode == (tmp_path / "new").stat().st_mode
