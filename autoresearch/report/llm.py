"""Statistics of the LLM calls: how they ended, their cost, and the quality of their proposals. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from autoresearch.core.llm_calls import ANSWERED, LLM_SOURCE, Classification, LlmCall
from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import NAME_CELLS, format_counts, format_duration, format_share, pad, safe
from autoresearch.report.history import Row, total
from autoresearch.report.table import paint
from rails import Rail

INVALID = frozenset({Rail.R1_SCHEMA, Rail.R2_MENU, Rail.R3_RANGE, Rail.R4_CROSS, Rail.R5_DIFF_LINT})
MAX_MODELS = 3  # shown by name; the rest are counted
ENDING_CELLS = 25


class LlmNumbers(FrozenModel):
    """The statistics of the calls of closed iterations. ``None`` means unknown, or a share of nothing.

    A proposal is the LLM's if its source is ``llm_calls.LLM_SOURCE``: a proposal of another source that was tried
    because the LLM gave none is not, although it is in the same iteration.
    """

    iterations: int  # in which the LLM was called
    fell_back: int  # of those: iterations in which the candidate of another source was tried
    calls: int
    calls_by_classification: dict[str, int]  # in the order of ``Classification``; none with 0
    models: list[str]  # that answered or were requested, in the order of their first calls: untrusted text
    prompt_tokens: int | None  # of the calls for which the server reported them
    completion_tokens: int | None  # likewise; thinking counts where the server counts it
    latency_s: float  # of all calls together, failed ones, retries and the waits between them included
    latency_mean_s: float  # of a call
    latency_median_s: float
    latency_max_s: float
    wall_share: float | None  # latency_s / the run's wall_s
    rounds_mean: (
        float  # replies of the model (the calls in ``llm_calls.ANSWERED``) per iteration in which it was called
    )
    proposals: int  # raw ones that the rails checked, spares included
    valid_share: float | None  # of the proposals: those that none of R1 to R5 refused
    novel_share: float | None  # of the valid ones: those that R6 did not refuse either; R7 is about the machine
    normalised: int = 0  # of the proposals: rewritten in form before the rails judged them


def llm_numbers(rows: Sequence[Row], wall_s: float | None) -> LlmNumbers | None:
    """The statistics of ``rows``, which took ``wall_s`` in all; ``None`` if the LLM was never called."""
    with_calls = [row for row in rows if row.llm_calls]
    if not with_calls:
        return None
    calls = [call for row in with_calls for call in row.llm_calls]
    replies = sum(call.classification in ANSWERED for call in calls)
    judged: Counter[str] = Counter()
    for row in rows:
        judged.update(row.llm_judged)
    return LlmNumbers(
        iterations=len(with_calls),
        fell_back=sum(_fell_back(row) for row in with_calls),
        rounds_mean=replies / len(with_calls),
        normalised=sum(row.normalised for row in rows),
        **_call_statistics(calls, wall_s),
        **_proposal_shares(judged),
    )


def _fell_back(row: Row) -> bool:
    return row.stage in ("evaluated", "stopped_early", "eval_failed") and row.source != LLM_SOURCE


def _call_statistics(calls: Sequence[LlmCall], wall_s: float | None) -> dict[str, Any]:
    ended = Counter(call.classification for call in calls)
    latencies = [call.latency_s for call in calls]
    latency_s = total(*latencies) or 0.0
    sent = [call.prompt_tokens for call in calls if call.prompt_tokens is not None]
    got = [call.completion_tokens for call in calls if call.completion_tokens is not None]
    return {
        "calls": len(calls),
        "calls_by_classification": {str(kind): ended[kind] for kind in Classification if kind in ended},
        "models": list(dict.fromkeys(call.model for call in calls if call.model is not None)),
        "prompt_tokens": sum(sent) if sent else None,
        "completion_tokens": sum(got) if got else None,
        "latency_s": latency_s,
        "latency_mean_s": fmean(latencies),
        "latency_median_s": median(latencies),
        "latency_max_s": max(latencies),
        "wall_share": latency_s / wall_s if wall_s else None,
    }


def _proposal_shares(judged: Mapping[str, int]) -> dict[str, Any]:
    proposals = sum(judged.values())
    valid = proposals - sum(judged.get(rail, 0) for rail in INVALID)
    novel = valid - judged.get(Rail.R6_NOVELTY, 0)
    return {
        "proposals": proposals,
        "valid_share": valid / proposals if proposals else None,
        "novel_share": novel / valid if valid else None,
    }


def llm_facts(n: LlmNumbers) -> Iterator[tuple[str, str]]:
    """Label and text: first the calls and their cost, then their proposals."""
    models = ", ".join(safe(name, NAME_CELLS) for name in n.models[:MAX_MODELS])
    more = f" and {len(n.models) - MAX_MODELS} more" if len(n.models) > MAX_MODELS else ""
    of = f" of {models}{more}" if models else ""
    yield "LLM", f"{plural(n.calls, 'call')}{of}: {format_counts(n.calls_by_classification)}; {_cost(n)}"
    parts = [plural(n.proposals, "proposal")]
    if n.valid_share is not None:
        parts.append(f"{format_share(n.valid_share)} valid")
    if n.novel_share is not None:
        parts.append(f"{format_share(n.novel_share)} of those new")
    if n.normalised:
        parts.append(f"{n.normalised} rewritten in form before the rails judged")
    parts.append(f"fallback in {n.fell_back} of {plural(n.iterations, 'iteration')}")
    yield "", ", ".join(parts)


def _cost(n: LlmNumbers) -> str:
    directions = {"in": n.prompt_tokens, "out": n.completion_tokens}
    counted = " and ".join(f"{number:,} {direction}" for direction, number in directions.items() if number is not None)
    tokens = [f"tokens {counted}"] if counted else []
    share = [] if n.wall_share is None else [f"{format_share(n.wall_share)} of the time"]
    return ", ".join([f"median {format_duration(n.latency_median_s)}", *share, *tokens])


def endings_table(n: LlmNumbers | None, color: bool) -> list[str]:
    """A heading and a line per classification of calls; empty without an LLM."""
    if n is None:
        return []
    heading = pad("ending", ENDING_CELLS) + "calls".rjust(7) + "share".rjust(8)
    lines = [
        pad(kind, ENDING_CELLS) + f"{number}".rjust(7) + format_share(number / n.calls).rjust(8)
        for kind, number in n.calls_by_classification.items()
    ]
    return [paint(heading, "dim", color), *lines]
