"""Where a run loses its papers, with the chain computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.research.diagnose import describe_diagnosis, diagnose
from tests.research_world import (
    FINISH,
    FORMAT_ERROR,
    NO_ANSWER,
    case_set,
    deep,
    run_of,
    tool_turn,
    trial,
    wide,
)


def probe(rank: int | None, indexed: bool | None) -> dict[str, Any]:
    return {"k": 50, "returned": 50, "ranks": [rank], "indexed": [indexed]}


def one(**given: Any) -> dict[str, Any]:
    """The diagnosis of one Deep question in one attempt."""
    cases = case_set(deep(1))
    return diagnose(run_of(cases, [trial(cases.cases[0], **given)]))


SEARCHED = [tool_turn(7, 8), FINISH]
SEEN = [tool_turn(7, 1), FINISH]


@pytest.mark.parametrize(
    ("given", "loss", "part"),
    [
        ({"turns": [FINISH]}, "never searched", "model"),
        ({"turns": [FORMAT_ERROR] * 3, "status": "error", "ended_by": "format"}, "tool format", "format"),
        ({"turns": [FORMAT_ERROR, FINISH]}, "tool format", "format"),
        ({"turns": [FORMAT_ERROR] * 4 + [NO_ANSWER], "status": "context_length_exceeded"}, "tool format", "format"),
        ({"turns": [NO_ANSWER], "status": "context_length_exceeded"}, "overflow", "context"),
        ({"turns": [*SEARCHED[:1], NO_ANSWER], "status": "context_length_exceeded"}, "overflow", "context"),
        ({"turns": SEARCHED, "status": "max_tokens_reached"}, "overflow", "context"),
        ({"turns": [NO_ANSWER], "status": "api_error"}, "server", "infrastructure"),
        ({"turns": [*SEARCHED[:1], NO_ANSWER], "status": "api_error"}, "server", "infrastructure"),
        ({"turns": [], "status": "error"}, "server", "infrastructure"),
        ({"turns": SEARCHED, "probe": probe(None, False)}, "not indexed", "retrieval"),
        ({"turns": SEARCHED, "probe": probe(None, True)}, "not returned", "retrieval"),
        ({"turns": SEARCHED, "probe": probe(11, True)}, "not returned", "retrieval"),
        ({"turns": SEARCHED, "probe": probe(10, True)}, "worse query", "model"),
        ({"turns": SEARCHED}, "not returned", "retrieval"),
        ({"turns": SEARCHED, "status": "max_turns_reached"}, "not returned", "retrieval"),
        ({"turns": SEEN}, "seen, not nominated", "model"),
        ({"turns": SEEN, "candidates": [7]}, "seen, not nominated", "model"),
        ({"turns": SEEN, "candidates": None}, "not recorded", "unknown"),
    ],
)
def test_the_first_thing_that_went_wrong(given: dict[str, Any], loss: str, part: str) -> None:
    found = one(**given)
    assert [(item["loss"], item["part"], item["attempts"]) for item in found["losses"]] == [(loss, part, 1)]
    assert found["bottleneck"] == (part if part in ("model", "format", "context", "retrieval") else None)


def test_searches_whose_results_are_not_recorded_leave_model_and_retrieval_apart() -> None:
    turn = {"action": "tool", "input_tokens": 9, "output_tokens": 9, "papers_retrieved_this_turn": 10}
    found = one(turns=[turn, FINISH])
    assert found["losses"][0]["part"] == "model or retrieval"
    assert found["bottleneck"] is None
    assert found["sentence"].startswith(
        "the bottleneck is the model or the retrieval, which this run cannot tell apart"
    )
    assert found["chain"]["seen"] is None
    assert (found["chain"]["right"], found["chain"]["right_not_seen"]) == (0, 0)


@pytest.mark.parametrize("candidates", [[1], [7], []])
def test_without_its_turns_it_is_not_known_what_an_attempt_saw(candidates: list[int]) -> None:
    found = one(turns=[], candidates=candidates)
    assert found["chain"]["seen"] is None
    assert found["chain"]["right"] == (candidates == [1])
    assert found["chain"]["right_not_seen"] == (None if candidates == [1] else 0)
    assert [loss["loss"] for loss in found["losses"]] == ([] if candidates == [1] else ["not recorded"])


def test_a_search_without_results_saw_nothing_even_if_papers_are_not_recorded() -> None:
    turn = {"action": "tool", "input_tokens": 9, "output_tokens": 9, "papers_retrieved_this_turn": 0}
    assert one(turns=[turn, FINISH])["losses"][0]["loss"] == "not returned"


def four() -> BenchRun:
    """Of 8 attempts (4 questions, 2 samples): one missing, and

    question 1, in the index: seen and right; seen and not nominated
    question 2, in the index: not returned; right without having been seen
    question 3, not in the index: not indexed; never searched
    question 4, in the index: seen and right; missing
    """
    cases = case_set(*(deep(n) for n in (1, 2, 3, 4)))
    first, second, third, fourth = cases.cases
    has, has_not = probe(None, True), probe(None, False)
    return run_of(
        cases,
        [
            trial(first, 0, turns=[tool_turn(1, 9), FINISH], candidates=[1], probe=has),
            trial(first, 1, turns=[tool_turn(1, 9), FINISH], candidates=[9], probe=has),
            trial(second, 0, turns=[tool_turn(8, 9), FINISH], probe=has),
            trial(second, 1, turns=[tool_turn(8, 9), FINISH], candidates=[2], probe=has),
            trial(third, 0, turns=[tool_turn(8, 9), FINISH], probe=has_not),
            trial(third, 1, turns=[FINISH], probe=has_not),
            trial(fourth, 0, turns=[tool_turn(4), FINISH], candidates=[4], probe=has),
        ],
        samples=2,
    )


def test_the_chain_by_hand() -> None:
    """7 attempts: 5 indexed, 3 of these seen, 2 of these right; 1 right and not seen: 3 of 7 right."""
    found = diagnose(four())
    chain = found["chain"]
    assert chain["indexed"] == pytest.approx(5 / 7)
    assert chain["seen_given_indexed"] == pytest.approx(3 / 5)
    assert chain["right_given_seen"] == pytest.approx(2 / 3)
    assert chain["right_not_seen"] == pytest.approx(1 / 7)
    assert chain["right"] == pytest.approx(3 / 7)
    product = chain["indexed"] * chain["seen_given_indexed"] * chain["right_given_seen"]
    assert product + chain["right_not_seen"] == pytest.approx(chain["right"])


def test_every_planned_attempt_is_right_or_lost_once() -> None:
    found = diagnose(four())
    losses = {item["loss"]: item["attempts"] for item in found["losses"]}
    assert losses == {"missing": 1, "never searched": 1, "not indexed": 1, "not returned": 1, "seen, not nominated": 1}
    assert found["right"] + sum(losses.values()) == found["planned"] == 8
    assert found["sentence"] == (
        "no single bottleneck: the retrieval and the model lose 2 of 8 attempts each (the model finished without a "
        "search: 1; the index does not have the paper: 1; no search returned the paper: 1;"
        " a search returned the paper, and the model did not nominate it: 1); 38% of the papers are right"
    )


def test_the_losses_are_in_the_order_of_an_attempt() -> None:
    names = [item["loss"] for item in diagnose(four())["losses"]]
    assert names == ["missing", "never searched", "not indexed", "not returned", "seen, not nominated"]


def test_the_papers_of_a_wide_attempt_share_its_weight() -> None:
    cases = case_set(wide("All?", 1, 2, 3, 4))
    probed = {"k": 50, "returned": 2, "ranks": [1, 2, None, None], "indexed": [True, True, True, False]}
    item = trial(cases.cases[0], turns=[tool_turn(1, 2), FINISH], candidates=[1], probe=probed)
    found = diagnose(run_of(cases, [item]))
    assert {loss["loss"]: loss["attempts"] for loss in found["losses"]} == {
        "not indexed": 0.25,
        "not returned": 0.25,
        "seen, not nominated": 0.25,
    }
    assert found["right"] == 0.25
    chain = found["chain"]
    assert (chain["indexed"], chain["seen_given_indexed"], chain["right_given_seen"]) == (
        0.75,
        pytest.approx(2 / 3),
        0.5,
    )


def test_nothing_lost_and_nothing_to_find() -> None:
    found = one(turns=SEEN, candidates=[1])
    assert found["losses"] == []
    assert found["sentence"] == "no bottleneck: all 1 attempts end with the right papers"
    cases = case_set(deep(1) | {"answer": [], "arxiv_id": ""})
    empty = diagnose(run_of(cases, [trial(cases.cases[0])]))
    assert (empty["cases_without_paper"], empty["sentence"]) == (1, "no case has a paper to find")
    assert "0 of 0 attempts recorded; 1 case without a paper to find is not among them" in describe_diagnosis(empty)


def test_a_run_without_a_trial() -> None:
    found = diagnose(run_of(case_set(deep(1)), []))
    assert found["sentence"].startswith("cannot tell the bottleneck: the infrastructure loses 1 of 1 attempts")
    assert "?" in describe_diagnosis(found)


def test_a_wall_of_the_reserve_is_named() -> None:
    detail = (
        "This model's maximum context length is 8192 tokens. However, you requested 8801 tokens "
        "(4705 in the messages, 4096 in the completion)."
    )
    wall = NO_ANSWER | {"error_message": detail}
    found = one(turns=[tool_turn(7), wall], status="context_length_exceeded")
    assert found["overflows"][0]["by_reserve"] is True
    assert (found["overflows"][0]["prompt_tokens"], found["overflows"][0]["context_tokens"]) == (4705, 8192)
    text = describe_diagnosis(found)
    assert "in 1 the prompt fitted, and only the tokens reserved for the completion did not" in text
    assert found["bottleneck"] == "context"


def test_answers_that_were_cut_off_are_named_beside_the_format() -> None:
    found = one(turns=[FORMAT_ERROR | {"finish_reason": "length"}] * 3, status="error", ended_by="format")
    assert found["turns"]["cut_off"] == 3
    assert "3 with a format error of the model (3 cut off at the token limit of a completion)" in describe_diagnosis(
        found
    )


def test_errors_of_the_format_and_of_the_server_are_counted_apart() -> None:
    found = one(turns=[FORMAT_ERROR, FORMAT_ERROR, NO_ANSWER], status="api_error")
    assert (found["turns"]["format_errors"], found["turns"]["server_errors"]) == (2, 1)
