"""Read bench runs for the morning: candidates from the suite proposer, a line from each other run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from autoresearch.benches.analysis import PUBLISHED_ONLY, analyse, describe_incomplete
from autoresearch.benches.diagnosing import DIAGNOSED, diagnose_run
from autoresearch.benches.headline import describe_headline
from autoresearch.benches.ports import BenchRun, Suite
from autoresearch.benches.run_directory import read_run
from autoresearch.benches.tonight.candidate import Candidate
from autoresearch.benches.tonight.evidence import Evidence, OtherRun, build_evidence
from autoresearch.benches.tonight.nights import candidates_of, table_of
from autoresearch.benches.tonight.verdict import decide_tonight
from autoresearch.core.text import plural
from autoresearch.errors import YardstickMismatch

PROPOSER = "proposer"


def collect_evidence(paths: Sequence[Path], load_suite: Callable[[str], Suite]) -> Evidence:
    """The page of the morning from these runs.

    Raises ``YardstickMismatch`` for proposers that were measured on other tables, and what ``read_run`` raises.
    """
    runs = [read_run(path) for path in paths]
    measured = [run for run in runs if run.meta.suite == PROPOSER]
    others = [_other(run, load_suite(run.meta.suite)) for run in runs if run.meta.suite != PROPOSER]
    return build_evidence(decide_tonight(merge_candidates(_candidates(measured))), others)


def _candidates(runs: Sequence[BenchRun]) -> list[Candidate]:
    tables = {table_of(run): run.path for run in runs}
    if len(tables) > 1:
        places = ", ".join(map(str, list(tables.values())[:5]))
        what = f"the runs were made on {plural(len(tables), 'table')} of configurations, or by other rules: {places}"
        raise YardstickMismatch(what, hint="give runs on one table; their regrets cannot be compared otherwise")
    return candidates_of(runs)


def merge_candidates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """One candidate for each proposer and model: two runs of the same are one with the seeds of both.

    Where two runs give the same seed another regret, conditions differed: both are kept, and named by their run.
    """
    merged: list[Candidate] = []
    for new in candidates:
        place = next((n for n, old in enumerate(merged) if old.key == new.key), None)
        if place is None:
            merged.append(new)
        elif any(merged[place].regret.get(seed, value) != value for seed, value in new.regret.items()):
            merged.append(replace(new, label=new.source))
        else:
            merged[place] = _joined(merged[place], new)
    return merged


def _joined(a: Candidate, b: Candidate) -> Candidate:
    """Two runs of one candidate. What both have is counted once; means are weighted by the proposals."""
    if set(b.regret) <= set(a.regret):
        return a
    if set(a.regret) <= set(b.regret):
        return b
    regret = {**a.regret, **b.regret}
    planned = max(len(c.regret) + c.missing for c in (a, b))  # both plan the first so many seeds
    total = a.proposals + b.proposals
    names = sorted({*a.failures, *b.failures})
    return replace(
        a,
        regret=regret,
        at_clock={**a.at_clock, **b.at_clock},
        missing=max(0, planned - len(regret)),
        proposals=total,
        failures={name: a.failures.get(name, 0) + b.failures.get(name, 0) for name in names},
        proposal_s=_mean(a.proposal_s, a.proposals, b.proposal_s, b.proposals),
        proposal_j=_mean(a.proposal_j, a.proposals, b.proposal_j, b.proposals),
    )


def _mean(a: float | None, n: int, b: float | None, m: int) -> float | None:
    if a is None or b is None:
        return b if a is None else a
    return (a * n + b * m) / (n + m) if n + m else a


def _other(run: BenchRun, suite: Suite) -> OtherRun:
    found = analyse(suite, run)
    diagnosis = str(diagnose_run(run).get("sentence", "")) if run.meta.suite in DIAGNOSED else ""
    return OtherRun(
        run=str(run.path),
        suite=run.meta.suite,
        model=run.meta.model,
        headline=PUBLISHED_ONLY if found.published_only else describe_headline(found.headline_value),
        diagnosis=diagnosis,
        incomplete="" if found.published_only else describe_incomplete(found).removeprefix("INCOMPLETE: "),
    )
