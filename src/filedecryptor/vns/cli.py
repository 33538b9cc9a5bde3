"""The command `vns-recordings`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from functools import partial, reduce
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import click

from filedecryptor.errors import (
    ApiError,
    ExitCode,
    FileDecryptorError,
    Outcome,
    Status,
    UsageError,
    errors_naming,
    failed,
)
from filedecryptor.storage import storage_of
from filedecryptor.storage.paths import is_url
from filedecryptor.terminal.console import Console, is_terminal, printable
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
from filedecryptor.terminal.report import Reporter
from filedecryptor.vns import listing, page, times
from filedecryptor.vns.client import BASE_URL, TIMEOUT, Client
from filedecryptor.vns.listing import Recording, as_json, parse_guid
from filedecryptor.vns.lock import locked
from filedecryptor.vns.nightly import NOT_AGAIN, Figures, Nightly, Settings, errors_said, incomplete
from filedecryptor.vns.records import Record, Records

TOKEN_VARIABLE = "VNS_API_TOKEN"  # noqa: S105 - the variable's name
URL_VARIABLE = "VNS_API_URL"
ARCHIVED = ("authenticated", "fetched", "deleted")  # what a table shows of records, if it has room
LEAST_AGE = times.KEPT + timedelta(days=1)  # what is younger could be fetched again
WIDTH = 100  # characters of that table
WIDEST_COLUMN = 120  # characters; a longer cell lengthens its own line only

Command = TypeVar("Command", bound=Callable[..., Any])
Listed = TypeVar("Listed")
Between: TypeAlias = tuple[datetime | None, datetime | None]

seconds_option = partial(
    click.option, metavar="SECONDS", type=click.FloatRange(min=0, min_open=True)
)


class Group(Program, click.Group):
    """The command, whose first argument is the name of another."""


def _options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Return a decorator that adds options, the last of them first."""
    return lambda command: reduce(lambda found, option: option(found), options, command)


since_option = click.option(
    "--since",
    metavar="TIME",
    help="Leave out calls of which every time in the list is before this one, as 2026-11-24, "
    "2026-11-24T18:00Z (UTC), or 7d or 36h for so long ago.",
)

api_options = _options(
    seconds_option("--max-time", help="End after this time; what is not done by then fails."),
    seconds_option(
        "--timeout",
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
)

fetch_options = _options(
    api_options,
    output_options,
    jobs_option(help="Recordings fetched at once (default: four for each CPU)."),
    password_file_option(
        help="Its first line is the recordings' password; several are tried in turn. Else "
        f"{ENVIRONMENT_VARIABLE} is."
    ),
    click.option("--keep-encrypted", is_flag=True, help="Keep the .enc file beside the audio."),
)


def _client(settings: Settings) -> Client:
    token, origin = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    if settings.token_file is not None:
        token = first_line(settings.token_file, "--token-file").decode("utf-8", "replace")
        origin = f"{settings.token_file} (its first line)"
    if token is None:
        raise UsageError("there is no API token", hint=f"use --token-file, or set {TOKEN_VARIABLE}")
    url, timeout, max_time = settings.api_url, settings.timeout, settings.max_time
    # Tools that write secrets like to end them with a blank or a line end; no token has one.
    client = Client(token.strip(), url=url, timeout=timeout, max_time=max_time, origin=origin)
    click.get_current_context().call_on_close(client.close)
    return client


def _time(value: str | None, option: str) -> datetime | None:
    if value is None:
        return None
    if found := times.parse_given(value):
        return found
    raise UsageError(
        f"{option} takes a time, as 2026-11-24 or 2026-11-24T18:00Z",
        hint="or how long ago that was, in days or hours, as 7d or 36h",
    )


@click.group(
    "vns-recordings",
    cls=Group,
    epilog=exit_codes(),
    short_help="fetch the call recordings of a Voice Nexus Service (VNS) account",
    no_args_is_help=False,
    context_settings=CONTEXT,
)
@version_option
def main() -> None:
    """Fetch the call recordings of a Voice Nexus Service (VNS) account.

    VNS purges a recording 7 days after its call.
    """


@main.command("list", short_help="List the recordings of the account.")
@click.option("--json", is_flag=True, help="Write the server's JSON as it came.")
@click.option(
    "--archived",
    metavar="DIR",
    type=Path("dir"),
    help="List what is in this archive instead, by its records; no API is asked.",
)
@since_option
@click.option(
    "--until",
    metavar="TIME",
    help="Leave out calls whose last time in the list is this one or a later one.",
)
@api_options
@click.pass_obj
def list_command(
    console: Console, /, *, archived: str | None, until: str | None, **given: Any
) -> ExitCode:
    """List the recordings of the account, the oldest first."""
    settings = Settings(**given)
    between = _time(settings.since, "--since"), _time(until, "--until")
    if archived is not None:
        return _list_archive(console, archived, between, as_json=settings.json)
    if settings.json and any(between):
        raise UsageError(
            "--json writes the list as it came, so --since and --until cannot be used with it"
        )
    found = _client(settings).list_recordings()
    if settings.json and not is_terminal(console.stdout):
        console.write(found.data)
    elif settings.json:
        for line in found.data.splitlines():
            console.write_line(line)
    else:
        entries = _between(console, found.entries(), between)
        for row in table(*listing.table(entries, times.now())):
            console.write_line(row.encode())
    with suppress(ApiError):  # a list that is not understood is shown as it came all the same
        if error := incomplete(found):
            return console.say_error(error)
    return ExitCode.DONE


def _between(
    console: Console,
    found: Sequence[Listed],
    between: Between,
    entry_of: Callable[[Listed], object] = lambda one: one,
) -> list[Listed]:
    """Return those whose call was between two times, or may have been, which a note says."""
    kept = [one for one in found if listing.within(entry_of(one), *between)]
    unknown = sum(listing.time_of(entry_of(one)) is None for one in kept)
    if unknown and any(between):
        console.say(f"note: listed, though the time of the call is not known: {unknown}")
    return kept


def _check_directory(directory: str) -> None:
    """Raise an error for what is no directory, and so no archive."""
    storage = storage_of(directory)
    if not storage.is_directory(directory):
        is_file = storage.size_of(directory) is not None
        missing = "nothing is stored there" if is_url(directory) else "there is no such directory"
        cause = "this is a file, not a directory" if is_file else missing
        raise UsageError(cause, filename=directory)


def _list_archive(console: Console, directory: str, between: Between, *, as_json: bool) -> ExitCode:
    _check_directory(directory)
    reporter = Reporter(console, many=True)
    found: list[Record] = []
    for _, record, error in Records(directory).all():
        if error is not None:
            reporter.say_error(error)
        if record is not None:
            found.append(record)
    found = _between(console, found, between, attrgetter("entry"))
    found.sort(key=lambda one: (listing.call_time(one.entry) or times.NEVER, one.fetched))
    if as_json:
        for one in found:
            console.write_line(json.dumps(one._asdict()).encode("ascii"))
    else:
        rows = [_row(one) for one in found]
        first, last = ["call", "file", "size"], [*ARCHIVED]
        others = dict.fromkeys(key for row in rows for key in row if key not in {*first, *last})
        columns = [*first, *[*others][: listing.MOST_COLUMNS], *last]
        for line in table(columns, rows, least=len(first), width=WIDTH):
            console.write_line(line.encode())
    return reporter.code


def _row(record: Record) -> dict[str, object]:
    """Return what a table shows of a record: of its entry what is no GUID, and no time."""
    call = listing.call_time(record.entry)
    entry = record.entry if isinstance(record.entry, dict) else {}
    return {
        **{key: one for key, one in entry.items() if not (parse_guid(one) or times.parse(one))},
        **{name: getattr(record, name) for name in ("file", "size", *ARCHIVED)},
        "call": call and f"{call:%Y-%m-%dT%H:%MZ}",
    }


def table(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, object]],
    *,
    least: int = listing.MOST_COLUMNS,
    width: int = 0,
) -> Iterator[str]:
    """Yield the lines of a table: the names of the columns, then a line for each row.

    Columns after the first ones, the `least` to show, are shown if a `width` in characters has room.
    """
    lines = [list(map(printable, columns))]
    for row in rows:
        values = (row.get(column) for column in columns)
        lines.append([printable(one if isinstance(one, str) else as_json(one)) for one in values])
    widths = [min(max(map(len, cells)), WIDEST_COLUMN) for cells in zip(*lines, strict=True)]
    shown: list[int] = []
    for number, one in enumerate(widths):
        if number < least or one + sum(widths[other] + 2 for other in shown) <= width:
            shown.append(number)
    for cells in lines:
        yield "  ".join(cells[number].ljust(widths[number]) for number in shown).rstrip()


def _recordings(guids: Iterable[str]) -> list[Recording]:
    """Return the recordings of these GUIDs, each once, in its first spelling."""
    found: dict[UUID, Recording] = {}
    for one in map(Recording.of, guids):
        found.setdefault(one.guid, one)
    return list(found.values())


@main.command(short_help="Download recordings, and decrypt them.")
@click.argument("guids", metavar="GUID...", nargs=-1, required=True)
@click.option(
    "-d",
    "--output-dir",
    metavar="DIR",
    default=".",
    type=Path("dir"),
    help="Put the recordings there: in a directory, or a folder of an object store.",
)
@fetch_options
@click.pass_obj
def download(
    console: Console, /, guids: Sequence[str], *, output_dir: str, **given: Any
) -> ExitCode:
    """Download recordings, and decrypt them if there is a password."""
    settings = Settings(**given)
    many = len(guids) > 1
    reporter = Reporter(console, quiet=settings.quiet, json=settings.json, many=many)
    fetching = Nightly(console, _client(settings), output_dir, settings, reporter)
    with reporter:
        others = [text for text in guids if not parse_guid(text)]
        fetching.fetch(_recordings(filter(parse_guid, guids)), others, again=True)
    return reporter.code


def _counted(recordings: Sequence[object]) -> str:
    return "1 recording" if len(recordings) == 1 else f"{len(recordings)} recordings"


def _confirmed(console: Console, question: str) -> bool:
    if not is_terminal(console.stdin):
        raise UsageError(
            "standard input is not a terminal, so nothing can be confirmed", hint="use --yes"
        )
    is_confirmed = console.ask(f"{question} [y/N]: ").lower() in {"y", "yes"}
    if not is_confirmed:
        console.say("nothing was done")
    return is_confirmed


yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@main.command()
@click.argument("guids", metavar="GUID...", nargs=-1, required=True)
@yes_option
@api_options
@click.pass_obj
def delete(console: Console, /, guids: Sequence[str], *, yes: bool, **given: Any) -> ExitCode:
    """Delete recordings on the server."""
    recordings = _recordings(guids)
    client = _client(Settings(**given))
    if not (yes or _confirmed(console, f"Delete {_counted(recordings)} on the server?")):
        return ExitCode.DONE
    reporter = Reporter(console, quiet=False, json=False, many=len(recordings) > 1)
    click.get_current_context().with_resource(reporter)
    for recording in recordings:
        name = str(recording.guid)
        try:
            with errors_naming(name):
                client.delete(recording.spelling)
        except FileDecryptorError as error:
            reporter.add(failed(name, error))
        else:
            reporter.write_result(name.encode())
    return reporter.code


@main.command(short_help="Fetch what DIR does not have yet.")
@click.argument("directory", metavar="DIR", type=Path("dir"))
@click.option(
    "--delete-after",
    is_flag=True,
    help="Delete a recording on the server once its audio is stored in DIR, with its record.",
)
@click.option(
    "--check", is_flag=True, help="Read all that DIR holds, and compare it with the records."
)
@click.option("--dry-run", is_flag=True, help="Say what would be fetched and deleted; do nothing.")
@click.option(
    "--name",
    metavar="TEMPLATE",
    help="Name new recordings by TEMPLATE, such as '{time:%Y/%m/%d}/{callerId}_{guid}'; later runs "
    "do the same.",
)
@click.option("--page", is_flag=True, help="Write the page of DIR at the end.")
@since_option
@click.option(
    "--metrics",
    metavar="FILE",
    type=Path(),
    help="Write figures of the run there, for the textfile collector of Prometheus; '-' is "
    "standard output.",
)
@fetch_options
@click.pass_obj
def archive(console: Console, /, directory: str, **given: Any) -> ExitCode:
    """Fetch every recording of the account that DIR does not have yet. Made for cron.

    DIR is a directory, or the address of a folder of an object store.
    """
    settings = Settings(**given)
    metrics = settings.metrics
    if settings.json and metrics is not None and console.is_standard_output(metrics):
        raise UsageError("standard output cannot take both the objects and the figures")
    go_on = f"run this again: {NOT_AGAIN}"
    quiet, as_objects = settings.quiet, settings.json
    reporter = Reporter(console, quiet=quiet, json=as_objects, many=True, go_on=go_on)
    figures = Figures(console, directory, metrics, reporter)
    with reporter, nullcontext() if settings.dry_run else figures.written():
        since = _time(settings.since, "--since")
        night = Nightly(console, _client(settings), directory, settings, reporter)
        with nullcontext() if settings.dry_run else locked(directory):
            night.run(since, figures)
            if settings.page and not settings.dry_run:
                with errors_said(reporter):
                    page.write(Records(directory), reporter.say_error)
    return reporter.code


@main.command("page", short_help="Write a page to search DIR and listen to it.")
@click.argument("directory", metavar="DIR", type=Path("dir"))
@click.pass_obj
def page_command(console: Console, /, directory: str) -> ExitCode:
    """Write index.html into an archive: a page to search its recordings and listen to them.

    It needs no server: a browser can open it in DIR.
    """
    _check_directory(directory)
    reporter = Reporter(console, many=True)
    reporter.write_result(os.fsencode(page.write(Records(directory), reporter.say_error)))
    return reporter.code


@main.command(short_help="Remove recordings of older calls from DIR.")
@click.argument("directory", metavar="DIR", type=Path("dir"))
@click.option(
    "--older-than",
    metavar="TIME",
    required=True,
    help="Remove calls before this time, such as 365d (so long ago) or 2025-11-24; it must be at "
    f"least {LEAST_AGE.days} days ago.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be removed; do nothing.")
@yes_option
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--json", is_flag=True, help="Write a JSON object for each recording.")
@click.pass_obj
def prune(
    console: Console, /, directory: str, *, older_than: str, yes: bool, dry_run: bool, **given: Any
) -> ExitCode:
    """Remove what an archive has of older calls: audio, .enc files and records.

    A call whose time is not known counts from the day it was fetched.
    """
    before = _time(older_than, "--older-than") or times.FIRST
    if before > times.now() - LEAST_AGE:
        raise UsageError(
            f"--older-than must be at least {LEAST_AGE.days} days ago",
            hint="VNS may still have what is younger, and the next run would fetch it again",
        )
    _check_directory(directory)
    records, reporter = Records(directory), Reporter(console, many=True, **given)
    known = records.known(reporter.say_error)
    old = sorted((one for one, _ in known if one.time < before), key=attrgetter("time"))
    question = f"Remove {_counted(old)} of calls before {times.shown(before)}?"
    if old and not (dry_run or yes or _confirmed(console, question)):
        return reporter.code
    status: Status = "to remove" if dry_run else "removed"
    with reporter, nullcontext() if dry_run else locked(directory):
        errors = [None] * len(old) if dry_run else records.remove(old)
        for record, error in zip(old, errors, strict=True):
            path = records.path(record.file)
            done = Outcome(path, None, record.format, record.size, status)
            reporter.add(failed(path, error) if error else done, f" ({times.shown(record.time)})")
        if not old:
            reporter.say("there is nothing to do")
        if not dry_run and page.is_ours(records):
            page.write(records, lambda _: None)  # it was said
    return reporter.code
