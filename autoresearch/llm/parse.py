"""A server's JSON, read without trust: a chat completion as an ``Answer``, the list of models, a token count."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.core.llm_calls import Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.thinking import separate

MAX_TEXT_CHARS = 1 << 16  # of an answer or a thought, that is kept
MAX_NAME_CHARS = 4096  # a local model is named by its path
THINKING_FIELDS = ("reasoning_content", "reasoning")  # vLLM before and since 0.11; SGLang and llama.cpp as the first

# Of a response that cannot be read, the beginning is shown. ``repr`` would follow any nesting into a RecursionError.
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


class Malformed(Exception):
    """200, but not what the endpoint answers with."""


@dataclass(frozen=True, slots=True)
class Model:
    """An entry of /v1/models; ``max_model_len`` is in tokens, and ``None`` where the server does not say."""

    name: str
    max_model_len: int | None = None


def parse_completion(body: bytes) -> Answer:
    """The answer in a chat completion. Raises ``Malformed``."""
    reply = _table(_parsed(body), "the response")
    choices = reply.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise Malformed(f"no choices in the response: {_SHOWN.repr(reply)}")
    choice = _table(choices[0], "the first choice")
    message = _table(choice.get("message"), "its message")
    usage = reply.get("usage")
    usage = usage if isinstance(usage, Mapping) else {}
    finish_reason = choice.get("finish_reason")
    answer = _words(message)
    return Answer(
        _first_look(answer, finish_reason),
        text=answer.text,
        thinking=answer.thinking,
        think_style=answer.think_style,
        has_tool_call=answer.has_tool_call,
        finish_reason=_name(finish_reason),
        model=_name(reply.get("model")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def parse_models(body: bytes) -> list[Model]:
    """The models of ``GET /v1/models``. Raises ``Malformed``."""
    entries = _table(_parsed(body), "the response").get("data")
    if not isinstance(entries, list):
        raise Malformed("no list of models in the response")
    found = []
    for entry in entries:
        if isinstance(entry, Mapping) and (name := _name(entry.get("id"))):
            meta = entry.get("meta")  # llama.cpp's server
            n_ctx = meta.get("n_ctx") if isinstance(meta, Mapping) else None
            found.append(Model(name, _count(entry.get("max_model_len")) or _count(n_ctx)))
    return found


def choose(listed: Sequence[Model], wanted: str | None, known: Model | None = None) -> Model | None:
    """The wanted model, or the one ``known`` from before, or the first; ``None`` where that is not there.

    llama.cpp lists its model by path and takes any name: the only model there is, wanted by a part of its name.
    """
    if wanted is None:
        still = (m for m in listed if known and m.name == known.name)  # a list may come in another order each time
        return next(still, listed[0] if listed else None)
    exact = next((m for m in listed if m.name == wanted), None)
    is_part = len(listed) == 1 and wanted in listed[0].name
    return exact or (listed[0] if is_part else None)


def parse_token_count(body: bytes) -> int:
    """The number of tokens in the answer of /tokenize. Raises ``Malformed``."""
    reply = _table(_parsed(body), "the response")
    count = _count(reply.get("count"))
    tokens = reply.get("tokens")
    if count is None and isinstance(tokens, list):
        count = len(tokens)
    if not count:
        raise Malformed("no count and no tokens in the response")
    return count


def _words(message: Mapping[str, Any]) -> Answer:
    """The text of a message with its thinking taken out, wherever the server has put that."""
    content = message.get("content")
    if isinstance(content, list):  # content parts
        content = "".join(str(p.get("text") or "") for p in content if isinstance(p, Mapping))
    if content is not None and not isinstance(content, str):
        raise Malformed(f"the message's content is {type(content).__name__}, not text")
    text, thinking, style = separate(_clean(content or ""))  # before it is cut: the answer comes last
    field = next((_clean(v) for name in THINKING_FIELDS if isinstance(v := message.get(name), str) and v), "")
    return Answer(
        Classification.OK,
        text=text[:MAX_TEXT_CHARS],
        thinking=f"{field}{thinking}"[:MAX_TEXT_CHARS],
        think_style="field" if field and style == "none" else style,
        has_tool_call=bool(message.get("tool_calls") or message.get("function_call")),
    )


def _first_look(answer: Answer, finish_reason: object) -> Classification:
    """``ok`` where there is text to judge, else why there is none."""
    if answer.text:
        return Classification.OK
    if answer.think_style == "unclosed" or (answer.thinking and finish_reason == "length"):
        return Classification.THINK_TRUNCATED
    if answer.has_tool_call:
        return Classification.TOOL_FORMAT_ERROR
    return Classification.OUTPUT_TRUNCATED if finish_reason == "length" else Classification.EMPTY


def _clean(text: str) -> str:
    """Without lone surrogates, which JSON can bring and no request or record could carry on."""
    return text.encode("utf-8", "replace").decode()


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as e:
        raise Malformed(f"no JSON: {body[:120]!r}") from e


def _table(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Malformed(f"{what} is no object: {_SHOWN.repr(value)}")
    return value


def _name(value: object) -> str | None:
    """A name as it stands, or none: one that was cut or mended would name nothing on the server."""
    if not isinstance(value, str):
        return None
    return value if 0 < len(value) <= MAX_NAME_CHARS and value.isprintable() else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 31 else None
