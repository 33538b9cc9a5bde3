"""A Dask cluster that works on batches."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

from filedecryptor.errors import ClusterError, UsageError, errors_naming, missing_extra
from filedecryptor.jobs.workers import WAKING_INTERVAL, Workers, in_a_thread
from filedecryptor.storage.atomic import PendingFile, temporary_name
from filedecryptor.storage.disk import make_directory
from filedecryptor.storage.paths import absolute, is_url

if TYPE_CHECKING:
    from distributed import Client

ANSWER_TIMEOUT = 10  # seconds to wait for an answer of the scheduler, and of all workers
NO_WORKERS_TIMEOUT = 60  # seconds to wait where there was a worker: it may be about to start again
SILENCE_INTERVAL = 60  # seconds without an outcome between two reports of which workers are busy

OnSilence: TypeAlias = Callable[[float, list[str]], object]

WHAT_IS_DONE_STAYS = "what is done stays; run this again with --if-exists skip"


@contextmanager
def connected(address: str, directory: str | None, on_silence: OnSilence) -> Iterator[Workers]:
    """Connect to a scheduler, check that its workers can do the work, and yield them.

    If the outputs go to a directory of a disk, it is made, and each worker must see it. `on_silence` is
    called with the seconds in which no work has ended, and the addresses of the busy workers.
    """
    if not address.startswith(("tcp://", "tls://")):
        raise UsageError("a cluster's address begins with tcp:// or tls://", filename=address)
    if find_spec("distributed") is None:
        raise UsageError("the package for clusters is not installed", hint=missing_extra("dask"))
    logging.disable()  # our errors say what matters in one line, Dask's log would add pages
    from distributed.client import ClosedClientError

    client = _connect(address)
    try:
        with errors_naming(address):
            _check_versions(client)
            if directory is not None and not is_url(directory):
                _check_sharing(client, absolute(directory))
            jobs = sum(_answer(client.nthreads).values())
        yield Workers(jobs, client.get_executor(pure=False), _watch(client, address, on_silence))
    except (CancelledError, ClosedClientError):
        cause = "the scheduler went away"
        raise ClusterError(cause, hint=WHAT_IS_DONE_STAYS, filename=address) from None
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=2)


def _connect(address: str) -> Client:
    """Return a client of a scheduler; raise an error if something else is there, or nothing."""
    from distributed import Client

    try:
        # A client would wait endlessly for something that accepts connections and says nothing,
        # and would not go quietly if it found no scheduler.
        asyncio.run(asyncio.wait_for(_identity(address), ANSWER_TIMEOUT))
        return Client(address, timeout=ANSWER_TIMEOUT, set_as_default=False)
    except (TypeError, ValueError):
        raise UsageError(
            "the address, or Dask's TLS configuration, is not valid", filename=address
        ) from None
    except Exception:  # noqa: BLE001 - whatever it is, it does not speak as a scheduler does
        raise ClusterError("no scheduler answers", filename=address) from None


async def _identity(address: str) -> object:
    from distributed import Security, rpc

    async with rpc(address, connection_args=Security().get_connection_args("client")) as scheduler:
        return await scheduler.identity()


def _check_versions(client: Client) -> None:
    """Check that there are workers, and that each of them has this version of the package."""
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while not _answer(client.nthreads):
        if time.monotonic() > deadline:
            raise ClusterError("the cluster has no workers")
        time.sleep(0.1)
    ours = version("filedecryptor")
    versions = _answer(client.run, version, "filedecryptor", on_error="return")
    for worker, found in versions.items():
        if found != ours:
            has = "no filedecryptor" if isinstance(found, Exception) else f"filedecryptor {found}"
            hint = f"install filedecryptor {ours} there, with the extras that it needs"
            raise ClusterError(f"worker {worker} has {has}", hint=hint)


def _check_sharing(client: Client, directory: str) -> None:
    """Check that every worker sees what is written to a directory here."""
    make_directory(directory)
    with temporary_name(directory) as path, PendingFile(path, path):
        seen = _answer(client.run, os.path.exists, path)
    for worker, sees in seen.items():
        if not sees:
            raise ClusterError(
                f"worker {worker} does not see what is written to {directory}",
                hint="use a directory that all machines share, or an object store",
            )


def _answer(
    ask: Callable[..., dict[str, Any]], *arguments: object, **options: object
) -> dict[str, Any]:
    """Return the answer of a cluster, waiting for it no longer than `ANSWER_TIMEOUT`."""
    answer = in_a_thread(partial(ask, *arguments, **options))
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while not answer.done() and time.monotonic() < deadline:
        wait([answer], WAKING_INTERVAL)
    with suppress(Exception):
        return answer.result(0)
    raise ClusterError(f"the cluster does not answer within {ANSWER_TIMEOUT} seconds")


def _watch(client: Client, address: str, on_silence: OnSilence) -> Callable[[float], None]:
    """Return what checks that there is a worker to wait for, and reports which are busy."""
    missing_since: float | None = None
    told = -math.inf

    def look(seconds: float) -> None:
        nonlocal missing_since, told
        with errors_naming(address):
            workers = _answer(client.processing)
        now = time.monotonic()
        if workers:
            missing_since = None
            if min(seconds, now - told) >= SILENCE_INTERVAL:
                told = now
                on_silence(seconds, [name for name, tasks in workers.items() if tasks])
            return
        # Count from the last outcome: this is not called while outcomes arrive.
        missing_since = max(missing_since or now, now - seconds)
        if now - missing_since > NO_WORKERS_TIMEOUT:
            cause = f"there has been no worker for {NO_WORKERS_TIMEOUT} seconds"
            raise ClusterError(cause, hint=WHAT_IS_DONE_STAYS, filename=address)

    return look
