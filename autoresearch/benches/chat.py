"""The ``Chat`` of a bench run: one thread's connection to an OpenAI-compatible server, with the project's own patience.

What a server answers is untrusted (``llm/parse.py``), every call ends within its deadline (``llm/async_bridge.py``),
and a failure of the server is never an answer of the model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from autoresearch.benches.ports import ChatTurn, ContextOverflow, Infrastructure, WrongModel
from autoresearch.benches.prompt_tokens import prompt_tokens_in
from autoresearch.core.llm_calls import ANSWERED, Classification
from autoresearch.llm.answer import Answer
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.classify import context_length_in, reclassify_fault, reclassify_open_thinking
from autoresearch.llm.client import MAX_BODY_BYTES, TOKENIZER_PATHS, Client
from autoresearch.llm.parameters import OPTIONAL, Parameters
from autoresearch.llm.parse import Model, choose_model, parse_completion, parse_models, parse_token_count
from autoresearch.llm.requests import ask_without_refused, count_tokens, send
from autoresearch.llm.retry import BACKOFF_S
from autoresearch.llm.tokens import estimate_tokens

DEFAULT_CONTEXT = 8192  # tokens, where neither flags nor server give a length
MAX_COMPLETION_TOKENS = 8192
MIN_COMPLETION_TOKENS = 16  # a shorter one is not asked for: the prompt does not fit
CHECK_S = 10.0  # to list the models, and to count tokens
CHAT_TEMPLATE_TOKENS = 8  # of each message, beside its text
SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a run samples; ``None``: not sent. A sample's seed is ``seed`` + its number, so that samples differ."""

    temperature: float = 0.7
    top_p: float | None = None
    max_tokens: int | None = None  # of one completion, thinking included; ``None``: see ``ServerChat``
    seed: int | None = None


@dataclass(slots=True)
class ServerChat:
    """See ``ports.Chat``. Used by one thread; ``close`` closes its connections and its event loop.

    ``context`` overrides the length that the server lists. Without ``sampling.max_tokens`` a completion may have a
    quarter of the context, at most ``MAX_COMPLETION_TOKENS``. Where prompt and completion do not fit together, the
    completion is asked for once more with what is left beside the prompt.
    """

    client: Client
    bridge: AsyncBridge
    model: Model
    sampling: Sampling = Sampling()
    key: str | None = None
    context: int = 0
    deadline_s: float = 600.0  # of one call, retries included
    backoff_s: float = BACKOFF_S
    notify: Callable[[str], None] = lambda _message: None
    parameters: Parameters = field(default_factory=lambda: Parameters(more=OPTIONAL))
    think_style: str = "none"  # ``closing tag``: the template opens the thinking, so that a cut reply has no tag
    _seed: int | None = None
    _is_suspect: bool = False  # the server failed: it may have been restarted with another model
    _known_names: set[str | None] = field(init=False)  # that replies may bear
    _learned_context: int | None = None
    _tokenizer_paths: tuple[str, ...] = TOKENIZER_PATHS

    def __post_init__(self) -> None:
        self._known_names = {None, self.model.name}

    @property
    def context_tokens(self) -> int:
        known = self.context or self.model.max_model_len or DEFAULT_CONTEXT
        return min(known, self._learned_context or known)

    @property
    def completion_tokens(self) -> int:
        """The most tokens of a completion where the caller sets no bound."""
        own = min(MAX_COMPLETION_TOKENS, max(256, self.context_tokens // 4))
        return self.sampling.max_tokens or own

    def begin(self, sample: int) -> None:
        """See ``ports.RunChat``."""
        seed = self.sampling.seed
        self._seed = None if seed is None else (seed + sample) % (1 << 31)
        if failed := self._check_model(CHECK_S):
            raise Infrastructure(failed.classification, failed.detail)

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        max_tokens: int | None = None,
        seed: int | None = None,
    ) -> ChatTurn:
        """See ``ports.Chat``."""
        began = time.monotonic()
        tokens = min(filter(None, (max_tokens, self.sampling.max_tokens)), default=self.completion_tokens)
        body: dict[str, Any] = {"model": self.model.name, "messages": [dict(m) for m in messages]}
        if tools:
            body["tools"] = [dict(tool) for tool in tools]
        more = {"top_p": self.sampling.top_p, "seed": self._seed if seed is None else seed}
        answer = self._ask(body, tokens, more, began + self.deadline_s)
        if answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            self._learned_context = context_length_in(answer.detail) or self._learned_context
            left = self.context_tokens - self._prompt_tokens(messages, tools, answer.detail)
            if MIN_COMPLETION_TOKENS <= left < tokens and max_tokens is None:
                tokens = left
                answer = self._ask(body, tokens, more, began + self.deadline_s)
        if answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            raise ContextOverflow(answer.detail, context_length_in(answer.detail))
        if answer.classification not in ANSWERED:
            raise Infrastructure(answer.classification, answer.detail, answer.retry_after_s)
        return _turn(answer, tokens, time.monotonic() - began)

    def count_tokens(self, text: str) -> int:
        """See ``ports.Chat``. Never raises but ``Interrupted``."""
        end = time.monotonic() + CHECK_S
        name = self.model.name
        counted, self._tokenizer_paths = count_tokens(
            self._tokenizer_paths if text else (),
            lambda path: self._send(self.client.tokenize(path, name, text), parse_token_count, end - time.monotonic()),
        )
        return estimate_tokens(text) if counted is None else counted

    def close(self) -> None:
        try:
            with suppress(Exception):
                self.bridge.run(self.client.close(), 1.0)
        finally:
            self.bridge.close()

    def _ask(self, body: Mapping[str, Any], tokens: int, more: Mapping[str, Any], end: float) -> Answer:
        """One completion with retries until ``end``; the model is checked again after a failure of the server."""

        def try_once(parameters: Parameters, left_s: float) -> Answer:
            if self._is_suspect and (failed := self._check_model(min(CHECK_S, left_s))):
                return failed
            sent = {**body, **parameters.fields(tokens, self.sampling.temperature, more)}
            parse = partial(parse_completion, max_chars=MAX_BODY_BYTES)
            answer = reclassify_fault(self._send(self.client.post_chat(sent), parse, left_s))
            self._is_suspect = answer.classification not in ANSWERED
            return answer

        answer, parameters, why = ask_without_refused(try_once, self.parameters, end, self.bridge.sleep, self.backoff_s)
        if answer.classification in ANSWERED:
            if answer.think_style == "closing tag":
                self.think_style = answer.think_style
            answer = reclassify_open_thinking(answer, self.think_style)
            if parameters != self.parameters:
                self.parameters = parameters
                self.notify(parameters.describe_refusal(why))
            if answer.model not in self._known_names:  # a name of its own for our model, or another model
                if failed := self._check_model(CHECK_S):
                    return failed
                self._known_names.add(answer.model)
        return answer

    def _check_model(self, seconds: float) -> Answer | None:
        """The failure of a server that cannot be reached; ``None`` where it has the model, or lists none.

        Raises ``WrongModel``. Some servers chat but list no models, load a model when it is asked, or list nothing
        while they generate: then the completion itself shows whether they work.
        """
        listed = self._send(self.client.models(), parse_models, seconds)
        if isinstance(listed, Answer):
            return listed if listed.classification is Classification.UNREACHABLE else None
        if listed and choose_model(listed, self.model.name) is None:
            names = ", ".join(m.name for m in listed)[:SHOWN_CHARS]
            raise WrongModel(f"this run asks {self.model.name}; the server now has {names}")
        self._is_suspect = False
        return None

    def _prompt_tokens(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], detail: str
    ) -> int:
        """Tokens of the prompt: as the message of an overflow names them, else counted."""
        if (named := prompt_tokens_in(detail)) is not None:
            return named
        text = "\n".join(str(m.get("content") or "") + str(m.get("tool_calls") or "") for m in messages)
        text += "".join(str(tool) for tool in tools)
        return self.count_tokens(text) + CHAT_TEMPLATE_TOKENS * (len(messages) + 1)

    def _send(self, request: Any, parse: Any, seconds: float) -> Any:
        return send(self.bridge, request, parse, max(0.0, seconds), self.key)


def _turn(answer: Answer, max_tokens: int, latency_s: float) -> ChatTurn:
    """An answer as a turn; what is malformed among its tool calls stays readable in the text."""
    return ChatTurn(
        text="\n".join(part for part in (answer.text, *answer.malformed_calls) if part),
        thinking=answer.thinking,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        max_tokens=max_tokens,
        model=answer.model,
        tokens_in=answer.prompt_tokens,
        tokens_out=answer.completion_tokens,
        latency_s=latency_s,
    )
