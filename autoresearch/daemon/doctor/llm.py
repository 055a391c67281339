"""The check of the LLM server: three real proposals, requested as in a run and judged by its rails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification, Exchange
from autoresearch.core.ports import Exhausted, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.daemon.doctor.llm_advice import advice_for
from autoresearch.errors import AutoresearchError, MissingPackage
from autoresearch.llm.tokens import estimate_tokens
from autoresearch.machine import utc
from autoresearch.proposers.factory import LLM_PROPOSERS, budget_left, build_llm_server
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.space import Space
from autoresearch.storage.exchange_log import MemoryLog
from rails import Verdict

if TYPE_CHECKING:
    from autoresearch.llm.server import LlmServer


PROPOSALS = 3
LLM_MAX_S = 20.0  # after which no further proposal is requested
CALL_DEADLINE_S = 30.0  # a run may allow more, but here a user waits
CUT_OFF_FRAC = 0.4  # of the estimated tokens: a server that counts fewer has not read the whole prompt


@dataclass(frozen=True, slots=True)
class NoFallback:
    """A fallback that proposes nothing."""

    name: str = "none"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        raise Exhausted("only the LLM proposes here")


def llm(
    settings: Settings,
    space: Space,
    judge: Callable[[str, Trajectory], Verdict],
    trajectory: Trajectory,
    max_s: float = LLM_MAX_S,
    setup: str = "",
) -> Check:
    """Check reachability, model, context, structured output, thinking, speed, and how many replies pass the rails."""
    if settings.proposer not in LLM_PROPOSERS:
        return ok("LLM server", f"not needed: proposer {settings.proposer}")
    messages: list[str] = []  # for example which listed model was skipped
    try:
        server = build_llm_server(settings, lambda: False, messages.append)
    except AutoresearchError as e:
        if settings.proposer == "auto" and isinstance(e, MissingPackage):
            return warn("LLM server", f"{e.what}: trust-region proposes alone", e.hint)
        return fail("LLM server", e)
    with closing(server):
        if failed := server.discover():
            found = f"{settings.llm.base_url}: {failed.classification} ({failed.detail})"
            hint = f"{advice_for(failed.classification, failed.detail)}; trust-region proposes meanwhile"
            return warn("LLM server", found, hint, base_url=settings.llm.base_url)
        log = MemoryLog()
        server.deadline_s = min(settings.llm.deadline_s, CALL_DEADLINE_S)
        began = time.monotonic()
        for _ in range(PROPOSALS):
            _request_proposal(settings, server, space, judge, trajectory, log, setup)
            if time.monotonic() - began > max_s:
                break
        return _summarise(settings, server, log.exchanges, messages)


def _request_proposal(
    settings: Settings,
    server: LlmServer,
    space: Space,
    judge: Callable[[str, Trajectory], Verdict],
    trajectory: Trajectory,
    log: MemoryLog,
    setup: str,
) -> None:
    proposer = LlmProposer(
        llm=server,
        space=space,
        fallback=NoFallback(),
        judge=judge,
        log=log,
        utc=utc,
        budget_left=lambda trajectory: budget_left(settings, trajectory),
        proposals=settings.llm.proposals,
        rounds=1,
        system=settings.llm.system,
        setup=setup,
    )
    with suppress(Exhausted):
        proposer.propose(trajectory, [])


def _summarise(settings: Settings, server: LlmServer, exchanges: Sequence[Exchange], messages: Sequence[str]) -> Check:
    if not exchanges:
        return warn("LLM server", "nothing is left to propose", "--fresh starts over; or widen the menu")
    ends = Counter(e.classification for e in exchanges)
    latencies = [e.latency_s for e in exchanges]
    tokens = sum(e.completion_tokens or 0 for e in exchanges)
    spent_s = sum(latencies)
    speed = tokens / spent_s if tokens and spent_s else None
    facts = {
        "base_url": settings.llm.base_url,
        "model": server.model.name if server.model else None,
        "max_model_len": server.max_model_len,
        "structured": server.structured,
        "think_style": server.think_style,
        "tokens_per_s": speed,
        "latency_median_s": median(latencies),
        "prompt_tokens": exchanges[-1].prompt_tokens,
        "classifications": {str(name): n for name, n in ends.items()},
        "details": [e.detail for e in exchanges if e.detail],
    }
    deadline_tokens = int(speed * settings.llm.deadline_s) if speed else None
    facts["deadline_tokens"] = deadline_tokens
    facts["context_reported"] = "assumed" not in server.context_text
    holds = (
        f", so llm.deadline_s = {settings.llm.deadline_s:g} holds {deadline_tokens} tokens of a reply that may have "
        f"{server.completion_tokens}"
    )
    counts = ", ".join(f"{name} {n}" for name, n in ends.items())
    text = (
        f"{settings.llm.base_url}: {facts['model']}, {server.context_text}, "
        f"schema {server.structured}, thinking: {server.think_style}; {len(exchanges)} replies in "
        f"{median(latencies):.1f} s each{f', {speed:.0f} tokens/s{holds}' if speed else ''}: {counts}"
    )
    text = "; ".join([text, *messages])
    if _is_cut_off(exchanges[-1]):
        hint = "the server reads only part of the prompt: raise its context (Ollama: num_ctx), or set llm.max_model_len"
        return warn("LLM server", text, hint, **facts)
    if not ends[Classification.OK]:
        why = "; ".join(dict.fromkeys(e.detail for e in exchanges if e.detail))[:300]
        hint = advice_for(ends.most_common(1)[0][0], why)
        return warn(
            "LLM server", f"{text} ({why})", f"{hint}; trust-region proposes in place of every such reply", **facts
        )
    return ok("LLM server", text, **facts)


def _is_cut_off(exchange: Exchange) -> bool:
    """Whether the server counted far fewer tokens than were sent: some servers truncate a long prompt silently."""
    sent = sum(estimate_tokens(message.content) for message in exchange.messages)
    return exchange.prompt_tokens is not None and exchange.prompt_tokens < CUT_OFF_FRAC * sent
