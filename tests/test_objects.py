"""Recordings in an object store: the command against a real S3 server on loopback."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import odd_disk
import pytest
from conftest import AUDIO, COMMAND, FIXTURES, PASSWORD, PLAIN, RECORDINGS, contents, run
from encryptor import encrypt

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from bucket import Bucket, serving
from fsspec import AbstractFileSystem, register_implementation
from fsspec.spec import AbstractBufferedFile

from filedecryptor import AuthenticationError, UsageError, decrypt_files, open_recording
from filedecryptor.errors import StorageError
from filedecryptor.objects import LARGEST_PIECE, publish
from filedecryptor.s3 import S3

LARGE = LARGEST_PIECE + 1_000_000
"""Bytes of audio that are sent in several parts."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """An S3 server; its address."""
    with serving() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(server: str) -> Bucket:
    """An empty bucket."""
    return Bucket(server)


@pytest.fixture
def night(bucket: Bucket) -> Bucket:
    """A bucket with a night's recordings, one of each format, one of them below the others."""
    for entry, key in zip(RECORDINGS, ["in/a.enc", "in/b c.ENC", "in/late/d.enc"], strict=True):
        bucket.put(key, (FIXTURES / entry["file"]).read_bytes())
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


def added(bucket: Bucket, before: dict[str, bytes]) -> dict[str, bytes]:
    """Return what has been added to a bucket; nothing else may have changed."""
    after = bucket.contents()
    assert {key: after[key] for key in before} == before
    return {key: data for key, data in after.items() if key not in before}


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


@pytest.mark.parametrize("size", [0, 1, LARGE])
def test_audio_of_any_size(bucket: Bucket, tmp_path: Path, size: int) -> None:
    """Sent at once or in parts, it arrives whole, and replaces what was there."""
    audio = os.urandom(size)
    bucket.put("a.enc", encrypt(audio, PASSWORD))
    bucket.put("a.wav", b"old")
    assert bucket.run(f"{bucket.url}/a.enc", "-", "wav", cwd=tmp_path).code == 0
    assert bucket.contents()["a.wav"] == audio


@pytest.mark.parametrize("size", [0, 1000, LARGE])
@pytest.mark.parametrize("many", [[], ["-d"]])
def test_what_fails_leaves_no_object_and_no_upload(
    bucket: Bucket, tmp_path: Path, size: int, many: list[str]
) -> None:
    """Nothing is sent before the tag has verified; what was there stays."""
    recording = bytearray(encrypt(os.urandom(size), PASSWORD))
    recording[-1] ^= 1
    bucket.put("in/a.enc", bytes(recording))
    bucket.put("in/a.wav", b"old")
    before = bucket.contents()
    where = [*many, f"{bucket.url}/out"] if many else []
    result = bucket.run(f"{bucket.url}/in/a.enc", "-", "wav", *where, cwd=tmp_path)
    assert result.code == 3
    assert result.lines[0].startswith(f"error: {bucket.url}/in/a.enc: authentication failed")
    assert added(bucket, before) == {}


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
    assert found["gone.enc"]["error"] == f"{night.url}/gone.enc: The specified key does not exist."
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


@pytest.mark.parametrize("size", [0, 1000, LARGE])
@pytest.mark.parametrize(("if_exists", "code"), [("skip", 0), ("fail", 1)])
def test_an_object_that_appears_meanwhile_stays(
    bucket: Bucket, tmp_path: Path, size: int, if_exists: str, code: int
) -> None:
    """Whoever came first wins, and no upload is left behind."""
    recording = encrypt(bytes(size), PASSWORD)
    words = ["-", "-", "wav", "-o", f"{bucket.url}/a.wav", "--if-exists", if_exists]
    process = subprocess.Popen(
        [COMMAND, *words],
        cwd=tmp_path,
        env={**os.environ, **bucket.env, "FILEDECRYPTOR_PASSWORD": PASSWORD},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin
    process.stdin.write(recording[:44])
    process.stdin.flush()
    time.sleep(3)  # until it has looked for the output
    first = b"1" * size
    bucket.put("a.wav", first)
    _, stderr = process.communicate(recording[44:], timeout=60)
    assert process.returncode == code, stderr
    assert bucket.contents() == {"a.wav": first}
    assert (b"File exists" if code else b"skipped") in stderr


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
    said = [line.partition(": ")[2] for line in result.lines if "another directory" in line]
    assert sorted(said) == [
        f"{bucket.url}/in/{key}: its name would choose another directory"
        for key in ("../../evil.enc", "./x.enc", "/etc/evil.enc")
    ]
    assert set(contents(tmp_path)) == {
        "deep", "deep/down", "deep/down/out", "deep/down/out/good.opus",
    }  # fmt: skip


def test_keys_that_are_one_name_on_the_disk(bucket: Bucket, tmp_path: Path) -> None:
    """Two objects never share an output: refused where the disk overlooks case."""
    if not odd_disk.is_possible():
        pytest.skip(odd_disk.REASON)
    for key in ("in/A/x.enc", "in/a/x.enc"):
        bucket.put(key, encrypt(AUDIO, PASSWORD))
    with odd_disk.mounted(tmp_path) as disk:
        result = bucket.run(f"{bucket.url}/in", "-", "opus", "-d", disk / "out", cwd=tmp_path)
        assert (result.code, list(disk.iterdir())) == (2, [])
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


class Refusing(AbstractBufferedFile):  # type: ignore[misc]
    """An upload of which the store takes the first part only, and refuses even to forget it."""

    completed = False

    def _initiate_upload(self) -> None:
        self.parts = 0

    def _upload_chunk(self, final: bool = False) -> bool:  # noqa: FBT001, FBT002 - fsspec's own
        self.parts += 1
        if self.parts == 2:
            raise PermissionError
        Refusing.completed = final
        return True

    def discard(self) -> None:
        """Refuse."""
        raise PermissionError


class RefusingStore(AbstractFileSystem):  # type: ignore[misc]
    """A store of such uploads."""

    protocol = "refusing"

    def _open(self, path: str, mode: str, block_size: int, **_: object) -> Refusing:
        return Refusing(self, path, mode, block_size)


def test_an_upload_that_cannot_be_forgotten_is_not_completed() -> None:
    """Not even when its remains are collected: it would be cut off audio."""
    register_implementation("refusing", RefusingStore, clobber=True)
    with pytest.raises(StorageError):
        publish("refusing://x/y", BytesIO(bytes(2 * LARGE)), replace=True, written=None)
    gc.collect()
    assert not Refusing.completed


def test_collisions_are_refused(night: Bucket, tmp_path: Path) -> None:
    """Before anything is written, in any spelling of the address."""
    before = night.contents()
    words = [f"{night.url}/in/a.enc", f"s3a://{night.name}/in/a.enc", "-", "opus"]
    same = night.run(*words, cwd=tmp_path)
    assert (same.code, same.stdout) == (2, b"")
    assert "it would have the same output as" in same.stderr
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
    for number in range(12):
        bucket.put(f"{number:02}.enc", recording)
    outcomes = decrypt_files([bucket.url], PASSWORD, "opus", jobs=1)
    next(outcomes)
    bucket.client.delete_object(Bucket=bucket.name, Key="11.enc")
    [failure] = [outcome for outcome in outcomes if outcome.error]
    assert failure.input == f"{bucket.url}/11.enc"
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


@pytest.mark.parametrize(
    "case",
    [
        ("s3://no-such-bucket/a.enc", {}, "The specified bucket does not exist", 1),
        ("s3://no-such-bucket", {}, "The specified bucket does not exist", 1),
        ("s3://no-such-bucket/", {}, "The specified bucket does not exist", 1),
        ("gs://bucket/a.enc", {}, "the package for such addresses is not installed", 2),
        ("nonsense://a.enc", {}, "Protocol not known: nonsense", 2),
        ("s3://b/a.enc?versionId=1", {}, "chains and versions of objects are not understood", 2),
        ("file:///a.enc", {}, "this is on the disk", 2),
        ("zip://a.enc::s3://b/x.zip", {}, "chains and versions of objects are not", 2),
        (
            "s3://bucket/a.enc",
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "Could not connect to the endpoint",
            1,
        ),
        (
            "s3://bucket/a.enc",
            {
                "AWS_ACCESS_KEY_ID": "",
                "AWS_SECRET_ACCESS_KEY": "",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            "Unable to locate credentials",
            1,
        ),
    ],
)
def test_what_is_wrong_with_an_address(
    bucket: Bucket, tmp_path: Path, case: tuple[str, dict[str, str], str, int]
) -> None:
    """One line names the address and the cause; nothing of the credentials is shown."""
    url, env, message, code = case
    result = bucket.run(url, PASSWORD, "opus", cwd=tmp_path, env={"HOME": str(tmp_path), **env})
    assert result.code == code, result
    assert result.lines[0].startswith(f"error: {url}: ")
    assert message in result.lines[0]
    assert all(line.startswith(("error: ", "hint: ")) for line in result.lines)
    assert "secret" not in result.stderr


def test_without_the_extra_it_says_how_to_get_it(tmp_path: Path) -> None:
    """One line and a hint, no traceback."""
    (tmp_path / "fsspec.py").write_text("raise ImportError('none', name='fsspec')")
    result = run("s3://b/a.enc", PASSWORD, "opus", cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)})
    assert result.code == 2
    assert result.lines == [
        "error: s3://b/a.enc: the package for such addresses is not installed",
        "hint: pip install 'filedecryptor[s3]'",
    ]


def test_nothing_is_loaded_for_files(folder: Path) -> None:
    """Who has no address does not pay for it."""
    code = (
        "import sys, filedecryptor.__main__ as m; sys.argv[1:] = sys.argv[1:]; m.main();"
        "print([name for name in sys.modules if 'fsspec' in name or 's3fs' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "-q", "-d", ".", "a.enc", PASSWORD, "opus"],
        check=True,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_in_the_middle(bucket: Bucket, tmp_path: Path, name: str) -> None:
    """What is done stays whole, no upload is left, the summary is printed."""
    recording = encrypt(AUDIO, PASSWORD)
    for number in range(200):
        bucket.put(f"{number}.enc", recording)
    process = subprocess.Popen(
        [COMMAND, bucket.url, PASSWORD, "auto"],
        cwd=tmp_path,
        env={**os.environ, **bucket.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(getattr(signal, name))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.decode().splitlines()[-1] == "filedecryptor: error: interrupted"
    assert re.search(r"\d+ decrypted; ", stderr.decode())
    done = [data for key, data in bucket.contents().items() if key.endswith(".opus")]
    assert 20 <= len(done) < 200
    assert set(done) == {AUDIO}


@pytest.mark.slow
def test_five_thousand_tiny_objects(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are found, page by page; a second run asks for listings only."""
    recording = encrypt(b"tiny", PASSWORD, iterations=1)
    for number in range(5000):
        bucket.put(f"in/{number % 50:02}/{number:04}.enc", recording)
    code = (
        "import sys; from filedecryptor import __main__, crypto; crypto.ITERATIONS = 1;"
        "sys.exit(__main__.main())"
    )
    words = [f"{bucket.url}/in", PASSWORD, "wav", "-d", f"{bucket.url}/out"]
    for if_exists in ("replace", "skip"):
        done = subprocess.run(
            [sys.executable, "-c", code, *words, "--if-exists", if_exists],
            check=False,
            cwd=tmp_path,
            env={**os.environ, **bucket.env},
            capture_output=True,
        )
        assert done.returncode == 0, done
        assert len(done.stdout.splitlines()) == (5000 if if_exists == "replace" else 0)
    outputs = [key for key in bucket.keys() if key.startswith("out/")]  # noqa: SIM118 - as above
    assert outputs == sorted(f"out/{number % 50:02}/{number:04}.wav" for number in range(5000))


def test_errors_of_stores_are_ours(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no OSError becomes a StorageError, whatever the store calls it."""
    for name, value in {**bucket.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3.clear_instance_cache()  # they remember the address
    with pytest.raises(StorageError) as caught:
        open_recording("s3://bucket/a.enc", PASSWORD)
    S3.clear_instance_cache()
    assert caught.value.filename == "s3://bucket/a.enc"
    assert caught.value.__cause__ is None
