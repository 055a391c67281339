"""One LLM server through a night: its model, what fits, whether it enforces a schema, and whether to ask it now."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args

from autoresearch.core.llm_calls import ANSWERED, Classification, Message
from autoresearch.core.ports import Interrupted
from autoresearch.llm.answer import Answer
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.classify import classify_error, context_length_in
from autoresearch.llm.client import TOKENIZERS, Client, SchemaForm
from autoresearch.llm.extract import looks_like_json
from autoresearch.llm.key import without_key
from autoresearch.llm.parse import Model, choose, parse_completion, parse_models, parse_token_count
from autoresearch.llm.retry import CircuitBreaker, ask_patiently

# ``unknown``: the model spent the probe's tokens on its thoughts, or there was no probe yet. A schema is sent.
Structured = Literal["unknown", "enforced", "ignored", "rejected"]
GREETING = (Message(role="user", content="Say hello."),)

USUAL_CONTEXT = 8192  # where nobody says; Ollama starts with less, and ``llm.max_model_len`` is for that
FLOOR, SHRUNK = 4096, 0.6  # what is taken for the context once the server says "too long" and not how long
MAX_COMPLETION_TOKENS = 8192
MEET_S = 10.0  # to list the models, and to count tokens
PROBE_TOKENS = 512  # a reasoning model thinks before it greets
SCHEMA_REFUSALS = frozenset({Classification.REQUEST_REJECTED, Classification.SERVER_ERROR})
SHOWN_CHARS = 200  # of a server's words, to a person

T = TypeVar("T")


@dataclass(slots=True)
class LlmServer:
    """Asked by one proposer, one call at a time. Raises nothing but ``Interrupted``: what fails is an ``Answer``.

    ``wanted_model`` and ``context`` override what the server says; ``notify`` is told what a person should know.
    """

    client: Client
    bridge: AsyncBridge
    notify: Callable[[str], None]
    key: str | None = None
    wanted_model: str | None = None
    context: int = 0
    deadline_s: float = 60.0
    temperature: float = 0.7
    max_tokens: int = 0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    model: Model | None = None
    structured: Structured = "unknown"
    tokens_ratio: float = 1.0  # the model's own tokens over estimated ones, as far as it has been asked
    form: SchemaForm = "json_schema"
    think_style: str = "none"  # of the last answer
    _met: Model | None = None  # the last one, also while it is gone
    _tokenizers: tuple[str, ...] = TOKENIZERS  # those that it may have
    _is_missed: bool = False  # the last meeting failed
    _learned_context: int | None = None
    _probed: str | None = None  # the model that ``structured`` is about

    def resting_s(self) -> float:
        """For how many seconds it is not to be asked after its failures; 0 where it may be."""
        return self.breaker.resting_s()

    def discover(self) -> Answer | None:
        """Look which model is there, and once for each whether it enforces a schema; a failure says why it cannot.

        Cheap after the first time (one GET), so it is done before every conversation: a model may be swapped.
        """
        end = time.monotonic() + self.deadline_s
        chosen = self._choose(self._try(self.client.models(), parse_models, min(MEET_S, self.deadline_s)))
        if isinstance(chosen, Answer):
            return self._missed(chosen)
        self._settle(chosen)
        if failed := None if self._probed == chosen.name else self._probe(chosen.name, end):
            return self._missed(failed)
        if self._is_missed:
            self.notify(f"the LLM server answers: {chosen.name[-SHOWN_CHARS:]}")
            self._is_missed = False
        return None

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """One call, retries included, over within ``deadline_s``; the schema goes along unless it is useless here."""
        if self.model is None:
            return Answer(Classification.UNREACHABLE, "the server has not been met")
        name, began = self.model.name, time.monotonic()
        end = began + self.deadline_s
        sent = schema if self.structured in ("enforced", "unknown") else None
        answer = self._chat(name, messages, sent, self.form, self.completion_tokens, end)
        tries = answer.tries
        if sent is not None and answer.classification in SCHEMA_REFUSALS:
            without = self._chat(name, messages, None, self.form, self.completion_tokens, end)
            tries += without.tries
            if without.classification in ANSWERED:  # this server can do without
                if answer.classification is Classification.REQUEST_REJECTED:  # 5xx may have been a moment's weakness
                    self.structured = "rejected"
                answer, sent = without, None
        if answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            self._learned_context = context_length_in(answer.detail) or max(FLOOR, int(SHRUNK * self.max_model_len))
        if answer.classification is Classification.MODEL_GONE:
            self.model = None
        answer = self._without_open_thoughts(answer)
        if answer.text or answer.thinking:
            self.think_style = answer.think_style
        latency_s = time.monotonic() - began
        named = replace(answer, structured=sent is not None, model=answer.model or name)
        return self._heard(replace(named, tries=tries, latency_s=latency_s))

    def _without_open_thoughts(self, answer: Answer) -> Answer:
        """Where the template opens the thinking and the tokens ran out in it, no tag tells: the answers before do."""
        is_cut = answer.finish_reason == "length" and answer.think_style == "none" and not looks_like_json(answer.text)
        if not (is_cut and self.think_style == "closing tag" and answer.text):
            return answer
        cut = Classification.THINK_TRUNCATED
        return replace(answer, classification=cut, text="", thinking=answer.text, think_style="closing tag")

    @property
    def max_model_len(self) -> int:
        """Tokens of prompt and answer together: as set, or as the server lists it; never more than it once let on."""
        listed = self.model.max_model_len if self.model else None
        known = self.context or listed or USUAL_CONTEXT
        return min(known, self._learned_context or known)

    @property
    def completion_tokens(self) -> int:
        """Most tokens of one reply, thinking included."""
        return self.max_tokens or min(MAX_COMPLETION_TOKENS, max(256, self.max_model_len // 8))

    def count_tokens(self, text: str) -> int | None:
        """The model's own count, or ``None`` where the server has no tokenizer endpoint."""
        name, end = self.model.name if self.model else "", time.monotonic() + min(MEET_S, self.deadline_s)
        for path in self._tokenizers if name else ():
            counted = self._try(self.client.tokenize(path, name, text), parse_token_count, end - time.monotonic())
            if not isinstance(counted, Answer):
                self._tokenizers = (path,)
                return counted
            if counted.classification in (Classification.REQUEST_REJECTED, Classification.MALFORMED_RESPONSE):
                self._tokenizers = tuple(p for p in self._tokenizers if p != path)  # it is not there; else: later
        return None

    def close(self) -> None:
        """Give the connections back, also where the user's wish to stop is why."""
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
        """One chat, with patience until ``end``."""

        def once(left_s: float) -> Answer:
            request = self.client.chat(
                name, messages, max_tokens=tokens, temperature=self.temperature, schema=schema, form=form
            )
            return self._try(request, parse_completion, left_s)

        return ask_patiently(once, max(0.0, end - time.monotonic()), self.bridge.sleep)

    def _try(self, request: Coroutine[Any, Any, bytes], read: Callable[[bytes], T], seconds: float) -> T | Answer:
        """What ``read`` finds in the response, or the failure as an answer, whatever the packages below raise."""
        began = time.monotonic()
        try:
            return read(self.bridge.run(request, seconds))
        except Interrupted:
            raise
        except Exception as e:
            return replace(classify_error(e, without_key(self.key)), latency_s=time.monotonic() - began)

    def _choose(self, listed: list[Model] | Answer) -> Model | Answer:
        """The model to ask, or the failure that leaves none."""
        if isinstance(listed, Answer):
            is_alive = listed.classification not in (Classification.UNREACHABLE, Classification.TIMEOUT)
            known = self.model or (Model(self.wanted_model) if self.wanted_model else None)
            if is_alive and known:  # some servers have no list, but chat (transformers serve: 500)
                return known
            hint = "; --model NAME does without the list of models" if is_alive else ""
            return replace(listed, detail=f"{listed.detail}{hint}")
        if chosen := choose(listed, self.wanted_model, self._met):
            return chosen
        self.model = None
        names = ", ".join(m.name for m in listed)[:SHOWN_CHARS] or "none"
        return Answer(Classification.MODEL_GONE, f"no model {self.wanted_model or ''}; the server has: {names}")

    def _settle(self, model: Model) -> None:
        """From now on ``model`` is asked; what was learned of another one is forgotten."""
        if self._met is not None and model.name != self._met.name:
            new, old = model.name[-SHOWN_CHARS:], self._met.name[-SHOWN_CHARS:]
            self.notify(f"the LLM server has another model now: {new} in place of {old}")
        if model != self._met:
            self._learned_context, self._probed, self._tokenizers, self.tokens_ratio = None, None, TOKENIZERS, 1.0
        self.model = self._met = model

    def _probe(self, name: str, end: float) -> Answer | None:
        """Find out whether, and how asked, the server enforces a schema: only then does the model say a word that
        nobody told it. A server that answers nothing at all is no server without schemas: its failure is returned.
        """
        found: Structured | None = None
        word = secrets.token_hex(4)
        for form in get_args(SchemaForm):
            answer = self._chat(name, GREETING, _schema_of(word), form, PROBE_TOKENS, end)
            if answer.classification in ANSWERED:
                self.form = form
                found = _obedience(answer, word)
                if found != "ignored":
                    break
            elif answer.classification not in SCHEMA_REFUSALS and found is None:
                return answer
        if found is None:
            plain = self._chat(name, GREETING, None, self.form, PROBE_TOKENS, end)
            if plain.classification not in ANSWERED:
                return plain
            again = self._chat(name, GREETING, _schema_of(word), self.form, PROBE_TOKENS, end)
            found = "rejected" if again.classification in SCHEMA_REFUSALS else "unknown"  # it was only starting up
        self.structured, self._probed = found, name
        return None

    def _missed(self, failed: Answer) -> Answer:
        """It could not be met: when it can be again, that is news."""
        self._is_missed = True
        return self._heard(failed)

    def _heard(self, answer: Answer) -> Answer:
        if self.breaker.heard(answer):
            rest_s = self.breaker.resting_s()
            why = f"{answer.classification}: {answer.detail}"[:SHOWN_CHARS]
            self.notify(f"the LLM server is left alone for {rest_s:.0f} s ({why})")
        return answer


def _schema_of(word: str) -> dict[str, Any]:
    properties = {"word": {"type": "string", "enum": [word]}}
    return {"type": "object", "properties": properties, "required": ["word"], "additionalProperties": False}


def _obedience(answer: Answer, word: str) -> Structured:
    """What an answer to a probe shows; nothing, where the tokens ran out in thought."""
    if answer.classification is not Classification.OK:
        return "unknown"
    try:
        return "enforced" if json.loads(answer.text) == {"word": word} else "ignored"
    except (ValueError, RecursionError):
        return "ignored"
