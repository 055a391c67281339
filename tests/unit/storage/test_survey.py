"""Of a damaged journal every whole line is read, and what is not whole is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import JournalDamaged
from autoresearch.storage.journal import parse, seal
from autoresearch.storage.survey import MAX_SHOWN, survey

KINDS = ("meta", "trial_started", "trial", "proposed", "trial_started", "trial", "evaluated", "proposed")
LINES = [seal(n, json.dumps({"stage": kind, "text": "x" * (40 + 30 * len(kind))})) for n, kind in enumerate(KINDS)]
WHOLE = b"".join(LINES)


def seqs(data: bytes) -> list[int]:
    return [line.seq for line in survey(data).lines]


def test_a_whole_journal_has_no_problem():
    found = survey(WHOLE)
    assert seqs(WHOLE) == list(range(len(LINES)))
    assert (found.torn, found.warnings()) == (b"", ())


@pytest.mark.parametrize(
    ("data", "kept", "warning"),
    [
        (b"".join([*LINES[:3], *LINES[4:]]), [0, 1, 2, 4, 5, 6, 7], "line 4 has number 4 where 3 comes next"),
        (b"".join([*LINES[:3], LINES[2], *LINES[3:]]), list(range(8)), "line 4 repeats the record with number 2"),
        (WHOLE.replace(b"\n", b"", 1), list(range(8)), "line 1 has lost a newline between two records"),
        (
            b"".join(LINES[:3]) + LINES[3][:40] + b"".join(LINES[3:]),
            list(range(8)),
            "line 4 is damaged: 40 bytes that are not a record",
        ),
        (
            b"".join([*LINES[:3], b"\0" * len(LINES[3] + LINES[4]), *LINES[5:]]),
            [0, 1, 2, 5, 6, 7],
            f"line 4 is damaged: {len(LINES[3] + LINES[4])} bytes, all zeros, in place of 2 records",
        ),
    ],
    ids=["missing", "twice", "newline lost", "half, then whole", "zeros over two"],
)
def test_every_whole_line_is_read_and_the_others_are_named(data, kept, warning):
    assert seqs(data) == kept
    assert survey(data).warnings() == (warning,)
    with pytest.raises(JournalDamaged):
        parse(data, Path("j"))


def test_two_writers_are_shown_in_the_order_of_the_file():
    other = b"".join(seal(n, '{"stage":"other"}') for n in (3, 4))
    found = survey(WHOLE + other)
    assert seqs(WHOLE + other) == [*range(8), 3, 4]
    assert found.warnings()[0] == "line 9 has number 3 where 8 comes next"


def test_the_number_of_warnings_is_bounded():
    found = survey(WHOLE + b"noise\n" * 1000 + WHOLE)
    assert len(found.warnings()) == MAX_SHOWN + 1
    assert "more problem" in found.warnings()[-1]


@pytest.mark.parametrize("size", range(len(LINES[-1] + LINES[-2]) - 5, 1000, 7))
def test_zeros_over_several_records_at_the_end_are_not_one_torn_record(size):
    data = WHOLE[:-size] + b"\0" * size
    assert survey(data).torn == b""
    assert f"{size:,} of them zeros" in survey(data).warnings()[-1] or "all zeros" in survey(data).warnings()[-1]
    with pytest.raises(JournalDamaged, match=r"more than one torn record: .* zeros, where one record has at most"):
        parse(data, Path("j"))


def test_zeros_in_one_record_at_the_end_are_a_torn_append():
    """As a power loss leaves them: the file has its new length, and not all of its content."""
    for zeros in range(1, len(LINES[-1]) + 1):
        data = WHOLE[:-zeros] + b"\0" * zeros
        assert parse(data, Path("j")).torn == survey(data).torn == data[len(WHOLE) - len(LINES[-1]) :]
        assert survey(data).warnings() == ()


@pytest.mark.parametrize("blank", [b"\n", b"\n\n", b"\r\n\r\n", b" \n\t\n"])
def test_blank_lines_at_the_end_are_not_damage(blank):
    assert survey(WHOLE + blank).warnings() == ()
    assert seqs(WHOLE + blank) == list(range(8))
    assert len(parse(WHOLE + blank, Path("j")).payloads) == 8


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (WHOLE.replace(b"\n", b"\r\n"), "line 1 ends in CRLF"),
        (LINES[0][:-1] + b"\r\n", "line 1 ends in CRLF"),
        (b"\xef\xbb\xbf" + WHOLE, "line 1 begins with a byte-order mark"),
        (b"\xef\xbb\xbf" + LINES[0], "line 1 begins with a byte-order mark"),
        (WHOLE.decode().encode("utf-16"), "line 1 is in UTF-16"),
        (LINES[0].decode().encode("utf-16"), "line 1 is in UTF-16"),
        (LINES[0] + b"\n" + LINES[1], "line 2 is damaged: it is blank"),
    ],
)
def test_the_writer_names_what_an_editor_did_and_cuts_nothing(data, words):
    with pytest.raises(JournalDamaged, match=words):
        parse(data, Path("j"))
    assert survey(data).notes
    assert len(survey(data).lines) in (1, 2, 8)


@given(st.data())
def test_damage_anywhere_costs_only_the_lines_that_it_touches(data):
    start = data.draw(st.integers(0, len(WHOLE) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=300))
    damaged = WHOLE[:start] + noise + WHOLE[start + len(noise) :]
    ends = [len(b"".join(LINES[: n + 1])) for n in range(len(LINES))]
    untouched = [n for n, end in enumerate(ends) if end <= start or end - len(LINES[n]) > start + len(noise)]
    found = seqs(damaged)
    assert [n for n in untouched if n not in found] == []
