"""A bucket that commands are run against, straight or through a proxy that misbehaves."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest

from filedecryptor.storage.s3 import S3
from support.bucket import Bucket
from support.commands import Result, run
from support.recordings import AUDIO, PASSWORD, encrypt
from support.store_proxy import Behaviour, Request, proxy

RECORDING = encrypt(AUDIO)


class Store(Bucket):
    """A bucket whose address is `@` in commands and in what they print, and its `requests`."""

    def __init__(self, endpoint: str, folder: Path, name: str | None = None) -> None:
        super().__init__(endpoint, name)
        self.folder = folder
        self.endpoint = endpoint
        self.requests: list[Request] = []
        self.env["FILEDECRYPTOR_PASSWORD"] = PASSWORD

    def words(self, line: str) -> list[str]:
        """Return the words of a command."""
        return [word.replace("@", self.url) for word in line.split()]

    def run(
        self,
        line: str,
        behaviour: Behaviour | None = None,
        *,
        stdin: bytes = b"",
        announce_whole: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        """Run the command in the folder; if the store has a behaviour, through a proxy."""
        with (
            proxy(self.endpoint, behaviour, announce_whole=announce_whole)
            if behaviour
            else nullcontext()
        ) as seen:
            way = {"AWS_ENDPOINT_URL": seen.url} if seen else {}
            more = {**self.env, **way, **(env or {})}
            done = run(*self.words(line), cwd=self.folder, stdin=stdin, env=more)
            self.requests += seen.requests if seen else []
        url = self.url.encode()
        return Result(done.code, done.stdout.replace(url, b"@"), done.stderr.replace(self.url, "@"))

    def use(self, monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
        """Set the way to the server in the environment of this process."""
        for name, value in {**self.env, **more}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(S3, "_cache", {})

    def count(self, method: str) -> int:
        """Return how many requests of a method there were."""
        return [request.method for request in self.requests].count(method)
