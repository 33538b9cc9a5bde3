"""An S3 server on loopback, and a bucket of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer

from support.commands import COMMAND, Result, run
from support.recordings import PASSWORD


@contextmanager
def serving() -> Iterator[str]:
    """Run a server; yield its address."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@cache
def _client(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
    )


class Bucket:
    """A bucket of the server, looked at by another library than the one under test.

    Args:
        endpoint: The server's address.
        name: What to call the bucket; if None, as no other.
    """

    def __init__(self, endpoint: str, name: str | None = None) -> None:
        self.name = name or f"bucket-{uuid4()}"
        self.url = f"s3://{self.name}"
        self.env = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        self.client = _client(endpoint)
        self.client.create_bucket(Bucket=self.name)

    def use(self, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
        """Set the way to the server in the environment of this process."""
        from filedecryptor.storage.s3 import S3

        for name, value in {**self.env, **more}.items():
            monkeypatch.setenv(name, value)
        S3.clear_instance_cache()

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def keys(self) -> list[str]:
        """Return the keys of all objects."""
        return [entry["Key"] for entry in self.entries()]

    def entries(self, **options: str) -> list[dict[str, Any]]:
        """Return what the store lists."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, **options)
        return [entry for page in pages for entry in page.get("Contents", [])]

    def contents(self) -> dict[str, bytes]:
        """Return all objects; there must be no unfinished upload."""
        assert not self.client.list_multipart_uploads(Bucket=self.name).get("Uploads")
        return {key: self.get(key) for key in self.keys()}

    def get(self, key: str) -> bytes:
        """Return an object's bytes."""
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def run(self, *words: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Result:
        """Run the command with the way to the server and the password in its environment."""
        return run(
            *words, cwd=cwd, env={**self.env, "FILEDECRYPTOR_PASSWORD": PASSWORD, **(env or {})}
        )

    def start(self, *words: str, cwd: Path, **env: str) -> subprocess.Popen[bytes]:
        """Start the command in the same way, with pipes for its streams."""
        more = {**self.env, "FILEDECRYPTOR_PASSWORD": PASSWORD, **env}
        return subprocess.Popen(
            [COMMAND, *words],
            cwd=cwd,
            env={**os.environ, **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def added(bucket: Bucket, before: dict[str, bytes]) -> dict[str, bytes]:
    """Return what has been added to a bucket; nothing else may have changed."""
    after = bucket.contents()
    assert {key: after[key] for key in before} == before
    return {key: data for key, data in after.items() if key not in before}
