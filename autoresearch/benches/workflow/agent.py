"""One attempt at a task: turns of a model with its tools, until it answers without a call or a limit is reached."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from autoresearch.benches.ports import Chat, ChatTurn, Infrastructure, NativeToolCall
from autoresearch.benches.research.call_values import BadCall, ParsedCalls, decode_arguments
from autoresearch.benches.research.fitting import DoesNotFit, Fitted, complete_fitted
from autoresearch.benches.research.rejection import is_about_the_request
from autoresearch.benches.research.tool_calls import describe_errors, find_calls
from autoresearch.benches.workflow.prompt import NO_ANSWER, shown_result, system_text, without_surrogates
from autoresearch.core.ports import Interrupted

Status = Literal[
    "finished",
    "max_turns_reached",
    "max_tokens_reached",
    "context_length_exceeded",
    "timeout",
    "api_error",
    "error",
]
MAX_FORMAT_ERRORS = 3  # in a row
MAX_NAME_CHARS = 80  # of a tool, in the record


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Of one attempt; ``max_tokens``: of all its completions together."""

    max_turns: int
    timeout_s: float
    max_tokens: int = 100_000
    max_completion_tokens: int = 4096


class Tools(Protocol):
    """What the agent may call."""

    def schemas(self) -> list[dict[str, Any]]:
        """In OpenAI's form."""
        ...

    def use(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The result of a call; an error of the call has the key ``error``."""
        ...


@dataclass(slots=True)
class Trace:
    """What an attempt leaves."""

    status: Status = "error"
    answer: str | None = None
    detail: str = ""
    turns: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    tokens_in: int = 0
    tokens_out: int = 0


class WorkflowAgent:
    """Carries out one task.

    ``tools_as_text``: the tools are a part of the prompt, not sent in their own field. ``clock`` gives monotonic
    seconds, ``stopped`` is true once the user ends the run.
    """

    def __init__(
        self,
        chat: Chat,
        tools: Tools,
        limits: AgentLimits,
        *,
        tools_as_text: bool = False,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chat, self._toolbox, self._limits = chat, tools, limits
        self._stopped, self._clock = stopped, clock
        self._schemas = tools.schemas()
        self._tools: Sequence[Mapping[str, Any]] = () if tools_as_text else self._schemas  # as sent
        self._names = [tool["function"]["name"] for tool in self._schemas]
        self._types = {t["function"]["name"]: t["function"]["parameters"]["properties"] for t in self._schemas}
        self._scale = 1.0  # tokens of the server over estimated ones

    def run(self, task: str) -> Trace:
        """Run the loop. Raises ``Infrastructure``, ``Interrupted``, and what the tools raise."""
        system = system_text(self._schemas, as_text=not self._tools)
        trace = Trace(messages=[{"role": "system", "content": system}, {"role": "user", "content": task}])
        end = self._clock() + self._limits.timeout_s
        format_errors = 0
        for number in range(1, self._limits.max_turns + 1):
            began = self._clock()
            if reached := self._reached_limit(trace, end):
                trace.status = reached
                return trace
            try:
                fitted = self._complete(trace)
            except DoesNotFit as e:
                trace.status, trace.detail = "context_length_exceeded", e.detail
                return trace
            except Infrastructure as e:
                if not is_about_the_request(e):
                    raise
                trace.status, trace.detail = "api_error", e.detail
                return trace
            parsed = find_calls(fitted.turn, self._names, self._types)
            trace.messages.append(_assistant(fitted.turn))
            is_empty = not (parsed.calls or parsed.errors or parsed.text)
            results = self._use(parsed, end)
            self._record(trace, number, fitted, parsed, results, self._clock() - began)
            if not (parsed.calls or parsed.errors or is_empty):
                trace.answer = without_surrogates(parsed.text)
                trace.status = "max_tokens_reached" if fitted.turn.finish_reason == "length" else "finished"
                return trace
            error = NO_ANSWER if is_empty else without_surrogates(describe_errors(parsed.errors))
            trace.messages += _results(fitted.turn, results, error)
            format_errors = 0 if parsed.calls else format_errors + 1
            if format_errors == MAX_FORMAT_ERRORS:
                trace.status = "error"
                trace.detail = f"{MAX_FORMAT_ERRORS} answers in a row without a readable call or a text: {error}"
                return trace
        trace.status = "max_turns_reached"
        return trace

    def _reached_limit(self, trace: Trace, end: float) -> Status | None:
        self._raise_if_stopped()
        if self._clock() >= end:
            return "timeout"
        return "max_tokens_reached" if trace.tokens_out >= self._limits.max_tokens else None

    def _raise_if_stopped(self) -> None:
        if self._stopped():
            raise Interrupted("the user ended the bench run")

    def _complete(self, trace: Trace) -> Fitted:
        """One completion; a server that refuses tools in their own field is sent them as text from then on."""
        try:
            fitted = self._ask(trace.messages, self._tools, trace.tokens_out)
        except Infrastructure as e:
            if not (is_about_the_request(e) and self._tools and not trace.turns):
                raise
            trace.messages[0] = {"role": "system", "content": system_text(self._schemas, as_text=True)}
            self._tools = ()
            fitted = self._ask(trace.messages, self._tools, trace.tokens_out)
        if not fitted.is_estimated and fitted.estimate:
            self._scale = fitted.prompt_tokens / fitted.estimate
        return fitted

    def _ask(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], used: int) -> Fitted:
        limit = max(1, min(self._limits.max_completion_tokens, self._limits.max_tokens - used))
        return complete_fitted(self._chat, messages, tools, limit, self._raise_if_stopped, self._scale)

    def _use(self, parsed: ParsedCalls, end: float) -> list[dict[str, Any]]:
        """The results of the calls, in their order; once the time is over no further call is made."""
        results: list[dict[str, Any]] = []
        for call in parsed.calls:
            self._raise_if_stopped()
            is_late = self._clock() >= end
            late = {"error": "the time of the task is over; the call was not made"}
            results.append(late if is_late else self._toolbox.use(call.name, call.arguments))
        return results

    def _record(
        self,
        trace: Trace,
        number: int,
        fitted: Fitted,
        parsed: ParsedCalls,
        results: Sequence[Mapping[str, Any]],
        duration: float,
    ) -> None:
        turn = fitted.turn
        output = turn.tokens_out if turn.tokens_out is not None else self._chat.count_tokens(turn.thinking + turn.text)
        trace.tokens_in += fitted.prompt_tokens
        trace.tokens_out += output
        every: tuple[Any, ...] = (*parsed.calls, *parsed.errors)
        trace.turns.append(
            {
                "turn": number,
                "duration": duration,
                "input_tokens": fitted.prompt_tokens,
                "output_tokens": output,
                "action": "tool" if parsed.calls else "finish" if parsed.text and not parsed.errors else "error",
                "calls": [without_surrogates(call.name)[:MAX_NAME_CHARS] for call in parsed.calls],
                "call_problems": [without_surrogates(str(r["error"]))[:200] for r in results if "error" in r],
                "call_source": parsed.calls[0].source if parsed.calls else None,
                "call_formats": list(dict.fromkeys(call.format for call in every)),
                "format_errors": [without_surrogates(error.problem)[:200] for error in parsed.errors],
                "finish_reason": turn.finish_reason,
            }
        )


def _assistant(turn: ChatTurn) -> dict[str, Any]:
    """The answer as a message of the conversation; thinking is not sent back."""
    message: dict[str, Any] = {"role": "assistant", "content": without_surrogates(turn.text)}
    if turn.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{n}",
                "type": "function",
                "function": {"name": without_surrogates(call.name), "arguments": _valid(call.arguments)},
            }
            for n, call in enumerate(turn.tool_calls)
        ]
    return message


def _results(turn: ChatTurn, results: Sequence[Mapping[str, Any]], error: str) -> list[dict[str, Any]]:
    """The messages after an answer: one per call in the server's own form, else one of the user."""
    shown = [shown_result(result) for result in results]
    if not turn.tool_calls:
        parts = [f"<tool_response>\n{text}\n</tool_response>" for text in shown]
        return [{"role": "user", "content": "\n".join([*parts, f"<error>{error}</error>"] if error else parts)}]
    texts = iter(shown)  # of the readable calls, which the parser returns in their order
    return [
        {
            "role": "tool",
            "tool_call_id": call.id or f"call_{n}",
            "content": next(texts, error) if _is_readable(call) else error,
        }
        for n, call in enumerate(turn.tool_calls)
    ]


def _is_readable(call: NativeToolCall) -> bool:
    try:
        decode_arguments(call.arguments)
    except BadCall:
        return False
    return bool(call.name.strip())


def _valid(arguments: str) -> str:
    """Arguments that a chat template can render: some parse them, and fail on what is not JSON."""
    try:
        return without_surrogates(arguments) if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"
