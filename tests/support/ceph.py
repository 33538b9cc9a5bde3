"""A second S3 server on loopback: the gateway of a Ceph cluster, whose disk is in memory."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from support.commands import wait_until

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "setpriv")
IS_INSTALLED = all(map(which, PROGRAMS))

CLUSTER, DISK = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
CONFIGURATION = f"""
[global]
fsid = {CLUSTER}
run dir = .
log file =
admin socket =
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind msgr1 = false
mon host = v2:127.0.0.1:%(monitor)d
mon allow pool size one = true
osd pool default size = 1
osd pool default pg num = 1
rgw data = gateway
rgw frontends = beast endpoint=127.0.0.1:%(gateway)d
[mon]
public addr = v2:127.0.0.1:%(monitor)d
mon data = monitor
mon data avail crit = 0
paxos propose interval = 0.01
paxos min wait = 0.01
[osd]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd data = disk
osd objectstore = memstore
"""
"""Of one monitor, one disk and one gateway, without passwords."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def serving() -> Iterator[str]:
    """Run the server, for one user, who has the keys of `Bucket`; yield its address."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        log = stack.enter_context(Path(folder, "log").open("wb"))
        monitor, gateway = free_ports(2)
        configuration = Path(folder, "ceph.conf")
        configuration.write_text(CONFIGURATION % {"monitor": monitor, "gateway": gateway})
        Path(folder, "disk").mkdir()
        env = {**os.environ, "CEPH_CONF": str(configuration)}

        def start(line: str) -> subprocess.Popen[bytes]:
            # It ends with the tests, also if they are killed.
            words = ["setpriv", "--pdeathsig", "KILL", *line.split()]
            process = subprocess.Popen(words, cwd=folder, env=env, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        def once(line: str) -> None:
            assert start(line).wait(60) == 0, Path(folder, "log").read_text("utf-8")

        once(f"ceph-mon -i a --mkfs --fsid {CLUSTER}")
        start("ceph-mon -i a -f")
        once(f"ceph osd new {DISK}")
        once(f"ceph-osd -i 0 --mkfs --osd-uuid {DISK}")
        start("ceph-osd -i 0 -f")
        once("ceph osd crush add osd.0 1 root=default host=a")
        keys = "--access-key=key --secret-key=secret"
        once(f"radosgw-admin user create --uid=user --display-name=user {keys}")
        start("radosgw -n client.gateway -f")
        wait_until(lambda: _is_listening(gateway))
        yield f"http://127.0.0.1:{gateway}"


def _is_listening(port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False
