"""The state of one LLM server during a run: its model, context length, schema support, and circuit breaker."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_args

from autoresearch.core.llm_calls import ANSWERED, Classification, Message
from autoresearch.llm.answer import Answer
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.classify import context_length_in, reclassify_fault, reclassify_open_thinking
from autoresearch.llm.client import TOKENIZER_PATHS, Client, SchemaForm
from autoresearch.llm.model_choice import SHOWN_CHARS, explain_missing_model, explain_skipped_models
from autoresearch.llm.model_kind import NOT_A_CHAT_MODEL
from autoresearch.llm.parameters import Parameters
from autoresearch.llm.parse import Model, choose_model, parse_completion, parse_models, parse_token_count
from autoresearch.llm.probe import GREETING, PROBE_TOKENS, Structured, probe_schema, schema_support
from autoresearch.llm.requests import ask_without_refused, count_tokens, send
from autoresearch.llm.retry import BACKOFF_S, CircuitBreaker

DEFAULT_CONTEXT = 8192  # where neither settings nor server give one; Ollama starts with less: set ``llm.max_model_len``
# The context assumed after an overflow whose message names no length: a fraction of the last one, bounded below.
MIN_LEARNED_CONTEXT, SHRINK_FACTOR = 4096, 0.6
MAX_COMPLETION_TOKENS = 8192
DISCOVERY_S = 10.0  # to list the models, and to count tokens
SCHEMA_REFUSALS = frozenset({Classification.REQUEST_REJECTED, Classification.SERVER_ERROR})

T = TypeVar("T")


@dataclass(slots=True)
class LlmServer:
    """Used by one proposer, one call at a time. Raises only ``Interrupted``: a failure is an ``Answer``.

    ``wanted_model`` and ``context`` override what the server reports; ``notify`` gets messages for the user.
    """

    client: Client
    bridge: AsyncBridge
    notify: Callable[[str], None]
    key: str | None = None
    wanted_model: str | None = None
    context: int = 0
    deadline_s: float = 60.0
    backoff_s: float = BACKOFF_S  # before the second try of a call
    temperature: float = 0.7
    max_tokens: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    model: Model | None = None
    structured: Structured = "unknown"
    tokens_ratio: float = 1.0  # tokens counted by the server over estimated ones; 1 until it has counted some
    form: SchemaForm = "json_schema"
    parameters: Parameters = field(default_factory=Parameters)  # as this server takes them
    think_style: str = "none"  # of the last answer
    _last_model: Model | None = None  # the model asked last, also while ``model`` is None
    _tokenizer_paths: tuple[str, ...] = TOKENIZER_PATHS  # that the server may have
    _is_unavailable: bool = False  # the last discovery failed
    _learned_context: int | None = None
    _not_chat: dict[str, str] = field(default_factory=dict)  # names of models that refused to chat, and how
    _skip_note: str = ""  # the last one that the user got
    _probed: str | None = None  # the model that ``structured`` was determined for

    def remaining_cooldown_s(self) -> float:
        """Seconds for which the server must not be asked after its failures; 0 when it may be."""
        return self.breaker.remaining_cooldown_s()

    def discover(self) -> Answer | None:
        """Find the model to ask, and once per model probe for schema support. Returns the failure, ``None`` on success.

        One GET after the first time, so that it can precede every conversation: a server's model may change.
        """
        end = time.monotonic() + self.deadline_s
        known = self.model or self.wanted_model  # asked without a list, so time is left for its probe
        listed = self._request(
            self.client.models(), parse_models, min(DISCOVERY_S, self.deadline_s / 2 if known else self.deadline_s)
        )
        while True:
            if isinstance(selected := self._select_model(listed), Answer):
                return self._record_unavailable(selected)
            self._adopt(selected)
            failed = None if self._probed == selected.name else self._probe(selected.name, end)
            if failed is None:
                break
            if self.wanted_model or not NOT_A_CHAT_MODEL.search(failed.detail):
                return self._record_unavailable(failed)
            self._not_chat[selected.name] = failed.detail
            self.model = self._last_model = None
        if self._is_unavailable:
            self.notify(f"the LLM server answers: {selected.name[-SHOWN_CHARS:]}")
            self._is_unavailable = False
        return None

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """One call, retries included, within ``deadline_s``. The schema is sent unless the server ignores it."""
        if self.model is None:
            return Answer(Classification.UNREACHABLE, "the server's model is not known yet")
        name, began = self.model.name, time.monotonic()
        end = began + self.deadline_s
        sent = schema if self.structured in ("enforced", "unknown") else None
        answer = self._chat(name, messages, sent, self.form, self.completion_tokens, end)
        tries = answer.tries
        if sent is not None and answer.classification in SCHEMA_REFUSALS:
            without = self._chat(name, messages, None, self.form, self.completion_tokens, end)
            tries += without.tries
            if without.classification in ANSWERED:  # the schema was the reason
                if answer.classification is Classification.REQUEST_REJECTED:  # a 5xx may have been temporary
                    self.structured = "rejected"
                answer, sent = without, None
        if answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            self._learned_context = context_length_in(answer.detail) or max(
                MIN_LEARNED_CONTEXT, int(SHRINK_FACTOR * self.max_model_len)
            )
        if answer.classification is Classification.MODEL_GONE:
            self.model = None
        answer = reclassify_open_thinking(answer, self.think_style)
        if answer.text or answer.thinking:
            self.think_style = answer.think_style
        latency_s = time.monotonic() - began
        enforced = sent is not None and self.structured == "enforced"
        named = replace(answer, structured=sent is not None, is_enforced=enforced, model=answer.model or name)
        return self._record(replace(named, tries=tries, latency_s=latency_s))

    @property
    def max_model_len(self) -> int:
        """Tokens of prompt and answer together: as set, else as listed, bounded by what overflows have shown."""
        listed = self.model.max_model_len if self.model else None
        known = self.context or listed or DEFAULT_CONTEXT
        return min(known, self._learned_context or known)

    @property
    def context_text(self) -> str:
        """The context length in words, for the user: an assumed one is called that."""
        is_known = self.context or self._learned_context or (self.model and self.model.max_model_len)
        if is_known:
            return f"{self.max_model_len} tokens of context"
        return f"context: not reported, {DEFAULT_CONTEXT} assumed (llm.max_model_len sets it)"

    @property
    def completion_tokens(self) -> int:
        """The maximum number of tokens of one reply, thinking included."""
        return self.max_tokens or min(MAX_COMPLETION_TOKENS, max(256, self.max_model_len // 8))

    def count_tokens(self, text: str) -> int | None:
        """The count by the model's tokenizer, or ``None`` where the server has no endpoint for it."""
        name, end = self.model.name if self.model else "", time.monotonic() + min(DISCOVERY_S, self.deadline_s)
        if not name:
            return None
        counted, self._tokenizer_paths = count_tokens(
            self._tokenizer_paths,
            lambda path: self._request(
                self.client.tokenize(path, name, text), parse_token_count, end - time.monotonic()
            ),
        )
        return counted

    def close(self) -> None:
        """Close the connections, also while the user requests a stop."""
        try:
            with suppress(Exception):
                self.bridge.run(self.client.close(), 1.0)
        finally:
            self.bridge.close()

    def _chat(
        self,
        name: str,
        messages: Sequence[Message],
        schema: Mapping[str, Any] | None,
        form: SchemaForm,
        tokens: int,
        end: float,
    ) -> Answer:
        """One chat completion, with retries until ``end``, and without a parameter that the server refuses by name."""

        def try_once(parameters: Parameters, left_s: float) -> Answer:
            request = self.client.chat(
                name,
                messages,
                max_tokens=tokens,
                temperature=self.temperature,
                schema=schema,
                form=form,
                parameters=parameters,
            )
            return reclassify_fault(self._request(request, parse_completion, left_s))

        asked = ask_without_refused(try_once, self.parameters, end, self.bridge.sleep, self.backoff_s)
        answer, parameters, why = asked
        if answer.classification in ANSWERED and parameters != self.parameters:
            self.parameters = parameters
            self.notify(parameters.describe_refusal(why))
        return answer

    def _request(self, request: Coroutine[Any, Any, bytes], parse: Callable[[bytes], T], seconds: float) -> T | Answer:
        return send(self.bridge, request, parse, seconds, self.key)

    def _select_model(self, listed: list[Model] | Answer) -> Model | Answer:
        """The model to ask, or the failure because of which there is none."""
        if isinstance(listed, Answer):
            is_alive = listed.classification is not Classification.UNREACHABLE
            known = self.model or (Model(self.wanted_model) if self.wanted_model else None)
            # Some servers chat, but do not list models (transformers serve: 500), or not while they generate: a reply
            # that came too late for the last call may still be written.
            if is_alive and known:
                return known
            is_reply = is_alive and listed.classification is not Classification.TIMEOUT
            hint = "; with --model NAME the list of models is not needed" if is_reply else ""
            return replace(listed, detail=f"{listed.detail}{hint}")
        listed = [replace(m, is_chat=m.is_chat and m.name not in self._not_chat) for m in listed]
        if selected := choose_model(listed, self.wanted_model, self._last_model):
            note = "" if self.wanted_model else explain_skipped_models(listed, selected)
            if note and note != self._skip_note:
                self._skip_note = note
                self.notify(note)
            return selected
        if not listed and self.wanted_model:  # some servers load a model when it is asked and list it only then
            return Model(self.wanted_model)
        self.model = None
        return Answer(Classification.MODEL_GONE, explain_missing_model(listed, self.wanted_model, self._not_chat))

    def _adopt(self, model: Model) -> None:
        """Ask ``model`` from now on; what was learned about another model is discarded."""
        if self._last_model is not None and model.name != self._last_model.name:
            new, old = model.name[-SHOWN_CHARS:], self._last_model.name[-SHOWN_CHARS:]
            self.notify(f"the LLM server has another model now: {new} in place of {old}")
        if model != self._last_model:
            self._learned_context = self._probed = None
            self._tokenizer_paths, self.tokens_ratio = TOKENIZER_PATHS, 1.0
        self.model = self._last_model = model

    def _probe(self, name: str, end: float) -> Answer | None:
        """Find out whether and in which form the server enforces a schema: one that allows a random word only.

        The messages do not contain that word. Returns the failure of a server that does not answer at all.
        """
        support: Structured | None = None
        word = secrets.token_hex(4)
        for form in get_args(SchemaForm):
            answer = self._chat(name, GREETING, probe_schema(word), form, PROBE_TOKENS, end)
            if answer.classification in ANSWERED:
                self.form = form
                support = schema_support(answer, word)
                if support != "ignored":
                    break
            elif answer.classification not in SCHEMA_REFUSALS and support is None:
                return answer
        if support is None:
            plain = self._chat(name, GREETING, None, self.form, PROBE_TOKENS, end)
            if plain.classification not in ANSWERED:
                return plain
            again = self._chat(name, GREETING, probe_schema(word), self.form, PROBE_TOKENS, end)
            # Not refused now: the server was only starting up before.
            support = "rejected" if again.classification in SCHEMA_REFUSALS else "unknown"
        self.structured, self._probed = support, name
        return None

    def _record_unavailable(self, failed: Answer) -> Answer:
        """Record the failure of a discovery; the next success is then reported to the user."""
        self._is_unavailable = True
        return self._record(failed)

    def _record(self, answer: Answer) -> Answer:
        if self.breaker.record(answer):
            cooldown_s = self.breaker.remaining_cooldown_s()
            why = f"{answer.classification}: {answer.detail}"[:SHOWN_CHARS]
            self.notify(f"the LLM server is not asked for {cooldown_s:.0f} s ({why})")
        return answer
