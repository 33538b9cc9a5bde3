"""The click command `vns-recordings`: the recordings API on the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from typing import Any, TypeVar
from uuid import UUID

import click

from filedecryptor.crypto import Password
from filedecryptor.errors import ExitCode, FileDecryptorError, UsageError
from filedecryptor.terminal.console import Console, is_terminal
from filedecryptor.terminal.options import (
    CONTEXT,
    Path,
    Program,
    exit_codes,
    jobs_option,
    output_options,
    password_file_option,
    version_option,
)
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE, first_line
from filedecryptor.terminal.progress import progress as bar
from filedecryptor.terminal.report import Reporter, reporting
from filedecryptor.terminal.table import table
from filedecryptor.vns import listing
from filedecryptor.vns.archive import Archive, failure, locked
from filedecryptor.vns.client import BASE_URL, TIMEOUT, Client

TOKEN_VARIABLE = "VNS_API_TOKEN"  # noqa: S105 - the variable's name
URL_VARIABLE = "VNS_API_URL"

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
            type=Path(),
            help=f"Its first line is the API key; else {TOKEN_VARIABLE} is.",
        ),
    ):
        command = option(command)
    return command


def _fetch_options(command: Command) -> Command:
    for option in (
        output_options,
        jobs_option(help="Recordings fetched at once (default: four for each CPU)."),
        password_file_option(
            help=f"Its first line is the recordings' password; else {ENVIRONMENT_VARIABLE} is."
        ),
        click.option("--keep-encrypted", is_flag=True, help="Keep the .enc file beside the audio."),
    ):
        command = option(command)
    return command


class Group(Program, click.Group):
    """The command, whose first argument is the name of another."""


@click.group(
    "vns-recordings",
    cls=Group,
    epilog=exit_codes(),
    no_args_is_help=False,
    context_settings=CONTEXT,
)
@version_option
def main() -> None:
    """Fetch the call recordings of a Voice Nexus Service (VNS) account.

    VNS purges a recording 7 days after its call.
    """


@main.command("list")
@click.option("--json", is_flag=True, help="Write the server's JSON as it came.")
@_api_options
@click.pass_obj
def list_command(console: Console, /, *, json: bool, **api: Any) -> ExitCode:
    """List the recordings of the account."""
    data = _client(**api).list_recordings()
    if json and not is_terminal(console.stdout):
        console.write(data)
    elif json:
        for line in data.splitlines():
            console.write_line(line)
    else:
        for row in table(*listing.table(data)):
            console.write_line(row.encode())
    return ExitCode.DONE


@main.command()
@click.argument("guids", metavar="GUID...", nargs=-1, required=True)
@click.option(
    "-d",
    "--output-dir",
    metavar="DIR",
    default=".",
    type=Path("dir"),
    help="Put the recordings there.",
)
@_fetch_options
@_api_options
@click.pass_obj
def download(
    console: Console, /, guids: Sequence[str], *, output_dir: str, **options: Any
) -> ExitCode:
    """Download recordings, and decrypt them if there is a password."""
    return _fetch(console, lambda _: guids, output_dir, again=True, **options)


@main.command()
@click.argument("guids", metavar="GUID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
@_api_options
@click.pass_obj
def delete(console: Console, /, guids: Sequence[str], *, yes: bool, **api: Any) -> ExitCode:
    """Delete recordings on the server."""
    parsed = [_guid(word) for word in guids]
    client = _client(**api)
    if not yes:
        if not is_terminal(console.stdin):
            raise UsageError("nobody can be asked whether to delete", hint="use --yes")
        click.confirm(f"Delete {len(parsed)} recordings on the server?", abort=True, err=True)
    reporter = Reporter(console, quiet=False, json=False, many=len(parsed) > 1)
    for guid in parsed:
        try:
            client.delete(guid)
        except FileDecryptorError as error:  # noqa: PERF203 - it must not stop the others
            reporter.add(failure(guid, error))
        else:
            reporter.write_result(str(guid).encode())
    return reporter.report.code


@main.command()
@click.argument("directory", metavar="DIR", type=Path("dir"))
@click.option(
    "--delete-after",
    is_flag=True,
    help="Delete a recording on the server once its audio is safe on the disk.",
)
@_fetch_options
@_api_options
@click.pass_obj
def archive(console: Console, /, directory: str, *, delete_after: bool, **options: Any) -> ExitCode:
    """Fetch every recording of the account that DIR does not have yet. Made for cron."""

    def listed(client: Client) -> Sequence[str]:
        return listing.parse(client.list_recordings())

    return _fetch(console, listed, directory, delete_after=delete_after, lock=True, **options)


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
    console: Console,
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
) -> ExitCode:
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
        show = False if quiet else progress
        with (
            reporting(console, quiet=quiet, json=json, many=lock or len(words) > 1) as reporter,
            bar(console, (), len(words), lambda _: 0, show=show) as shown,
        ):
            guids = list(dict.fromkeys(_parsed(words, reporter)))
            outcomes = archive.fetch(
                guids,
                jobs=jobs,
                again=again,
                on_progress=lambda guid, count: shown.advance(str(guid), count),
            )
            with closing(outcomes):
                for outcome in outcomes:
                    reporter.add(outcome)
                    shown.count(outcome)
    return reporter.report.code


def _parsed(words: Sequence[str], reporter: Reporter) -> Iterator[UUID]:
    """Yield the GUIDs. Others are reported, and never become part of an address or a name."""
    for word in words:
        try:
            guid = UUID(word)
        except ValueError:  # noqa: PERF203 - one bad word must not stop the others
            reporter.add(failure(word, FileDecryptorError("this is not a GUID")))
        else:
            yield guid
