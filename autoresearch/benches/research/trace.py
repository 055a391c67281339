"""What an attempt leaves: its status, its turns under upstream's names, its candidates, its messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from autoresearch.benches.ports import ChatTurn
from autoresearch.benches.research.actions import Action
from autoresearch.benches.research.call_values import ParsedCalls
from autoresearch.benches.research.candidates import Candidates
from autoresearch.benches.research.fitting import Fitted
from autoresearch.benches.research.retrievers.port import Document

Status = Literal["finished", "max_turns_reached", "max_tokens_reached", "context_length_exceeded", "api_error", "error"]
STATUSES: tuple[Status, ...] = (
    "finished",
    "max_turns_reached",
    "max_tokens_reached",
    "context_length_exceeded",
    "api_error",
    "error",
)
EndedBy = Literal["model", "turns", "tokens", "context", "api", "format", "time"]


@dataclass(slots=True)
class Trace:
    """Of one attempt, while it runs and after."""

    status: Status = "error"
    ended_by: EndedBy = "model"
    detail: str = ""
    turns: list[dict[str, Any]] = field(default_factory=list)
    candidates: Candidates = field(default_factory=Candidates)
    messages: list[dict[str, Any]] = field(default_factory=list)
    tools_refused: str = ""  # why the server does not take the native tool, where it does not

    def end(self, status: Status, ended_by: EndedBy, detail: str = "") -> Trace:
        """Record how the attempt ended."""
        self.status, self.ended_by, self.detail = status, ended_by, detail
        return self


def turn_record(
    number: int,
    fitted: Fitted,
    parsed: ParsedCalls,
    action: Action,
    results: Sequence[Document] | None,
    estimated_output: int,
) -> dict[str, Any]:
    """The record of a turn that the server answered; upstream's names first, ours beside them.

    ``results`` is ``None`` where no search ran. A count that the server did not report is estimated, and listed so.
    """
    turn = fitted.turn
    formats = [call.format for call in parsed.calls] + [error.format for error in parsed.errors]
    output = estimated_output if turn.tokens_out is None else turn.tokens_out
    record: dict[str, Any] = {
        "turn": number,
        "input_tokens": fitted.prompt_tokens,
        "output_tokens": max(output, 1),  # 0 means that the server did not answer
        "action": action.kind,
        "action_content": action.content,
        "papers_retrieved_this_turn": len(results or ()),
        "call_source": parsed.calls[0].source if parsed.calls else None,
        "call_formats": list(dict.fromkeys(formats)),
        "call_errors": len(parsed.errors),
        "queries": [query.text for query in action.queries] if results is not None else [],
        "papers": [{"id": document.id, "title": document.title} for document in results or ()],
        "completion_limit": fitted.completion_limit,
        "finish_reason": turn.finish_reason,
    }
    counts = (("input_tokens", turn.tokens_in), ("output_tokens", turn.tokens_out))
    estimated = [name for name, reported in counts if reported is None]
    more: dict[str, Any] = {"error_message": action.error, "estimated": estimated, "overflows": fitted.overflows}
    return record | {key: value for key, value in more.items() if value}


def unanswered_record(number: int, prompt_tokens: int, detail: str) -> dict[str, Any]:
    """The record of a turn that the server did not answer: 0 output tokens, so it is not the model's error."""
    return {
        "turn": number,
        "input_tokens": prompt_tokens,
        "output_tokens": 0,
        "action": "error",
        "action_content": None,
        "papers_retrieved_this_turn": 0,
        "papers": [],
        "error_message": detail,
    }


def answer_message(turn: ChatTurn) -> dict[str, Any]:
    """The model's answer as a message of the record, with its thinking and the calls of the server's own field."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.thinking:
        message["reasoning_content"] = turn.thinking
    if turn.tool_calls:
        functions = [{"name": call.name, "arguments": call.arguments} for call in turn.tool_calls]
        message["tool_calls"] = [{"type": "function", "function": function} for function in functions]
    return message
