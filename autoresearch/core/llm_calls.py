"""Calls of an LLM server: how each ended, and the records of exchanges.jsonl."""

from __future__ import annotations

from enum import StrEnum

from pydantic import TypeAdapter

from autoresearch.core.values import FrozenModel, decode_record

LLM_SOURCE = "nim"  # the `source` of a proposal of an LLM, under every proposer that calls one


class Classification(StrEnum):
    """How one call of an LLM server ended. Record, status and report share these names."""

    OK = "ok"  # at least one of its proposals passed the rails
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"  # the server reports that prompt and answer do not fit
    THINK_TRUNCATED = "think_truncated"  # the token limit was reached during thinking, before the answer
    OUTPUT_TRUNCATED = "output_truncated"  # the token limit was reached inside the answer: no whole proposal
    EMPTY = "empty"  # the answer has no text
    TOOL_FORMAT_ERROR = "tool_format_error"  # a tool call in place of the answer
    SCHEMA_INVALID = "schema_invalid"  # text, but R1 finds no proposal in it
    RAIL_BLOCKED = "rail_blocked"  # a rail other than R1 and R6 refused every proposal
    DUPLICATE = "duplicate"  # R6 refused: known already
    TIMEOUT = "timeout"  # past the deadline of the call, even if bytes still arrived
    REQUEST_REJECTED = "request_rejected"  # 3xx or 4xx of another kind: a wrong key, a wrong path, a refused parameter
    RATE_LIMITED = "rate_limited"  # 429
    SERVER_ERROR = "server_error"  # 5xx
    UNREACHABLE = "unreachable"  # no connection, or a broken one
    MALFORMED_RESPONSE = "malformed_response"  # 200, but no chat completion: HTML, broken JSON, no choices, too large
    MODEL_GONE = "model_gone"  # the server no longer has the model


# The server answered with text of the model, so it works, whatever the rails decide.
ANSWERED = frozenset(
    {
        Classification.OK,
        Classification.THINK_TRUNCATED,
        Classification.OUTPUT_TRUNCATED,
        Classification.EMPTY,
        Classification.TOOL_FORMAT_ERROR,
        Classification.SCHEMA_INVALID,
        Classification.RAIL_BLOCKED,
        Classification.DUPLICATE,
    }
)


class LlmCall(FrozenModel):
    """One call as the iteration's record carries it; ``exchange`` is its number in exchanges.jsonl."""

    exchange: int
    round: int  # of the iteration's conversation, from 1
    classification: Classification
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float  # retries and the waits between them included


class Message(FrozenModel):
    """One message of a conversation, as sent to the server."""

    role: str
    content: str


class Exchange(FrozenModel):
    """One call in full: the request, the response and its classification."""

    ts: str
    exchange: int  # from 1, without gap, through all segments
    iter: int
    round: int
    model: str | None
    messages: tuple[Message, ...]
    structured: bool  # whether a schema for the answer was sent along
    classification: Classification
    detail: str  # why it is not ok, in the words of the server, the transport or the rails
    raw: str  # the answer without its thinking, as it came
    thinking: str
    slices: tuple[str, ...]  # the proposals in it, cut out and not rewritten
    normalised: tuple[str, ...] = ()  # judged in place of the slices, one for each; empty where none was rewritten
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float
    tries: int  # calls made; more than 1 where the server failed and the call was retried

    @property
    def reply(self) -> tuple[str, ...]:
        """What the rails judge: the proposals, or the whole text if it has none, or nothing."""
        if self.classification not in ANSWERED or not self.raw:
            return ()
        return self.normalised or self.slices or (self.raw,)

    @property
    def call(self) -> LlmCall:
        """The part that the iteration's record keeps."""
        return LlmCall(
            exchange=self.exchange,
            round=self.round,
            classification=self.classification,
            model=self.model,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            latency_s=self.latency_s,
        )


_EXCHANGE: TypeAdapter[Exchange] = TypeAdapter(Exchange)


def decode_exchange(payload: bytes | str) -> Exchange:
    """Decode an exchange. Raises ``JournalDamaged`` with the field that is wrong."""
    return decode_record(_EXCHANGE, payload)
