"""The proposers of this package as searchers: the real classes and the real gate, on a trajectory in memory.

The trajectory has a result for each trial and what rail R6 needs; the loop itself is left out, because 64 nights of it
would take hours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from autoresearch.benches.search.crashes import CrashModel
from autoresearch.benches.search.night import NotHere
from autoresearch.benches.search.poison import Crashes, Nonsense
from autoresearch.benches.search.problem import Best, Problem, Searcher
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.measurement import Cause
from autoresearch.core.ports import Exhausted, Proposer
from autoresearch.core.record_builders import build_attempt
from autoresearch.core.records import Attempt
from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.space import Space
from autoresearch.proposers.trust_region import TrustRegionProposer
from rails import Config, Tried, Value, gate

FIXED_SHARE = 0.3  # of the iterations
MAX_ATTEMPTS = 5  # of an iteration
MAX_ITERATIONS = 20  # that end without a candidate, one after another
Stage = Literal["evaluated", "eval_failed", "blocked"]


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
    refuses: Callable[[Config], str] = lambda _cfg: ""  # R7: such a candidate costs no trial
    _trajectory: Trajectory = field(default_factory=Trajectory)
    _lowest: Best = field(init=False)
    _changes: tuple[tuple[str, Value], ...] = ()
    _candidate: Cfg = field(default_factory=dict)
    _source: str = ""

    def __post_init__(self) -> None:
        value = self.problem.baseline_value()
        self._lowest = Best(self.problem.baseline, value)
        self._trajectory.tried = Tried(self.problem.baseline)
        self._trajectory.lowest = value
        self._trajectory.iterations = Lookup()  # type: ignore[assignment]

    def ask(self) -> Cfg:
        for _ in range(MAX_ITERATIONS):
            refused = self._iterate()
            if not refused:
                return self._candidate
            self._close("blocked", refused[-1].source)
        raise Exhausted(f"{MAX_ITERATIONS} iterations in a row were blocked: {refused[-1].reason}")

    def _iterate(self) -> list[Attempt]:
        """One iteration: its attempts if all of them were refused; empty where a candidate passed."""
        refused: list[Attempt] = []
        for number in range(MAX_ATTEMPTS):
            reply = self.proposer.propose(self._trajectory, refused)
            verdict = gate(
                reply.raw,
                self.problem.baseline,
                self.problem.menu,
                steps=self.problem.steps,
                known=self._trajectory.known(),
                max_changes=self.max_changes,
            )
            found, proposal = verdict.candidate, verdict.proposal
            if found is not None and proposal is not None and not self.refuses(found):
                self._changes, self._candidate, self._source = proposal.changes, dict(found), reply.source
                return []
            refused.append(build_attempt(reply.raw, reply.source, verdict, number + 1))
        return refused

    def tell(self, cfg: Cfg, value: float | None) -> None:
        baseline = self.problem.baseline_value()
        gain = None if value is None else (baseline - value) / abs(baseline)
        is_one = len(self._changes) == 1
        knob, new_value = self._changes[0] if is_one else (None, None)
        self._close(
            "eval_failed" if value is None else "evaluated",
            self._source,
            knob=knob,
            new_value=new_value,
            loss=value,
            improvement_frac=gain,
            trials=0 if value is None else 1,
            cause=Cause.OUT_OF_MEMORY if value is None else None,
            several=() if is_one else self._changes,
        )
        self._trajectory.known().add(cfg, "crashed" if value is None else "measured")
        self._lowest.see(cfg, value)

    def _close(self, stage: Stage, source: str, **more: Any) -> None:
        lookup = self._trajectory.iterations
        assert isinstance(lookup, Lookup)
        lookup.count += 1
        self._trajectory.results.append(Result(lookup.count, stage, source, **more))

    def pick(self) -> Cfg:
        if self.best is None:
            return self._lowest.cfg
        return {**self.problem.baseline, **self.best(self._trajectory)}


def build_joint(problem: Problem) -> Searcher:
    """Proposer ``trust-region`` with as many changes as there are knobs."""
    proposer = _trust_region(problem)
    return ProposerSearcher(problem, proposer, len(problem.menu.knobs), proposer.best)


def build_joint_r7(problem: Problem) -> Searcher:
    """The same where R7 knows what crashes. Raises ``NotHere`` where nothing does."""
    return _joint_beside_rail(problem, problem.surrogate.crashes)


def build_joint_r7_half(problem: Problem) -> Searcher:
    """The same where R7 has an estimate of what crashes. Raises ``NotHere`` where nothing does."""
    return _joint_beside_rail(problem, problem.surrogate.estimate)


def _joint_beside_rail(problem: Problem, estimate: CrashModel | None) -> Searcher:
    if estimate is None:
        raise NotHere("the table has no crash")

    def over_budget(cfg: Config) -> str:
        return "more memory than there is" if estimate(problem.surrogate.points([dict(cfg)]))[0] > 0.5 else ""

    proposer = _trust_region(problem, over_budget)
    return ProposerSearcher(problem, proposer, len(problem.menu.knobs), proposer.best, over_budget)


def build_poisoned_nonsense(problem: Problem) -> Searcher:
    """A hybrid whose model answers with nonsense."""
    return _poisoned(problem, Nonsense(), "auto")


def build_poisoned_crashes(problem: Problem) -> Searcher:
    """A hybrid whose model proposes what crashes. Raises ``NotHere`` where nothing does."""
    return _poisoned(problem, _crashing_model(problem), "auto")


def build_poisoned_crashes_fixed(problem: Problem) -> Searcher:
    """The same with a share that its failures do not change."""
    return _poisoned(problem, _crashing_model(problem), FIXED_SHARE)


def _crashing_model(problem: Problem) -> Proposer:
    if problem.surrogate.crashes is None:
        raise NotHere("the table has no crash")
    return Crashes(problem)


def _poisoned(problem: Problem, model: Proposer, share: float | Literal["auto"]) -> Searcher:
    proposer = _trust_region(problem)
    proposer.hides_failures_of = LLM_SOURCE
    hybrid = HybridProposer(proposer, model, share)
    return ProposerSearcher(problem, hybrid, len(problem.menu.knobs), proposer.best)


def _trust_region(problem: Problem, over_budget: Callable[[Config], str] = lambda _cfg: "") -> TrustRegionProposer:
    space = _space(problem, len(problem.menu.knobs), over_budget)
    return TrustRegionProposer(space, problem.seed)


def build_one_knob(problem: Problem) -> Searcher:
    """Proposer ``tpe``, which changes one knob of the baseline: the loop's plain way. Raises ``ImportError``."""
    from autoresearch.proposers.tpe import TpeProposer

    return ProposerSearcher(problem, TpeProposer(_space(problem, 1), problem.seed), 1)


def _space(problem: Problem, max_changes: int, over_budget: Callable[[Config], str] = lambda _cfg: "") -> Space:
    return Space(problem.menu, problem.baseline, problem.steps, over_budget, max_changes)
