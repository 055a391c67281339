from __future__ import annotations

import json
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoresearch.core.llm_calls import Classification as End
from autoresearch.core.llm_calls import Exchange, Message, decode_exchange
from autoresearch.llm.answer import MAX_TEXT_CHARS, Answer
from autoresearch.llm.parse import (
    MAX_NAME_CHARS,
    MalformedResponse,
    Model,
    choose_model,
    parse_completion,
    parse_models,
    parse_token_count,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\ud800")
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


def table(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with some of these fields, each of which may also be any JSON."""
    return st.fixed_dictionaries({}, optional={name: ANY_JSON | value for name, value in fields.items()})


TEXT = st.text() | st.sampled_from(["<think>", "</think>{}", "length", "stop"])
MESSAGE = table(
    role=TEXT, content=TEXT | st.lists(table(text=TEXT)), reasoning=TEXT, reasoning_content=TEXT, tool_calls=ANY_JSON
)
COMPLETION = table(
    model=TEXT,
    choices=st.lists(table(message=MESSAGE, finish_reason=TEXT), max_size=2),
    usage=table(prompt_tokens=st.integers(), completion_tokens=st.integers()),
)
MODELS = table(data=st.lists(table(id=TEXT, max_model_len=st.integers(), meta=table(n_ctx=st.integers()))))
COUNT = table(count=st.integers(), tokens=st.lists(st.integers(), max_size=3))
READERS = pytest.mark.parametrize("read", [parse_completion, parse_models, parse_token_count])


def exchange_with(answer: Answer) -> Exchange:
    """As the proposer writes it: whatever a server says must fit into a record."""
    return Exchange(
        ts="now",
        exchange=1,
        iter=1,
        round=1,
        model=answer.model,
        messages=(Message(role="user", content=answer.text),),
        structured=False,
        classification=answer.classification,
        detail="",
        raw=answer.text,
        thinking=answer.thinking,
        slices=(),
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        latency_s=0.0,
        tries=1,
    )


@given(COMPLETION | ANY_JSON)
def test_a_completion_is_malformed_or_an_answer_that_fits_into_a_record(reply):
    try:
        answer = parse_completion(json.dumps(reply).encode())
    except MalformedResponse as e:
        str(e).encode()
        return
    assert (answer.classification is End.OK) == bool(answer.text)
    exchange = exchange_with(answer)
    assert decode_exchange(exchange.model_dump_json()) == exchange


@given(MODELS | ANY_JSON)
def test_a_list_of_models_is_malformed_or_names_that_can_be_sent(reply):
    try:
        models = parse_models(json.dumps(reply).encode())
    except MalformedResponse:
        return
    for model in models:
        assert model.name.encode()
        assert model.max_model_len is None or model.max_model_len >= 0


@given(COUNT | ANY_JSON)
def test_a_token_count_is_malformed_or_a_positive_number(reply):
    with suppress(MalformedResponse):
        assert parse_token_count(json.dumps(reply).encode()) > 0


@READERS
@given(st.binary())
@example(b"\xff\xfe[\x00]\x00")
@example(b'{"data": NaN, "choices": Infinity}')
def test_no_bytes_raise_anything_else(read, body):
    with suppress(MalformedResponse):
        read(body)


@READERS
@pytest.mark.parametrize("opening", ["[", '{"choices":', '{"choices": [', '{"data": [{"id":'])
def test_no_depth_of_nesting_raises_anything_else(read, opening):
    for depth in [*range(10, sys.getrecursionlimit() + 10, 7), 100_000]:
        closing = opening.replace("[", "]").replace("{", "}")[::-1]
        closing = "".join(c for c in closing if c in "]}")
        with suppress(MalformedResponse):
            read((opening * depth + "null" + closing * depth).encode())


def completion(message: Any, finish_reason: Any = "stop") -> Answer:
    return parse_completion(json.dumps({"choices": [{"message": message, "finish_reason": finish_reason}]}).encode())


def test_answer_and_thinking_are_bounded_after_they_are_separated():
    answer = completion({"content": f"<think>{'a' * MAX_TEXT_CHARS}</think>{'b' * 2 * MAX_TEXT_CHARS}"})
    assert (answer.thinking, answer.text) == ("a" * MAX_TEXT_CHARS, "b" * MAX_TEXT_CHARS)


def test_thinking_beside_and_inside_the_text_is_all_kept():
    answer = completion({"content": "<think>b</think>c", "reasoning_content": "a"})
    assert (answer.text, answer.thinking, answer.think_style) == ("c", "ab", "tags")


def test_names_are_as_they_are_or_none():
    names = ["a", "", "x" * MAX_NAME_CHARS, "x" * (MAX_NAME_CHARS + 1), "a\nb", "\ud800", None, 7]
    body = json.dumps({"data": [{"id": name} for name in names] + [None, "a", 1]}).encode()
    assert [model.name for model in parse_models(body)] == ["a", "x" * MAX_NAME_CHARS]


@pytest.mark.parametrize(
    ("entry", "tokens"),
    [
        ({"max_model_len": 4096}, 4096),
        ({"meta": {"n_ctx": 2048}}, 2048),
        ({"max_model_len": None, "meta": {"n_ctx": 2048}}, 2048),
        ({"max_model_len": "4096"}, None),
        ({"max_model_len": True}, None),
        ({"max_model_len": -1}, None),
        ({"meta": []}, None),
        ({}, None),
    ],
)
def test_the_context_of_a_model(entry, tokens):
    assert parse_models(json.dumps({"data": [{"id": "a", **entry}]}).encode()) == [Model("a", tokens)]


A, B = Model("dir/a.gguf"), Model("b")


@pytest.mark.parametrize(
    ("listed", "wanted", "known", "chosen"),
    [
        ([], None, None, None),
        ([A, B], None, None, A),
        ([A, B], None, B, B),
        ([A, B], None, Model("gone"), A),
        ([A, B], "b", A, B),
        ([A, B], "a", None, None),
        ([A], "a", None, A),
        ([A], "c", A, None),
        ([], "c", A, None),
        ([Model("b", 99)], None, B, Model("b", 99)),
    ],
)
def test_which_model_is_asked(listed, wanted, known, chosen):
    assert choose_model(listed, wanted, known) == chosen
