"""The LLM's side of a night: three real proposals, made as a run would make them and judged by its rails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from statistics import median

from autoresearch.config import Settings
from autoresearch.doctor.check import Check, fail, ok, warn
from autoresearch.errors import AutoresearchError
from autoresearch.exchange import Classification, Exchange
from autoresearch.exchange_log import MemoryLog
from autoresearch.llm.server import LlmServer
from autoresearch.ports import Exhausted, Reply
from autoresearch.proposers.nim import NimProposer
from autoresearch.proposers.space import Space
from autoresearch.proposing import budget_left, llm_server_of
from autoresearch.records import Attempt
from autoresearch.service import utc
from autoresearch.trajectory import Trajectory
from rails import Verdict

PROPOSALS = 3
ENOUGH_S = 20.0  # after which no further proposal is asked for
WAITS = {
    Classification.UNREACHABLE: "start the server, or give its address with --base-url; the run uses TPE meanwhile",
    Classification.TIMEOUT: "is the model still loading? the run uses TPE meanwhile",
    Classification.MODEL_GONE: "give the name that the server lists with --model",
    Classification.REQUEST_REJECTED: "see the address (it ends in /v1) and the key (AUTORESEARCH_LLM_KEY)",
}


@dataclass(frozen=True, slots=True)
class Nobody:
    """The fallback that there is none."""

    name: str = "nobody"

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        raise Exhausted("only the LLM is asked here")


def llm(settings: Settings, space: Space, judge: Callable[[str, Trajectory], Verdict], so_far: Trajectory) -> Check:
    """Reachable, which model, how much it reads, structured or not, how it thinks, how fast, and what it is worth."""
    if settings.proposer not in ("auto", "hybrid", "nim"):
        return ok("LLM server", f"not needed: proposer {settings.proposer}")
    said: list[str] = []
    try:
        server = llm_server_of(settings, lambda: False, said.append)
    except AutoresearchError as e:
        if settings.proposer != "auto":
            return fail("LLM server", e)
        return warn("LLM server", f"{e.what}: tpe proposes alone", e.hint)
    with closing(server):
        if failed := server.meet():
            found = f"{settings.llm.base_url}: {failed.classification} ({failed.detail})"
            hint = WAITS.get(failed.classification, "see the server's log; the run uses TPE meanwhile")
            return warn("LLM server", found, hint, base_url=settings.llm.base_url)
        notes = MemoryLog()
        began = time.monotonic()
        for _ in range(PROPOSALS):
            if time.monotonic() - began < ENOUGH_S:
                _one_reply(settings, server, space, judge, so_far, notes)
        return _judged(settings, server, notes.exchanges)


def _one_reply(
    settings: Settings,
    server: LlmServer,
    space: Space,
    judge: Callable[[str, Trajectory], Verdict],
    so_far: Trajectory,
    notes: MemoryLog,
) -> None:
    asked = NimProposer(
        llm=server,
        space=space,
        fallback=Nobody(),
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
    ends = Counter(str(e.classification) for e in exchanges)
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
        "classifications": dict(ends),
        "details": [e.detail for e in exchanges if e.detail],
    }
    how = ", ".join(f"{name} {n}" for name, n in ends.items())
    text = (
        f"{settings.llm.base_url}: {facts['model']}, {server.max_model_len} tokens of context, "
        f"schema {server.structured}, thinking: {server.think_style}; {len(exchanges)} replies in "
        f"{median(latencies):.1f} s each{f', {speed:.0f} tokens/s' if speed else ''}: {how}"
    )
    if not ends[Classification.OK]:
        why = next((e.detail for e in exchanges if e.detail), "no proposal passed the rails")
        return warn("LLM server", text, f"{why[:200]}; TPE stands in for every such reply", **facts)
    return ok("LLM server", text, **facts)
