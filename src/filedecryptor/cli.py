"""The click command `filedecryptor`: the grammar of its command line, and the help."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from filedecryptor.audio import FORMATS
from filedecryptor.command import decrypt_command
from filedecryptor.errors import ExitCode
from filedecryptor.existing import IF_EXISTS
from filedecryptor.job import AUTO
from filedecryptor.terminal.console import Console
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

HELP = f"""Decrypt call recordings of Voice Nexus Service (VNS).

FILENAME is an .enc file, a directory (every *.enc below it), '-' for standard input, whose audio
goes to standard output, or an address such as s3://bucket/recordings/.

PASSWORD is the recordCallPassword in force when the call was recorded. '-' keeps it off the
command line: it is then the first line of --password-file, or the environment variable
FILEDECRYPTOR_PASSWORD, or what is typed at a prompt, or the first line of standard input.

OUTPUTEXTENSION replaces the suffix of FILENAME: wav, mp3, opus, or 'auto' for the format found in
the audio.

\b
Examples:
  filedecryptor recording_abc123.enc EncryptMe opus
  filedecryptor --password-file secret.txt recordings/ - auto -d audio/
  curl ... | FILEDECRYPTOR_PASSWORD=EncryptMe filedecryptor - - opus | play -t opus -

{exit_codes(ExitCode.TOKEN, ExitCode.API)}
"""


class DecryptCommand(Program):
    """The command, which takes the .NET utility's own call literally."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse a command line; in exactly three words no option is looked for.

        The password among them may then be `-x`, `--help` or `--`. The first and the third must
        not begin with a dash.
        """
        if len(args) == 3 and args[0][:1] != "-" and args[2][:1] != "-":  # noqa: PLR2004 - FILENAME PASSWORD OUTPUTEXTENSION
            args = ["--", *args]
        return super().parse_args(ctx, args)


def _extensions(context: click.Context) -> Iterable[str]:
    """Return the extensions that may follow, once there are a name and a password."""
    return (AUTO, *FORMATS) if context.params.get("password") is not None else ()


@click.command("filedecryptor", cls=DecryptCommand, help=HELP, context_settings=CONTEXT)
@click.argument(
    "filenames", metavar="FILENAME...", nargs=-1, required=True, type=Path(words=_extensions)
)
@click.argument("password", metavar="PASSWORD")
@click.argument("output_extension", metavar="OUTPUTEXTENSION")
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
@password_file_option(help="Its first line is the password.")
@jobs_option(help="Files worked on at once (default: the CPUs).")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Let the Dask cluster with this scheduler do the work (tcp://host:8786).",
)
@click.option("--verify", is_flag=True, help="Authenticate only, write nothing.")
@output_options
@version_option
@click.pass_obj
def main(console: Console, /, **options: Any) -> int:  # noqa: ANN401 - named once, above
    """Decrypt what the command line names; the help is `HELP`."""
    return decrypt_command(console, **options)
