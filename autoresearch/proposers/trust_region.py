"""Proposer ``trust-region``: a Gaussian process over candidates of a few knobs around the best known point.

Published optimizers that search the whole cube spend a night of 30 to 100 trials on configurations far worse than the
baseline (docs/search.md). This one stays in a region around what is known to be good, as TuRBO does (D. Eriksson et
al., "Scalable Global Optimization via Local Bayesian Optimization", 2019): candidates change one to four knobs of the
centre, the region shrinks after failures to improve, grows after improvements, and restarts when it is small. A
separate model (``feasibility.py``) says where trials fail.

The trajectory is the only memory: the proposer is deterministic in the seed and the trajectory.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from autoresearch.core.ports import Exhausted, Reply
from autoresearch.core.records import Attempt, Baseline, Proposed
from autoresearch.core.results import Result
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.batch import MOST_PENDING, believe, is_beside
from autoresearch.proposers.belief import Belief as KnobBelief
from autoresearch.proposers.belief import summarise_candidates
from autoresearch.proposers.blas_threads import one_blas_thread
from autoresearch.proposers.candidates import Recipe, draw_candidates
from autoresearch.proposers.cube import Array, Cube
from autoresearch.proposers.evidence import Evidence, EvidenceReader
from autoresearch.proposers.feasibility import Feasibility, learn_feasibility
from autoresearch.proposers.gaussian_process import Hyper, Process, fit
from autoresearch.proposers.other_failures import without_failures
from autoresearch.proposers.region import count_failures, most_failure, region_length
from autoresearch.proposers.space import Space, build_joint_reply
from rails import Value, same_value

FIT_ROWS = 150  # values that the process is fitted to
HYPER_ROWS = 100  # and its hyperparameters
FAILURE_ROWS = 800  # results that the feasibility model is fitted to
POOL = 600  # candidates of a first round
REFINED = 12  # of them, around which a second round is drawn
PER_REFINED = 20
EXPECTS_FROM = 4  # results, the baseline's included: the model's expectation before that is mostly its prior
REASON_KNOBS = 3
BELIEF_CANDIDATES = 32
BELIEF_STREAM = 1 << 20  # of random numbers, apart from those of proposals


@dataclass(frozen=True, slots=True)
class Seen:
    """Which results a belief is of."""

    results: int
    last: Result | None
    baseline: Baseline | None

    @classmethod
    def of(cls, trajectory: Trajectory) -> Seen:
        return cls(len(trajectory.results), trajectory.results[-1] if trajectory.results else None, trajectory.baseline)

    def is_same(self, other: Seen) -> bool:
        return self.results == other.results and self.last is other.last and self.baseline is other.baseline


@dataclass(frozen=True, slots=True)
class Belief:
    """What the models say after a trajectory."""

    evidence: Evidence
    process: Process
    feasibility: Feasibility
    posterior: Array  # mean of each row that ended; infinite for the others
    length: float  # of the region's side
    most_failure: float  # probability of a failure above which no candidate is proposed while there are others
    expected: float = math.inf  # the best mean of a candidate that is being measured

    @property
    def centre(self) -> int:
        """The row with the best mean; a confirmed keep if one is as good but for the noise of a mean."""
        best = int(np.argmin(self.posterior))
        keeps = np.flatnonzero((self.evidence.kept > 0) & np.isfinite(self.posterior))
        if not len(keeps):
            return best
        keep = int(keeps[np.argmin(self.posterior[keeps])])
        return keep if self.posterior[keep] <= self.posterior[best] + self.noise_sd else best

    @property
    def noise_sd(self) -> float:
        """Of one trial."""
        return self.process.sd * math.exp(0.5 * self.process.hyper.noise)


@dataclass(slots=True)
class TrustRegionProposer:
    """Deterministic in the seed and the trajectory."""

    space: Space
    seed: int
    name: str = "trust-region"
    hides_failures_of: str = ""  # a source beside it, whose failed trials it must not learn from
    _cube: Cube = field(init=False)
    _reader: EvidenceReader = field(init=False)
    _hyper: dict[int, tuple[Array, Hyper]] = field(default_factory=dict)
    _belief: tuple[Seen, Belief] | None = None  # of the last results: of proposals for several workers the same
    _pending: dict[int, tuple[Proposed, Array]] = field(default_factory=dict)  # the place of each, by iteration

    def __post_init__(self) -> None:
        self._cube = Cube(self.space.menu)
        self._reader = EvidenceReader(self._cube, self.space.baseline)

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        with one_blas_thread():
            return self._propose(without_failures(trajectory, self.hides_failures_of), refused)

    def _propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        rng = np.random.default_rng([self.seed, trajectory.new_iter, len(refused)])
        pending, beside = self._places_of_pending(trajectory), None
        belief = self._with_pending(self.belief(trajectory), pending)
        for row in self._ranked(belief, rng):
            changes = self._changes(row)
            if changes and self.space.is_open_together(changes, trajectory, refused):
                reply = build_joint_reply(changes, self._reason(belief, row), self.name)
                if not is_beside(row, pending, belief.evidence.places[0]):
                    return reply
                beside = beside or reply
        if beside is not None:
            return beside
        chance = random.Random(f"{self.seed}:{trajectory.new_iter}:{len(refused)}")
        if (drawn := self.space.random_open(chance, trajectory, refused)) is None:
            raise Exhausted("every value of the menu has been tried")
        return build_joint_reply(dict([drawn]), "no candidate of the region is open: drawn at random", self.name)

    def belief(self, trajectory: Trajectory) -> Belief:
        """The models of all results that the trajectory holds."""
        seen = Seen.of(trajectory)
        if self._belief is None or not self._belief[0].is_same(seen):
            self._belief = seen, self._learn(trajectory)
        return self._belief[1]

    def _learn(self, trajectory: Trajectory) -> Belief:
        raw = self._reader.read(trajectory)
        evidence = raw.with_stops().tempered()
        places = self._cube.expand(evidence.places)
        rows = choose_rows(evidence, FIT_ROWS)
        process = fit(places[rows], evidence.loss[rows], evidence.repeats[rows], self._hyper_of(raw))
        posterior = np.full(len(evidence), np.inf)
        posterior[rows] = process.mean_at(places[rows])
        all_failed = evidence.failed
        recent = np.union1d(np.flatnonzero(all_failed)[-FAILURE_ROWS // 2 :], np.arange(len(evidence))[-FAILURE_ROWS:])
        failed = all_failed[recent].astype(float)
        feasibility = learn_feasibility(places[0], places[recent], failed, self._cube.caution)
        own = self._own(trajectory)
        counted = np.flatnonzero(own)[1:]  # without the baseline
        most = most_failure(*count_failures(all_failed[counted], evidence.known[counted]))
        return Belief(evidence, process, feasibility, posterior, region_length(evidence, own), most)

    def _with_pending(self, belief: Belief, pending: Array) -> Belief:
        """See ``batch.py``."""
        if not len(pending):
            return belief
        points = self._cube.expand(pending)
        expected = float(belief.process.mean_at(points).min())
        return replace(belief, process=believe(belief.process, points), expected=expected)

    def _places_of_pending(self, trajectory: Trajectory) -> Array:
        """The places of the newest candidates that are being measured."""
        proposals = trajectory.open_proposals[-MOST_PENDING:] if trajectory.parallel else []
        known, self._pending = self._pending, {}
        for p in proposals:
            before = known.get(p.iter)
            if before is None or before[0] is not p:
                before = p, self._cube.places([p.candidate_cfg])[0]
            self._pending[p.iter] = before
        return np.array([place for _, place in self._pending.values()]).reshape(len(proposals), len(self._cube.knobs))

    def _own(self, trajectory: Trajectory) -> Array:
        """Which rows this proposer asked for, the baseline included: what a model's share fails with is not its own."""
        return np.array([True, *(r.source == self.name for r in trajectory.results if r.changes)])

    def best(self, trajectory: Trajectory) -> dict[str, Value]:
        """The changes of the tried configuration that the process takes for the best; empty for the baseline."""
        with one_blas_thread():
            belief = self.belief(without_failures(trajectory, self.hides_failures_of))
        return self._changes(belief.evidence.places[belief.centre])

    def beliefs(self, trajectory: Trajectory) -> tuple[KnobBelief, ...]:
        """What its best open candidates change, by knob in the menu's order: for the prompt of a model beside it.

        The same for the same seed and trajectory; later proposals do not depend on whether this was called.
        """
        shown = without_failures(trajectory, self.hides_failures_of)
        with one_blas_thread():
            belief = self.belief(shown)
            rng = np.random.default_rng([self.seed, shown.new_iter, BELIEF_STREAM])
            ranked = (self._changes(row) for row in self._ranked(belief, rng))
            are_open = (changes for changes in ranked if changes and self.space.is_open_together(changes, shown, ()))
            candidates = list(islice(are_open, BELIEF_CANDIDATES))
        best = self._changes(belief.evidence.places[belief.centre])
        return summarise_candidates(self.space.menu, candidates, best, shown.results)

    def _hyper_of(self, evidence: Evidence) -> Hyper:
        """Hyperparameters are fitted anew at some numbers of results only: each fit takes tens of milliseconds."""
        count = milestone(len(evidence))
        prefix = evidence.first(count).with_stops().tempered()
        known = self._hyper.get(count)
        if known is None or not np.array_equal(known[0], prefix.loss, equal_nan=True):
            rows = choose_rows(prefix, HYPER_ROWS)
            places = self._cube.expand(prefix.places[rows])
            self._hyper = {count: (prefix.loss, fit(places, prefix.loss[rows], prefix.repeats[rows]).hyper)}
        return self._hyper[count][1]

    def _ranked(self, belief: Belief, rng: np.random.Generator) -> Iterator[Array]:
        """Candidates, the most promising first, each once."""
        recipe = self._recipe(belief)
        pool = _distinct(draw_candidates(recipe, belief.evidence.places[self._parents(belief)], POOL, rng))
        best = np.argsort(-self._score(belief, pool), kind="stable")[:REFINED]
        near = draw_candidates(recipe.narrower(), pool[best], REFINED * PER_REFINED, rng)
        pool = _distinct(np.vstack([pool, near]))
        yield from pool[np.argsort(-self._score(belief, pool), kind="stable")]

    def _parents(self, belief: Belief) -> Array:
        """Rows that candidates are made of: the centre most often, then the next best."""
        order = np.argsort(belief.posterior, kind="stable")
        order = order[np.isfinite(belief.posterior[order]) & (order != belief.centre)]
        order = np.concatenate([[belief.centre], order])[:4]
        shares = (12, 4, 2, 2)[: len(order)]
        return np.repeat(order, shares)

    def _recipe(self, belief: Belief) -> Recipe:
        relevance = self._cube.by_knob(belief.process.relevance)
        own = belief.evidence.places[0]
        order = np.argsort(belief.posterior, kind="stable")
        order = order[np.isfinite(belief.posterior[order])][:8]
        return Recipe(self._cube, own, belief.evidence.places[order], belief.length, relevance, self.space.max_changes)

    def _score(self, belief: Belief, pool: Array) -> Array:
        """Expected improvement on the centre's mean, times the probability of an end; failures are ranked last."""
        points = self._cube.expand(pool)
        mean, sd = belief.process.predict(points)
        failure = belief.feasibility.failure(points)
        gain = expected_improvement(min(belief.posterior[belief.centre], belief.expected) - mean, sd)
        return np.where(
            failure <= belief.most_failure, np.log(gain + 1e-300) + np.log1p(-failure), -1e6 - 1e3 * failure
        )

    def _changes(self, row: Array) -> dict[str, Value]:
        cfg = self._cube.config(row)
        own = self._cube.places([self.space.baseline])[0]
        changed = [k.name for i, k in enumerate(self._cube.knobs) if abs(row[i] - own[i]) > 1e-9]
        return {name: cfg[name] for name in changed if not same_value(cfg[name], self.space.baseline[name])}

    def _reason(self, belief: Belief, row: Array) -> str:
        if len(belief.posterior) < EXPECTS_FROM:
            return f"few results yet: a step within a region of {belief.length:.2f} of each range"
        means, sds = belief.process.predict(self._cube.expand(row[None, :]))
        mean, sd = float(means[0]), float(sds[0])
        order = np.argsort(-self._cube.by_knob(belief.process.relevance))[:REASON_KNOBS]
        names = ", ".join(self._cube.knobs[i].name for i in order)
        return f"expected {-100 * mean:+.2f}% +- {100 * sd:.2f}; region {belief.length:.2f}; most relevant {names}"


def _distinct(pool: Array) -> Array:
    """Each place once, in an order that depends on the places alone."""
    return np.unique(np.round(pool, 12), axis=0)


def expected_improvement(gain: Array, sd: Array) -> Array:
    """Of a Gaussian with this mean and standard deviation, the mean of its part above 0."""
    z = gain / sd
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1.0 + _erf(z / math.sqrt(2.0)))
    return np.maximum(gain * below + sd * density, 0.0)


def _erf(x: Array) -> Array:
    """Abramowitz and Stegun 7.1.26; error below 1.5e-7."""
    t = 1.0 / (1.0 + 0.3275911 * np.abs(x))
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.asarray(np.sign(x) * (1.0 - poly * np.exp(-(x**2))))


def milestone(count: int) -> int:
    """The largest number of results up to ``count`` at which hyperparameters are fitted: every third, later fewer."""
    step = max(3, count // 12)
    return max(1, count - count % step)


def choose_rows(evidence: Evidence, most: int) -> Array:
    """The rows with a value that a process is fitted to: all, or the best and the newest of them, the baseline too."""
    ended = np.flatnonzero(evidence.has_value)
    if len(ended) <= most:
        return ended
    best = ended[np.argsort(evidence.loss[ended], kind="stable")[: most // 2]]
    newest = np.setdiff1d(ended[1:], best)[-(most - len(best) - 1) :]
    return np.union1d(np.union1d(best, newest), ended[:1])
