"""Proposer ``nim``: a language model behind an OpenAI-compatible server, and a fallback for its failures.

One conversation per iteration: the prompt with the run's results, up to k proposals per reply, the rails' reasons for
refusals, a few rounds. Where the server fails, the fallback proposes: the iteration always gets a proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from autoresearch.core.llm_calls import ANSWERED, LLM_SOURCE, Classification, Exchange, Message
from autoresearch.core.ports import Exhausted, Interrupted, Proposer, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from autoresearch.llm.answer import Answer
from autoresearch.llm.extract import extract_proposals, is_truncated_prose
from autoresearch.llm.tokens import estimate_tokens
from autoresearch.proposers.belief import Belief
from autoresearch.proposers.prompting.answer_schema import answer_schema
from autoresearch.proposers.prompting.classify_reply import classify_reply
from autoresearch.proposers.prompting.conversation import Conversation
from autoresearch.proposers.prompting.normalise import normalise
from autoresearch.proposers.prompting.prompt import PromptInputs, PromptTooLong, build_prompt
from autoresearch.proposers.space import Space
from rails import Verdict

SHRINK_FACTOR = 0.6  # of the room for the prompt, after a context overflow
RECOUNT_FRAC = 0.05  # the prompt is built again if the server's token count differs by more
MARGIN_FRAC = 0.03
MIN_RATIO, MAX_RATIO = 0.25, 4.0  # of the server's token count to the estimate: outside, the server miscounts


class Llm(Protocol):
    """The part of an LLM server that the proposer uses (``llm.server.LlmServer``). Raises only ``Interrupted``."""

    tokens_ratio: float

    @property
    def max_model_len(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...

    def remaining_cooldown_s(self) -> float: ...

    def discover(self) -> Answer | None: ...

    def ask(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Answer: ...

    def count_tokens(self, text: str) -> int | None: ...


class Log(Protocol):
    """Stores every exchange (``storage.exchange_log.ExchangeLog``)."""

    @property
    def next_number(self) -> int: ...

    def append(self, exchange: Exchange) -> None: ...


@dataclass(slots=True)
class LlmProposer:
    """``beliefs`` come from the optimizer beside it; ``judge`` serves only to classify replies."""

    llm: Llm
    space: Space
    fallback: Proposer
    judge: Callable[[str, Trajectory], Verdict]
    log: Log
    utc: Callable[[], str]
    budget_left: Callable[[Trajectory], str]
    proposals: int = 3
    rounds: int = 3
    system: str | None = None
    setup: str = ""  # one line on what is trained
    beliefs: Callable[[Trajectory], tuple[Belief, ...]] = lambda _trajectory: ()
    name: str = LLM_SOURCE
    _conversation: Conversation | None = None
    _unwritten: Exchange | None = None  # because the disk was full; it is written when ``propose`` is called again

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        conversation = self._conversation_for(trajectory.new_iter, refused)
        conversation.add_refusals(refused)
        while not conversation.is_over and conversation.rounds < self.rounds and not self.llm.remaining_cooldown_s():
            exchange = self._exchange(conversation, trajectory)
            conversation.calls.append(exchange.call)
            if exchange.classification is Classification.CONTEXT_LENGTH_EXCEEDED and conversation.scale == 1.0:
                conversation.scale, conversation.messages = SHRINK_FACTOR, []
            elif exchange.classification not in ANSWERED:
                conversation.is_over = True
            elif exchange.reply:
                conversation.rounds, conversation.last_reply = conversation.rounds + 1, exchange.raw
                first, *others = exchange.reply
                changed = conversation.normalisations
                return Reply(first, self.name, tuple(others), conversation.pop_calls(), changed)
            else:
                conversation.rounds += 1
                conversation.ask_again(exchange.classification)
        conversation.is_over = True
        return replace(self.fallback.propose(trajectory, refused), calls=conversation.pop_calls())

    def _conversation_for(self, n: int, refused: Sequence[Attempt]) -> Conversation:
        """The current conversation, or a new one for another iteration, or where this iteration starts over."""
        if (
            self._conversation is None
            or self._conversation.iter != n
            or len(refused) < self._conversation.refusals_seen
        ):
            self._conversation = Conversation(n)
        return self._conversation

    def _exchange(self, conversation: Conversation, trajectory: Trajectory) -> Exchange:
        """One call: asked, classified, and written to the log. Raises ``JournalError``, for a full disk too."""
        exchange = self._unwritten = self._unwritten or self._call(conversation, trajectory)
        self.log.append(exchange)
        self._unwritten = None
        return exchange

    def _call(self, conversation: Conversation, trajectory: Trajectory) -> Exchange:
        answer = self._answer_in_calls(self._ask(conversation, trajectory))
        is_truncated = is_truncated_prose(answer.text, answer.finish_reason)
        found = () if is_truncated else self._extract(answer.text)
        several = self.space.max_changes > 1
        rewritten = [] if answer.is_enforced else [normalise(p, self.space.menu, several=several) for p in found]
        judged = tuple(text for text, _ in rewritten) or found
        conversation.normalisations = tuple(change for _, change in rewritten) if judged != found else ()
        classification, detail = classify_reply(answer, judged, lambda raw: self.judge(raw, trajectory))
        return Exchange(
            ts=self.utc(),
            exchange=self.log.next_number,
            iter=conversation.iter,
            round=conversation.rounds + 1,
            model=answer.model,
            messages=tuple(conversation.messages),
            structured=answer.structured,
            classification=classification,
            detail=detail,
            raw=answer.text,
            thinking=answer.thinking,
            slices=found,
            normalised=judged if judged != found else (),
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            latency_s=answer.latency_s,
            tries=answer.tries,
        )

    def _answer_in_calls(self, answer: Answer) -> Answer:
        """Use the arguments of tool calls as the text of an answer without text, if they hold a proposal.

        No tool is offered: a server that parses calls moves a reply with their markup into the field of calls.
        """
        arguments = "\n".join(call.arguments for call in answer.tool_calls)
        if answer.classification is not Classification.TOOL_FORMAT_ERROR or not self._extract(arguments):
            return answer
        return replace(answer, classification=Classification.OK, text=arguments)

    def _extract(self, text: str) -> tuple[str, ...]:
        return extract_proposals(text, self.proposals, several=self.space.max_changes > 1)

    def _ask(self, conversation: Conversation, trajectory: Trajectory) -> Answer:
        """One call, or why there was none. A bug in this code must not cost the iteration either."""
        try:
            return self._send(conversation, trajectory)
        except (Interrupted, Exhausted):
            raise
        except Exception as e:
            return Answer(Classification.MALFORMED_RESPONSE, f"a bug in autoresearch: {type(e).__name__}: {e}"[:300])

    def _send(self, conversation: Conversation, trajectory: Trajectory) -> Answer:
        if not self._fits(conversation.messages):
            conversation.messages = []  # the conversation no longer fits the context: it starts over
        if not conversation.messages:
            if failed := self.llm.discover():
                return failed
            try:
                prompt = self._prompt(trajectory, conversation.scale)
            except PromptTooLong as e:
                conversation.scale = SHRINK_FACTOR  # the prompt cannot become shorter: do not try again
                return Answer(Classification.CONTEXT_LENGTH_EXCEEDED, f"not sent: {e}")
            system = [Message(role="system", content=self.system)] if self.system else []
            conversation.messages = [*system, Message(role="user", content=prompt)]
        schema = answer_schema(self.space, trajectory, self.proposals, conversation.refused)
        return self.llm.ask(conversation.messages, schema)

    def _fits(self, messages: Sequence[Message]) -> bool:
        tokens = self.llm.tokens_ratio * sum(estimate_tokens(m.content) for m in messages)
        return tokens + self.llm.completion_tokens <= self.llm.max_model_len

    def _prompt(self, trajectory: Trajectory, scale: float) -> str:
        """The longest prompt that fits, by the server's token count where it has one. Raises ``PromptTooLong``."""
        inputs = PromptInputs(
            self.space, trajectory, self.budget_left(trajectory), self.proposals, self.beliefs(trajectory), self.setup
        )
        conversation_tokens = min(1024, self.llm.max_model_len // 8)  # for the rounds that follow
        reserved_tokens = self.llm.completion_tokens + conversation_tokens + estimate_tokens(self.system or "")
        room = scale * (self.llm.max_model_len - reserved_tokens)
        prompt = build_prompt(inputs, int(room / self.llm.tokens_ratio))
        counted = self.llm.count_tokens(prompt)
        if counted is not None:
            ratio = min(MAX_RATIO, max(MIN_RATIO, counted / estimate_tokens(prompt) * (1 + MARGIN_FRAC)))
            must_rebuild = abs(ratio - self.llm.tokens_ratio) > RECOUNT_FRAC * self.llm.tokens_ratio
            self.llm.tokens_ratio = ratio
            prompt = build_prompt(inputs, int(room / ratio)) if must_rebuild else prompt
        return prompt
