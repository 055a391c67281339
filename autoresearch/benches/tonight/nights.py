"""The candidates of runs of suite P: their nights as graded, by proposer and model. Reads the records only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.proposers.checkpoints import Checkpoint, Step
from autoresearch.benches.proposers.counts import Counts
from autoresearch.benches.proposers.problem import problem_of
from autoresearch.benches.proposers.table_file import parse_table
from autoresearch.benches.tonight.candidate import BASELINE, NO_DATA, TRIALS, Candidate
from autoresearch.core.llm_calls import Classification
from autoresearch.core.values import sha256_of
from autoresearch.errors import CorpusError
from rails import Rail

GRADER = "proposers"
MODEL_FAMILY = "model"  # of the cases whose proposer asks a model
# The answer had text that the rails judged: what they refused of it is counted by rail.
JUDGED = frozenset(
    {
        Classification.OK,
        Classification.SCHEMA_INVALID,
        Classification.RAIL_BLOCKED,
        Classification.DUPLICATE,
    }
)


@dataclass(frozen=True, slots=True)
class Night:
    """One night as its grade describes it. ``at`` is the state after 30 trials."""

    seed: int
    at: Checkpoint
    path: tuple[Step, ...]
    counts: Counts
    energy_j: float | None

    def true_at(self, virtual_s: float) -> float | None:
        """The truth of what it would hand over at this time; ``None`` before it has measured anything."""
        return next((step.true for step in reversed(self.path) if step.virtual_s <= virtual_s), None)


def table_of(run: BenchRun) -> str:
    """What a regret is comparable under: the hash of the table, and the rule."""
    table = run.cases.cases[0].payload.get("table")
    return f"{sha256_of({'table': table})} {run.meta.options.get('decision')}"


def candidates_of(runs: Sequence[BenchRun]) -> list[Candidate]:
    """A candidate for each proposer of each run. Raises ``CorpusError`` for a table or a grade that cannot be read."""
    if not runs:
        return []
    optimum = _optimum_of(runs[0])
    every = [(run, case, _nights(run, case.id)) for run in runs for case in run.cases.cases]
    clocks = {night.seed: night.at.virtual_s for _, case, nights in every if case.id == BASELINE for night in nights}
    found = []
    for run, case, nights in every:
        asks = case.family == MODEL_FAMILY
        counts = sum((night.counts for night in nights), Counts())
        failures = failures_of(counts)
        metered = [night for night in nights if night.energy_j is not None and night.counts.proposals]
        joules = sum(night.energy_j or 0.0 for night in metered)
        at_clock = {
            night.seed: true - optimum
            for night in nights
            if night.seed in clocks and (true := night.true_at(clocks[night.seed])) is not None
        }
        found.append(
            Candidate(
                proposer=str(case.payload.get("proposer", case.id)),
                model=run.meta.model if asks else None,
                regret={night.seed: night.at.true - optimum for night in nights},
                at_clock=at_clock,
                missing=run.meta.samples - len(nights),
                proposals=counts.proposals + sum(n for name, n in failures.items() if name.startswith("call ")),
                failures=failures,
                proposal_s=counts.propose_s / counts.proposals if counts.proposals else None,
                proposal_j=joules / sum(night.counts.proposals for night in metered) if metered else None,
                base_url=run.meta.base_url if asks else None,
                source=str(run.path),
            )
        )
    return found


def failures_of(counts: Counts) -> dict[str, int]:
    """Proposals that were lost, by class: refused by a rail, a crash of their trial, a call without an answer."""
    found = Counter({_refusal(rail): n for rail, n in counts.refused.items()})
    found[NO_DATA] += counts.no_data
    found["proposer failed"] += counts.proposer_failed
    found.update({f"crash {cause}": n for cause, n in counts.crashes.items()})
    found.update({f"call {kind}": n for kind, n in counts.calls.items() if kind not in JUDGED})
    return {name: n for name, n in found.most_common() if n}


def _refusal(rail: str) -> str:
    return "repeat (R6)" if rail == Rail.R6_NOVELTY else f"refused by {rail}"


def _nights(run: BenchRun, case: str) -> list[Night]:
    """The graded nights of a case that have a state after 30 trials."""
    graded = [run.trials.get((case, sample)) for sample in range(run.meta.samples)]
    return [night for g in graded if g is not None and (night := _night(run, g)) is not None]


def _night(run: BenchRun, graded: Graded) -> Night | None:
    grade = graded.grades.get(GRADER)
    if grade is None or grade.score is None:
        return None
    detail: Mapping[str, Any] = grade.detail
    try:
        checkpoints = [Checkpoint.model_validate(c) for c in detail["checkpoints"]]
        path = tuple(Step.model_validate(step) for step in detail["path"])
        counts = Counts.model_validate(detail["counts"])
        seed = graded.trial.evidence["seed"]
    except (KeyError, TypeError, ValidationError) as e:
        what = f"{run.path}: the grade of record {graded.seq} is not of this version: {type(e).__name__} {e}"
        raise CorpusError(what[:400], hint="`autoresearch bench regrade` grades the run again") from e
    at = next((c for c in checkpoints if c.trials == TRIALS), None)
    return None if at is None else Night(int(seed), at, path, counts, graded.trial.energy_j)


def _optimum_of(run: BenchRun) -> float:
    """The lowest true mean of the table."""
    table = parse_table(json.dumps(run.cases.cases[0].payload.get("table")), f"{run.path}: the table of its cases")
    return problem_of(table)[1].optimum_mean
