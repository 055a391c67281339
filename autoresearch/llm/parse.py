"""Parse a server's untrusted JSON: a chat completion, the list of models, a token count."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import MAX_TEXT_CHARS, Answer
from autoresearch.llm.model_kind import is_chat_model
from autoresearch.llm.thinking import separate_thinking
from autoresearch.llm.tool_calls import parse_tool_calls

MAX_NAME_CHARS = 4096  # a local model's name is its path
MAX_SHOWN_BYTES = 1000  # of a body that is not JSON: enough to recognise the error that it reports
MAX_REFUSAL_CHARS = 200
ERROR_FIELDS = ("detail", "message", "error_message", "error_msg", "msg")  # of an error in place of an answer
# vLLM before 0.11, SGLang and llama.cpp; vLLM since 0.11 and Ollama; other gateways.
THINKING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "thinking")

# Error messages quote the beginning of a response. ``repr`` would raise RecursionError on deep nesting.
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


class MalformedResponse(Exception):
    """Status 200, but the body is not what the endpoint returns."""


class NoUsableModel(MalformedResponse):
    """The server lists models, but none with a name that could be sent back to it."""


class ReportedError(MalformedResponse):
    """Status 200, but the body reports an error: it is classified by its text, as if ``status`` had come with it."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Model:
    """An entry of /v1/models; ``max_model_len`` is in tokens, ``None`` where the server does not report it."""

    name: str
    max_model_len: int | None = None
    is_chat: bool = True  # False: it embeds, ranks, speaks or draws


def parse_completion(body: bytes, max_chars: int = MAX_TEXT_CHARS) -> Answer:
    """The answer in a chat completion, at most ``max_chars`` of its text and of its thinking.

    Raises ``MalformedResponse``; ``ReportedError`` for an error in its place.
    """
    reply = _require_reply(_decode_json(body))
    choices = reply.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        _raise_reported_error(reply)
        raise MalformedResponse(f"no choices in the response: {_SHOWN.repr(reply)}")
    choice = _require_object(choices[0], "the first choice")
    if not _has_text(choice.get("message")):
        _raise_reported_error(choice if choice.get("error") else {"error": reply.get("error")})
    message = _require_object(choice.get("message"), "its message")
    usage = reply.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    finish_reason = choice.get("finish_reason")
    answer = _parse_message(message, max_chars)
    if not answer.text and finish_reason != "length" and not answer.has_tool_call:
        answer = _answer_in_thinking(answer)
    classification = _classify_message(answer, finish_reason)
    return Answer(
        classification,
        _why_empty(choice, message) if classification is Classification.EMPTY else "",
        text=answer.text,
        thinking=answer.thinking,
        think_style=answer.think_style,
        has_tool_call=answer.has_tool_call,
        finish_reason=_valid_name(finish_reason),
        model=_valid_name(reply.get("model")),
        prompt_tokens=_valid_count(usage.get("prompt_tokens")),
        completion_tokens=_valid_count(usage.get("completion_tokens")),
        tool_calls=answer.tool_calls,
        malformed_calls=answer.malformed_calls,
    )


def parse_models(body: bytes) -> list[Model]:
    """The models of ``GET /v1/models``. Raises ``MalformedResponse``."""
    reply = _require_reply(_decode_json(body))
    entries = reply.get("data")
    if not isinstance(entries, list):
        _raise_reported_error(reply)
        raise MalformedResponse("no list of models in the response")
    found: list[Model] = []
    for entry in entries:
        if isinstance(entry, Mapping) and (name := _valid_name(entry.get("id"))):
            meta = entry.get("meta")  # llama.cpp's server
            n_ctx = meta.get("n_ctx") if isinstance(meta, Mapping) else None
            tokens = _valid_count(entry.get("max_model_len")) or _valid_count(n_ctx)
            found.append(Model(name, tokens, is_chat_model(name, entry)))
    if entries and not found:
        first = entries[0].get("id") if isinstance(entries[0], Mapping) else entries[0]
        raise NoUsableModel(f"no listed model has a printable name; the first is {_SHOWN.repr(first)}")
    return found


def choose_model(listed: Sequence[Model], wanted: str | None, known: Model | None = None) -> Model | None:
    """The model named ``wanted``; without a name the chat model used before, else the first; ``None`` if missing.

    llama.cpp lists its model by path and accepts any name: a single model is found by a part of its name too.
    """
    if wanted is None:
        chat = [m for m in listed if m.is_chat]
        same = (m for m in chat if known and m.name == known.name)  # the order of a list may change
        return next(same, chat[0] if chat else None)
    exact = next((m for m in listed if m.name == wanted), None)
    is_part = len(listed) == 1 and wanted in listed[0].name
    return exact or (listed[0] if is_part else None)


def parse_token_count(body: bytes) -> int:
    """The number of tokens in the answer of /tokenize. Raises ``MalformedResponse``."""
    reply = _require_object(_decode_json(body), "the response")
    count = _valid_count(reply.get("count"))
    tokens = reply.get("tokens")
    if count is None and isinstance(tokens, list):
        count = len(tokens)
    if not count:
        raise MalformedResponse("no count and no tokens in the response")
    return count


def _parse_message(message: Mapping[str, Any], max_chars: int) -> Answer:
    """The text and the thinking of a message; servers put the thinking in different places."""
    content = message.get("content")
    if isinstance(content, list):  # content parts
        content = "".join(str(p.get("text") or "") for p in content if isinstance(p, Mapping))
    if isinstance(content, Mapping) and content:  # one content part, or a server that parses the JSON it enforced
        text = content.get("text")
        content = text if isinstance(text, str) else json.dumps(content)
    if content is not None and not isinstance(content, str):
        raise MalformedResponse(f"the message's content is {type(content).__name__}, not text")
    text, thinking, style = separate_thinking(
        _replace_surrogates(content or "")
    )  # before the text is shortened: the answer comes last
    field = next(
        (_replace_surrogates(v) for name in THINKING_FIELDS if isinstance(v := message.get(name), str) and v), ""
    )
    calls, malformed = parse_tool_calls(message)
    return Answer(
        Classification.OK,
        text=text[:max_chars],
        thinking=f"{field}{thinking}"[:max_chars],
        think_style="field" if field and style == "none" else style,
        has_tool_call=bool(message.get("tool_calls") or message.get("function_call")),
        tool_calls=calls,
        malformed_calls=malformed,
    )


def _answer_in_thinking(answer: Answer) -> Answer:
    """Take the field of the thinking for the answer where it is one whole JSON value, or ends in one after a tag.

    Some servers put all that a reasoning model writes into that field while they enforce a schema. Thinking itself is
    prose: JSON inside it is a draft.
    """
    text = separate_thinking(answer.thinking).answer
    inner = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    if answer.think_style != "field" or not inner.startswith(("{", "[")):
        return answer
    try:
        json.loads(inner)
    except (ValueError, RecursionError):
        return answer
    return replace(answer, text=text, thinking=answer.thinking.removesuffix(text).strip())


def _classify_message(answer: Answer, finish_reason: object) -> Classification:
    """``ok`` where there is text to judge, else the reason why there is none."""
    if answer.text:
        return Classification.OK
    if answer.think_style == "unclosed" or (answer.thinking and finish_reason == "length"):
        return Classification.THINK_TRUNCATED
    if answer.has_tool_call:
        return Classification.TOOL_FORMAT_ERROR
    return Classification.OUTPUT_TRUNCATED if finish_reason == "length" else Classification.EMPTY


def _why_empty(choice: Mapping[str, Any], message: Mapping[str, Any]) -> str:
    """What a server says about an answer without text: its refusal, else the reason to finish."""
    refusal, reason = message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal.strip():
        return f"refused: {_replace_surrogates(' '.join(refusal[:MAX_REFUSAL_CHARS].split()))}"
    return f"finish_reason: {_SHOWN.repr(reason)}" if reason not in (None, "stop") else ""


def _has_text(message: object) -> bool:
    return isinstance(message, Mapping) and bool(message.get("content"))


def _require_reply(value: object) -> Mapping[str, Any]:
    """The object that a server replied with. Text and a list of errors in its place are quoted."""
    if isinstance(value, str) and value.strip():
        raise MalformedResponse(_replace_surrogates(value[:MAX_TEXT_CHARS]))  # which its words may call an error
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        _raise_reported_error(value[0])
    return _require_object(value, "the response")


def _raise_reported_error(reply: Mapping[str, Any]) -> None:
    """Raise ``ReportedError`` if ``reply`` holds an error in one of the forms that servers use; else return."""
    error = next((v for k in ("error", "errors") if (v := reply.get(k))), None)
    detail = reply.get("detail")  # FastAPI's: text, an object, or a list of problems
    error = error or (detail if isinstance(detail, list | Mapping) else None)
    error = error or next((v for k in ERROR_FIELDS if isinstance(v := reply.get(k), str) and v), None)
    if not error:
        return
    inner = error[0] if isinstance(error, list) else error
    inner = inner if isinstance(inner, Mapping) else reply
    codes = (inner.get(name) for name in ("code", "status", "status_code", "error_code"))
    status = next((code for c in codes if str(c).isdigit() and 400 <= (code := int(str(c)[:9])) < 600), 500)
    message = next((v for k in ("message", "msg", "error") if isinstance(v := inner.get(k), str) and v), error)
    shown = message if isinstance(message, str) else _SHOWN.repr(message)
    kind = next((v for name in ("type", "code") if isinstance(v := inner.get(name), str)), "")
    raise ReportedError(_replace_surrogates(f"{shown[:MAX_TEXT_CHARS]} {kind}".strip()), status)


def _replace_surrogates(text: str) -> str:
    """Replace lone surrogates: JSON can contain them, requests and records cannot."""
    return text.encode("utf-8", "replace").decode()


def _decode_json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as e:
        raise MalformedResponse(f"not JSON: {body[:MAX_SHOWN_BYTES]!r}") from e


def _require_object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise MalformedResponse(f"{what} is not an object: {_SHOWN.repr(value)}")
    return value


def _valid_name(value: object) -> str | None:
    """A usable name, unchanged, or ``None``: a shortened or repaired name would not exist on the server."""
    if not isinstance(value, str):
        return None
    return value if 0 < len(value) <= MAX_NAME_CHARS and value.isprintable() else None


def _valid_count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None
