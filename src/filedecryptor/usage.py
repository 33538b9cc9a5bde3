"""What click finds wrong with the words of a command line, in our words."""

from __future__ import annotations

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
    return UsageError(_in_our_words(error), hint=hint)


def _in_our_words(error: click.UsageError) -> str:
    """Say what is wrong by the kind of the error; names of options are ours, click's text is not.

    Where click has one kind for several faults, its text tells them apart, and is not shown.
    """
    if isinstance(error, click.BadParameter):
        name = error.param.get_error_hint(error.ctx) if error.param else "an option"
        missing = isinstance(error, click.MissingParameter)
        return f"missing argument {name}" if missing else f"invalid value for {name}"
    if isinstance(error, click.BadOptionUsage):
        takes_none = error.message.endswith("does not take a value.")
        fault = "does not take a value" if takes_none else "requires an argument"
        return f"option '{error.option_name}' {fault}"
    if error.message == "Missing command.":
        return "missing command"
    if isinstance(error, getattr(click, "NoSuchCommand", ())):
        return "no such command"
    return "the arguments make no sense"
