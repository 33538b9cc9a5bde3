"""Write the manual pages of both programs, made from their click commands.

As a script it writes those that are installed with the package:

    python tests/support/make_man.py
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from click_man.core import write_man_pages

from filedecryptor import cli
from filedecryptor.vns import cli as vns_cli

PAGES = Path(__file__).parents[2] / "src" / "man"

CHANGED = date(2026, 11, 29)
"""The day on which the pages changed last."""


def _list_of_codes(match: re.Match[str]) -> str:
    """Return a section with the exit codes as a list, whose lines a reader may fill."""
    codes = (line.split(maxsplit=1) for line in match[1].splitlines())
    return "\n".join([".SH EXIT STATUS", *(f".TP\n{code}\n{words}" for code, words in codes)])


def write_pages(folder: Path) -> None:
    """Write all pages to a folder."""
    for command in (cli.main, vns_cli.main):
        name = command.name or ""
        write_man_pages(name, command, version="", target_dir=folder, date=str(CHANGED))
        if command.epilog:  # which click-man leaves out
            page = folder / f"{name}.1"
            text = page.read_text("utf-8").rstrip()
            page.write_text(f"{text}\n.PP\n{command.epilog}\n.SH", "utf-8")
    for page in folder.glob("*.1"):
        # What click must not wrap, groff must not fill.
        kept = re.compile(r"\n\.PP\n\x08\n(.*?)(?=\n\.(?:PP|SH))", re.DOTALL)
        text = kept.sub(r"\n.PP\n.nf\n\1\n.fi", page.read_text("utf-8"))
        text = re.sub(
            r"\.PP\n\.nf\nExit codes:\n(.*?)\n\.fi", _list_of_codes, text, flags=re.DOTALL
        )
        page.write_text(text.removesuffix("\n.SH").rstrip() + "\n", "utf-8", newline="\n")


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for old in PAGES.glob("*.1"):
        old.unlink()
    write_pages(PAGES)
