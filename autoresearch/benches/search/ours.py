"""The proposers of this package as searchers: the real classes and the real gate, on a trajectory in memory.

The trajectory has a result for each trial and what rail R6 needs; the loop itself is left out, because 64 nights of it
would take hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autoresearch.benches.search.problem import Best, Problem, Searcher
from autoresearch.core.measurement import Cause
from autoresearch.core.ports import Exhausted, Proposer
from autoresearch.core.record_builders import build_attempt
from autoresearch.core.records import Attempt
from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.proposers.space import Space
from rails import Tried, Value, gate

MAX_ATTEMPTS = 20


@dataclass(slots=True)
class Lookup:
    """The number of closed iterations, in place of their records."""

    count: int = 0

    def __len__(self) -> int:
        return self.count


@dataclass(slots=True)
class ProposerSearcher:
    """``best`` asks the proposer for the changes that it would hand over; without it the lowest value is."""

    problem: Problem
    proposer: Proposer
    max_changes: int
    best: Callable[[Trajectory], dict[str, Value]] | None = None
    _trajectory: Trajectory = field(default_factory=Trajectory)
    _lowest: Best = field(init=False)
    _changes: tuple[tuple[str, Value], ...] = ()

    def __post_init__(self) -> None:
        value = self.problem.baseline_value()
        self._lowest = Best(self.problem.baseline, value)
        self._trajectory.tried = Tried(self.problem.baseline)
        self._trajectory.lowest = value
        self._trajectory.iterations = Lookup()  # type: ignore[assignment]

    def ask(self) -> Cfg:
        refused: list[Attempt] = []
        for number in range(MAX_ATTEMPTS):
            reply = self.proposer.propose(self._trajectory, refused)
            verdict = gate(
                reply.raw,
                self.problem.baseline,
                self.problem.menu,
                steps=None,
                known=self._trajectory.known(),
                max_changes=self.max_changes,
            )
            if verdict.ok and verdict.candidate is not None and verdict.proposal is not None:
                self._changes = verdict.proposal.changes
                return dict(verdict.candidate)
            refused.append(build_attempt(reply.raw, reply.source, verdict, number + 1))
        raise Exhausted(f"{MAX_ATTEMPTS} proposals in a row were refused: {refused[-1].reason}")

    def tell(self, cfg: Cfg, value: float | None) -> None:
        baseline = self.problem.baseline_value()
        gain = None if value is None else (baseline - value) / abs(baseline)
        is_one = len(self._changes) == 1
        knob, new_value = self._changes[0] if is_one else (None, None)
        lookup = self._trajectory.iterations
        assert isinstance(lookup, Lookup)
        lookup.count += 1
        self._trajectory.results.append(
            Result(
                iter=lookup.count,
                stage="eval_failed" if value is None else "evaluated",
                source=self.proposer.name,
                knob=knob,
                new_value=new_value,
                loss=value,
                improvement_frac=gain,
                trials=0 if value is None else 1,
                cause=Cause.OUT_OF_MEMORY if value is None else None,
                several=() if is_one else self._changes,
            )
        )
        self._trajectory.known().add(cfg, "crashed" if value is None else "measured")
        self._lowest.see(cfg, value)

    def pick(self) -> Cfg:
        if self.best is None:
            return self._lowest.cfg
        return {**self.problem.baseline, **self.best(self._trajectory)}


def build_joint(problem: Problem) -> Searcher:
    """Proposer ``trust-region`` with as many changes as there are knobs."""
    from autoresearch.proposers.trust_region import TrustRegionProposer

    space = _space(problem, len(problem.menu.knobs))
    proposer = TrustRegionProposer(space, problem.seed)
    return ProposerSearcher(problem, proposer, space.max_changes, proposer.best)


def build_one_knob(problem: Problem) -> Searcher:
    """Proposer ``tpe``, which changes one knob of the baseline: the loop's plain way. Raises ``ImportError``."""
    from autoresearch.proposers.tpe import TpeProposer

    return ProposerSearcher(problem, TpeProposer(_space(problem, 1), problem.seed), 1)


def _space(problem: Problem, max_changes: int) -> Space:
    return Space(problem.menu, problem.baseline, None, max_changes=max_changes)
