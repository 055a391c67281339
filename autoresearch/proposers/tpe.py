"""Proposer ``tpe``: Optuna's tree-structured Parzen estimator over "which knob, and which value".

The trajectory is the only memory: its results are added to a study in RAM, of a long run the newest and the best. A
failed configuration is added as a pruned trial without a value, which TPE ranks behind every measured one: it avoids
such values without an invented penalty (docs/decisions.md). One that was stopped early is pruned too, with how far it
came and by how much its loss exceeded the limit there: TPE ranks it before the failures and behind all measured ones.
The first proposals are the baseline's neighbours in place of random draws (``initial_design.py``).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import chain
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.core.ports import Exhausted, Reply
from autoresearch.core.records import Attempt
from autoresearch.core.results import Result
from autoresearch.core.stopped_trial import StopPoint
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.initial_design import next_initial_change
from autoresearch.proposers.pending import with_pending
from autoresearch.proposers.space import Space, build_reply, round_value
from rails import ChoiceKnob, FloatKnob, IntKnob, Knob, Value, same_value

KNOB = "knob"
NEAR_FRAC = 0.02  # of a range, on its own scale: values this close are taken for the same
KNOB_CANDIDATES = 4
MAX_DRAWS = 24  # of TPE before a random change: on a menu of choices it often suggests known values
WINDOW = 1000  # results, from which on TPE learns from the newest and the best of them only
BEST_OF_KNOB = 25  # of older results: TPE takes at most that many for good


@dataclass(slots=True)
class TpeProposer:
    """Deterministic in the seed and the trajectory."""

    space: Space
    seed: int
    name: str = "tpe"
    _study: optuna.Study | None = None
    _learned: list[Result] = field(default_factory=list)  # what the study holds

    def propose(self, trajectory: Trajectory, refused: Sequence[Attempt]) -> Reply:
        """See ``ports.Proposer``."""
        trajectory = with_pending(trajectory)
        rng = random.Random(f"{self.seed}:{trajectory.new_iter}:{len(refused)}")
        if change := next_initial_change(self.space, self.seed, trajectory, refused):
            return build_reply(*change, self.name)
        draw = self._draws(self._updated_study(trajectory), rng)
        near: tuple[str, Value] | None = None
        for _ in range(MAX_DRAWS):
            knob, value = draw()
            if not self.space.is_open(knob, value, trajectory, refused):
                continue
            if not self._is_near_known(knob, value, trajectory):
                return build_reply(
                    knob, value, f"TPE expects it to do well after {len(trajectory.results)} results", self.name
                )
            near = near or (knob, value)
        if near:
            return build_reply(*near, "close to a known value, and TPE suggests nothing better", self.name)
        drawn = self.space.random_open(rng, trajectory, refused)
        if drawn is None:
            raise Exhausted("every value of the menu has been tried")
        return build_reply(*drawn, "TPE suggests only known values: drawn at random", self.name)

    def _is_near_known(self, knob_name: str, value: Value, trajectory: Trajectory) -> bool:
        """Whether a trial could hardly tell ``value`` from a known value of the knob, the baseline's included."""
        knob = self.space.menu.knobs[knob_name]
        position = _position(knob, value)
        if abs(position - _position(knob, self.space.baseline[knob_name])) < NEAR_FRAC:
            return True
        known = (r.new_value for r in trajectory.results if r.knob == knob_name and r.new_value is not None)
        return any(abs(position - _position(knob, v)) < NEAR_FRAC for v in known)

    def _updated_study(self, trajectory: Trajectory) -> optuna.Study:
        """The study with what TPE learns from. New results are added; a study of other results is replaced."""
        results = results_to_learn_from(trajectory.results)
        known = len(self._learned)
        if self._study is None or results[:known] != self._learned:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            self._study, known = optuna.create_study(direction="minimize"), 0
        self._study.add_trials([self._as_trial(result) for result in results[known:]])
        self._learned = results
        return self._study

    def _as_trial(self, result: Result) -> optuna.trial.FrozenTrial:
        assert result.knob is not None  # results_to_learn_from takes only candidates that were tried
        assert result.new_value is not None
        knob = self.space.menu.knobs[result.knob]
        params: dict[str, Any] = {KNOB: knob.name, knob.name: _coordinate(knob, result.new_value)}
        distributions = {KNOB: self._knobs(), knob.name: _distribution(knob)}
        if result.improvement_frac is not None:
            # Relative to the baseline over the same seeds: means over different seeds are not comparable.
            loss = 1.0 - result.improvement_frac
            return create_trial(params=params, distributions=distributions, value=loss)
        reached = _reached(result.stopped) if result.stopped else {}
        return create_trial(
            params=params, distributions=distributions, state=TrialState.PRUNED, intermediate_values=reached
        )

    def _draws(self, study: optuna.Study, rng: random.Random) -> Callable[[], tuple[str, Value]]:
        """A function that draws one suggestion of TPE per call and leaves no trace in the study.

        With ask-and-tell each draw would add a trial without a result to the study, thousands in a run.
        """
        # The knob is the best of few draws from the density of the good trials. The best of many, as for the value,
        # would be the best trial's knob each time, until its open values are used up.
        seeds = rng.getrandbits(32), rng.getrandbits(32)
        knobs = optuna.samplers.TPESampler(seed=seeds[0], n_startup_trials=0, n_ei_candidates=KNOB_CANDIDATES)
        values = optuna.samplers.TPESampler(seed=seeds[1], n_startup_trials=0)
        empty = create_trial(state=TrialState.RUNNING, params={}, distributions={})

        names = self.space.menu.knobs

        def draw() -> tuple[str, Value]:
            several = len(names) > 1
            name = knobs.sample_independent(study, empty, KNOB, self._knobs()) if several else next(iter(names))
            knob = self.space.menu.knobs[name]
            if _is_single(knob):  # the sampler would divide by the width of the range
                return name, _only_value(knob)
            return name, _value(knob, values.sample_independent(study, empty, name, _distribution(knob)))

        return draw

    def _knobs(self) -> CategoricalDistribution:
        return CategoricalDistribution(list(self.space.menu.knobs))


def results_to_learn_from(results: Sequence[Result]) -> list[Result]:
    """All candidates that were tried, up to ``WINDOW``; of more, the newest and the best of each knob before them.

    TPE compares the few best trials with all others, and each draw reads all of them. The newest begin at a multiple of
    half a window, so that the study is seldom replaced and depends on the trajectory alone.
    """
    tried = [r for r in results if r.knob is not None]
    begin = max(0, 2 * len(tried) // WINDOW - 1) * (WINDOW // 2)
    by_knob: dict[str | None, list[Result]] = {}
    for r in tried[:begin]:
        if r.loss is not None:
            by_knob.setdefault(r.knob, []).append(r)
    best = (nlargest(BEST_OF_KNOB, of_knob, key=lambda r: -(r.improvement_frac or 0.0)) for of_knob in by_knob.values())
    return [*sorted(chain.from_iterable(best), key=lambda r: r.iter), *tried[begin:]]


def _reached(stop: StopPoint) -> dict[int, float]:
    """How a stopped trial stood, in the form that Optuna compares pruned trials by: the later first, then the lower."""
    return {round(stop.fraction * CURVE_POINTS): stop.loss / stop.limit}


def _distribution(knob: Knob) -> BaseDistribution:
    """The knob as a distribution of Optuna. Choices are ordered: they are searched by their index."""
    match knob:
        case IntKnob(low=low, high=high):
            return IntDistribution(low, high)
        case FloatKnob(low=low, high=high, log=log):
            return FloatDistribution(low, high, log=log)
        case ChoiceKnob(choices=choices):
            return IntDistribution(0, len(choices) - 1)


def _position(knob: Knob, value: Value) -> float:
    """Position of ``value`` in the knob's range: 0 at its low end, 1 at its high end, logarithmic for a log knob."""
    match knob:
        case ChoiceKnob(choices=choices):
            return float(choices.index(value)) if value in choices else -1.0  # choices are never near each other
        case FloatKnob(low=low, high=high, log=True):
            return math.log(float(value) / low) / math.log(high / low) if high > low else 0.0
        case IntKnob(low=low, high=high) | FloatKnob(low=low, high=high):
            return (float(value) - low) / (high - low) if high > low else 0.0


def _coordinate(knob: Knob, value: Value) -> Value:
    return knob.choices.index(value) if isinstance(knob, ChoiceKnob) else value


def _is_single(knob: Knob) -> bool:
    """Whether the range is one value, or values that count as the same."""
    return len(knob.choices) == 1 if isinstance(knob, ChoiceKnob) else same_value(knob.low, knob.high)


def _only_value(knob: Knob) -> Value:
    """Of a knob whose range is one value."""
    return knob.choices[0] if isinstance(knob, ChoiceKnob) else knob.low


def _value(knob: Knob, coordinate: Any) -> Value:
    match knob:
        case IntKnob():
            return int(coordinate)
        case FloatKnob(low=low, high=high):
            return round_value(float(coordinate), low, high)
        case ChoiceKnob(choices=choices):
            return choices[int(coordinate)]
