"""One attempt at a question: turns of a model with a search tool, until it finishes or a limit is reached."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autoresearch.benches.ports import Chat, Infrastructure
from autoresearch.benches.research.actions import Action, decide_action, nominate
from autoresearch.benches.research.conversation import Answered, Conversation
from autoresearch.benches.research.fitting import DoesNotFit, Fitted, complete_fitted, estimate_prompt
from autoresearch.benches.research.prompt import PARAMETERS, TOOL, TOOLS
from autoresearch.benches.research.rejection import is_about_the_request
from autoresearch.benches.research.retrievers.port import Document, Retriever, RetrieverFailed, distinct
from autoresearch.benches.research.tool_calls import find_calls
from autoresearch.benches.research.trace import (
    EndedBy,
    Status,
    Trace,
    answer_message,
    turn_record,
    unanswered_record,
)
from autoresearch.core.ports import Interrupted

MAX_FORMAT_ERRORS = 3  # in a row
# Why a turn is the last one: in words for the model, and the status if it does not finish then.
LAST: dict[EndedBy, tuple[str, Status]] = {
    "turns": ("the number of turns", "max_turns_reached"),
    "tokens": ("the length of the conversation", "max_tokens_reached"),
    "time": ("the time limit", "error"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one attempt."""

    max_turns: int = 10
    max_prompt_tokens: int = 110_000  # a turn with a longer prompt is the last one: upstream's limit
    max_completion_tokens: int = 4096  # of one turn; less where the context leaves less
    timeout_s: float = 1800.0


class ResearchAgent:
    """Answers one question. ``clock`` gives monotonic seconds, ``stopped`` is true once the user ends the run."""

    def __init__(
        self,
        chat: Chat,
        retriever: Retriever,
        limits: Limits,
        *,
        top_k: int = 10,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chat, self._retriever, self._limits = chat, retriever, limits
        self._top_k, self._stopped, self._clock = top_k, stopped, clock
        self._tools: tuple[dict[str, Any], ...] = TOOLS
        self._scale = 1.0  # tokens of the server over estimated ones

    def run(self, question: str, *, is_deep: bool) -> Trace:
        """Run the loop. Raises ``Infrastructure`` and ``Interrupted``."""
        trace, talk = Trace(), Conversation(question, is_deep)
        began = self._clock()
        latest: tuple[Document, ...] = ()
        format_errors = 0
        for number in range(1, self._limits.max_turns + 1):
            turn_began = self._clock()
            last = self._last_because(number, talk, turn_began - began)
            messages = talk.messages(LAST[last][0] if last else "")
            try:
                fitted = self._complete(messages, trace)
            except (DoesNotFit, Infrastructure) as e:
                return self._end_unanswered(trace, number, messages, e, self._clock() - turn_began)
            trace.messages = [*messages, answer_message(fitted.turn)]
            parsed = find_calls(fitted.turn, (TOOL,), PARAMETERS)
            nominated = nominate(trace.candidates, parsed, tuple(document.paper for document in latest))
            action = decide_action(parsed, self._top_k)
            if action.kind == "error" and fitted.turn.finish_reason == "length":
                action = action.with_error(f"the answer was cut off after {fitted.completion_limit} tokens: be brief")
            results: tuple[Document, ...] | None = None
            listed = None  # the list that the model is shown: a search that was refused leaves the one before
            if action.kind == "tool" and not last:
                results, refused = self._search(action)
                action = action.with_error(refused)
                listed = results if results or not refused else None
                latest = latest if listed is None else listed
            thought_and_said = fitted.turn.thinking + fitted.turn.text
            estimated = self._chat.count_tokens(thought_and_said) if fitted.turn.tokens_out is None else 0
            record = turn_record(number, fitted, parsed, action, results, estimated)
            trace.turns.append(record | nominated.record() | {"duration": self._clock() - turn_began})
            if action.kind == "finish":
                return trace.end("finished", "model")
            if action.kind == "error" and fitted.is_tight and fitted.turn.finish_reason == "length":
                trace.turns[-1]["context_tokens"] = self._chat.context_tokens
                reason = f"the context left {fitted.completion_limit} tokens for the answer, which was cut off"
                return trace.end("context_length_exceeded", "context", reason)
            if last:
                return trace.end(LAST[last][1], last, f"{LAST[last][0]} was reached, and the model did not finish")
            format_errors = format_errors + 1 if action.kind == "error" else 0
            if format_errors == MAX_FORMAT_ERRORS:
                reason = f"{format_errors} answers in a row without a readable call or an end; the last: {action.error}"
                return trace.end("error", "format", reason)
            talk.answered.append(Answered(fitted.turn, listed, action.error, nominated.note()))
        raise AssertionError("the last turn ends the loop")

    def _last_because(self, number: int, talk: Conversation, elapsed_s: float) -> EndedBy | None:
        if elapsed_s > self._limits.timeout_s:
            return "time"
        if number > 1 and self._estimate(talk.messages()) > self._limits.max_prompt_tokens:
            return "tokens"
        return "turns" if number == self._limits.max_turns else None

    def _estimate(self, messages: list[dict[str, Any]]) -> int:
        return round(self._scale * estimate_prompt(self._chat, messages, self._tools))

    def _complete(self, messages: list[dict[str, Any]], trace: Trace) -> Fitted:
        """One completion; a server that refuses native tools is asked without them from then on."""
        try:
            fitted = self._ask(messages)
        except Infrastructure as e:
            if not (is_about_the_request(e) and self._tools and not trace.turns):
                raise
            self._tools, trace.tools_refused = (), e.detail
            fitted = self._ask(messages)
        if not fitted.is_estimated and fitted.estimate:
            self._scale = fitted.prompt_tokens / fitted.estimate
        return fitted

    def _ask(self, messages: list[dict[str, Any]]) -> Fitted:
        limit = self._limits.max_completion_tokens
        return complete_fitted(self._chat, messages, self._tools, limit, self._raise_if_stopped, self._scale)

    def _raise_if_stopped(self) -> None:
        if self._stopped():
            raise Interrupted("the user ended the bench run")

    def _end_unanswered(
        self,
        trace: Trace,
        number: int,
        messages: list[dict[str, Any]],
        error: DoesNotFit | Infrastructure,
        duration: float,
    ) -> Trace:
        """End with a turn that the server did not answer. Raises what is not about this conversation."""
        trace.messages = trace.messages or messages
        if isinstance(error, DoesNotFit):
            more: dict[str, Any] = {"context_tokens": error.context_tokens}
            record = unanswered_record(number, error.prompt_tokens, error.detail)
            trace.turns.append(record | more | {"duration": duration})
            return trace.end("context_length_exceeded", "context", error.detail)
        if not is_about_the_request(error):
            raise error
        record = unanswered_record(number, self._estimate(messages), error.detail)
        trace.turns.append(record | {"estimated": ["input_tokens"], "duration": duration})
        return trace.end("api_error", "api", error.detail)

    def _search(self, action: Action) -> tuple[tuple[Document, ...], str]:
        """The results of all queries of a turn as one list, and what the retriever refused."""
        found: list[Document] = []
        refused = ""
        for query in action.queries:
            self._raise_if_stopped()
            try:
                found += self._retriever.search(query.text, query.top_k)
            except RetrieverFailed as e:
                if not e.is_refusal:
                    raise Infrastructure(e.cause, f"retriever {self._retriever.name}: {e.detail}") from e
                refused = f"the search failed: {e.detail}"
        return distinct(found), refused
