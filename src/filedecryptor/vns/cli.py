"""`vns-recordings`: the recordings API on the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar
from uuid import UUID

import click

from filedecryptor import __version__
from filedecryptor.crypto import Password
from filedecryptor.decryptor import Job, failed
from filedecryptor.errors import FileDecryptorError, UsageError
from filedecryptor.password import ENVIRONMENT_VARIABLE, first_line
from filedecryptor.progress import Progress
from filedecryptor.progress import progress as bar
from filedecryptor.report import (
    Report,
    is_read_by_people,
    reporting,
    write_result,
    write_to_standard_output,
)
from filedecryptor.usage import without_words
from filedecryptor.vns import listing
from filedecryptor.vns.archive import Archive, locked
from filedecryptor.vns.client import BASE_URL, TIMEOUT, Client

TOKEN_VARIABLE = "VNS_API_TOKEN"  # noqa: S105 - the variable's name
URL_VARIABLE = "VNS_API_URL"

EPILOG = """\b
Exit codes:
  0    done
  1    the operating system refused something, there is no such recording, another run is at
       work, or failures of different kinds
  2    usage
  3    authentication failed: wrong password, or the recording was altered
  4    not an .enc file: shorter than 44 bytes
  5    the audio is not opus, mp3 or wav
  6    the API refused the token
  7    the API could not be reached, or kept failing
  130  interrupted
"""

Command = TypeVar("Command", bound=Callable[..., Any])


def _api_options(command: Command) -> Command:
    for option in (
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=click.FloatRange(min=0, min_open=True),
            default=TIMEOUT,
            show_default=True,
            help="How long to wait for each piece of an answer.",
        ),
        click.option(
            "--api-url",
            metavar="URL",
            envvar=URL_VARIABLE,
            default=BASE_URL,
            show_default=True,
            show_envvar=True,
            help="Another address.",
        ),
        click.option(
            "--token-file",
            metavar="PATH",
            help=f"Its first line is the API key; else {TOKEN_VARIABLE} is.",
        ),
    ):
        command = option(command)
    return command


def _output_options(command: Command) -> Command:
    for option in (
        click.option(
            "--progress/--no-progress",
            default=None,
            help="Show a progress bar (default: in a terminal, for long work).",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors."),
        click.option("--json", is_flag=True, help="Write a JSON object for each recording."),
        click.option(
            "-j",
            "--jobs",
            type=click.IntRange(1, 512),
            metavar="N",
            help="Recordings fetched at once (default: four for each CPU).",
        ),
        click.option(
            "--password-file",
            metavar="PATH",
            help=f"Its first line is the recordings' password; else {ENVIRONMENT_VARIABLE} is.",
        ),
        click.option("--keep-encrypted", is_flag=True, help="Keep the .enc file beside the audio."),
    ):
        command = option(command)
    return command


@click.group(
    "vns-recordings",
    epilog=EPILOG,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def group() -> None:
    """Fetch the call recordings of a Voice Nexus Service (VNS) account.

    VNS purges a recording 7 days after its call.
    """


@group.command("list")
@click.option("--json", is_flag=True, help="Write the server's JSON as it came.")
@_api_options
def list_command(*, json: bool, **api: Any) -> int:
    """List the recordings of the account."""
    data = _client(**api).list_recordings()
    if json and not is_read_by_people():
        write_to_standard_output(data)
        return 0
    for line in data.splitlines() if json else map(str.encode, listing.table(data)):
        write_result(line)
    return 0


@group.command()
@click.argument("guids", metavar="GUID...", nargs=-1, required=True)
@click.option("-d", "--output-dir", metavar="DIR", default=".", help="Put the recordings there.")
@_output_options
@_api_options
def download(guids: Sequence[str], *, output_dir: str, **options: Any) -> int:
    """Download recordings, and decrypt them if there is a password."""
    return _fetch(lambda _: guids, output_dir, again=True, **options)


@group.command()
@click.argument("guids", metavar="GUID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_api_options
def delete(guids: Sequence[str], *, yes: bool, **api: Any) -> int:
    """Delete recordings on the server."""
    parsed = [_guid(word) for word in guids]
    client = _client(**api)
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            raise UsageError("nobody can be asked whether to delete", hint="use --yes")
        click.confirm(f"Delete {len(parsed)} recordings on the server?", abort=True, err=True)
    report = Report(quiet=False, json=False, many=len(parsed) > 1)
    for guid in parsed:
        try:
            client.delete(guid)
        except FileDecryptorError as error:  # noqa: PERF203 - it must not stop the others
            error.filename = str(guid)
            report.add(failed(Job(str(guid), ""), error))
        else:
            report.add_result(str(guid).encode())
    return report.code


@group.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--delete-after",
    is_flag=True,
    help="Delete a recording on the server once its audio is safe on the disk.",
)
@_output_options
@_api_options
def archive(directory: str, *, delete_after: bool, **options: Any) -> int:
    """Fetch every recording of the account that DIR does not have yet. Made for cron."""

    def listed(client: Client) -> Sequence[str]:
        return listing.parse(client.list_recordings())

    return _fetch(listed, directory, delete_after=delete_after, lock=True, **options)


def main(words: Sequence[str]) -> int:
    """Do what the words ask for and return the exit code.

    Raises:
        UsageError: They make no sense. The error repeats none of them, since somebody may give
            the token as one.
    """
    try:
        return int(group.main(list(words), prog_name="vns-recordings", standalone_mode=False))
    except click.UsageError as error:
        raise without_words(error, "vns-recordings") from None
    except click.Abort:
        raise KeyboardInterrupt from None


def _client(*, token_file: str | None, api_url: str, timeout: float) -> Client:
    if token_file is not None:
        token = first_line(token_file, "--token-file").decode("utf-8", "replace")
    elif (found := os.environ.get(TOKEN_VARIABLE)) is not None:
        token = found
    else:
        raise UsageError("there is no API token", hint=f"use --token-file, or set {TOKEN_VARIABLE}")
    return Client(token, url=api_url, timeout=timeout)


def _password(path: str | None) -> Password | None:
    if path is None:
        return os.environ.get(ENVIRONMENT_VARIABLE)
    return first_line(path, "--password-file")


def _guid(word: str) -> UUID:
    try:
        return UUID(word)
    except ValueError:
        raise UsageError("this is not a GUID", filename=word) from None


def _fetch(
    wanted: Callable[[Client], Sequence[str]],
    directory: str,
    *,
    jobs: int | None,
    json: bool,
    quiet: bool,
    progress: bool | None,
    password_file: str | None,
    keep_encrypted: bool,
    delete_after: bool = False,
    lock: bool = False,
    again: bool = False,
    **api: Any,
) -> int:
    client = _client(**api)
    archive = Archive(
        client,
        directory,
        password=_password(password_file),
        keep_encrypted=keep_encrypted,
        delete_after=delete_after,
    )
    with locked(directory) if lock else nullcontext():
        words = wanted(client)
        with (
            reporting(quiet=quiet, json=json, many=lock or len(words) > 1) as report,
            bar((), len(words), show=False if quiet else progress) as shown,
        ):
            guids = list(dict.fromkeys(_parsed(words, report, shown)))
            outcomes = archive.fetch(
                guids,
                jobs=jobs,
                again=again,
                on_progress=lambda guid, count: shown.advance(Job(str(guid), ""), count),
            )
            report.add_all(outcomes, shown)
    return report.code


def _parsed(words: Sequence[str], report: Report, shown: Progress) -> Iterator[UUID]:
    """Yield the GUIDs; what is none is reported, and never becomes part of an address or a name."""
    for word in words:
        try:
            guid = UUID(word)
        except ValueError:  # noqa: PERF203 - one bad word must not stop the others
            error = FileDecryptorError("this is not a GUID", filename=word)
            report.add_above(failed(Job(word, ""), error), shown)
        else:
            yield guid
