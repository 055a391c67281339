"""One LLM server through a night: its model, what fits, whether it enforces a schema, and whether to ask it now."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args

import httpx2
import openai

from autoresearch.exchange import Classification, Message
from autoresearch.llm.answer import Answer
from autoresearch.llm.classify import context_length_in, failure_of
from autoresearch.llm.client import TOKENIZERS, BodyRefused, Client, SchemaForm
from autoresearch.llm.patience import Breaker, ask_patiently
from autoresearch.llm.reading import Malformed, Model, choose, completion_of, models_of, token_count_of
from autoresearch.llm.waiting import Waiter

Structured = Literal["unknown", "enforced", "ignored", "rejected"]
GREETING = (Message(role="user", content="Say hello."),)

USUAL_CONTEXT = 8192  # where nobody says: the smallest that a current server is started with
MAX_COMPLETION_TOKENS = 8192
MEET_S = 10.0  # to list the models, and to count tokens
PROBE_TOKENS = 512  # a reasoning model thinks before it greets
SCHEMA_REFUSALS = frozenset({Classification.REQUEST_REJECTED, Classification.SERVER_ERROR})
FAILURES = (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, Malformed, BodyRefused)

T = TypeVar("T")


@dataclass(slots=True)
class LlmServer:
    """Asked by one proposer, one call at a time. Raises nothing but ``Interrupted``: what fails is an ``Answer``.

    ``wanted_model`` and ``context`` override what the server says; ``said`` is told what a person should know.
    """

    client: Client
    waiter: Waiter
    said: Callable[[str], None]
    key: str | None = None
    wanted_model: str | None = None
    context: int = 0
    deadline_s: float = 60.0
    temperature: float = 0.7
    max_tokens: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    model: Model | None = None
    structured: Structured = "unknown"
    tokens_ratio: float = 1.0  # the model's own tokens over estimated ones, as far as it has been asked
    form: SchemaForm = "json_schema"
    think_style: str = "none"  # of the last answer
    _met: Model | None = None  # the last one, also while it is gone
    _tokenizers: tuple[str, ...] = TOKENIZERS  # those that it may have
    _learned_context: int | None = None
    _probed: str | None = None  # the model that ``structured`` is about

    def resting_s(self) -> float:
        """For how many seconds it is not to be asked after its failures; 0 where it may be."""
        return self.breaker.resting_s()

    def meet(self) -> Answer | None:
        """Look which model is there, and once for each whether it enforces a schema; a failure says why it cannot.

        Cheap after the first time (one GET), so it is done before every conversation: a model may be swapped.
        """
        chosen = self._choose(self._try(self.client.models(), models_of, MEET_S))
        if isinstance(chosen, Answer):
            return self._heard(chosen)
        self._settle(chosen)
        if self._probed != chosen.name:
            self.structured = self._probe(chosen.name)
            self._probed = None if self.structured == "unknown" else chosen.name
        return None

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer:
        """One call, retries included, over within ``deadline_s``; the schema goes along unless it is useless here."""
        if self.model is None:
            return Answer(Classification.UNREACHABLE, "the server has not been met")
        name, end = self.model.name, time.monotonic() + self.deadline_s
        sent = schema if self.structured in ("enforced", "unknown") else None
        answer = self._patiently(name, messages, sent, end)
        if sent is not None and answer.classification in SCHEMA_REFUSALS:
            without = self._patiently(name, messages, None, end)
            if without.classification is Classification.OK:  # it was the schema: this server can do without
                answer, sent, self.structured = without, None, "rejected"
        if answer.classification is Classification.CONTEXT_LENGTH_EXCEEDED:
            self._learned_context = context_length_in(answer.detail) or self._learned_context
        if answer.classification is Classification.MODEL_GONE:
            self.model = None
        if answer.text or answer.thinking:
            self.think_style = answer.think_style
        return self._heard(replace(answer, structured=sent is not None, model=answer.model or name))

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
        name = self.model.name if self.model else ""
        for path in self._tokenizers if name else ():
            counted = self._try(self.client.tokenize(path, name, text), token_count_of, MEET_S)
            if not isinstance(counted, Answer):
                self._tokenizers = (path,)
                return counted
        self._tokenizers = ()
        return None

    def close(self) -> None:
        """Give the connections back."""
        self.waiter.run(self.client.close(), 1.0)
        self.waiter.close()

    def _patiently(
        self, name: str, messages: Sequence[Message], schema: Mapping[str, Any] | None, end: float
    ) -> Answer:
        return ask_patiently(
            lambda left_s: self._chat(name, messages, self.completion_tokens, schema, self.form, left_s),
            max(0.0, end - time.monotonic()),
            self.waiter.sleep,
        )

    def _chat(
        self,
        name: str,
        messages: Sequence[Message],
        tokens: int,
        schema: Mapping[str, Any] | None,
        form: SchemaForm,
        left_s: float,
    ) -> Answer:
        request = self.client.chat(
            name, messages, max_tokens=tokens, temperature=self.temperature, schema=schema, form=form
        )
        answer = self._try(request, completion_of, left_s)
        if not self.key:
            return answer
        text, thinking = (t.replace(self.key, "[key]") for t in (answer.text, answer.thinking))
        return replace(answer, text=text, thinking=thinking)

    def _try(self, request: Coroutine[Any, Any, bytes], read: Callable[[bytes], T], seconds: float) -> T | Answer:
        """What ``read`` finds in the response, or the failure as an answer."""
        began = time.monotonic()
        try:
            return read(self.waiter.run(request, seconds))
        except FAILURES as e:
            failure = failure_of(e)
            detail = failure.detail.replace(self.key, "[key]") if self.key else failure.detail
            return replace(failure, detail=detail, latency_s=time.monotonic() - began)

    def _choose(self, listed: list[Model] | Answer) -> Model | Answer:
        """The model to ask, or the failure that leaves none."""
        if isinstance(listed, Answer):
            is_alive = listed.classification not in (Classification.UNREACHABLE, Classification.TIMEOUT)
            known = self.model or (Model(self.wanted_model) if self.wanted_model else None)
            if is_alive and known:  # some servers have no list, but chat (transformers serve: 500)
                return known
            hint = "; --model NAME does without the list of models" if is_alive else ""
            return replace(listed, detail=f"{listed.detail}{hint}")
        if chosen := choose(listed, self.wanted_model):
            return chosen
        self.model = None
        names = ", ".join(m.name for m in listed)[:200] or "none"
        return Answer(Classification.MODEL_GONE, f"no model {self.wanted_model or ''}; the server has: {names}")

    def _settle(self, model: Model) -> None:
        """From now on ``model`` is asked; what was learned of another one is forgotten."""
        if self.model is not None and model != self.model:
            self.said(f"the LLM server has another model now: {model.name} in place of {self.model.name}")
        if model != self._met:
            self._learned_context, self._probed, self._tokenizers, self.tokens_ratio = None, None, TOKENIZERS, 1.0
        self.model = self._met = model

    def _probe(self, name: str) -> Structured:
        """Whether, and how asked, the server enforces a schema: only then does the model say a word nobody told it."""
        found: Structured = "unknown"
        for form in get_args(SchemaForm):
            word = secrets.token_hex(4)
            answer = self._chat(name, GREETING, PROBE_TOKENS, _schema_of(word), form, self.deadline_s)
            if answer.classification in SCHEMA_REFUSALS:
                found = "rejected" if found == "unknown" else found
            elif answer.classification is Classification.OK:
                self.form = form
                if _is_word(answer.text, word):
                    return "enforced"
                found = "ignored"
            else:
                return found  # busy or broken: it is asked again before the next conversation
        return found

    def _heard(self, answer: Answer) -> Answer:
        if self.breaker.heard(answer):
            rest_s = self.breaker.resting_s()
            why = f"{answer.classification}: {answer.detail}"[:200]
            self.said(f"the LLM server is left alone for {rest_s:.0f} s ({why})")
        return answer


def _schema_of(word: str) -> dict[str, Any]:
    properties = {"word": {"type": "string", "enum": [word]}}
    return {"type": "object", "properties": properties, "required": ["word"], "additionalProperties": False}


def _is_word(text: str, word: str) -> bool:
    try:
        return bool(json.loads(text) == {"word": word})
    except (ValueError, RecursionError):
        return False
