"""Records of exchanges.jsonl without an LLM server."""

from __future__ import annotations

from autoresearch.core.llm_calls import Classification, Exchange, Message


def fake_exchange(number: int, *slices: str, n: int = 1, round: int = 1, **changes: object) -> Exchange:  # noqa: A002
    """Build exchange ``number`` in iteration ``n`` with these proposals in its answer; without any, an empty answer."""
    fields: dict[str, object] = {
        "ts": "2026-11-21T22:00:00.000Z",
        "exchange": number,
        "iter": n,
        "round": round,
        "model": "fake",
        "messages": (Message(role="user", content="Propose one change."),),
        "structured": True,
        "classification": Classification.OK if slices else Classification.EMPTY,
        "detail": "",
        "raw": "\n".join(slices),
        "thinking": "",
        "slices": slices,
        "finish_reason": "stop",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "latency_s": 1.0,
        "tries": 1,
    }
    return Exchange.model_validate(fields | changes)
