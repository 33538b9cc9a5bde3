"""The README and the pages in docs, and the code that they show."""

from __future__ import annotations

import re

from support.clone import ROOT

PAGES = {
    path.name: path.read_text("utf-8") for path in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
}

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str, word: str = "") -> list[str]:
    """Return the blocks of all pages that are in a language and have this word."""
    found = [block for text in PAGES.values() for block in FENCED.findall(text)]
    return [code for name, code in found if name == language and word in code]
