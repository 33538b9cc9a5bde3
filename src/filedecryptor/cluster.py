"""A Dask cluster as an executor of batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from filedecryptor import __version__
from filedecryptor.batch import Workers
from filedecryptor.errors import ClusterError, UsageError

if TYPE_CHECKING:
    from distributed import Client

PROTOCOLS = ("tcp://", "tls://")

CONNECT_TIMEOUT = 10
"""Seconds to wait for the scheduler, and then for a worker."""


@contextmanager
def connected(address: str) -> Iterator[Workers]:
    """Connect to a scheduler, see that its workers can do the work, and lend them.

    Args:
        address: `tcp://host:port`, or `tls://host:port` with the certificates that Dask's own
            configuration names.

    Raises:
        UsageError: The address is none, or Dask or its certificates are not there.
        ClusterError: The cluster cannot be reached, goes away, or cannot do the work.
    """
    if not address.startswith(PROTOCOLS):
        raise UsageError("a cluster's address begins with tcp:// or tls://", filename=address)
    if find_spec("distributed") is None:
        raise UsageError(
            "the package for clusters is not installed", hint="pip install 'filedecryptor[dask]'"
        )
    # What matters is said here in one line; they would add pages to it.
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)
    client = _connect(address)
    try:
        _check_workers(client, address)
        jobs = sum(client.nthreads().values())
        yield Workers(jobs, client.get_executor(pure=False))
    except CancelledError:
        raise _gone(address) from None
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=2)


def _connect(address: str) -> Client:
    """Return a client of a scheduler.

    Raises:
        UsageError: The address, or what TLS needs, is not valid.
        ClusterError: There is no scheduler, but perhaps something else.
    """
    from distributed import Client

    try:
        # A client would wait endlessly for something that accepts connections and says nothing,
        # and would not go quietly if it found no scheduler.
        asyncio.run(asyncio.wait_for(_identity(address), CONNECT_TIMEOUT))
        return Client(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (TypeError, ValueError):
        raise UsageError(
            "the address, or Dask's TLS configuration, is not valid", filename=address
        ) from None
    except Exception:  # noqa: BLE001 - whatever it is, it does not speak as a scheduler does
        raise ClusterError("no scheduler answers", filename=address) from None


async def _identity(address: str) -> object:
    from distributed import Security, rpc

    arguments = Security().get_connection_args("client")
    async with rpc(address, connection_args=arguments) as scheduler:
        return await scheduler.identity()


def _check_workers(client: Client, address: str) -> None:
    """See that there are workers, and that each of them has this version of the package.

    Raises:
        ClusterError: There are none, or one of them has not.
    """
    try:
        client.wait_for_workers(1, timeout=CONNECT_TIMEOUT)
    except asyncio.TimeoutError:  # which is not the builtin one before Python 3.11
        raise ClusterError("the cluster has no workers", filename=address) from None
    for worker, found in client.run(version, "filedecryptor", on_error="return").items():
        if found != __version__:
            has = "no filedecryptor" if isinstance(found, Exception) else f"filedecryptor {found}"
            raise ClusterError(
                f"its worker {worker} has {has}",
                hint=f"install filedecryptor {__version__} there, with the extras that it needs",
                filename=address,
            )


def _gone(address: str) -> ClusterError:
    return ClusterError(
        "the scheduler went away",
        hint="what is done stays; run this again with --if-exists skip",
        filename=address,
    )
