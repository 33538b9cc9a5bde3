"""What the commands of `vns-recordings` have in common: their options, and what follows from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from filedecryptor.errors import UsageError
from filedecryptor.terminal.options import (
    Path,
    Program,
    jobs_option,
    output_options,
    password_file_option,
)
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE, Found, first_line
from filedecryptor.vns.client import BASE_URL, TIMEOUT, Client

TOKEN_VARIABLE = "VNS_API_TOKEN"  # noqa: S105 - the variable's name
URL_VARIABLE = "VNS_API_URL"

Command = TypeVar("Command", bound=Callable[..., Any])

seconds = click.FloatRange(min=0, min_open=True)


class Group(Program, click.Group):
    """The command, whose first argument is the name of another."""


def api_options(command: Command) -> Command:
    """Add the options that say how to reach the API."""
    for option in (
        click.option(
            "--max-time",
            metavar="SECONDS",
            type=seconds,
            help="End after this time; what is not done by then fails.",
        ),
        click.option(
            "--timeout",
            metavar="SECONDS",
            type=seconds,
            default=TIMEOUT,
            show_default=True,
            help="How long to wait for an answer, and for each piece of it.",
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


def fetch_options(command: Command) -> Command:
    """Add the options that say how to fetch recordings."""
    for option in (
        output_options,
        jobs_option(help="Recordings fetched at once (default: four for each CPU)."),
        password_file_option(
            help="Its first line is the recordings' password; several are tried in turn. Else "
            f"{ENVIRONMENT_VARIABLE} is."
        ),
        click.option("--keep-encrypted", is_flag=True, help="Keep the .enc file beside the audio."),
    ):
        command = option(command)
    return command


def client_of(
    *, token_file: str | None, api_url: str, timeout: float, max_time: float | None
) -> Client:
    """Return a client by the values of `api_options`.

    Raises:
        UsageError: There is no token, or something cannot be used.
        OSError: The token's file cannot be read.
    """
    if token_file is not None:
        token = first_line(token_file, "--token-file").decode("utf-8", "replace")
    elif (found := os.environ.get(TOKEN_VARIABLE)) is not None:
        token = found
    else:
        raise UsageError("there is no API token", hint=f"use --token-file, or set {TOKEN_VARIABLE}")
    # Tools that write secrets like to end them with a blank or a line end; no token has one.
    client = Client(token.strip(), url=api_url, timeout=timeout, max_time=max_time)
    click.get_current_context().call_on_close(client.close)
    return client


def password_of(paths: Sequence[str]) -> Found | None:
    """Return the recordings' password, or several that may be it; None if there is none.

    Args:
        paths: Files whose first lines they are.
    """
    if paths:
        secrets = [first_line(path, "--password-file") for path in paths]
        return Found(*secrets, origins=paths)
    value = os.environ.get(ENVIRONMENT_VARIABLE)
    return None if value is None else Found(value, origins=[ENVIRONMENT_VARIABLE])
