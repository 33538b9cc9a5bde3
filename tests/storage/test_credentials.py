"""Credentials for a store from where users have them, against real servers on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple

import pytest
from support.api_server import QuietServer
from support.commands import COMMAND, VNS, Result, run, run_process
from support.recordings import AUDIO, CUSTOMIZED, PASSWORD, encrypt

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

from support.bucket import Bucket
from support.store_proxy import forwarding, proxy

LATER, EARLIER = (
    f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (1, -1)
)
ROLE = {"Code": "Success", "AccessKeyId": "of-role", "SecretAccessKey": "s", "Token": "t"}
ROLE["Expiration"] = LATER
OF_SSO = {"accessKeyId": "of-sso", "secretAccessKey": "s", "sessionToken": "t"}
STS = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>of-sts</AccessKeyId><SecretAccessKey>s</SecretAccessKey>
<SessionToken>t</SessionToken><Expiration>{LATER}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
REFUSED = """<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not you</Message></Error>
</ErrorResponse>"""

ANSWERS = {
    "/role": json.dumps(ROLE),
    "/latest/api/token": "token",
    "/latest/meta-data/iam/security-credentials/": "one",
    "/latest/meta-data/iam/security-credentials/one": json.dumps(ROLE),
    "/federation/credentials": json.dumps({"roleCredentials": {**OF_SSO, "expiration": 9e12}}),
    "/": STS,
    "/refused": REFUSED,
    "/half": '{"AccessKeyId": "of-role"}',
}
"""What a machine or a service says when it is asked for credentials, by the path."""


class Handler(BaseHTTPRequestHandler):
    """One request for credentials."""

    def do_GET(self) -> None:
        """Give credentials, or refuse them."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.send_response({"/refused": 403}.get(path, 200 if path in ANSWERS else 404))
        self.end_headers()
        self.wfile.write(ANSWERS.get(path, "").encode())

    def do_CONNECT(self) -> None:
        """Refuse to be a proxy."""
        self.send_error(407, "Not you")

    do_POST = do_PUT = do_GET  # noqa: N815 - the names are those of the base

    def log_message(self, *_: object) -> None:
        """Say nothing."""


PROCESS = f'"{sys.executable}" -c'
CONFIG = f"""
[default]
aws_access_key_id = of-default
aws_secret_access_key = s
[profile work]
aws_access_key_id = of-work
aws_secret_access_key = s
[profile half]
aws_access_key_id = of-half
[profile process]
credential_process = {PROCESS} "print('{{\\"Version\\": 1, \\"AccessKeyId\\": \\"of-process\\", \\"SecretAccessKey\\": \\"s\\"}}')"
[profile process-fails]
credential_process = {PROCESS} "import sys; sys.exit('no luck')"
[profile process-odd]
credential_process = {PROCESS} "print('hello')"
[profile process-old]
credential_process = {PROCESS} "print('{{\\"Version\\": 1, \\"AccessKeyId\\": \\"a\\", \\"SecretAccessKey\\": \\"s\\", \\"Expiration\\": \\"{EARLIER}\\"}}')"
[profile process-gone]
credential_process = no-such-program
[profile sso]
sso_session = good
sso_account_id = 1
sso_role_name = one
[profile sso-old]
sso_session = old
sso_account_id = 1
sso_role_name = one
[profile sso-none]
sso_session = none
sso_account_id = 1
sso_role_name = one
[profile assumed]
role_arn = arn:aws:iam::123456789012:role/one
source_profile = work
""" + "".join(
    f"[sso-session {name}]\nsso_region = us-east-1\nsso_start_url = https://example.com\n"
    for name in ("good", "old", "none")
)


class Home(NamedTuple):
    """A user's home, the store, and who gives credentials."""

    folder: Path
    bucket: Bucket
    giver: str

    def run(self, line: str, env: dict[str, str | None]) -> tuple[Result, set[str]]:
        """Run a command; return what it did, and whose keys signed its requests."""
        with proxy(self.bucket.env["AWS_ENDPOINT_URL"], forwarding) as seen:
            services = dict.fromkeys(("AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_STS"), self.giver)
            own: dict[str, str | None] = {
                **dict.fromkeys(self.bucket.env),
                **services,
                "AWS_CONFIG_FILE": str(self.folder / "config"),
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_ENDPOINT_URL_S3": seen.url,
                "FILEDECRYPTOR_PASSWORD": PASSWORD,
                "HOME": str(self.folder),
                "PYTHONPATH": CUSTOMIZED,
                "USERPROFILE": str(self.folder),
            }
            more = {name: text and text.replace("@", self.giver) for name, text in env.items()}
            words = line.replace("@", self.bucket.url).split()
            own |= more
            cli, command = ("filedecryptor.cli", COMMAND)
            if "prune" in line:
                cli, command = ("filedecryptor.vns.cli", VNS)
            if "sso" in str(env.get("AWS_PROFILE")):  # whose folder is looked for on import
                there = {name: text for name, text in own.items() if text is not None}
                done = run_process(*words, cwd=self.folder, env=there, command=[command])
            else:
                done = run(*words, cwd=self.folder, env=own, cli=cli)
            signed = {request.headers.get("Authorization", "") for request in seen.requests}
        keys = {words.partition("Credential=")[2].partition("/")[0] for words in signed}
        return done._replace(stderr=done.stderr.replace(self.bucket.url, "@")), keys


@pytest.fixture
def home(server: str, tmp_path: Path) -> Iterator[Home]:
    """A home with profiles of every kind, and a store with one recording."""
    bucket = Bucket(server)
    bucket.put("in/a.enc", encrypt(AUDIO))
    (tmp_path / "config").write_text(CONFIG)
    tokens = tmp_path / ".aws" / "sso" / "cache"
    tokens.mkdir(parents=True)
    for session, expires in (("good", LATER), ("old", EARLIER)):
        token = {"accessToken": "t", "expiresAt": expires, "startUrl": "https://example.com"}
        name = sha1(session.encode()).hexdigest()  # noqa: S324 - as the AWS command line names it
        (tokens / f"{name}.json").write_text(json.dumps(token))
    (tmp_path / "token").write_text("a token of the machine")
    giver = QuietServer(Handler)
    with giver.running():
        yield Home(tmp_path, bucket, giver.url)


NO_PROFILES = {"AWS_CONFIG_FILE": "none"}
WEB = {"AWS_WEB_IDENTITY_TOKEN_FILE": "token", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/one"}


@pytest.mark.parametrize(
    ("env", "key"),
    [
        ({"AWS_ACCESS_KEY_ID": "of-env", "AWS_SECRET_ACCESS_KEY": "s"}, "of-env"),
        ({}, "of-default"),
        *(({"AWS_PROFILE": name}, f"of-{name}") for name in ("work", "process", "sso")),
        ({"AWS_PROFILE": "assumed"}, "of-sts"),
        ({**NO_PROFILES, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "@/role"}, "of-role"),
        (
            {
                **NO_PROFILES,
                "AWS_EC2_METADATA_DISABLED": None,
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": "@/",
            },
            "of-role",
        ),
    ],
)
def test_credentials_are_found(home: Home, env: dict[str, str | None], key: str) -> None:
    """In the environment, in profiles of all kinds, and from the role of the machine."""
    done, keys = home.run("@/in/a.enc - opus", env)
    assert (done.code, done.stderr) == (0, "")
    assert keys == {key}


LOG_IN = "log in by 'aws sso login', then run this again"
SEE = "see the variables AWS_... and the files in ~/.aws"
UNUSABLE = {
    "process-fails": ("Error when retrieving credentials from custom-process: no luck", SEE),
    "process-odd": (
        "S3 cannot be asked: Expecting value: line 1 column 1 (",
        "see what the credential_process of the profile prints",
    ),
    "process-old": ("S3 cannot be asked: Credentials were refreshed, but", SEE),
    "process-gone": ("S3 cannot be asked: ", SEE),
    "sso-none": ("Error loading SSO Token: Token for none does not exist", LOG_IN),
    "sso-old": ("Error when retrieving token from sso: Token has expired", LOG_IN),
    "half": ("Partial credentials found in config-file, missing: aws_secret_acc", SEE),
    "none": ("The config profile (none) could not be found", SEE),
}


@pytest.mark.parametrize(
    ("env", "said", "hint"),
    [
        *(({"AWS_PROFILE": name}, *expected) for name, expected in UNUSABLE.items()),
        (
            {"AWS_PROFILE": "sso", "AWS_ENDPOINT_URL_SSO": "@/none"},
            "no credentials: 404 (GetRoleCredentials)",
            SEE,
        ),
        (
            {"AWS_PROFILE": "assumed", "AWS_ENDPOINT_URL_STS": "@/refused"},
            "no credentials: Not you (AssumeRole)",
            SEE,
        ),
        (NO_PROFILES, "Unable to locate credentials", "set AWS_PROFILE, or AWS_ACCESS_KEY_ID"),
        ({"AWS_MAX_ATTEMPTS": "many"}, "S3 cannot be asked: invalid literal", SEE),
        ({"AWS_DEFAULT_REGION": "no region"}, "Provided region_name 'no region'", SEE),
        ({"AWS_ENDPOINT_URL_S3": "here:9"}, "S3 cannot be asked: Invalid end", SEE),
        (
            {"AWS_CA_BUNDLE": "none", "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9"},
            "S3 cannot be asked: [Errno 2] No such file",
            SEE,
        ),
        (
            {"AWS_CA_BUNDLE": "config", "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9"},
            "S3 cannot be asked: [X509",
            SEE,
        ),
        (
            {**NO_PROFILES, "AWS_CONTAINER_CREDENTIALS_FULL_URI": "@/half"},
            "S3 cannot be asked: 'SecretAccessKey'",
            SEE,
        ),
        (
            {"HTTPS_PROXY": "@", "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:9"},
            "the proxy refuses: Not you (407)",
            SEE,
        ),
    ],
)
@pytest.mark.parametrize("line", ["@/in/a.enc - opus", "prune @/in --older-than 30d"])
def test_settings_that_do_not_work(
    home: Home, line: str, env: dict[str, str | None], said: str, hint: str
) -> None:
    """The cause is told at once. None is taken for an object or a folder that is not there."""
    done, _ = home.run(line, env)
    assert done.code == 1, done
    error, hinted = (text.partition(": ")[2] for text in done.stderr.splitlines())
    address = next(word for word in line.split() if "@" in word)
    assert error.startswith(f"error: {address}: {said}")
    assert hinted.startswith(f"hint: {hint}")
