"""Signs that a list is not all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("httpcore", reason="the extra vns is not installed")
from support.api_server import Server
from support.recordings import AUDIO
from support.vns import ONE, stored, vns

from filedecryptor.vns.listing import Listing, signs_of_more

ENTRY = {"sessionGuid": ONE}

SIGNS = [
    {"nextPage": "/x"},
    {"next_page": 2},
    {"next": "https://x"},
    {"@odata.nextLink": "https://x"},
    {"@odata.count": 2},
    {"hasMore": True},
    {"has_next": "true"},
    {"isTruncated": True},
    {"total": 2},
    {"totalCount": "2"},
    {"total_count": 2},
    {"TotalRecords": 5},
    {"totalPages": 2},
    {"continuationToken": "abc"},
    {"nextCursor": "abc"},
    {"meta": {"pagination": {"total": 2}}},
    {"links": {"next": "/x"}},
    {"_links": {"next": {"href": "/x"}}},
    {"isLastPage": False},
    {"lastPage": False},
    {"nextPageNumber": 2},
    {"recordCount": 5},
    {"TotalItemCount": 4},
    {"Remaining": 5},
    {"moreData": True},
    {"LastEvaluatedKey": {"id": "x"}},
    {"NextMarker": "x"},
    {"final": "false"},
    {"recordsLeft": "3"},
    {"total_items": 7},
]

HEADERS = [
    {"link": '<https://x>; rel="next"'},
    {"link": "<https://x>; rel=prev, <https://y>; rel=next"},
    {"x-total-count": "2"},
    {"x-total": "2"},
    {"x-next-page": "2"},
    {"x-total-pages": "2"},
    {"content-range": "items 0-0/2"},
    {"x-pagination": '{"TotalCount": 2, "HasNext": true}'},
]

NO_SIGNS = [
    {},
    {"nextPage": None},
    {"next": ""},
    {"hasMore": False},
    {"total": 1},
    {"count": 1},
    {"totalPages": 1},
    {"page": 1, "pageSize": 100},
    {"links": {"next": None, "prev": None}},
    {"version": 3, "generated": "2026-11-24"},
    {"isLastPage": True},
    {"nextPageNumber": None},
    {"remaining": 0},
    {"moreData": False},
    {"LastEvaluatedKey": None},
]


@pytest.mark.parametrize("more", SIGNS, ids=json.dumps)
def test_a_sign_in_the_body(more: dict[str, object]) -> None:
    """Whatever its spelling, and wherever it stands around the entries."""
    assert len(signs_of_more(Listing(json.dumps({"items": [ENTRY], **more}).encode(), {}))) >= 1


@pytest.mark.parametrize("headers", HEADERS, ids=json.dumps)
def test_a_sign_in_the_headers(headers: dict[str, str]) -> None:
    """Where many APIs have it."""
    assert len(signs_of_more(Listing(json.dumps([ENTRY]).encode(), headers))) >= 1


@pytest.mark.parametrize("more", NO_SIGNS, ids=json.dumps)
def test_what_is_no_sign(more: dict[str, object]) -> None:
    """A total that fits, a next page that is null; and whatever an entry holds."""
    entry = {**ENTRY, "next": "x", "total": 99, "count": 5}
    data = json.dumps({"items": [entry], **more}).encode()
    assert (
        signs_of_more(
            Listing(
                data,
                {"x-total-count": "1", "link": '<x>; rel="prev"', "x-ratelimit-remaining": "59"},
            )
        )
        == []
    )
    assert signs_of_more(Listing(json.dumps(entry).encode(), {})) == []
    assert signs_of_more(Listing(json.dumps({ONE: entry}).encode(), {})) == []


def test_what_is_listed_is_fetched_all_the_same(api: Server, tmp_path: Path) -> None:
    """With an error and exit code 7; `list` says it as well."""
    api.list_body = json.dumps({"items": [ENTRY], "hasMore": True}).encode()
    result = vns(api, "archive", ".", cwd=tmp_path)
    assert result.code == 7
    assert "the list looks incomplete (one page of several)" in result.stderr
    assert "'hasMore' is there" in result.stderr
    assert stored(tmp_path) == {f"{ONE}.opus": AUDIO}
    for words in (("list",), ("list", "--json")):
        result = vns(api, *words, cwd=tmp_path)
        assert result.code == 7
        assert ONE.encode() in result.stdout
    api.list_body = None
    api.list_headers = {"X_Total_Count": "2"}
    assert vns(api, "archive", ".", cwd=tmp_path).code == 7
    api.list_headers = {"X_Total_Count": "1"}
    assert vns(api, "archive", ".", cwd=tmp_path).code == 0
