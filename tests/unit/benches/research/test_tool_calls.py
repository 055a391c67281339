"""Tool calls as models write them: each form, each way to be broken, and never one inside thinking."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoresearch.benches.ports import ChatTurn, NativeToolCall
from autoresearch.benches.research.call_values import MAX_CALLS, ToolCall
from autoresearch.benches.research.prompt import PARAMETERS
from autoresearch.benches.research.tool_calls import describe_errors, find_calls, find_text_calls

TOOLS = ("search",)


def calls_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = find_text_calls(text, TOOLS, PARAMETERS)
    assert not found.errors, found.errors
    return [(call.name, dict(call.arguments)) for call in found.calls]


SEARCH_X = [("search", {"query": "x"})]
BODY = '{"name": "search", "arguments": {"query": "x"}}'
LLAMA = '{"name": "search", "parameters": {"query": "x"}}'
CODER = "<function=search>\n<parameter=query>\nx\n</parameter>\n</function>"


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"<tool_call>{BODY}</tool_call>", "tool_call json"),
        (f"I search.\n<tool_call>\n{BODY}\n</tool_call>\n", "tool_call json"),
        (f"<tool_call>\n```json\n{BODY}\n```\n</tool_call>", "tool_call json"),
        (f"<tool_call>{BODY}", "tool_call json"),  # the closing tag was the server's stop
        (f"<tool_call>{LLAMA}</tool_call>", "tool_call json"),
        (f"<tool_call>[{BODY}]</tool_call>", "tool_call json"),
        (f"<tool_call>\n{CODER}\n</tool_call>", "tool_call xml"),
        (f"<tool_call>{CODER}", "tool_call xml"),
        (f"text {CODER}\n</tool_call>", "tool_call xml"),
        ("<tool_call><function=search><parameter=query>x</parameter></function></tool_call>", "tool_call xml"),
        (f"<TOOLCALL>[{BODY}]</TOOLCALL>", "TOOLCALL"),
        (f"Hey. <TOOLCALL>[{BODY}]", "TOOLCALL"),
        (f"<TOOLCALL>{BODY}</TOOLCALL>", "TOOLCALL"),
        (f"<|python_tag|>{LLAMA}", "python_tag"),
        (f"<|python_tag|>{BODY}<|eom_id|>", "python_tag"),
        (LLAMA, "bare json"),
        (f"  {BODY}\n", "bare json"),
        (f"```json\n{LLAMA}\n```", "bare json"),
        (f"I will search now:\n{LLAMA}", "bare json"),
        (f"{LLAMA}<|eot_id|>", "bare json"),
        ('{"type": "function", "name": "search", "parameters": {"query": "x"}}', "bare json"),
        ('<tool_call>{"name": "search", "arguments": "{\\"query\\": \\"x\\"}"}</tool_call>', "tool_call json"),
    ],
)
def test_each_form_is_read(text: str, form: str) -> None:
    assert calls_of(text) == SEARCH_X
    found = find_text_calls(text, TOOLS, PARAMETERS)
    assert [call.format for call in found.calls] == [form]
    assert found.calls[0].source == "text"


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>{BODY}</tool_call><tool_call>{BODY}</tool_call>",
        f"<tool_call>{BODY}</tool_call>\n<tool_call>{BODY}",
        f"<tool_call>{BODY}<tool_call>{BODY}",
        f"<tool_call>{CODER}</tool_call><tool_call>{CODER}</tool_call>",
        f"<tool_call>{CODER}\n{CODER}</tool_call>",
        f"<TOOLCALL>[{BODY}, {BODY}]</TOOLCALL>",
        f"<|python_tag|>{LLAMA};{LLAMA}",
        f"<|python_tag|>{LLAMA}; {LLAMA};",
        f"<|python_tag|>{LLAMA}\n{LLAMA}",
        f"{LLAMA}; {LLAMA}",
        f"First:\n{LLAMA}\nthen:\n{LLAMA}",
        f"<tool_call>{BODY}</tool_call> and <TOOLCALL>[{BODY}]</TOOLCALL>",
    ],
)
def test_several_calls_of_one_answer(text: str) -> None:
    assert calls_of(text) == SEARCH_X * 2


@pytest.mark.parametrize(
    "query", ["SELECT a; b", "a } and ]", "<|python_tag|>", "</tool_call>", 'T\u014dky\u014d "c"', "a\nb"]
)
def test_marks_inside_a_json_text_are_text(query: str) -> None:
    for ascii_only in (True, False):
        body = json.dumps({"name": "search", "arguments": {"query": query}}, ensure_ascii=ascii_only)
        assert calls_of(f"<tool_call>{body}</tool_call>") == [("search", {"query": query})]
        assert calls_of(f"<|python_tag|>{body};{body}") == [("search", {"query": query})] * 2
        assert calls_of(f"<TOOLCALL>[{body}]</TOOLCALL>") == [("search", {"query": query})]


def test_parameters_without_types_get_those_of_the_schema() -> None:
    text = "<function=search><parameter=query>\n7\n</parameter><parameter=top_k>\n5\n</parameter></function>"
    assert calls_of(text) == [("search", {"query": "7", "top_k": 5})]
    wrong = text.replace("\n5\n", "five")
    assert calls_of(wrong) == [("search", {"query": "7", "top_k": "five"})]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('<tool_call>{"name": "search", "arguments": {"query": "x"</tool_call>', "the JSON is not valid"),
        ('<tool_call>{"name": "search", "arguments": {"que', "the JSON is cut off"),
        ('<tool_call>{"name": "search", "arguments": {"query": "x"}', "the JSON is cut off"),
        ('<TOOLCALL>[{"name": "search", "arguments": {"query": "x</TOOLCALL>', "the JSON is cut off"),
        ('<TOOLCALL>[{"name": "search", "arguments": {"query": "x"}}</TOOLCALL>', "the JSON is not valid"),
        ('<|python_tag|>{"name": "search", "parameters": {"query": "x"', "the JSON is cut off"),
        ('<|python_tag|>search.call(query="x")', "the JSON is not valid"),
        (f"<|python_tag|>{LLAMA}, {LLAMA}", "a comma follows a call"),
        (f"{LLAMA},\n{LLAMA}", "a comma follows a call"),
        ('{"name": "search", "parameters": {"query": "x', "the JSON is cut off"),
        ("<tool_call>not even json</tool_call>", "the JSON is not valid"),
        ("<tool_call></tool_call>", "the JSON is not valid"),
        ("<tool_call>", "the JSON is cut off"),
        ("<TOOLCALL>[]</TOOLCALL>", "the list of calls is empty"),
        ('<tool_call>{"arguments": {"query": "x"}}</tool_call>', 'the call has no "name"'),
        ('<tool_call>{"name": "search"}</tool_call>', 'the call has no "arguments"'),
        ('<tool_call>{"name": "search", "arguments": [1]}</tool_call>', "the arguments are a list"),
        ('<tool_call>{"name": "search", "arguments": "x"}</tool_call>', "the arguments are not valid JSON"),
        ('<tool_call>{"name": "search", "arguments": null}</tool_call>', "the arguments are null"),
        ('<tool_call>{"name": "a", "arguments": {}, "parameters": {"b": 1}}</tool_call>', "and they differ"),
        ('<tool_call>{"name": "a", "name": "b", "arguments": {}}</tool_call>', "the key 'name' occurs twice"),
        ('<tool_call>{"name": "a", "arguments": {"query": NaN}}</tool_call>', "NaN is not a JSON value"),
        ('<tool_call>{"name": "a", "arguments": {"query": "\\ud800"}}</tool_call>', "half a surrogate pair"),
        (f"<tool_call>{BODY}}}</tool_call>", "text follows the JSON before </tool_call>"),
        ("<tool_call>" + "[" * 200_000, "nested too deeply"),
        ("<tool_call>{'name': 'search'}</tool_call>", "the JSON is not valid"),
        ("<tool_call><function=search><parameter=query>x</function></tool_call>", "<parameter=query> is not closed"),
        ("<tool_call><function=search><parameter=query>x", "<parameter=query> is not closed"),
        ("<function=search><parameter=query>x<parameter=top_k>1</parameter></function>", "is not closed"),
        ("<function=search><parameter=query>x</parameter>", "<function=search> is not closed"),
        ("<function=search><parameter=q>x</parameter><parameter=q>y</parameter></function>", "occurs twice"),
        ("<function=><parameter=q>x</parameter></function>", "has no name"),
    ],
)
def test_a_broken_call_is_an_error_and_not_repaired(text: str, problem: str) -> None:
    found = find_text_calls(text, TOOLS, PARAMETERS)
    assert found.calls == ()
    assert len(found.errors) == 1
    assert problem in describe_errors(found.errors)


def test_a_broken_call_beside_a_whole_one_is_reported_too() -> None:
    found = find_text_calls(f"<tool_call>{BODY}</tool_call><tool_call>{{", TOOLS, PARAMETERS)
    assert len(found.calls) == len(found.errors) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Hello, how can I help you?",
        "<candidates>[0]</candidates> <answer>Done</answer>",
        'The format would be {"name": "search", "parameters": {"query": "x"}}.',
        '{"answer": "none of them"}',
        'Two words:\n{"name": "browse", "parameters": {}}',
        "{",
        "<TOOL_CALL>{}</TOOL_CALL>",
        "<Tool_Call>x</Tool_Call>",
    ],
)
def test_text_without_a_call(text: str) -> None:
    found = find_text_calls(text, TOOLS, PARAMETERS)
    assert found.calls == found.errors == ()
    assert found.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        f"<think><tool_call>{BODY}</tool_call></think>Nothing.",
        f"<think>a {{ <tool_call>{BODY}</tool_call>",  # cut off inside thinking
        f"I consider {{x}} <think> <tool_call>{BODY}</tool_call>",
        f"<tool_call>{BODY}</tool_call></think>Nothing.",  # opened by the chat template
        f"<think>a</think> b <tool_call>{BODY}</tool_call></think> c",
        f"<think>{LLAMA}</think>",
        f"<think>\n{LLAMA}\n",
        f"[THINK]<tool_call>{BODY}</tool_call>[/THINK]",
        f"<|channel|>analysis<|message|><tool_call>{BODY}</tool_call><|channel|>final<|message|>No.",
        f"<reasoning><TOOLCALL>[{BODY}]</TOOLCALL></reasoning>",
        f"<think><|python_tag|>{LLAMA}</think>",
        f"<think>{CODER}</think>",
        '<tool_call>{"name": "search", </think> No.',
        "<tool_call><function=search><parameter=query>draft </think> real</parameter></function>",
    ],
)
def test_a_call_inside_thinking_is_never_read(text: str) -> None:
    assert find_text_calls(text, TOOLS, PARAMETERS).calls == ()


def test_a_call_after_thinking_is_read_and_a_draft_before_it_is_not() -> None:
    draft = BODY.replace('"x"', '"draft"')
    for text in (
        f"<think>maybe <tool_call>{draft}</tool_call></think><tool_call>{BODY}</tool_call>",
        f"maybe <tool_call>{draft}</tool_call></think><tool_call>{BODY}</tool_call>",
        f"<tool_call>{BODY}</tool_call><think>or <tool_call>{draft}</tool_call></think>",
    ):
        assert calls_of(text) == SEARCH_X


def test_native_calls_come_first_and_the_text_is_not_searched() -> None:
    native = NativeToolCall("c1", "search", '{"query": "native"}')
    found = find_calls(ChatTurn(f"<tool_call>{BODY}</tool_call> rest", tool_calls=(native,)), TOOLS, PARAMETERS)
    assert found.calls == (ToolCall("search", {"query": "native"}, "native", "c1"),)
    assert found.calls[0].source == "native"
    assert found.text == "rest"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [('{"query": "x', "not valid JSON"), ("[]", "a list"), ("null", "null"), ('"x"', "a text"), ("7", "a number")],
)
def test_broken_native_arguments_are_an_error(arguments: str, problem: str) -> None:
    turn = ChatTurn("", tool_calls=(NativeToolCall("c1", "search", arguments),))
    found = find_calls(turn, TOOLS, PARAMETERS)
    assert found.calls == ()
    assert problem in found.errors[0].problem
    assert (found.errors[0].format, found.errors[0].id) == ("native", "c1")


def test_empty_native_arguments_are_none() -> None:
    turn = ChatTurn("", tool_calls=(NativeToolCall("c1", "search", ""),))
    assert find_calls(turn, TOOLS, PARAMETERS).calls[0].arguments == {}


def test_a_loop_of_calls_is_bounded_and_counted() -> None:
    found = find_text_calls(f"<tool_call>{BODY}</tool_call>" * (MAX_CALLS + 3), TOOLS, PARAMETERS)
    assert len(found.calls) == MAX_CALLS
    assert f"3 calls beyond the first {MAX_CALLS} were not run" in describe_errors(found.errors)


# Properties.

FRAGMENTS = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<TOOLCALL>",
        "</TOOLCALL>",
        "<|python_tag|>",
        "<function=search>",
        "<parameter=query>",
        "</parameter>",
        "</function>",
        BODY,
        LLAMA,
        '{"name"',
        "{",
        "[",
        ";",
        "\n",
        "```json",
        "<answer>Done</answer>",
        "<candidates>",
    ]
)
NOISE = st.lists(FRAGMENTS | st.text(max_size=8), max_size=12).map("".join)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.text(max_size=10), JSON_VALUES, max_size=4)
NAMES = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)


@given(NOISE)
@example("<think>{<tool_call>" + BODY)
def test_nothing_raises(text: str) -> None:
    find_text_calls(text, TOOLS, PARAMETERS)
    find_calls(ChatTurn(text, tool_calls=(NativeToolCall(text, text, text),)), TOOLS, PARAMETERS)


def render(form: str, name: str, arguments: dict[str, Any], *, ascii_only: bool) -> str:
    call = {"name": name, "arguments": arguments}
    body = json.dumps(call, ensure_ascii=ascii_only)
    llama = json.dumps({"name": name, "parameters": arguments}, ensure_ascii=ascii_only)
    return {
        "tool_call json": f"<tool_call>\n{body}\n</tool_call>",
        "TOOLCALL": f"<TOOLCALL>[{body}]</TOOLCALL>",
        "python_tag": f"<|python_tag|>{llama};{llama}",
        "bare json": llama,
    }[form]


@given(
    st.sampled_from(["tool_call json", "TOOLCALL", "python_tag", "bare json"]),
    NAMES,
    ARGUMENTS,
    st.booleans(),
    st.booleans(),
)
def test_a_rendered_json_call_comes_back(
    form: str, name: str, arguments: dict[str, Any], ascii_only: bool, with_thinking: bool
) -> None:
    text = render(form, name, arguments, ascii_only=ascii_only)
    found = find_text_calls(f"<think>hm</think>\n{text}" if with_thinking else text, (name,), {})
    assert found.errors == ()
    assert {call.format for call in found.calls} == {form}
    assert all((call.name, call.arguments) == (name, arguments) for call in found.calls)
    assert len(found.calls) == (2 if form == "python_tag" else 1)


@given(NAMES, ARGUMENTS, st.booleans())
def test_a_native_call_comes_back(name: str, arguments: dict[str, Any], ascii_only: bool) -> None:
    native = NativeToolCall("c1", name, json.dumps(arguments, ensure_ascii=ascii_only))
    found = find_calls(ChatTurn("", tool_calls=(native,)), (name,), {})
    assert found.calls == (ToolCall(name, arguments, "native", "c1"),)


VALUES = st.text(st.characters(exclude_characters="<[", exclude_categories=["Cs"]), max_size=30)
KEYS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)


@given(NAMES, st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_rendered_xml_call_comes_back(name: str, arguments: dict[str, str]) -> None:
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    found = find_text_calls(f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>", TOOLS, {})
    assert found.errors == ()
    assert [(call.name, call.arguments) for call in found.calls] == [(name, arguments)]


@given(NOISE, NOISE, st.sampled_from(["tool_call json", "TOOLCALL", "python_tag", "bare json"]), st.booleans())
def test_a_call_inside_think_tags_is_never_found(before: str, after: str, form: str, is_closed: bool) -> None:
    """Whatever stands around it: thinking ends at its first closing tag, so the noise before the call has none."""
    secret = render(form, "search", {"query": "secret"}, ascii_only=True)
    before = before.replace("</think>", "")
    text = f"<think>{before}\n{secret}\n" + (f"{after}</think>" if is_closed else after.replace("</think>", ""))
    found = find_text_calls(text, TOOLS, PARAMETERS)
    assert not any(call.arguments.get("query") == "secret" for call in found.calls)


@given(NOISE, NOISE)
def test_a_call_before_a_closing_tag_without_an_opening_one_is_never_found(before: str, after: str) -> None:
    strip = ("<think>", "</think>")
    for tag in strip:
        before, after = before.replace(tag, ""), after.replace(tag, "")
    secret = render("tool_call json", "search", {"query": "secret"}, ascii_only=True)
    found = find_text_calls(f"{before}{secret}\n{after}\n</think>", TOOLS, PARAMETERS)
    assert found.calls == ()


@pytest.mark.parametrize("answer", ['{"name": "Ana Reyes", "id": 3}', '{"id": 3, "name": "Ana'])
def test_an_answer_that_is_an_object_with_a_name_is_not_a_call(answer: str) -> None:
    found = find_calls(ChatTurn(answer), ("search",), {})
    assert (found.calls, found.errors, found.text) == ((), (), answer)
    named = find_calls(ChatTurn('{"name": "search"}'), ("search",), {})
    assert [error.problem.split(":")[0] for error in named.errors] == ['the call has no "arguments"']
