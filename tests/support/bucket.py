"""An S3 server on loopback, and a bucket of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Thread
from typing import Any
from uuid import uuid4

import boto3
import botocore.session  # type: ignore[import-untyped]
from moto.moto_server.werkzeug_app import create_backend_app
from werkzeug.serving import make_server

# Each client would read the megabytes of JSON anew that describe the services.
botocore.session.create_loader = cache(botocore.session.create_loader)


@contextmanager
def serving() -> Iterator[str]:
    """Run a server for S3 alone, which says nothing; yield its address."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, create_backend_app("s3"), threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


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
