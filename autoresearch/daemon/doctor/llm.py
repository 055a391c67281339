"""The LLM's side of a night: three real proposals, made as a run would make them and judged by its rails."""

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
ENOUGH_S = 20.0  # after which no further proposal is asked for
PATIENCE_S = 30.0  # with one call: a run may be more patient, a person who waits for this is not
CUT_OFF_FRAC = 0.4  # of the estimated tokens: a server that counts fewer has not read the whole prompt
ADVICE = {
    Classification.UNREACHABLE: "start the server, or give its address with --base-url",
    Classification.TIMEOUT: "is the model still loading? a slow one needs a longer llm.deadline_s, or fewer words: "
    "llm.max_tokens, llm.system=/no_think",
    Classification.MODEL_GONE: "give the name that the server lists with --model",
    Classification.REQUEST_REJECTED: "see the address (it ends in /v1) and the key (AUTORESEARCH_LLM_KEY)",
    Classification.MALFORMED_RESPONSE: "is it an OpenAI-compatible server? see the address (it ends in /v1)",
    Classification.CONTEXT_LENGTH_EXCEEDED: "start the server with a longer context, or say what it has with "
    "llm.max_model_len",
    Classification.THINK_TRUNCATED: "--set llm.system=/no_think, or a larger llm.max_tokens",
    Classification.OUTPUT_TRUNCATED: "a larger llm.max_tokens",
    Classification.SERVER_ERROR: "see the server's log",
    Classification.RATE_LIMITED: "somebody else is using the server",
}
OTHERWISE = "this model may be too small for the task: another one, or --proposer tpe"


@dataclass(frozen=True, slots=True)
class NoFallback:
    """The fallback that there is none."""

    name: str = "nobody"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        raise Exhausted("only the LLM is asked here")


def llm(settings: Settings, space: Space, judge: Callable[[str, Trajectory], Verdict], so_far: Trajectory) -> Check:
    """Reachable, which model, how much it reads, structured or not, how it thinks, how fast, and what it is worth."""
    if settings.proposer not in LLM_PROPOSERS:
        return ok("LLM server", f"not needed: proposer {settings.proposer}")
    messages: list[str] = []
    try:
        server = build_llm_server(settings, lambda: False, messages.append)
    except AutoresearchError as e:
        if settings.proposer == "auto" and isinstance(e, MissingPackage):
            return warn("LLM server", f"{e.what}: tpe proposes alone", e.hint)
        return fail("LLM server", e)
    with closing(server):
        if failed := server.discover():
            found = f"{settings.llm.base_url}: {failed.classification} ({failed.detail})"
            hint = f"{ADVICE.get(failed.classification, OTHERWISE)}; the run uses TPE meanwhile"
            return warn("LLM server", found, hint, base_url=settings.llm.base_url)
        notes = MemoryLog()
        server.deadline_s = min(settings.llm.deadline_s, PATIENCE_S)
        began = time.monotonic()
        for _ in range(PROPOSALS):
            _one_reply(settings, server, space, judge, so_far, notes)
            if time.monotonic() - began > ENOUGH_S:
                break
        return _judged(settings, server, notes.exchanges)


def _one_reply(
    settings: Settings,
    server: LlmServer,
    space: Space,
    judge: Callable[[str, Trajectory], Verdict],
    so_far: Trajectory,
    notes: MemoryLog,
) -> None:
    asked = LlmProposer(
        llm=server,
        space=space,
        fallback=NoFallback(),
        judge=judge,
        log=notes,
        utc=utc,
        budget_left=lambda trajectory: budget_left(settings, trajectory),
        proposals=settings.llm.proposals,
        rounds=1,
        system=settings.llm.system,
    )
    with suppress(Exhausted):
        asked.propose(so_far, [])


def _judged(settings: Settings, server: LlmServer, exchanges: Sequence[Exchange]) -> Check:
    if not exchanges:
        return warn("LLM server", "nothing is left to propose", "--fresh begins anew; or widen the menu")
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
    how = ", ".join(f"{name} {n}" for name, n in ends.items())
    text = (
        f"{settings.llm.base_url}: {facts['model']}, {server.max_model_len} tokens of context, "
        f"schema {server.structured}, thinking: {server.think_style}; {len(exchanges)} replies in "
        f"{median(latencies):.1f} s each{f', {speed:.0f} tokens/s' if speed else ''}: {how}"
    )
    if _is_cut_off(exchanges[-1]):
        hint = "it reads only a part of the prompt: raise its context (Ollama: num_ctx), or set llm.max_model_len"
        return warn("LLM server", text, hint, **facts)
    if not ends[Classification.OK]:
        why = "; ".join(dict.fromkeys(e.detail for e in exchanges if e.detail))[:300]
        hint = ADVICE.get(ends.most_common(1)[0][0], OTHERWISE)
        return warn("LLM server", f"{text} ({why})", f"{hint}; TPE stands in for every such reply", **facts)
    return ok("LLM server", text, **facts)


def _is_cut_off(exchange: Exchange) -> bool:
    """Whether the server counted far fewer tokens than it was sent: some cut a long prompt off without a word."""
    sent = sum(estimate_tokens(message.content) for message in exchange.messages)
    return exchange.prompt_tokens is not None and exchange.prompt_tokens < CUT_OFF_FRAC * sent
