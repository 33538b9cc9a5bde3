"""Signs that a list is a page of a longer one. Whether the API has pages is not documented."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress

from filedecryptor.errors import ApiError
from filedecryptor.vns import guids
from filedecryptor.vns.listing import DEEPEST, SESSION, Listing, loaded, plain_name

NEXT_NAMES = re.compile(
    r"(odata)?(next|continuation|cursor)(page|link|url|uri|href|token|cursor|offset)*"
    r"|has(more|next|nextpage|morepages|moreitems)|more(pages|available|items|results)?"
    r"|(is)?truncated"
)
"""Names of what is there if there is another page, as `plain_name` has them."""

TOTAL_NAMES = re.compile(
    r"(odata)?(total|count)(count|items|results|records|recordings|elements|hits)?"
    r"|(items|results|records|recordings)(total|count)|x?totalcount"
)
"""Names of how many recordings there are in all."""

PAGE_NAMES = re.compile(
    r"(total|number|count|num)(of)?pages|pages(total|count)?|page(s)?count|lastpage"
)
"""Names of how many pages there are."""

NEXT_RELATION = r"""rel\s*=\s*["']?[^"',;]*\bnext\b"""
"""RFC 8288, section 3.3."""

TOTAL_HEADERS = re.compile(
    r"content-range|(x-)?(pagination-)?total(-count|-items|-records|-results)?|x-count"
)
PAGES_HEADERS = re.compile(r"(x-)?(pagination-)?(total-pages|page-count|pages)")
NEXT_HEADERS = re.compile(
    r"(x-)?(next-(page|link|cursor|token)|has-more|continuation(-token)?|cursor)"
)

MOST_DIGITS = 18

NOTHING = {"", "0", "false", "null", "none"}


def signs_of_more(listing: Listing) -> list[str]:
    """Return what in an answer shows that more recordings exist than it lists, for people.

    Raises:
        ApiError: The list is not understood.
    """
    count = len(listing.entries())
    return [
        *_in_headers(listing.headers.items(), count),
        *_in_body(loaded(listing.data), count, 0),
    ]


def _in_headers(headers: Iterable[tuple[str, str]], count: int) -> Iterator[str]:
    for name, value in headers:
        text = value.strip()
        number = _number(text.rpartition("/")[2] if name == "content-range" else text)
        if name == "x-pagination":
            with suppress(ApiError):
                yield from _in_body(loaded(text.encode()), count, 0)
        elif name == "link" and re.search(NEXT_RELATION, text, re.IGNORECASE):
            yield "the header link names a next page"
        elif (TOTAL_HEADERS.fullmatch(name) and number > count) or (
            PAGES_HEADERS.fullmatch(name) and number > 1
        ):
            yield f"the header {name} says {text}"
        elif NEXT_HEADERS.fullmatch(name) and text.lower() not in NOTHING:
            yield f"the header {name} is there"


def _in_body(value: object, count: int, depth: int) -> Iterator[str]:
    """Yield the signs in an object and in those in it, but for entries of the list."""
    if not isinstance(value, dict) or depth == DEEPEST:
        return
    for name, inner in value.items():
        plain = plain_name(name)
        if plain == SESSION or guids.parse(name):
            return
        number = _number(inner)
        if NEXT_NAMES.fullmatch(plain) and not _is_nothing(inner):
            yield f"{name!r} is there"
        elif (TOTAL_NAMES.fullmatch(plain) and number > count) or (
            PAGE_NAMES.fullmatch(plain) and number > 1
        ):
            yield f"{name!r} is {number}"
        yield from _in_body(inner, count, depth + 1)


def _is_nothing(value: object) -> bool:
    return value in (None, False, 0, [], {}) or str(value).strip().lower() in NOTHING


def _number(value: object) -> int:
    """Return a whole number, also if it is written as a text; 0 for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= MOST_DIGITS:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
