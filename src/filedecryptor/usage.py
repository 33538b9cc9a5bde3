"""What click finds wrong with the words of a command line, in our words."""

from __future__ import annotations

import re

import click

from filedecryptor.errors import UsageError


def without_words(error: click.UsageError, program: str) -> UsageError:
    """Say what click found, without the words that click would quote: any may be a secret."""
    hint = f"see '{program} --help'"
    if isinstance(error, click.NoSuchOption):
        if error.possibilities:
            hint = f"did you mean {' or '.join(error.possibilities)}?"
        else:
            hint = "put '--' before a name or a password that begins with '-'"
        return UsageError("unknown option", hint=hint)
    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        option = error.param.get_error_hint(error.ctx) if error.param else "an option"
        return UsageError(f"invalid value for {option}", hint=hint)
    message = error.format_message().rstrip(".")
    if not isinstance(error, (click.MissingParameter, click.BadOptionUsage)):
        message = re.split(r" ['(]", message)[0]  # those two quote names of ours only
    return UsageError(message[0].lower() + message[1:], hint=hint)
