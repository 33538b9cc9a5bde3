"""A batch on a real Dask cluster: a scheduler and two worker processes on loopback."""

from __future__ import annotations

import logging
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.commands import COMMAND, Result, run
from support.folders import contents, nothing_changes
from support.recordings import AUDIO, PASSWORD, encrypt

pytest.importorskip("distributed", reason="the extra dask is not installed")

import dask
from distributed import Security
from support.dask_cluster import Cluster, running

from filedecryptor.errors import ClusterError, Outcome
from filedecryptor.jobs.cluster import _watch
from filedecryptor.terminal.report import Reporter

if TYPE_CHECKING:
    from support.bucket import Bucket

MARKED = "marked password"
DEADLINE = 60
SUMMARY = r"\d+ decrypted; \d+\.\d MB of audio in \d+\.\d s"
GO_ON = "hint: what is done stays; run this again with --if-exists skip"
NOT_VALID = "the address, or Dask's TLS configuration, is not valid"
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
    """Seconds are waited for what else is waited for up to a minute."""
    for name, seconds in (
        ("cluster.ANSWER_TIMEOUT", 2),
        ("cluster.NO_WORKERS_TIMEOUT", 1),
        ("cluster.SILENCE_INTERVAL", 3),
        ("workers.WATCH_INTERVAL", 0.3),
    ):
        monkeypatch.setattr(f"filedecryptor.jobs.{name}", seconds)


def on(cluster: Cluster, *words: str | Path, cwd: Path) -> Result:
    """Run the command on a cluster, with the password in the environment."""
    env = {**cluster.env, "FILEDECRYPTOR_PASSWORD": PASSWORD}
    return run("--cluster", cluster.address, *words, cwd=cwd, env=env)


def make_recordings(folder: Path, count: int, password: str = PASSWORD) -> None:
    """Write many recordings, all the same."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:03}.enc").write_bytes(encrypt(AUDIO, password))


def outputs_in(folder: Path) -> dict[str, bytes | str | None]:
    """Return the audio files in a folder."""
    return {name: data for name, data in contents(folder).items() if name.endswith(".opus")}


def on_meanwhile(
    cluster: Cluster, folder: Path, act: Callable[[], object], count: int = 60
) -> Result:
    """Run the command on many recordings, and do something once the tenth is reported."""
    make_recordings(folder, count)
    add, reported = Reporter.add, []

    def add_and_act(reporter: Reporter, outcome: Outcome) -> None:
        add(reporter, outcome)
        reported.append(outcome)
        if len(reported) == 10:
            act()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Reporter, "add", add_and_act)
        return on(cluster, ".", "-", "auto", cwd=folder)


def test_a_batch(cluster: Cluster, tmp_path: Path) -> None:
    """As without one, but failures name the worker, paths are absolute, and names fold."""
    make_recordings(tmp_path / "in", 20)
    (tmp_path / "in" / "005.enc").write_bytes(b"<html>not found, sorry, please try again</html>")
    (tmp_path / "in" / "010.enc").write_bytes(bytes(5))
    for name in ("a.enc", "A.enc"):
        (tmp_path / "in" / name).write_bytes(encrypt(AUDIO))
    with nothing_changes(tmp_path):
        verified = on(cluster, "--verify", "in", "-", "auto", cwd=tmp_path)
    assert verified.lines[-1].startswith("20 verified, 2 failed; ")
    result = on(cluster, "in", "none.enc", "-", "auto", "-d", "out", cwd=tmp_path)
    assert result.code == 1
    outputs = {f"{number:03}.opus": AUDIO for number in range(20) if number not in {5, 10}}
    assert contents(tmp_path / "out") == outputs
    shown = result.stdout.decode().splitlines()
    assert sorted(shown) == [str(tmp_path / "out" / name) for name in outputs]
    assert result.lines[-1].startswith("18 decrypted, 5 failed; ")
    errors = sorted(line for line in result.lines if line.startswith("error: "))
    expected = [
        ("in/005.enc", rf"this is an HTML or XML page, not a recording \(on worker {WORKER}\)"),
        ("in/010.enc", rf"not an .enc file.+ \(on worker {WORKER}\)"),
        ("in/A.enc", "it would have the same output as .+"),
        ("in/a.enc", "it would have the same output as .+"),
        ("none.enc", rf"No such file or directory \(on worker {WORKER}\)"),
    ]
    for (name, cause), line in zip(expected, errors, strict=True):
        assert re.fullmatch(f"error: {re.escape(str(tmp_path / name))}: {cause}", line), line
    assert "hint: look into it, then download the recording again" in result.stderr


def test_audio_and_the_other_spelling(cluster: Cluster, tmp_path: Path) -> None:
    """As without a cluster: audio is passed over, and the right spelling noted once in a run."""
    make_recordings(tmp_path / "in", 30, "p\xe4ss")
    for name in ("in/000.opus", "b.opus"):
        (tmp_path / name).write_bytes(AUDIO)
    words = ("--cluster", cluster.address, "in", "in/000.opus", "b.opus", "-", "auto")
    env = {"FILEDECRYPTOR_PASSWORD": "pa\u0308ss"}
    result = run(*words, cwd=tmp_path, env={**cluster.env, **env})
    assert result.code == 0
    assert result.lines[-1].startswith("30 decrypted, 2 skipped; ")
    said = "note: {}: this is opus audio already{}: passed over"
    assert said.format(tmp_path / "in/000.opus", "") in result.lines
    worker = rf" \(on worker {WORKER}\)"
    assert re.search(said.format(re.escape(str(tmp_path / "b.opus")), worker), result.stderr)
    assert result.stderr.count("the password is right with composed letters") == 1


def test_the_password_shows_nowhere(cluster: Cluster, tmp_path: Path) -> None:
    """Not in a log, a task's name or a file, even where the workers fail."""
    make_recordings(tmp_path / "in", 20, MARKED)
    fail = "def new(*_): raise RuntimeError"
    with cluster.changed("filedecryptor.jobs.batch.GroupWork", "__call__", fail):
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
    files = (repr(data) for path in (tmp_path, cluster.folder) for data in contents(path).values())
    for text in (logs, events, result.stdout.decode(), result.stderr, *files):
        assert MARKED not in text


@pytest.mark.slow
def test_objects(cluster: Cluster, tmp_path: Path, server: str, bucket: Bucket) -> None:
    """The workers read and write them; each finds out what its store cannot do, one note says so."""
    from support.store_proxy import is_conditional, proxy, refusing_conditions

    for number in range(20):
        bucket.put(f"in/{number:02}.enc", encrypt(AUDIO))
    bucket.put("in/bad.enc", encrypt(AUDIO)[:-1])
    with proxy(server, refusing_conditions()) as store:
        env = bucket.env | {"AWS_ENDPOINT_URL": store.url}
        words = ["--cluster", cluster.address, "--if-exists", "skip"]
        words += [f"{bucket.url}/in", PASSWORD, "auto", "-d", f"{bucket.url}/out"]
        with cluster.changed("os", "environ", f"new = {{**old, **{env}}}"):
            result = run(*words, cwd=tmp_path, env=env)
    found = bucket.contents()
    assert result.code == 3
    outputs = {key: data for key, data in found.items() if key.startswith("out/")}
    assert outputs == {f"out/{number:02}.opus": AUDIO for number in range(20)}
    assert sum(map(is_conditional, store.requests)) > 1
    assert result.stderr.count("conditional writes") == 1


@pytest.mark.slow
def test_tls(tmp_path: Path) -> None:
    """With the certificates of Dask's own configuration; without them there is no connection."""
    make_recordings(tmp_path / "in", 3)
    made = Security.temporary()
    path = tmp_path / "certificate.pem"
    path.write_text(f"{made.tls_client_key}{made.tls_client_cert}")
    pairs = product(("scheduler", "worker", "client"), ("cert", "key"))
    names = ["ca_file", *map(".".join, pairs)]
    settings = {f"distributed.comm.tls.{name}": str(path) for name in names}
    env = {f"DASK_{name.upper().replace('.', '__')}": str(path) for name in settings}
    with running(tmp_path / "cluster", "", protocol="tls", env=env) as cluster:
        without = on(cluster, "in", "-", "auto", cwd=tmp_path)
        with dask.config.set(settings):
            done = on(cluster, "in", "-", "auto", cwd=tmp_path)
    assert (without.code, without.lines) == (2, [f"error: {cluster.address}: {NOT_VALID}"])
    assert (done.code, done.lines[0].partition(";")[0]) == (0, "3 decrypted")


def goes_away(result: Result, cluster: Cluster, cause: str, folder: Path) -> None:
    """Check that a run ended with the summary and one clear line, and what is done stays."""
    assert result.code == 1
    summary, error, *hints = result.lines
    assert re.fullmatch(SUMMARY, summary), summary
    assert error == f"error: {cluster.address}: {cause}"
    assert hints == ([] if "does not answer" in cause else [GO_ON])
    done = outputs_in(folder)
    assert len(done) >= 10
    assert set(done.values()) == {AUDIO}


@pytest.mark.slow
def test_workers_and_schedulers_that_go_away(tmp_path: Path, impatience: None) -> None:
    """What a worker had is done again by another one. They are waited for, but not for ever."""
    with running(tmp_path / "cluster", "", "") as cluster:
        result = on_meanwhile(cluster, tmp_path / "1", cluster.workers[0].kill)
        assert result.code == 0, result
        assert outputs_in(tmp_path / "1") == {f"{number:03}.opus": AUDIO for number in range(60)}
        assert "60 decrypted" in result.lines[-1]
        freeze = partial(cluster.scheduler.send_signal, signal.SIGSTOP)
        result = on_meanwhile(cluster, tmp_path / "2", freeze)
        cluster.scheduler.send_signal(signal.SIGCONT)
        goes_away(result, cluster, "the cluster does not answer within 2 seconds", tmp_path / "2")
        result = on_meanwhile(cluster, tmp_path / "3", cluster.workers[1].kill)
        goes_away(result, cluster, "there has been no worker for 1 seconds", tmp_path / "3")
        assert refused(cluster, tmp_path / "4") == ["the cluster has no workers"]
        cluster.add_worker("")
        cluster.wait()
        result = on_meanwhile(cluster, tmp_path / "5", cluster.scheduler.kill)
        goes_away(result, cluster, "the scheduler went away", tmp_path / "5")


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
def test_a_worker_that_freezes(cluster: Cluster, tmp_path: Path, impatience: None) -> None:
    """It is named while it is waited for; once it goes on, all is done."""

    def freeze() -> None:
        cluster.workers[0].send_signal(signal.SIGSTOP)
        threading.Timer(7, cluster.workers[0].send_signal, [signal.SIGCONT]).start()

    result = on_meanwhile(cluster, tmp_path / "in", freeze)
    said = re.fullmatch(r"nothing has ended for (\d+) s; busy: (.+)", result.lines[0])
    assert said, result
    assert int(said[1]) >= 3
    assert cluster.worker_address(0) in said[2].split(", ")
    assert (result.code, result.lines[-1].partition(";")[0]) == (0, "60 decrypted")


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


def test_what_nobody_foresaw_fails_alone(cluster: Cluster, tmp_path: Path) -> None:
    """However deep in a library it happens: Dask would lose a long traceback, and wait for ever."""
    make_recordings(tmp_path / "in", 20)
    code = (
        "def deep(n):\n"
        "    if n: deep(n - 1)\n"
        "    raise RuntimeError\n"
        "def new(job, *words, **more):\n"
        "    if '007' in job.input: deep(800)\n"
        "    return old(job, *words, **more)\n"
    )
    with cluster.changed("filedecryptor.jobs.job", "do_job", code):
        result = on(cluster, "in", "-", "auto", cwd=tmp_path)
    assert result.code == 1
    assert result.lines[-1].startswith("19 decrypted, 1 failed; ")
    assert "007.enc: unexpected RuntimeError in <string>, line " in result.stderr


def test_an_interruption(cluster: Cluster, tmp_path: Path) -> None:
    """The summary is printed; what the workers have begun, they finish."""
    make_recordings(tmp_path / "in", 100)
    process = subprocess.Popen(
        [COMMAND, "--cluster", cluster.address, ".", PASSWORD, "auto"],
        cwd=tmp_path / "in",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=DEADLINE)[1].decode()
    assert process.returncode == 130
    summary, error = stderr.replace("filedecryptor: ", "").splitlines()
    assert re.fullmatch(f"{SUMMARY}; {GO_ON.removeprefix('hint: ')}.*", summary), summary
    assert error == "error: interrupted"


def refused(cluster: Cluster, folder: Path) -> list[str]:
    """Return what is said of a cluster that cannot do the work, before anything is done."""
    make_recordings(folder / "in", 1)
    result = on(cluster, "in", "-", "auto", "-d", "out", cwd=folder)
    assert (result.code, result.stdout) == (1, b"")
    assert set(contents(folder / "in")) == {"000.enc"}
    assert contents(folder / "out") == {}
    said, *hints = result.lines
    return [said.removeprefix(f"error: {cluster.address}: "), *hints]


@pytest.mark.parametrize(
    ("owner", "name", "new", "error", "hint"),
    [
        (
            "importlib.metadata",
            "version",
            "1 / 0",
            "has no filedecryptor",
            "install filedecryptor ",
        ),
        ("importlib.metadata", "version", "'0'", "has filedecryptor 0", "install filedecryptor "),
        ("genericpath", "exists", "False", "does not see what is written to /.*out", "use a dir"),
    ],
)
def test_workers_that_cannot_do_the_work(  # noqa: PLR0917 - a table
    cluster: Cluster, tmp_path: Path, owner: str, name: str, new: str, error: str, hint: str
) -> None:
    """It is said at once, with the worker that is the reason."""
    with cluster.changed(owner, name, f"new = lambda _: {new}"):
        said, hinted = refused(cluster, tmp_path)
    assert re.fullmatch(f"worker {WORKER} {error}", said)
    assert hinted.startswith(f"hint: {hint}")


def test_a_worker_that_does_not_answer(cluster: Cluster, tmp_path: Path, impatience: None) -> None:
    """It is not waited for for ever."""
    cluster.workers[1].send_signal(signal.SIGSTOP)
    try:
        assert refused(cluster, tmp_path) == ["the cluster does not answer within 2 seconds"]
    finally:
        cluster.workers[1].send_signal(signal.SIGCONT)


class Page(socketserver.BaseRequestHandler):
    """Answers as no scheduler does."""

    def handle(self) -> None:
        """Do not wait for a request."""
        with suppress(OSError):
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)


@pytest.mark.parametrize(
    ("address", "code", "cause"),
    [
        ("127.0.0.1:8786", 2, "a cluster's address begins with tcp:// or tls://"),
        ("tcp://", 2, NOT_VALID),
        ("tls://127.0.0.1:1", 2, NOT_VALID),
        ("tcp://127.0.0.1:1", 1, "no scheduler answers"),
        ("tcp://127.0.0.1:{silent}", 1, "no scheduler answers"),
        ("tcp://127.0.0.1:{other}", 1, "no scheduler answers"),
    ],
)
def test_a_wrong_address(
    folder: Path, address: str, code: int, cause: str, impatience: None
) -> None:
    """One line within seconds, whatever is there, and nothing is done."""
    begin = time.monotonic()
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        socketserver.ThreadingTCPServer(("127.0.0.1", 0), Page) as other,
        nothing_changes(folder),
    ):
        threading.Thread(target=other.serve_forever, args=[0.05]).start()
        ports = {"silent": silent.getsockname()[1], "other": other.server_address[1]}
        address = address.format(**ports)
        result = run("--cluster", address, ".", PASSWORD, "opus", cwd=folder)
        other.shutdown()
    assert (result.code, result.lines) == (code, [f"error: {address}: {cause}"])
    assert time.monotonic() - begin < DEADLINE


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
