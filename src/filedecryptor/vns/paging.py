"""Signs that a list is a page of a longer one. Whether the API has pages is not documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from filedecryptor.errors import ApiError
from filedecryptor.vns import guids
from filedecryptor.vns.listing import DEEPEST, SESSION, Listing, loaded, plain_name

_THINGS = "(data|items?|results?|records?|recordings?|calls?|elements?|hits?|rows?|entries)"

NEXT = re.compile(
    r"(x|odata)?(next|continuation|cursor|(has)?(more|next)|(is)?truncated)"
    rf"({_THINGS}|pages?|link|url|uri|href|token|cursor|offset|number|key|marker|available)*"
    r"|lastevaluatedkey"
)
"""Names of what is there if there is another page, as `plain_name` has them."""

LAST = re.compile(r"(is)?(last|final)(page)?")
"""Names of what is false if there is another page."""

TOTAL = re.compile(
    rf"(x|odata|x?pagination)?({_THINGS}|total|count)*(total|count)({_THINGS}|count)*|contentrange"
)
"""Names of how many recordings there are in all."""

REMAINING = re.compile(rf"{_THINGS}?(remaining|left){_THINGS}?")
"""Names of how many recordings there are besides."""

PAGES = re.compile(r"(x|x?pagination|total|number|count|num|last)*(of)?pages?(total|count)?")
"""Names of how many pages there are."""

NEXT_RELATION = r"""rel\s*=\s*["']?[^"',;]*\bnext\b"""
"""RFC 8288, section 3.3."""

LONGEST_NAME = 64
"""Characters of a name that are looked at, since the patterns try many ways."""

NOTHING = {"", "0", "false", "null", "none", "[]", "{}"}


def signs_of_more(listing: Listing) -> list[str]:
    """Return what in an answer shows that more recordings exist than it lists, for people.

    Raises:
        ApiError: The list is not understood.
    """
    count = len(listing.entries())
    found: list[str] = []
    for name, value in listing.headers.items():
        if name == "x-pagination":
            with suppress(ApiError):
                found += _signs(loaded(value.encode()), count)
        elif name == "link" and re.search(NEXT_RELATION, value, re.IGNORECASE):
            found.append("the header link names a next page")
        elif _sign(name, value.rpartition("/")[2], count):
            found.append(f"the header {name} is {value.strip()}")
    return [*found, *_signs(loaded(listing.data), count)]


def _signs(value: object, count: int, depth: int = 0) -> Iterator[str]:
    """Yield the signs in an object and in those in it, but for entries of the list."""
    if not isinstance(value, dict) or depth == DEEPEST:
        return
    for name, inner in value.items():
        if plain_name(name) == SESSION or guids.parse(name):
            return
        if sign := _sign(name, inner, count):
            yield f"{name!r} {sign}"
        yield from _signs(inner, count, depth + 1)


def _sign(name: str, value: object, count: int) -> str | None:
    plain, text = plain_name(name[:LONGEST_NAME]), str(value).strip().lower()
    number = int(text) if re.fullmatch(r"\d{1,18}", text) else 0
    if NEXT.fullmatch(plain) and text not in NOTHING:
        return "is there"
    if LAST.fullmatch(plain) and text == "false":
        return "is false"
    is_more = (
        (TOTAL.fullmatch(plain) and number > count)
        or (REMAINING.fullmatch(plain) and number > 0)
        or (PAGES.fullmatch(plain) and number > 1)
    )
    return f"is {number}" if is_more else None
