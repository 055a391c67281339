"""A real gain: a baseline with one knob far from good, and the profile's own baseline as the candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import correlation, fmean, stdev

from autoresearch.config.resolve import parse_assignment
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Failure
from autoresearch.core.ports import Observer
from autoresearch.core.values import Cfg, KnobValue
from autoresearch.core.vault import interval
from autoresearch.daemon.fresh_trials import FreshTrial, FreshTrials, Wanted
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import BaselineFailed, ConfigError
from autoresearch.verdicts.replay_orders import Orders, replay_orders
from autoresearch.verdicts.rule import SequentialRule

PLANTED_TRIALS = "planted-trials.jsonl"
SEED_OFFSET = 3000  # above the seeds of runs, null trials and rechecks
BAD_LR = 0.5  # of the profile's own


@dataclass(frozen=True, slots=True)
class RealGain:
    """What was measured, and what the rules decide on it. Gains are fractions of the bad baseline's mean."""

    knob: str
    bad: KnobValue
    good: KnobValue
    gains_frac: tuple[float, ...]
    correlation: float | None  # of the two sides at equal seeds; ``None`` if a side does not vary
    orders: Orders
    threshold_keeps: int  # seeds with which one trial passes
    seconds_per_trial: float

    @property
    def mean_frac(self) -> float:
        """The mean gain."""
        return fmean(self.gains_frac)

    @property
    def sd_frac(self) -> float:
        """The standard deviation of one paired gain."""
        return stdev(self.gains_frac)

    @property
    def interval_frac(self) -> tuple[float | None, float | None]:
        """The 95% interval of the mean gain."""
        return interval(self.gains_frac)


def measure_real_gain(
    settings: Settings,
    bad: str | None,
    seeds: int,
    observer: Observer,
    *,
    orders: int,
    seed: int,
    make_backend: MakeBackend | None = None,
) -> RealGain | None:
    """Measure both sides with ``seeds`` seeds each; ``None`` if a signal ended it. The same call continues.

    ``bad``: ``KNOB=VALUE``, or half of the profile's lr. Raises ``ConfigError`` for a value that the menu refuses,
    ``BaselineFailed`` if a trial of either side fails.
    """
    with FreshTrials(settings, PLANTED_TRIALS, observer, make_backend) as trials:
        policy = trials.policy
        knob, cfg = bad_baseline(policy, bad)
        wanted = [Wanted(c, s) for s in range(SEED_OFFSET, SEED_OFFSET + seeds) for c in (cfg, policy.baseline)]
        found: list[FreshTrial] = []
        for number, one in enumerate(wanted, 1):
            outcome = trials.known(one) or trials.measure(one)
            if outcome is None:
                return None
            name = f"{knob} = {one.cfg[knob]}, seed {one.seed}"
            if isinstance(outcome, Failure):
                raise BaselineFailed(f"{name}: {outcome.detail}", hint="another --bad")
            observer.notify(f"trial {number}/{len(wanted)}: {name}, {outcome.describe()}")
            found.append(outcome)
    baseline, candidate = ([t.loss for t in found[side::2]] for side in (0, 1))
    wanted_rule = settings.decision
    rule = SequentialRule(wanted_rule.accept_delta_frac, wanted_rule.alpha, wanted_rule.max_seeds)
    reference = abs(fmean(baseline))  # the loss of a metric of which more is better is below 0
    gains = tuple((b - c) / reference for b, c in zip(baseline, candidate, strict=True))
    return RealGain(
        knob,
        cfg[knob],
        policy.baseline[knob],
        gains,
        _correlation(baseline, candidate),
        replay_orders(baseline, candidate, rule, orders=orders, baseline_seeds=wanted_rule.baseline_seeds, seed=seed),
        sum((b - c) / b >= rule.accept_delta_frac for b, c in zip(baseline, candidate, strict=True)),
        fmean(t.trial_wall_s for t in found),
    )


def bad_baseline(policy: Policy, bad: str | None) -> tuple[str, Cfg]:
    """The knob and the configuration with its bad value. Raises ``ConfigError`` if the menu does not allow it."""
    knob, value = parse_assignment(bad) if bad else ("lr", BAD_LR * float(policy.baseline["lr"]))
    if knob not in policy.baseline:
        raise ConfigError(f"--bad {knob}: {knob} is not a knob", hint=f"one of {', '.join(policy.baseline)}")
    cfg = {**policy.baseline, knob: value}
    if why := policy.menu.check_config(cfg, policy.steps):
        raise ConfigError(f"--bad {knob}={value}: {why}", hint="a value that the menu allows")
    if cfg == policy.baseline:
        raise ConfigError(f"--bad {knob}={value} is the profile's own value", hint="a value that is far from good")
    return knob, cfg


def _correlation(one: list[float], other: list[float]) -> float | None:
    if len(one) < 3 or math.isclose(stdev(one), 0) or math.isclose(stdev(other), 0):
        return None
    return correlation(one, other)
