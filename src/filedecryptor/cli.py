"""The words of the command line: the grammar that click reads, and the help."""

from __future__ import annotations

from collections.abc import Sequence

import click

from filedecryptor import __version__, command
from filedecryptor.report import standard_output
from filedecryptor.usage import without_words

HELP = """Decrypt call recordings of Voice Nexus Service (VNS).

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

\b
Exit codes:
  0    done, or skipped as asked
  1    the operating system refused something, or failures of different kinds
  2    usage
  3    authentication failed: wrong password, or the file was altered
  4    not an .enc file: shorter than 44 bytes
  5    'auto' could not tell the audio's format
  130  interrupted
"""


COMMAND = click.Command(
    "filedecryptor",
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Argument(["filenames"], metavar="FILENAME...", nargs=-1, required=True),
        click.Argument(["password"], metavar="PASSWORD"),
        click.Argument(["output_extension"], metavar="OUTPUTEXTENSION"),
        click.Option(
            ["-o", "--output"],
            metavar="FILE",
            help="Name the one output; '-' is standard output.",
        ),
        click.Option(
            ["-d", "--output-dir"],
            metavar="DIR",
            help="Put the outputs there; a directory input keeps its subfolders.",
        ),
        click.Option(
            ["--if-exists"],
            type=click.Choice(["replace", "skip", "fail"]),
            default="replace",
            show_default=True,
            help="What to do with an output that exists.",
        ),
        click.Option(["--password-file"], metavar="PATH", help="Its first line is the password."),
        click.Option(
            ["-j", "--jobs"],
            type=click.IntRange(1, 512),
            metavar="N",
            help="Files worked on at once (default: the CPUs).",
        ),
        click.Option(
            ["--cluster"],
            metavar="ADDRESS",
            help="Let the Dask cluster with this scheduler do the work (tcp://host:8786).",
        ),
        click.Option(["--verify"], is_flag=True, help="Authenticate only, write nothing."),
        click.Option(["--json"], is_flag=True, help="Write a JSON object for each input."),
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but errors."),
        click.Option(
            ["--progress/--no-progress"],
            default=None,
            help="Show a progress bar (default: in a terminal, for long work).",
        ),
    ],
)
click.version_option(__version__, message="%(prog)s %(version)s")(COMMAND)


def main(words: Sequence[str]) -> int:
    """Tell the words apart, do what they ask for, and return the exit code.

    Click only parses here: run by click, an interrupt or a closed pipe would end in its way, not
    in ours.

    Raises:
        UsageError: The words make no sense. The error repeats none of them, since any of them
            may be the password.
    """
    try:
        with standard_output():  # where help and version go
            context = COMMAND.make_context("filedecryptor", list(words))
    except click.exceptions.Exit as end:  # after --help and --version
        return end.exit_code
    except click.UsageError as error:
        raise without_words(error, "filedecryptor") from None
    return command.run(**context.params)
