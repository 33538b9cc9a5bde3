"""The click command `filedecryptor`: the grammar of its command line, and the help."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from filedecryptor.audio import FORMATS
from filedecryptor.command import decrypt_command
from filedecryptor.errors import ExitCode
from filedecryptor.jobs.outputs import AUTO, IF_EXISTS
from filedecryptor.terminal.arguments import USAGE, Options, told_apart
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
from filedecryptor.terminal.password import ENVIRONMENT_VARIABLE

EXAMPLES = (
    "filedecryptor recording.enc EncryptMe opus",
    "filedecryptor recordings/ auto -d audio/ --password-file secret.txt",
    "filedecryptor recording.enc - auto -o - | ffplay -nodisp -autoexit -",
)

HELP = f"""Decrypt call recordings of Voice Nexus Service (VNS).

FILENAME is an .enc file, a directory (every *.enc below it), '-' for standard input, whose audio
goes to standard output, or an address such as s3://bucket/recordings/.

PASSWORD is the recordCallPassword in force when the call was recorded. '-' keeps it off the
command line: it is then the environment variable FILEDECRYPTOR_PASSWORD, or what is typed at a
prompt, or the first line of standard input. With --password-file, leave it out.

OUTPUTEXTENSION replaces the suffix of FILENAME: opus, mp3, wav, or 'auto' for the format found in
the audio. It is a name only: nothing is converted. Left out, it is 'auto'; that takes --verify, -o,
or a password that is not on the command line.

\b
Examples:
  {EXAMPLES[0]}
  {EXAMPLES[1]}
  {EXAMPLES[2]}

{exit_codes(ExitCode.TOKEN, ExitCode.API)}
"""


def _completions(context: click.Context, word: click.Parameter, incomplete: str) -> list[Any]:
    """Return what a shell completes: names, and extensions after a name and a password."""
    from click.shell_completion import CompletionItem

    fewest = 1 if context.params.get("password_file") else 2
    extensions = (AUTO, *FORMATS) if len(context.params.get("words") or ()) >= fewest else ()
    found = [CompletionItem(one) for one in extensions if one.startswith(incomplete)]
    return found + Path().shell_complete(context, word, incomplete)


@click.command(
    "filedecryptor",
    cls=Program,
    help=HELP,
    short_help="decrypt call recordings of Voice Nexus Service (VNS)",
    context_settings=CONTEXT,
)
@click.argument("words", metavar=USAGE, nargs=-1, shell_complete=_completions)
@click.option(
    "--files-from",
    metavar="LIST",
    type=Path(),
    help="Read FILENAMEs from there, one in a line; '-' is standard input.",
)
@click.option("-0", "--null", is_flag=True, help="The names in LIST end with a NUL.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=Path(),
    help="Name the one output; '-' is standard output.",
)
@click.option(
    "-d",
    "--output-dir",
    metavar="DIR",
    type=Path("dir"),
    help="Put the outputs there; a directory input keeps its subfolders.",
)
@click.option(
    "--if-exists",
    type=click.Choice(IF_EXISTS),
    default="replace",
    show_default=True,
    help="What to do with an output that exists.",
)
@click.option(
    "--unknown-as",
    metavar="EXT",
    help="With 'auto': store audio of another format with this extension.",
)
@password_file_option(help="Its first line is the password; several are tried in turn.")
@jobs_option(help="Files worked on at once (default: the CPUs).")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Let the Dask cluster with this scheduler do the work (tcp://host:8786).",
)
@click.option("--verify", is_flag=True, help="Authenticate only, write nothing.")
@click.option(
    "--dry-run", is_flag=True, help="Say what would be written, replaced or skipped; do nothing."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@output_options
@version_option
@click.pass_obj
def main(console: Console, /, words: Sequence[str], **given: Any) -> int:  # noqa: ANN401 - named above
    """Decrypt what the command line names; the help is `HELP`."""
    options = Options(**given)
    if not words and all(getattr(Options, name) == value for name, value in given.items()):
        usage = f"usage: filedecryptor [OPTIONS] {USAGE}"
        console.write_text("\n".join([usage, "", *EXAMPLES, "", "more: filedecryptor --help\n"]))
        return ExitCode.USAGE
    in_environment, can_ask = ENVIRONMENT_VARIABLE in os.environ, is_terminal(console.stdin)
    told = told_apart(words, options, in_environment=in_environment, can_ask=can_ask)
    return decrypt_command(console, *told, options)
