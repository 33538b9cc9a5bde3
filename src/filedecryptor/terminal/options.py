"""What the click commands of both programs have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from filedecryptor.errors import ExitCode, UsageError
from filedecryptor.terminal.arguments import cannot_be_password
from filedecryptor.terminal.console import Console

Function = TypeVar("Function", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 80}  # of every command

CLOSE = 0.75  # the least ratio of `difflib` of an option that is meant instead
SHORTEST = 3  # letters of the beginning of an option that is meant


def _show_version(context: click.Context, _: click.Parameter, is_wanted: bool) -> None:  # noqa: FBT001
    if is_wanted and not context.resilient_parsing:
        from filedecryptor import __version__

        click.echo(f"{context.find_root().info_name} {__version__}")
        context.exit()


version_option = click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_version,
    help="Show the version and exit.",
)


class Program(click.Command):
    """A click command whose callback takes a `Console` first, and returns an exit code."""

    def run(self, args: Sequence[str], console: Console) -> int:
        """Do what a command line asks for and return the exit code.

        A `UsageError` repeats no argument, since any may be a secret.
        """
        name = self.name or ""
        variable = f"_{name}_COMPLETE".replace("-", "_").upper()
        try:
            with console.collecting_prints():  # of click: help, version, completion
                if instruction := os.environ.get(variable):
                    from click.shell_completion import shell_complete

                    return shell_complete(self, {}, name, variable, instruction)
                with self.make_context(name, list(args), obj=console) as context:
                    return int(self.invoke(context))
        except click.exceptions.Exit as end:
            return end.exit_code
        except click.UsageError as error:
            raise redacted(error, name, args) from None


class Path(click.Path):
    """A path, an address, or `-`, passed on as it is; shells complete names of files (or "dir")."""

    def __init__(self, kind: str = "file") -> None:
        super().__init__(file_okay=kind == "file")

    def convert(self, value: Any, *_: object) -> Any:  # noqa: ANN401 - as click has it
        """Return the path, which is looked at later."""
        return value


password_file_option = partial(
    click.option, "--password-file", metavar="PATH", type=Path(), multiple=True
)

jobs_option = partial(click.option, "-j", "--jobs", metavar="N", type=click.IntRange(1, 512))


def output_options(command: Function) -> Function:
    """Add the options that choose what is printed: --json, --quiet, --progress."""
    progress = "Show a progress bar (default: in a terminal, for long work)."
    command = click.option("--progress/--no-progress", default=None, help=progress)(command)
    command = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")(command)
    objects = "Write a JSON object for each recording."
    return click.option("--json", is_flag=True, help=objects)(command)


def exit_codes(*without: ExitCode) -> str:
    """Return the part of a help text that lists the exit codes, some left out."""
    lines = [f"{code.value:<4}{code.meaning}" for code in ExitCode if code not in without]
    return "\n".join(["\b", "Exit codes:", *lines])


def redacted(error: click.UsageError, program: str, args: Sequence[str] = ()) -> UsageError:
    """Return our error for click's, without the words that click quotes: any may be a secret.

    Where click has one class for several faults, its text tells them apart, but is not shown.
    The names of options are our own.
    """
    commands = ", ".join(sorted(getattr(error.ctx and error.ctx.command, "commands", ())))
    cause = "the arguments make no sense"
    if isinstance(error, click.NoSuchOption):
        return _unknown_option(error, args)
    if isinstance(error, click.NoSuchCommand):
        cause = f"no such command: there are {commands}"
    elif isinstance(error, click.BadParameter):
        name = error.param.get_error_hint(error.ctx) if error.param else "an option"
        is_missing = isinstance(error, click.MissingParameter)
        cause = f"invalid value for {name}{_allowed(error.param)}"
        cause = f"missing argument {name}" if is_missing else cause
    elif isinstance(error, click.BadOptionUsage):
        takes_none = error.message.endswith("does not take a value.")
        fault = "does not take a value" if takes_none else "requires an argument"
        cause = f"option '{error.option_name}' {fault}"
    elif error.message == "Missing command.":
        cause = f"missing command: there are {commands}"
    elif error.message.startswith("Got unexpected extra argument"):
        cause = "there are more arguments than the command takes"
    return UsageError(cause, hint=f"see '{program} --help'")


def _unknown_option(error: click.NoSuchOption, args: Sequence[str]) -> UsageError:
    """Return the error for an option that does not exist; it is named unless it may be a password."""
    name, context = error.option_name, error.ctx
    is_safe = context is not None and isinstance(context.find_root().command, click.Group)
    near = _near_option(name, context)
    hint = "put '--' before a name or a password that begins with '-'"
    if near:
        hint = f"did you mean {near}?"
    elif context and isinstance(context.command, click.Group):
        hint = f"options follow the command: {context.info_name} COMMAND [OPTIONS]"
    elif is_safe and context:
        hint = f"see '{context.command_path} --help'"
    for number, word in enumerate(args, 1):
        is_among_letters = name[:2] != "--" and word[:1] == "-" and word[:2] != "--"
        if word.partition("=")[0] == name or (is_among_letters and name[-1:] in word[1:]):
            is_shown = is_safe or cannot_be_password(args, number, is_mistyped=near is not None)
            shown = name if is_shown else f"argument {number}"
            return UsageError(f"unknown option: {shown}", hint=hint)
    return UsageError("unknown option", hint=hint)


def _near_option(name: str, context: click.Context | None) -> str | None:
    """Return the option that is meant by one that does not exist; None if no name is near."""
    from difflib import get_close_matches

    bare = name.removeprefix("--")
    parameters = context.command.get_params(context) if context else []
    names = [option for one in parameters for option in (*one.opts, *one.secondary_opts)]
    options = {option[2:]: option for option in names if option.startswith("--")}
    begun = [option for option in options if len(bare) >= SHORTEST and option.startswith(bare)]
    near = get_close_matches(bare, begun or options, 1, 0 if begun else CLOSE)
    return options[near[0]] if near else None


def _allowed(parameter: click.Parameter | None) -> str:
    """Return which values an option takes, as the end of a sentence."""
    kind = parameter.type if parameter else None
    if isinstance(kind, click.Choice):
        return f": it is one of {', '.join(map(str, kind.choices))}"
    if isinstance(kind, click.IntRange):
        return f": it is a whole number from {kind.min} to {kind.max}"
    if isinstance(kind, click.FloatRange):
        return f": it is a number above {kind.min:g}"
    return ""
