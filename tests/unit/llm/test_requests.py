"""Requests within a deadline: parameters that are refused by name, and the tokenizers that a server may have."""

from __future__ import annotations

import time

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.parameters import OPTIONAL, Parameters
from autoresearch.llm.requests import ask_without_refused, count_tokens

ALL = Parameters(more=OPTIONAL)
OK = Answer(Classification.OK, text="x")


def refusing(*names: str):
    """A server that refuses these parameters, one after the other."""
    asked: list[Parameters] = []

    def try_once(parameters: Parameters, _left_s: float) -> Answer:
        asked.append(parameters)
        sent = parameters.fields(9, 0.5, {"top_p": 0.9, "seed": 3})
        refused = next((name for name in names if name in sent), None)
        text = f"Unsupported parameter: '{refused}'"
        return OK if refused is None else Answer(Classification.REQUEST_REJECTED, text, refusal=text)

    return try_once, asked


def ask(try_once, parameters: Parameters = ALL, left_s: float = 10.0):
    return ask_without_refused(try_once, parameters, time.monotonic() + left_s, lambda _s: None, 0.0)


def test_each_refused_parameter_is_left_out_and_the_tries_are_added_up() -> None:
    try_once, asked = refusing("seed", "temperature", "max_tokens")
    answer, parameters, why = ask(try_once)
    assert (answer.classification, answer.tries, len(asked)) == (Classification.OK, 4, 4)
    assert parameters == Parameters("max_completion_tokens", None, ("top_p",))
    assert "max_tokens" in why


def test_a_refusal_of_everything_ends() -> None:
    try_once, asked = refusing("seed", "top_p", "temperature", "max_tokens", "max_completion_tokens")
    assert ask(try_once)[1].fields(9, 0.5, {"top_p": 0.9, "seed": 3}) == {}
    assert len(asked) == 6


def test_a_rejection_that_names_nothing_sent_is_the_answer() -> None:
    rejected = Answer(Classification.REQUEST_REJECTED, "seed is wrong", refusal="seed is wrong")
    answer, parameters, _ = ask(lambda _parameters, _left_s: rejected, Parameters())
    assert answer.classification is Classification.REQUEST_REJECTED
    assert parameters == Parameters()


def test_without_time_one_try_is_made() -> None:
    try_once, asked = refusing("seed")
    ask(try_once, left_s=-1)
    assert len(asked) == 1


def test_a_description_names_what_is_still_sent() -> None:
    assert "it is sent max_tokens, temperature, seed from now on (no)" in Parameters(more=("seed",)).describe_refusal(
        "no"
    )
    nothing = Parameters(None, None).describe_refusal("no")
    assert "it is sent neither max_tokens nor temperature from now on" in nothing


class TestCountTokens:
    def test_the_first_path_that_counts_is_kept(self) -> None:
        assert count_tokens(("a", "b"), lambda path: 7 if path == "b" else Answer(Classification.REQUEST_REJECTED)) == (
            7,
            ("b",),
        )

    def test_a_path_that_the_server_lacks_is_forgotten_and_one_that_failed_is_not(self) -> None:
        kinds = {"a": Classification.MALFORMED_RESPONSE, "b": Classification.UNREACHABLE}
        assert count_tokens(("a", "b"), lambda path: Answer(kinds[path])) == (None, ("b",))

    def test_no_path(self) -> None:
        assert count_tokens((), lambda _path: 1) == (None, ())
