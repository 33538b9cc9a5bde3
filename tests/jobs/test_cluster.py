"""A batch on a real Dask cluster: a scheduler and two worker processes on loopback."""

from __future__ import annotations

import json
import logging
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support.commands import COMMAND, Result, run, run_process
from support.folders import contents, nothing_changes
from support.recordings import AUDIO, PASSWORD, encrypt

pytest.importorskip("distributed", reason="the extra dask is not installed")

from support.dask_cluster import Cluster, running

from filedecryptor.errors import ClusterError, missing_extra
from filedecryptor.jobs.cluster import _watch

MARKED = "marked password"
DEADLINE = 60
SUMMARY = r"\d+ decrypted; \d+\.\d MB of audio in \d+\.\d s"
GO_ON = "hint: what is done stays; run this again with --if-exists skip"
WORKER = r"tcp://127\.0\.0\.1:\d+"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of two workers that all tests may use."""
    with running(tmp_path_factory.mktemp("cluster") / "it", "", "") as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """What a run switches off is switched on again."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is waited for two seconds only."""
    monkeypatch.setattr("filedecryptor.jobs.cluster.ANSWER_TIMEOUT", 2)


def on(cluster: Cluster, *words: str | Path, cwd: Path) -> Result:
    """Run the command on a cluster, with the password in the environment."""
    env = {**cluster.env, "FILEDECRYPTOR_PASSWORD": PASSWORD}
    return run("--cluster", cluster.address, *words, cwd=cwd, env=env)


def make_recordings(folder: Path, count: int, password: str = PASSWORD) -> None:
    """Write many recordings, all the same."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}.enc").write_bytes(encrypt(AUDIO, password))


def outputs_in(folder: Path) -> dict[str, bytes | str | None]:
    """Return the audio files in a folder."""
    return {name: data for name, data in contents(folder).items() if name.endswith(".opus")}


def impatient(timeout: str) -> list[str]:
    """Return a command that waits no longer than 3 seconds where it would wait a minute."""
    code = (
        "import sys; from filedecryptor.jobs import cluster, workers; from filedecryptor.__main__ import main;"
        f"cluster.ANSWER_TIMEOUT = 2; cluster.{timeout} = 3; workers.WATCH_INTERVAL = 1.0; sys.exit(main())"
    )
    return [sys.executable, "-c", code]


def begin(
    cluster: Cluster,
    folder: Path,
    *,
    inputs: int = 200,
    outputs: int,
    command: Sequence[str] = (COMMAND,),
) -> subprocess.Popen[bytes]:
    """Begin to work on many recordings, and return once that many are done."""
    make_recordings(folder / "in", inputs)
    process = subprocess.Popen(
        [*command, "--cluster", cluster.address, "in", PASSWORD, "auto"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    for _ in range(outputs):
        process.stdout.readline()
    return process


def finish(process: subprocess.Popen[bytes]) -> tuple[int, list[str]]:
    """Return the exit code of a process, and what it has said."""
    stderr = process.communicate(timeout=DEADLINE)[1].decode()
    return process.returncode, stderr.replace("filedecryptor: ", "").splitlines()


def test_a_directory(cluster: Cluster, tmp_path: Path) -> None:
    """The outputs are those of the batch command; their paths mean the same everywhere."""
    make_recordings(tmp_path / "in", 30)
    with nothing_changes(tmp_path):
        verified = on(cluster, "--verify", "in", "-", "auto", cwd=tmp_path)
    assert verified.lines[-1].startswith("30 verified; ")
    result = on(cluster, "in", "-", "auto", "-d", "out", cwd=tmp_path)
    assert result.code == 0, result.stderr
    outputs = {f"{number:03}.opus": AUDIO for number in range(30)}
    assert contents(tmp_path / "out") == outputs
    shown = result.stdout.decode().splitlines()
    assert sorted(shown) == [str(tmp_path / "out" / name) for name in outputs]
    assert result.lines[-1].startswith("30 decrypted; ")


def test_names_that_differ_in_case_only(cluster: Cluster, tmp_path: Path) -> None:
    """They are refused, since no worker sees what the others have written."""
    make_recordings(tmp_path / "in", 1)
    (tmp_path / "in" / "a.enc").write_bytes(encrypt(AUDIO))
    (tmp_path / "in" / "A.enc").write_bytes(encrypt(AUDIO))
    result = on(cluster, "in", "-", "auto", cwd=tmp_path)
    assert result.code == 2
    assert result.stderr.count("it would have the same output as") == 2
    assert set(outputs_in(tmp_path / "in")) == {"000.opus"}


def test_links_are_followed_before_their_parents(cluster: Cluster, tmp_path: Path) -> None:
    """`link/..` is beside what the link leads to, as without a cluster."""
    make_recordings(tmp_path / "far", 1)
    make_recordings(tmp_path / "here", 2)
    (tmp_path / "far" / "calls").mkdir()
    (tmp_path / "here" / "calls").symlink_to(tmp_path / "far" / "calls")
    words = ("calls/..", "-", "auto", "-d", "calls/../audio")
    with nothing_changes(tmp_path / "here"):
        result = on(cluster, *words, cwd=tmp_path / "here")
    assert result.code == 0, result.stderr
    assert contents(tmp_path / "far" / "audio") == {"000.opus": AUDIO}


def test_an_empty_name_is_no_directory(cluster: Cluster, folder: Path) -> None:
    """As without a cluster; a script whose variable is empty means no directory."""
    with nothing_changes(folder):
        for words in (["", "-", "auto"], [".", "-", "auto", "-d", ""]):
            result = on(cluster, *words, cwd=folder)
            assert result.code == 1
            assert "No such file or directory" in result.lines[0]


def test_failures(cluster: Cluster, tmp_path: Path) -> None:
    """Each is told apart, with its hint and its worker; the rest of its group is done."""
    make_recordings(tmp_path / "in", 20)
    (tmp_path / "in" / "005.enc").write_bytes(b"<html>not found, sorry, please try again</html>")
    (tmp_path / "in" / "010.enc").write_bytes(b"short")
    result = on(cluster, "in", "none.enc", "-", "auto", cwd=tmp_path)
    assert result.code == 1
    errors = sorted(line for line in result.lines if line.startswith("error: "))
    causes = ["authentication failed.+", "not an .enc file.+", "No such file or directory"]
    for name, cause, line in zip(("in/005", "in/010", "none"), causes, errors, strict=True):
        path = re.escape(f"{tmp_path / name}.enc")
        assert re.fullmatch(rf"error: {path}: {cause} \(on worker {WORKER}\)", line), line
    assert "hint: this is an HTML or XML page" in result.stderr
    assert len(outputs_in(tmp_path)) == 18
    result = on(cluster, "in", "none.enc", "-", "auto", "--json", cwd=tmp_path)
    assert sorted(json.loads(line)["code"] for line in result.stdout.splitlines()) == [
        *[0] * 18,
        *[1, 3, 4],
    ]
    assert result.stdout.count(b"(on worker tcp://127.0.0.1:") == 3


def test_the_password_shows_nowhere(tmp_path: Path) -> None:
    """Not in a log, a task's name or a file, even where the workers fail."""
    make_recordings(tmp_path / "in", 20, MARKED)
    broken = "from filedecryptor.jobs import batch\ndef fail(*_): raise RuntimeError\n"
    codes = (broken + "batch.GroupWork.__call__ = fail",)
    with running(tmp_path / "cluster", *codes) as cluster:
        words = ("--cluster", cluster.address, "in", "-", "auto", "--json")
        result = run(*words, cwd=tmp_path, env={"FILEDECRYPTOR_PASSWORD": MARKED})
        assert result.code == 1
        assert ": the worker ended with RuntimeError" in result.stderr
        from distributed import Client

        with Client(cluster.address, set_as_default=False) as client:
            client.dump_cluster_state(str(tmp_path / "state"), format="yaml")
            events = repr(client.get_events())
    logs = "".join(cluster.logs())
    assert "Compute Failed" in logs
    state = (tmp_path / "state.yaml").read_text("utf-8")
    assert "GroupWork" in state or "GroupWork" in events + logs
    for text in (logs, events, state, result.stdout.decode(), result.stderr):
        assert MARKED not in text
    assert MARKED.encode() not in b"".join(
        data for data in contents(tmp_path).values() if isinstance(data, bytes)
    )


def test_objects(tmp_path: Path) -> None:
    """The workers read and write them; each finds out what its store cannot do, one note says so."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    from support.bucket import Bucket, serving
    from support.store_proxy import is_conditional, proxy, refusing_conditions

    with serving() as endpoint, proxy(endpoint, refusing_conditions()) as store:
        bucket = Bucket(endpoint)
        for number in range(20):
            bucket.put(f"in/{number:02}.enc", encrypt(AUDIO))
        bucket.put("in/bad.enc", encrypt(AUDIO)[:-1])
        env = {**bucket.env, "AWS_ENDPOINT_URL": store.url}
        with running(tmp_path / "cluster", "", "", env=env) as cluster:
            words = ["--cluster", cluster.address, "--if-exists", "skip"]
            words += [f"{bucket.url}/in", "-", "auto", "-d", f"{bucket.url}/out"]
            # Other tests have left their stores in this process.
            env = {**cluster.env, "FILEDECRYPTOR_PASSWORD": PASSWORD}
            result = run_process(*words, cwd=tmp_path, env=env)
        found = bucket.contents()
    assert result.code == 3
    outputs = {key: data for key, data in found.items() if key.startswith("out/")}
    assert outputs == {f"out/{number:02}.opus": AUDIO for number in range(20)}
    assert sum(map(is_conditional, store.requests)) > 1
    assert result.stderr.count("conditional writes") == 1


def certificates(folder: Path) -> dict[str, str]:
    """Make a certificate that everybody uses and trusts; return how Dask is told of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial_number=1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "certificate.pem"
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    roles = [
        f"{role}__{kind}" for role in ("SCHEDULER", "WORKER", "CLIENT") for kind in ("CERT", "KEY")
    ]
    return {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(path) for name in ("CA_FILE", *roles)}


def test_tls(tmp_path: Path) -> None:
    """With the certificates of Dask's own configuration; without them there is no connection."""
    make_recordings(tmp_path / "in", 3)
    env = certificates(tmp_path)
    with running(tmp_path / "cluster", "", protocol="tls", env=env) as cluster:
        words = ("--cluster", cluster.address, "in", PASSWORD, "auto")
        done = run_process(*words, cwd=tmp_path, env=env)
        without = run_process("--cluster", cluster.address, "in", "x", "auto", cwd=tmp_path)
    assert done.code == 0, done.stderr
    assert done.lines[-1].startswith("3 decrypted; ")
    assert without.code == 2
    assert "Dask's TLS configuration, is not valid" in without.lines[0]


def test_a_worker_killed_in_the_middle(tmp_path: Path) -> None:
    """What it had is done again by the other one: all 200 outputs are there, whole."""
    with running(tmp_path / "cluster", "", "") as cluster:
        process = begin(cluster, tmp_path, outputs=10)
        cluster.workers[0].kill()
        code, lines = finish(process)
    assert code == 0, lines
    assert outputs_in(tmp_path / "in") == {f"{number:03}.opus": AUDIO for number in range(200)}
    assert "200 decrypted" in lines[-1]


@pytest.mark.parametrize(
    ("harmed", "signal_name", "said"),
    [
        ("scheduler", "SIGKILL", ["the scheduler went away", GO_ON]),
        ("workers", "SIGKILL", ["there has been no worker for 3 seconds", GO_ON]),
        pytest.param(
            *("scheduler", "SIGSTOP", ["the cluster does not answer within 2 seconds"]),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_cluster_that_goes_away(
    tmp_path: Path, harmed: str, signal_name: str, said: list[str]
) -> None:
    """It is waited for, but not for ever: the summary, one clear line, and what is done stays."""
    with running(tmp_path / "cluster", "", "") as cluster:
        is_noticed = said[0].endswith("went away")
        command = [COMMAND] if is_noticed else impatient("NO_WORKERS_TIMEOUT")
        process = begin(cluster, tmp_path, outputs=10, command=command)
        for each in [cluster.scheduler] if harmed == "scheduler" else cluster.workers:
            each.send_signal(getattr(signal, signal_name))
        code, [summary, error, *hints] = finish(process)
    assert code == 1
    assert re.fullmatch(SUMMARY, summary), summary
    assert [error, *hints] == [f"error: {cluster.address}: {said[0]}", *said[1:]]
    done = outputs_in(tmp_path / "in")
    assert len(done) >= 10
    assert set(done.values()) == {AUDIO}


@pytest.mark.slow
def test_a_worker_that_dies_of_its_work(tmp_path: Path) -> None:
    """It is named; what the others work on is done."""
    make_recordings(tmp_path / "in", 20)
    deadly = "import os; from filedecryptor.jobs import batch\nbatch.GroupWork.__call__ = lambda *_: os._exit(1)"
    env = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    with running(tmp_path / "cluster", "", deadly, env=env) as cluster:
        address = cluster.worker_address(1)
        result = on(cluster, "in", "-", "auto", cwd=tmp_path)
    assert result.code == 1
    errors = [line for line in result.lines if line.startswith("error: ")]
    assert errors
    assert all(line.endswith(f": worker {address} ended with KilledWorker") for line in errors)
    assert len(outputs_in(tmp_path / "in")) == 20 - len(errors) > 0


@pytest.mark.slow
def test_a_worker_that_freezes(tmp_path: Path) -> None:
    """It is named while it is waited for; once it goes on, all is done."""
    with running(tmp_path / "cluster", "", "") as cluster:
        address = cluster.worker_address(0)
        command = impatient("SILENCE_INTERVAL")
        process = begin(cluster, tmp_path, inputs=60, outputs=1, command=command)
        cluster.workers[0].send_signal(signal.SIGSTOP)
        awaken = partial(cluster.workers[0].send_signal, signal.SIGCONT)
        alarm = threading.Timer(DEADLINE, awaken)  # if nothing is said
        alarm.start()
        assert process.stderr
        line = process.stderr.readline().decode()
        alarm.cancel()
        awaken()
        code, lines = finish(process)
    said = re.fullmatch(r"filedecryptor: nothing has ended for (\d+) s; busy: (.+)\n", line)
    assert said, line
    assert int(said[1]) >= 3
    assert address in said[2].split(", ")
    assert code == 0, lines
    assert lines[-1].startswith("60 decrypted; ")


def reports(
    monkeypatch: pytest.MonkeyPatch,
    workers: dict[str, list[str]],
    looks: Iterable[tuple[float, float]],
) -> list[tuple[float, list[str]]]:
    """Return what a watch reports that looks at some times, each with that of the last outcome."""
    now, said = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    client: Any = SimpleNamespace(processing=lambda: workers)
    look = _watch(client, "tcp://a:1", lambda *report: said.append(report))
    for now[0], last_outcome in looks:
        look(now[0] - last_outcome)
    return said


def test_busy_workers_are_named_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nothing ends, and not sooner after the last time."""
    workers = {"tcp://b:1": ["task"], "tcp://c:1": []}
    looks = [*((now, 1000) for now in range(1005, 1201, 5)), (1230, 1170), (1240, 1170)]
    expected = [(seconds, ["tcp://b:1"]) for seconds in (60, 120, 180, 70)]
    assert reports(monkeypatch, workers, looks) == expected


def test_where_work_ended_there_was_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time without one counts from when it was missed, or from the last outcome."""
    looks = [(1005, 1000), (1300, 1290), (1350, 1290)]
    assert reports(monkeypatch, {}, looks) == []
    with pytest.raises(ClusterError, match="there has been no worker for 60 seconds"):
        reports(monkeypatch, {}, [*looks, (1351, 1290)])


def test_what_nobody_foresaw_fails_alone(tmp_path: Path) -> None:
    """However deep in a library it happens: Dask would lose a long traceback, and wait for ever."""
    make_recordings(tmp_path / "in", 20)
    code = (
        "from filedecryptor.jobs import job as module\n"
        "if module.do_job.__name__ == 'do_job': do_job = module.do_job\n"  # it is loaded twice
        "def deep(n):\n"
        "    if n: deep(n - 1)\n"
        "    raise RuntimeError\n"
        "def fail(job, *words, **more):\n"
        "    if '007' in job.input: deep(800)\n"
        "    return do_job(job, *words, **more)\n"
        "module.do_job = fail\n"
    )
    with running(tmp_path / "cluster", code) as cluster:
        result = on(cluster, "in", "-", "auto", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[-1].startswith("19 decrypted, 1 failed; ")
    assert "007.enc: unexpected RuntimeError in preload0.py, line " in result.stderr


def test_an_interruption(cluster: Cluster, tmp_path: Path) -> None:
    """The summary is printed; what the workers have begun, they finish."""
    process = begin(cluster, tmp_path, outputs=1)
    process.send_signal(signal.SIGINT)
    code, [_, error] = finish(process)
    assert (code, error) == (130, "error: interrupted")


VERSION = "import importlib.metadata as m\nm.version = lambda _: "
ALONE = "import genericpath; genericpath.exists = lambda _: False"


@pytest.mark.parametrize(
    ("codes", "error", "hint"),
    [
        ([], "the cluster has no workers", ""),
        (["", "frozen"], "the cluster does not answer within 2 seconds", ""),
        ([VERSION + "1 / 0"], f"worker {WORKER} has no filedecryptor", "install filedecryptor "),
        ([VERSION + "'0.9'"], f"worker {WORKER} has filedecryptor 0.9", "install filedecryptor "),
        (["", ALONE], f"worker {WORKER} does not see what is written to /.*out", "use a directory"),
    ],
)
def test_a_cluster_that_cannot_do_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes: list[str], error: str, hint: str
) -> None:
    """It is said at once, before anything is done, with the worker that is the reason."""
    if not hint:  # what is waited for will not come
        monkeypatch.setattr("filedecryptor.jobs.cluster.ANSWER_TIMEOUT", 2)
    make_recordings(tmp_path / "in", 1)
    with running(tmp_path / "cluster", *(code.replace("frozen", "") for code in codes)) as cluster:
        if "frozen" in codes:
            cluster.workers[1].send_signal(signal.SIGSTOP)
        result = on(cluster, "in", "-", "auto", "-d", "out", cwd=tmp_path)
    assert (result.code, result.stdout) == (1, b"")
    said, *hints = result.lines
    assert re.fullmatch(f"error: {re.escape(cluster.address)}: {error}", said), said
    assert len(hints) == bool(hint)
    assert not hint or hints[0].startswith(f"hint: {hint}")
    assert set(contents(tmp_path / "in")) == {"000.enc"}
    assert contents(tmp_path / "out") == {}


@contextmanager
def listening(*, answering: bool) -> Iterator[int]:
    """Yield the port of something that accepts connections, and is no scheduler."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        connections = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection = server.accept()[0]
                    connections.append(connection)
                    if answering:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for connection in connections:
            connection.close()
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("kind", ["nobody", "mute", "another protocol"])
def test_a_wrong_address(folder: Path, kind: str, impatience: None) -> None:
    """One line within seconds, whatever is there, and nothing is done."""
    begin = time.monotonic()
    with listening(answering=kind == "another protocol") as port, nothing_changes(folder):
        address = f"tcp://127.0.0.1:{1 if kind == 'nobody' else port}"
        result = run("--cluster", address, ".", PASSWORD, "auto", cwd=folder)
    assert result.code == 1
    assert result.lines == [f"error: {address}: no scheduler answers"]
    assert time.monotonic() - begin < DEADLINE


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("127.0.0.1:8786 .", "a cluster's address begins with tcp:// or tls://"),
        ("tcp:// .", "is not valid"),
        ("tls://127.0.0.1:1 .", "is not valid"),
    ],
)
def test_usage(folder: Path, words: str, message: str) -> None:
    """What makes no sense is refused with the exit code of usage."""
    with nothing_changes(folder):
        result = run("--cluster", *words.split(), PASSWORD, "opus", cwd=folder)
    assert result.code == 2, result
    assert message in result.lines[0]
    assert all(line.startswith(("error: ", "hint: ")) for line in result.lines)


def test_without_the_extra_it_says_how_to_get_it(folder: Path) -> None:
    """One line and a hint."""
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from filedecryptor.__main__ import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", code, "--cluster", "tcp://127.0.0.1:1", ".", PASSWORD, "opus"]
    done = subprocess.run(words, check=False, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "filedecryptor: error: the package for clusters is not installed",
        f"filedecryptor: hint: {missing_extra('dask')}",
    ]


def test_ctrl_c_is_seen_while_the_cluster_does_not_answer() -> None:
    """Though it wakes nobody, as on Windows."""
    code = (
        "import _thread, threading; from filedecryptor.jobs import cluster\n"
        "cluster.ANSWER_TIMEOUT = 60\n"
        "threading.Timer(0.5, _thread.interrupt_main).start()\n"
        "try: cluster._answer(lambda: threading.Event().wait())\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "interrupted\n"
