"""Find the tool calls of a completion: the server's own field first, then the forms in which models write them as text.

    <tool_call>{"name": .., "arguments": {..}}</tool_call>                        Hermes, Qwen
    <tool_call><function=NAME><parameter=KEY>value</parameter></function></tool_call>   Qwen3-Coder, Nemotron 3
    <TOOLCALL>[{..}, {..}]</TOOLCALL>                                             Nemotron Nano v2
    <|python_tag|>{"name": .., "parameters": {..}};{..}                           Llama 3
    {"name": .., "parameters": {..}} on a line of its own                         Llama 3

A call inside thinking is never read. What cannot be read is an error for the model, and nothing is repaired.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from autoresearch.benches.ports import ChatTurn, NativeToolCall
from autoresearch.benches.research.call_values import (
    MAX_EXCERPT_CHARS,
    BadCall,
    CallError,
    Format,
    ParsedCalls,
    ToolCall,
    call_from_json,
    calls_from_json,
    decode_arguments,
    merge,
    read_json_prefix,
)
from autoresearch.benches.research.call_xml import FUNCTION, Schemas, read_function

_TAG = r"(?:think|thinking|thought|reasoning)"
_MARK = re.compile(
    rf"(?P<close></{_TAG}>|\[/THINK\]|<\|channel\|>final<\|message\|>)"
    rf"|(?P<open><{_TAG}>|\[THINK\]|<\|channel\|>analysis<\|message\|>)"
    r"|(?P<hermes><tool_call>)|(?P<nemotron><TOOLCALL>)|(?P<llama><\|python_tag\|>)|(?P<function><function=)",
    re.IGNORECASE,
)
_CLOSE = re.compile(rf"</{_TAG}>|\[/THINK\]|<\|channel\|>final<\|message\|>", re.IGNORECASE)
_FENCE = re.compile(r"\s*```(?:json|tool_call)?[ \t]*\n?", re.IGNORECASE)
_FENCE_END = re.compile(r"\s*```")
_SPACE = re.compile(r"\s*")
_LLAMA_NEXT = re.compile(r"\s*;\s*(?=\{)|\s*(?=\{)")
_COMMA = re.compile(r"\s*,\s*\{")
_LLAMA_END = re.compile(r"\s*;?\s*(?:<\|eom_id\|>|<\|eot_id\|>)?")
_BARE = re.compile(r"^[ \t]*(?=\{\s*\")", re.MULTILINE)
MAX_BARE = 200  # opening braces that are tried
MAX_TOLD = 3  # errors of one answer that the model is told in full


def find_calls(turn: ChatTurn, tools: Collection[str], schemas: Schemas) -> ParsedCalls:
    """The calls of a completion. Never raises.

    ``tools`` are the names on offer: in prose, a bare object is a call only if it names one of them. ``schemas`` give
    the types of parameters that are written without types.
    """
    found = find_text_calls(turn.text, tools, schemas)
    if not turn.tool_calls:
        return found
    calls: list[ToolCall] = []
    errors: list[CallError] = []
    for native in turn.tool_calls:
        try:
            calls.append(_native(native))
        except BadCall as e:
            errors.append(CallError(str(e), "native", native.id))
    return merge(calls, errors, found.text)


def _native(call: NativeToolCall) -> ToolCall:
    if not call.name.strip():
        raise BadCall("the call has no name")
    return ToolCall(call.name.strip(), decode_arguments(call.arguments), "native", call.id)


@dataclass(slots=True)
class _Scan:
    """What was found so far, left of ``place``."""

    text: str
    schemas: Schemas
    place: int = 0
    calls: list[ToolCall] = field(default_factory=list)
    errors: list[CallError] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # the text outside of thinking and calls

    def keep_until(self, end: int) -> None:
        self.kept.append(self.text[self.place : end])
        self.place = end

    def forget(self) -> None:
        """All so far was thinking, whose opening tag the chat template contains."""
        self.calls, self.errors, self.kept = [], [], []


def find_text_calls(text: str, tools: Collection[str], schemas: Schemas) -> ParsedCalls:
    """The calls that a model wrote as text, in their order. Never raises."""
    scan = _Scan(text, schemas)
    while mark := _MARK.search(text, scan.place):
        if mark["close"]:
            scan.forget()
            scan.place = mark.end()
        elif mark["open"]:
            scan.keep_until(mark.start())
            closing = _CLOSE.search(text, mark.end())
            scan.place = closing.end() if closing else len(text)
        elif (mark["hermes"] and mark[0] != "<tool_call>") or (mark["nemotron"] and mark[0] != "<TOOLCALL>"):
            scan.keep_until(mark.end())  # the tags differ in nothing but their case
        else:
            scan.keep_until(mark.start())
            _read_marked(scan, mark)
    scan.keep_until(len(text))
    rest = "".join(scan.kept)
    if scan.calls or scan.errors:
        return merge(scan.calls, scan.errors, rest)
    return _find_bare(rest, tools)


def _read_marked(scan: _Scan, mark: re.Match[str]) -> None:
    """Read the call behind a mark and move behind it; of one that cannot be read, only its mark is passed."""
    text, body = scan.text, _skip(_SPACE, scan.text, mark.end())
    form: Format = "tool_call json"
    try:
        if mark["function"] or (mark["hermes"] and FUNCTION.match(text, body)):
            form = "tool_call xml"
            found, scan.place = _functions(scan, mark.start() if mark["function"] else body)
        elif mark["llama"]:
            form = "python_tag"
            found, scan.place = _llama(text, body)
        else:
            form = "TOOLCALL" if mark["nemotron"] else "tool_call json"
            found, scan.place = _enclosed_json(text, mark.end(), "</" + mark[0][1:], form)
        scan.calls.extend(found)
    except BadCall as e:
        excerpt = text[mark.start() : mark.start() + MAX_EXCERPT_CHARS]
        scan.errors.append(CallError(f"{e}: {excerpt}", form))
        scan.place = body + len("<function=") if form == "tool_call xml" and not mark["function"] else mark.end()


def _enclosed_json(text: str, start: int, closing: str, form: Format) -> tuple[list[ToolCall], int]:
    """JSON between two tags. A missing closing tag is accepted where nothing but another call follows the JSON."""
    fence = _FENCE.match(text, start)
    value, end = read_json_prefix(text, _skip(_SPACE, text, fence.end() if fence else start))
    calls = calls_from_json(value, form)
    fence_end = _FENCE_END.match(text, end) if fence else None
    end = _skip(_SPACE, text, fence_end.end() if fence_end else end)
    if text.startswith(closing, end):
        return calls, end + len(closing)
    if end < len(text) and not text.startswith(("<tool_call>", "<TOOLCALL>"), end):
        raise BadCall(f"text follows the JSON before {closing}")
    return calls, end


def _functions(scan: _Scan, start: int) -> tuple[list[ToolCall], int]:
    """One or several functions, with or without the closing tag of ``<tool_call>``."""
    calls: list[ToolCall] = []
    place = start
    while FUNCTION.match(scan.text, _skip(_SPACE, scan.text, place)) or not calls:
        call, place = read_function(scan.text, _skip(_SPACE, scan.text, place), scan.schemas)
        calls.append(call)
    end = _skip(_SPACE, scan.text, place)
    return calls, end + len("</tool_call>") if scan.text.startswith("</tool_call>", end) else place


def _llama(text: str, start: int) -> tuple[list[ToolCall], int]:
    """Objects that are separated by semicolons, up to the end of the message."""
    calls, place = _object_list(text, start, "python_tag")
    end = _skip(_LLAMA_END, text, place)
    return calls, end


def _object_list(text: str, start: int, form: Format) -> tuple[list[ToolCall], int]:
    calls: list[ToolCall] = []
    place = start
    while True:
        value, place = read_json_prefix(text, place)
        calls.append(call_from_json(value, form))
        following = _LLAMA_NEXT.match(text, place)
        if following is None:
            if _COMMA.match(text, place):  # else the calls behind it would be lost without a word
                raise BadCall("a comma follows a call: calls are separated by semicolons")
            return calls, place
        place = following.end()


def _find_bare(text: str, tools: Collection[str]) -> ParsedCalls:
    """Objects without any mark: the whole answer, or lines of it that name a tool on offer."""
    stripped = text.strip()
    fence = _FENCE.match(stripped)
    body = fence.end() if fence else 0
    if re.match(r'\{\s*"', stripped[body : body + 80]) and _is_like_a_call(stripped, tools):
        try:
            calls, end = _object_list(stripped, body, "bare json")
            end = _skip(_LLAMA_END, stripped, end)
            end = _skip(_FENCE_END, stripped, end) if fence and _FENCE_END.match(stripped, end) else end
            return merge(calls, (), stripped[end:])
        except BadCall as e:
            return merge((), (CallError(f"{e}: {stripped[body : body + MAX_EXCERPT_CHARS]}", "bare json"),), stripped)
    return _find_lines(text, tools)


def _is_like_a_call(text: str, tools: Collection[str]) -> bool:
    """Whether an object that is a whole answer is meant as a call: the answer itself may be an object with a name."""
    return '"name"' in text and any(f'"{word}"' in text for word in ("arguments", "parameters", *tools))


def _find_lines(text: str, tools: Collection[str]) -> ParsedCalls:
    calls: list[ToolCall] = []
    kept: list[str] = []
    place = 0
    for number, start in enumerate(_BARE.finditer(text)):
        if start.end() < place or number == MAX_BARE:
            continue
        try:
            found, end = _object_list(text, start.end(), "bare json")
        except BadCall:
            continue  # prose may hold any object
        if all(call.name in tools for call in found):
            kept.append(text[place : start.start()])
            calls.extend(found)
            place = end
    kept.append(text[place:])
    return merge(calls, (), "".join(kept))


def _skip(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return match.end() if match else place


def describe_errors(errors: Sequence[CallError]) -> str:
    """What the model is told about calls that could not be read."""
    more = f"; and {len(errors) - MAX_TOLD} more" if len(errors) > MAX_TOLD else ""
    return "; ".join(error.problem for error in errors[:MAX_TOLD]) + more
