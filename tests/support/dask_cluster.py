"""A Dask scheduler and its workers on loopback, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from support.recordings import CUSTOMIZED

DEADLINE = 60
"""Seconds in which the workers must have come."""


class Cluster:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path, protocol: str, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": CUSTOMIZED, **env}
        self.workers: list[subprocess.Popen[bytes]] = []
        where = ("--protocol", protocol, "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.scheduler = self._start("scheduler", *where, "--scheduler-file", "scheduler.json")
        self.address = ""
        end = time.monotonic() + DEADLINE
        while not self.address:  # a port chosen here could be taken by another process meanwhile
            assert time.monotonic() < end, self.logs()
            time.sleep(0.05)
            with suppress(FileNotFoundError, ValueError):  # it may be half-written
                self.address = json.loads((folder / "scheduler.json").read_text("utf-8"))["address"]

    def _start(self, kind: str, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{kind}-{len(self.workers)}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *words],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env=self.env,
            )

    def add_worker(self, code: str) -> None:
        """Start a worker; it runs some code of ours at its start."""
        number = len(self.workers)
        (self.folder / f"preload{number}.py").write_text(code)
        words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        words += ["--local-directory", str(self.folder), "--preload", f"preload{number}.py"]
        self.workers.append(self._start("worker", self.address, *words))

    def wait(self) -> None:
        """Return once all workers are there."""
        end = time.monotonic() + DEADLINE
        while not all("Registered to" in log for log in self.logs("worker")):
            assert time.monotonic() < end, self.logs("worker")
            time.sleep(0.05)

    def worker_address(self, number: int) -> str:
        """Return the address of a worker that is there."""
        log = (self.folder / f"worker-{number}.log").read_text("utf-8")
        return log.split("Start worker at:")[1].split()[0]

    @contextmanager
    def changed(self, owner: str, name: str, code: str) -> Iterator[None]:
        """Let code define `new`, which a module or a class of each worker has under a name meanwhile.

        The code finds what was there before as `old`.
        """
        from distributed import Client

        change = f"import pkgutil\nowner = pkgutil.resolve_name({owner!r})\n"
        swap = f"old = owner.old_{name} = owner.{name}\n{code}\nowner.{name} = new"
        with Client(self.address, set_as_default=False) as client:
            client.run(exec, change + swap, {})
            try:
                yield
            finally:
                client.run(exec, f"{change}owner.{name} = owner.old_{name}", {})

    def logs(self, kind: str = "") -> list[str]:
        """Return what the processes have written."""
        return [path.read_text("utf-8") for path in self.folder.glob(f"{kind}*.log")]

    def end(self) -> None:
        """End all processes, at once: they have nothing to lose."""
        for process in (*self.workers, self.scheduler):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


@contextmanager
def running(
    folder: Path, *codes: str, protocol: str = "tcp", env: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Yield a cluster with a worker for each piece of code to run at its start."""
    folder.mkdir()
    cluster = Cluster(folder, protocol, env or {})
    try:
        for code in codes:
            cluster.add_worker(code)
        if codes:
            cluster.wait()
        yield cluster
    finally:
        cluster.end()
