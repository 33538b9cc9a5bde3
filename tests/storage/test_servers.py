"""What only a server tells that looks at signatures, policies and regions, as moto does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from uuid import uuid4

import pytest
from support.recordings import AUDIO, altered

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from support.store import RECORDING, Store
from support.store_proxy import Answer, Request, is_conditional

pytestmark = pytest.mark.slow

NO_KEY = "Invalid length for parameter Key, value: 0, valid min length: 1"


@pytest.fixture
def server(ceph: str) -> str:
    """An S3 server that is strict; its address."""
    return ceph


@pytest.mark.parametrize(
    ("line", "env", "error", "hint"),
    [
        ("s3://no-such-bucket/a.enc - x", {}, "s3://no-such-bucket/a.enc: No Such Bucket", None),
        ("s3://no-such-bucket/ - x", {}, "s3://no-such-bucket/: No Such Bucket", None),
        ("@/in/a.enc - x -d s3://none", {}, "s3://none/a.x: No Such Bucket", None),
        ("@/in/gone.enc - x", {}, "@/in/gone.enc: No Such Key", None),
        (
            "@/in/a.enc - x -o @/",
            {},
            f"@/: Parameter validation failed: {NO_KEY}",
            "s3://BUCKET/KEY",
        ),
        (f"@/in/a.enc - x -o @/{'x' * 1025}", {}, f"@/{'x' * 1025}: Invalid Object Name", None),
        *(
            (f"{url} - x", {name: "other"}, f"{url}: {said}", name)
            for url in ("@/in/a.enc", "@/in/")
            for name, said in (
                ("AWS_ACCESS_KEY_ID", "Invalid Access Key Id"),
                ("AWS_SECRET_ACCESS_KEY", "Signature Does Not Match"),
            )
        ),
    ],
)
def test_what_a_store_refuses(
    store: Store, line: str, env: Mapping[str, str], error: str, hint: str | None
) -> None:
    """The line names the address and the cause, in the words of its code if it has no others."""
    result = store.run(line, env=env)
    assert (result.code, result.lines[0]) == (1, f"error: {error}")
    assert len(result.lines) == (2 if hint else 1)
    assert (hint or "") in result.lines[-1]
    assert store.contents() == {"in/a.enc": RECORDING}


@pytest.mark.parametrize(
    ("action", "line", "named"),
    [
        ("s3:GetObject", "@/in/a.enc - x", "@/in/a.enc"),
        ("s3:PutObject", "@/in/a.enc - x", "@/in/a.x"),
        ("s3:PutObject", "@/in/a.enc - x --if-exists fail", "@/in/a.x"),
        ("s3:ListBucket", "@/in/ - x", "@/in/"),
    ],
)
def test_what_a_policy_denies(store: Store, action: str, line: str, named: str) -> None:
    """The permission that is missing is told, as the policy calls it."""
    arn = f"arn:aws:s3:::{store.name}"
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": [arn, f"{arn}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    store.client.put_bucket_policy(Bucket=store.name, Policy=json.dumps(policy))
    result = store.run(line)
    hint = f"hint: this needs the permission {action}"
    assert (result.code, result.lines) == (1, [f"error: {named}: Access Denied", hint])


def test_a_bucket_with_dots_and_another_region(server: str, tmp_path: Path) -> None:
    """Both are as good as any; what fails to authenticate leaves nothing there."""
    store = Store(server, tmp_path, f"a.b.{uuid4()}")
    store.put("a.enc", RECORDING)
    store.put("b.enc", altered(RECORDING))
    assert store.run("@ - x", env={"AWS_DEFAULT_REGION": "eu-west-1"}).code == 3
    assert store.contents() == {"a.enc": RECORDING, "b.enc": altered(RECORDING), "a.x": AUDIO}


def test_more_objects_than_one_page_lists(store: Store) -> None:
    """The store lists 1,000 at most at once; what comes after them is found."""
    store.client.put_bucket_acl(Bucket=store.name, ACL="public-read-write")
    connection = HTTPConnection(store.endpoint.removeprefix("http://"))  # boto3 takes seconds
    for number in range(1000):
        connection.request("PUT", f"/{store.name}/in/{number}.txt", b"")
        assert connection.getresponse().read() == b""
    connection.close()
    store.put("in/z.enc", RECORDING)
    result = store.run("@/in/ - x")
    assert (result.code, sorted(result.stdout.split())) == (0, [b"@/in/a.x", b"@/in/z.x"])


def test_an_object_that_appears_meanwhile_stays(store: Store) -> None:
    """One request looks and writes. Ceph 16 does so for audio that is sent at once, not in parts."""
    other = bytes(len(AUDIO))

    def create_first(request: Request, forward: Callable[[Request], Answer]) -> Answer:
        if is_conditional(request):
            store.put("in/a.x", other)
        return forward(request)

    result = store.run("@/in/a.enc - x --if-exists fail", create_first)
    assert (result.code, result.lines) == (1, ["error: @/in/a.x: File exists"])
    assert store.contents() == {"in/a.enc": RECORDING, "in/a.x": other}
