"""Nominations: ids of the latest result list, accumulated; ``None`` clears."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.research.candidates import Candidates, Nomination, read_nominations, says_done
from autoresearch.benches.research.papers import Paper

LIST = tuple(Paper(f"2204.0000{i}", f"Title {i}") for i in range(5))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("[0], [3], [8]", Nomination("ids", (0, 3, 8))),
        ("1,3", Nomination("ids", (1, 3))),
        ("[1, 3]", Nomination("ids", (1, 3))),
        (" 2 ", Nomination("ids", (2,))),
        ("1 3;4", Nomination("ids", (1, 3, 4))),
        ("3, 3", Nomination("ids", (3,))),
        ("None", Nomination("none")),
        ("[None]", Nomination("none")),
        ('"none"', Nomination("none")),
        ("None.", Nomination("none")),
        ("", Nomination("empty")),
        ("[]", Nomination("empty")),
        ("paper 3", Nomination("ids", (3,), ("paper",))),
        ("2204.05525", Nomination("empty", (), ("2204.05525",))),
        ("-1", Nomination("empty", (), ("-1",))),
        ("\u00b2", Nomination("empty", (), ("\u00b2",))),
        ("99999999999", Nomination("empty", (), ("99999999999",))),
    ],
)
def test_a_block_is_read_as_upstream_writes_it(body: str, expected: Nomination) -> None:
    assert read_nominations(f"text <candidates>{body}</candidates> text") == (expected,)


def test_no_block_and_several() -> None:
    assert read_nominations("nothing, <candidates>3") == read_nominations("3</candidates>") == ()
    assert [n.ids for n in read_nominations("as <candidates> <Candidates>3</candidates></candidates>")] == [(3,)]
    assert read_nominations("<candidates>" * 50_000) == ()
    assert [n.ids for n in read_nominations("<candidates>1</candidates><candidates>2</candidates>")] == [(1,), (2,)]


@pytest.mark.parametrize(("text", "done"), [("<answer>Done</answer>", True), ("<answer> done", True), ("Done", False)])
def test_the_end_signal(text: str, done: bool) -> None:
    assert says_done(text) == done


def test_candidates_accumulate_each_once_and_the_first_stays_first() -> None:
    candidates = Candidates()
    assert candidates.nominate(Nomination("ids", (3, 1)), LIST) == ()
    assert candidates.nominate(Nomination("ids", (1, 2)), LIST) == ()
    assert candidates.accumulated == [LIST[3], LIST[1], LIST[2]]
    assert candidates.nominee == LIST[1]  # of the latest block, although it was nominated before
    assert candidates.state == "ids"


def test_ids_index_the_latest_list_only() -> None:
    candidates = Candidates()
    assert candidates.nominate(Nomination("ids", (4, 5, 6)), LIST) == (5, 6)
    assert candidates.nominate(Nomination("ids", (0,)), ()) == (0,)
    assert candidates.accumulated == [LIST[4]]
    assert candidates.nominee == LIST[4]


def test_none_clears_the_list_and_counts_what_it_removed() -> None:
    candidates = Candidates()
    candidates.nominate(Nomination("ids", (3, 1)), LIST)
    candidates.nominate(Nomination("none"), LIST)
    assert (candidates.accumulated, candidates.nominee, candidates.state, candidates.cleared) == ([], None, "none", 2)
    candidates.nominate(Nomination("ids", (2,)), LIST)
    assert (candidates.accumulated, candidates.state) == ([LIST[2]], "ids")


def test_an_empty_block_changes_nothing() -> None:
    candidates = Candidates()
    candidates.nominate(Nomination("ids", (2,)), LIST)
    candidates.nominate(Nomination("empty"), LIST)
    assert (candidates.nominee, candidates.state) == (LIST[2], "ids")


@given(st.text(max_size=60))
def test_any_text_in_a_block_is_read(body: str) -> None:
    for nomination in read_nominations(f"<candidates>{body}</candidates>"):
        Candidates().nominate(nomination, LIST)
