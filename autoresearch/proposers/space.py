"""The search space: one-knob changes that are on the menu, satisfy its constraints and are not known already."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from autoresearch.core.ports import Reply
from autoresearch.core.records import Attempt
from autoresearch.core.trajectory import Trajectory
from rails import ChoiceKnob, Config, FloatKnob, IntKnob, Knob, Menu, Rail, Steps, Value, same_value


@dataclass(frozen=True, slots=True)
class Space:
    """The menu around one baseline. ``steps`` is the run's step budget (see ``rails.Steps``)."""

    menu: Menu
    baseline: Config
    steps: Steps
    over_budget: Callable[[Config], str] = lambda _cfg: (
        ""
    )  # why R7 would refuse a configuration now; empty if it would not
    max_changes: int = 1  # knobs that a proposal may change

    def is_open_together(
        self, changes: Mapping[str, Value], trajectory: Trajectory, refused: Sequence[Attempt]
    ) -> bool:
        """``is_open`` for several changes as one candidate; each must have another value than the baseline's."""
        if not 1 <= len(changes) <= self.max_changes:
            return False
        candidate = {**self.baseline, **changes}
        for knob, value in changes.items():
            if same_value(value, self.baseline[knob]) or self.menu.knobs[knob].accept(value)[1]:
                return False
        if self.menu.broken_rule(candidate, self.steps) or trajectory.known().find(candidate):
            return False
        if any(_is_refusal_of_all(a, changes) for a in refused):
            return False
        return not self.over_budget(candidate)

    def is_open(self, knob: str, value: Value, trajectory: Trajectory, refused: Sequence[Attempt]) -> bool:
        """Whether the change breaks no constraint, is not known, is not over budget and was not refused before."""
        candidate = {**self.baseline, knob: value}
        if self.menu.knobs[knob].accept(value)[1] or self.menu.broken_rule(candidate, self.steps):
            return False
        if trajectory.known().find(candidate) or self.over_budget(candidate):
            return False
        return not any(_is_refusal_of(a, knob, value) for a in refused)

    def neighbours(self, knob: Knob) -> list[Value]:
        """The nearest sensible values above and below the baseline's, the upper one first."""
        value = self.baseline[knob.name]
        match knob:
            case ChoiceKnob(choices=choices):
                index = choices.index(value)  # the baseline was checked against the menu
                steps: list[Value] = [choices[i] for i in (index + 1, index - 1) if 0 <= i < len(choices)]
            case IntKnob(low=low, high=high):
                stride = max(1, (high - low) // 8)
                steps = [min(int(value) + stride, high), max(int(value) - stride, low)]
            case FloatKnob(low=low, high=high, log=True):
                steps = [round_value(float(value) * factor, low, high) for factor in (2, 0.5)]
            case FloatKnob(low=low, high=high):
                stride_f = (high - low) / 10
                steps = [round_value(float(value) + change, low, high) for change in (stride_f, -stride_f)]
        return [s for s in steps if not same_value(s, value)]

    def draw(self, knob: Knob, rng: random.Random) -> Value:
        """A random value of the knob's range, uniform, or log-uniform where the menu sets ``log``."""
        match knob:
            case ChoiceKnob(choices=choices):
                return rng.choice(choices)
            case IntKnob(low=low, high=high):
                return rng.randint(low, high)
            case FloatKnob(low=low, high=high, log=True):
                return round_value(math.exp(rng.uniform(math.log(low), math.log(high))), low, high)
            case FloatKnob(low=low, high=high):
                return round_value(rng.uniform(low, high), low, high)

    def random_open(
        self, rng: random.Random, trajectory: Trajectory, refused: Sequence[Attempt]
    ) -> tuple[str, Value] | None:
        """A random open change, or ``None`` when none was found. Knobs are equally likely."""
        for knob in rng.sample(list(self.menu.knobs.values()), len(self.menu.knobs)):
            for value in self._candidates(knob, rng):
                if self.is_open(knob.name, value, trajectory, refused):
                    return knob.name, value
        return None

    def _candidates(self, knob: Knob, rng: random.Random) -> Iterator[Value]:
        """Every value of a small range in random order, else a bounded number of random values."""
        if isinstance(knob, ChoiceKnob):
            yield from rng.sample(knob.choices, len(knob.choices))
        elif isinstance(knob, IntKnob) and knob.high - knob.low < 1000:
            yield from rng.sample(range(knob.low, knob.high + 1), knob.high - knob.low + 1)
        else:
            yield from (self.draw(knob, rng) for _ in range(100))


def build_reply(knob: str, value: Value, reason: str, source: str) -> Reply:
    """A proposal as the raw text that the rails read."""
    return Reply(json.dumps({"knob": knob, "new_value": value, "reason": reason}), source)


def build_joint_reply(changes: Mapping[str, Value], reason: str, source: str) -> Reply:
    """A proposal of one or several changes as the raw text that the rails read."""
    if len(changes) == 1:
        ((knob, value),) = changes.items()
        return build_reply(knob, value, reason, source)
    listed = [{"knob": knob, "new_value": value} for knob, value in changes.items()]
    return Reply(json.dumps({"changes": listed, "reason": reason}), source)


def _is_refusal_of_all(attempt: Attempt, changes: Mapping[str, Value]) -> bool:
    proposal = attempt.proposal
    if attempt.rail is Rail.R1_SCHEMA or proposal is None:
        return False
    refused = dict(proposal.changes)
    return refused.keys() == changes.keys() and all(same_value(refused[k], v) for k, v in changes.items())


def _is_refusal_of(attempt: Attempt, knob: str, value: Value) -> bool:
    proposal = attempt.proposal
    is_final = attempt.rail is not Rail.R1_SCHEMA
    if proposal is None or proposal.also:
        return False
    return is_final and proposal.knob == knob and same_value(proposal.new_value, value)


def round_value(value: float, low: float, high: float) -> float:
    """``value`` rounded to four significant digits and clipped to the range; noise hides finer differences."""
    return min(high, max(low, float(f"{value:.4g}")))
