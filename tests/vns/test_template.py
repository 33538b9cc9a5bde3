"""The template of names: what makes sense, and what names it gives, whatever a list says."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from support.vns import ONE, TWO

from filedecryptor import UsageError
from filedecryptor.storage.windows import is_impossible
from filedecryptor.vns.listing import Recording
from filedecryptor.vns.template import Template, guids_in

DAILY = "{time:%Y/%m/%d}/{time:%H%M}_{callerId}_{guid}"


def name(template: str, entry: object) -> str:
    """Return the name that a template gives to the recording of an entry."""
    return Template(template).name_of(Recording(UUID(ONE), ONE, entry))


LONG = "x" * 100
FIELDS: dict[str, tuple[object, str]] = {
    "text": ({"callerId": "+15550100"}, "+15550100"),
    "capitals": ({"CALLERID": "a"}, "a"),
    "underlines": ({"caller_id": "a"}, "a"),
    "deep": ({"call": {"callerId": "a"}}, "a"),
    "deep, and not": ({"call": {"callerId": "a"}, "callerId": "b"}, "b"),
    "number": ({"callerId": 15550100}, "15550100"),
    "boolean": ({"callerId": True}, "true"),
    "not a number": ({"callerId": float("nan")}, "NaN"),
    "missing": ({"other": "a"}, "unknown"),
    "null": ({"callerId": None}, "unknown"),
    "empty": ({"callerId": ""}, "unknown"),
    "blank": ({"callerId": " \t "[:1]}, "unknown"),
    "no entry": (None, "unknown"),
    "no object": ([ONE], "unknown"),
    "another letters": ({"callerId": "Jos\xe9 \u5c71"}, "Jos\xe9 \u5c71"),
    "way up": ({"callerId": "../../x"}, "______x"),
    "way up on Windows": ({"callerId": "..\\x"}, "___x"),
    "root": ({"callerId": "/etc/passwd"}, "_etc_passwd"),
    "drive": ({"callerId": "C:x"}, "C_x"),
    "reserved": ({"callerId": '<a>:"b"|?*'}, "_a___b____"),
    "control characters": ({"callerId": "a\0\n\x1b[31mb"}, "a___[31mb"),
    "right to left": ({"callerId": "\u202egpj"}, "_gpj"),
    "half a character": ({"callerId": "a\ud800"}, "a_"),
    "an extension": ({"callerId": "a.unverified.exe"}, "a_unverified_exe"),
    "blanks": ({"callerId": " a "}, "a"),
    "long": ({"callerId": "x" * 1_000_000}, LONG),
    "blank where it is cut": ({"callerId": "x" * 99 + " y"}, LONG[1:]),
}


@pytest.mark.parametrize("case", FIELDS)
def test_fields(case: str) -> None:
    """Each is one plain part of a name, on every system; what an entry does not have is unknown."""
    entry, expected = FIELDS[case]
    assert name("{guid}/{callerId}", entry) == f"{ONE}/{expected}"


NAMES: dict[str, tuple[str, object, str]] = {
    "all": (
        DAILY,
        {"caller_id": "1", "end": "2026-11-24T19:05:00+01:00"},
        f"2026/11/24/1805_1_{ONE}",
    ),
    "no time": (DAILY, {"caller_id": "1"}, f"unknown/unknown_1_{ONE}"),
    "time": ("{TIME} {Guid}", {"end": "2026-11-24T18:05:07Z"}, f"2026-11-24T180507Z {ONE}"),
    "braces": ("{{{guid}}}", None, f"{{{ONE}}}"),
    "device": ("{a}{b}/{guid}", {"a": "co", "b": "n"}, f"_con/{ONE}"),
    "device at the end": ("{guid}/{a}", {"a": "NUL"}, f"{ONE}/_NUL"),
    "dots": ("{a}{b}/{guid}", {"a": ".", "b": "."}, f"__/{ONE}"),
    "page": ("{a}/{guid}", {"a": "index.html"}, f"index_html/{ONE}"),
    "guid of the entry": ("{guid}", {"guid": "x", "sessionGuid": "y"}, ONE),
    "two long": ("{a}_{b}_{guid}", {"a": "x" * 200, "b": "x" * 200}, f"{LONG}_{LONG}_{ONE}"),
    "a mark in parts": ("{guid}.{a}{b}", {"a": "unver", "b": "ified"}, f"{ONE}.unveifie"),
    "another's GUID": ("{a}_{guid}", {"a": f"x {TWO}"}, f"x {TWO.replace('-', '_')}_{ONE}"),
    "in capitals": ("{a}_{guid}", {"a": "A-" + "B" * 9}, f"A-{'B' * 9}_{ONE}"),
    "its own": ("{sessionGuid}_{guid}", {"sessionGuid": ONE}, f"{ONE.replace('-', '_')}_{ONE}"),
    "half a GUID": ("{a}{guid}", {"a": TWO[:28]}, f"{TWO[:27]}{ONE}"),
    "time of a caller": ("{time}/{guid}", {"callerIdName": "2026-11-24"}, f"unknown/{ONE}"),
    "times": (
        "{time:%d}/{guid}",
        {"callStart": "2026-11-23", "callEnd": "2026-11-24", "callerIdName": "2099-12-31"},
        f"24/{ONE}",
    ),
    "letters of four bytes": ("{a}{guid}", {"a": "\U0001f4de" * 100}, "\U0001f4de" * 50 + ONE),
}


@pytest.mark.parametrize("case", NAMES)
def test_names(case: str) -> None:
    """Slashes of the template and of the time alone part folders, and no part is too long."""
    template, entry, expected = NAMES[case]
    assert name(template, entry) == expected


TIMES = [
    "startTime",
    "callEnd",
    "end",
    "created_at",
    "Timestamp",
    "startTs",
    "hangup",
    "endTimeUtc",
]
NO_TIMES = ["senderName", "friend", "callerLocation", "description", "updatedBy", "candidate"]


@pytest.mark.parametrize("field", [*TIMES, *NO_TIMES])
def test_which_fields_are_times(field: str) -> None:
    """Those that are named so; what others hold may be a caller's word."""
    day = "2026-11-24" if field in TIMES else "unknown"
    assert name("{time:%Y-%m-%d}/{guid}", {field: "2026-11-24"}) == f"{day}/{ONE}"


def test_no_two_recordings_meet() -> None:
    """Whatever two callers do to get one name, on a disk that ignores case as well."""
    template = Template("{a}_{guid}_{b}")
    for other in (TWO, TWO.upper()):
        first = Recording(UUID(ONE), ONE, {"a": "A", "b": f"{other}_Y"})
        second = Recording(UUID(TWO), TWO, {"a": f"A_{ONE}", "b": "Y"})
        names = [template.name_of(one).lower() for one in (first, second)]
        assert names[0] != names[1]
        assert [guids_in(name) for name in names] == [{ONE}, {TWO}]


entries: Any = some.dictionaries(
    some.sampled_from(["a", "A_", "end", "guid"]),
    some.recursive(
        some.none() | some.booleans() | some.floats() | some.text(max_size=300),
        lambda one: some.lists(one) | some.dictionaries(some.text(max_size=3), one),
        max_leaves=3,
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(entries)
def test_no_entry_chooses_a_folder(entry: object) -> None:
    """Or a name that a system does not have, or that would meet another's."""
    found = name("x/{a}{end}_{guid}/{a}/{end}", entry).split("/")
    assert len(found) == 4
    assert found[0] == "x"
    assert found[1].endswith(f"_{ONE}")
    for part in found:
        assert part not in {"", ".", ".."}
        assert part == os.path.basename(part)
        assert part.isprintable()
        assert "\\" not in part
        assert not is_impossible(part)
        assert len(part.encode()) <= 239


FAULTS = {
    "makes no sense": [
        "{guid",
        "guid}",
        "{guid!r}",
        "{guid:>40}",
        "{}{guid}",
        "{_}{guid}",
        "{guid}{time:\udc80}",
        "",
    ],
    "has no {guid}, so two recordings could get the same name": [
        "calls",
        "{time}",
        "{{guid}}",
        "{callerId}",
    ],
    "has a field that may be a secret": ["{recordCallPassword}{guid}", "{api_token}{guid}"],
    "gives names that some systems do not allow": [
        "/{guid}",
        "{guid}/",
        "a//{guid}",
        "../{guid}",
        "{guid}/./x",
        ".hidden/{guid}",
        "a\\{guid}",
        "c:{guid}",
        "{time:%H:%M}{guid}",
        "{guid}.",
        "{guid} ",
        "con/{guid}",
        "con.x/{guid}",
        "\0{guid}",
        "\udc80{guid}",
        "\u202e{guid}",
        "x" * 240 + "{guid}",
        "\u20ac" * 110 + "{guid}",
        "{guid}" * 10,
        f"{{guid}}/{TWO}",
        "{guid}{time:-%m%d-%m%d-%m%d-%Y%m%d%H%M}",
        "12345678-1234-1234-1234-1234{guid}",
        "x/" * 400 + "{guid}",
    ],
    "ends a name with an extension, which is added automatically": [
        "{guid}.opus",
        "{guid}.unverified",
        "{guid}.{callerId}",
        "{callerId}.json/{guid}",
        "{callerId}.HTML/{guid}",
    ],
}


@pytest.mark.parametrize(("cause", "template"), [(c, t) for c in FAULTS for t in FAULTS[c]])
def test_what_makes_no_template(cause: str, template: str) -> None:
    """It is refused in one line, with an example."""
    with pytest.raises(UsageError) as caught:
        Template(template)
    assert str(caught.value) == f"the template of names {cause}"
    assert "{guid}" in (caught.value.hint or "")
