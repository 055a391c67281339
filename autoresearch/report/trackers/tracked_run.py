"""A candidate as experiment trackers know a run: parameters, numbers, tags, a loss curve and two times. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from autoresearch.core.measurement import Failure, Measurement
from autoresearch.core.power import scope_of
from autoresearch.core.records import Event, TrialEnded
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.core.values import KnobValue
from autoresearch.report.format import safe
from autoresearch.report.trial_export.candidates import (
    ClosedCandidate,
    Space,
    State,
    closed_candidates,
    split_meta,
)
from autoresearch.report.trial_export.times import parse_ts

NAME_CELLS = 60
TAG_CELLS = 400  # every tracker takes at least 500 characters
MAX_EXACT_INT = 2**53  # a tracker keeps numbers as floats or as JSON; a larger whole number becomes text
CURVE = "train_loss"
COSTS = ("trials", "trial_wall_s", "train_wall_s", "energy_j", "peak_bytes", "train_tokens", "train_flops")
# Names that the trackers use themselves, or that this module writes: a metric of that name gets a prefix.
RESERVED = frozenset({*COSTS, CURVE, "iter", "gain_frac", "step", "time", "timestamp", "project", "run", "metrics"})


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """One candidate; the baseline has ``iter`` 0. All text is printable, on one line, and bounded."""

    id: str  # of letters, digits, "-" and "_", the same whenever the run is exported
    name: str  # for example "003 lr = 0.001"
    group: str  # the id of the autoresearch run
    iter: int
    state: State
    params: Mapping[str, KnobValue]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    curve: tuple[float, ...]  # training loss of its first trial, over equal parts of the budget
    started: datetime  # UTC
    ended: datetime
    metric_name: str  # the key in ``metrics`` of the run's metric
    higher_is_better: bool


def tracked_runs(records: Iterable[Event]) -> Iterator[TrackedRun]:
    """The baseline and each closed candidate, as the records come. Raises ``JournalDamaged`` without ``meta``."""
    meta, events = split_meta(records)
    space = Space(meta)
    for candidate in closed_candidates(events):
        yield tracked_run(candidate, space)


def tracked_run(candidate: ClosedCandidate, space: Space) -> TrackedRun:
    """The run of one candidate."""
    change = safe(str(candidate.facts.get("change", "baseline")), NAME_CELLS)
    return TrackedRun(
        id=f"{identifier(space.meta.run_id)}-{candidate.iter:05d}",
        name=f"{candidate.iter:03d} {change}",
        group=safe(space.meta.run_id, NAME_CELLS),
        iter=candidate.iter,
        state=candidate.state,
        params={safe(name, NAME_CELLS): _value(value) for name, value in candidate.cfg.items()},
        metrics=_metrics(candidate, metric_key(space.metric_name)),
        tags=_tags(candidate, space),
        curve=_curve(candidate.outcomes),
        started=parse_ts(candidate.started),
        ended=parse_ts(candidate.ended),
        metric_name=metric_key(space.metric_name),
        higher_is_better=space.higher_is_better,
    )


def identifier(text: str) -> str:
    """``text`` with a dash for every character that a file name, a URL or a tracker might not take."""
    return re.sub(r"[^A-Za-z0-9_]", "-", text)[:64] or "-"


def metric_key(name: str) -> str:
    """The name of the run's metric among the numbers of a run."""
    name = safe(name, NAME_CELLS)
    return f"metric.{name}" if name in RESERVED or name.startswith("_") else name


def _value(value: KnobValue) -> KnobValue:
    if isinstance(value, str):
        return safe(value, TAG_CELLS)
    return str(value) if isinstance(value, int) and abs(value) > MAX_EXACT_INT else value


def _metrics(candidate: ClosedCandidate, key: str) -> dict[str, float]:
    """The value, the gain, and the costs of its trials: sums, and of the memory the maximum."""
    found: dict[str, float | None] = {key: candidate.value, "gain_frac": candidate.facts.get("gain_frac")}
    found["trials"] = len(candidate.outcomes)
    outcomes = [record.outcome for record in candidate.outcomes]
    scopes = {scope_of(record.power) for record in candidate.outcomes if record.outcome.energy_j is not None}
    if len(scopes) == 1:  # joules of different scope are never added
        found["energy_j"] = _sum(outcome.energy_j for outcome in outcomes)
    found["trial_wall_s"] = _sum(outcome.trial_wall_s for outcome in outcomes)
    found["train_wall_s"] = _sum(outcome.train_wall_s for outcome in outcomes)
    trained = [outcome for outcome in outcomes if isinstance(outcome, Measurement | EarlyStop)]
    found["train_tokens"] = _sum(outcome.train_tokens for outcome in trained)
    found["train_flops"] = _sum(outcome.train_flops for outcome in trained)
    found["peak_bytes"] = max((o.peak_bytes for o in outcomes if o.peak_bytes is not None), default=None)
    return {name: float(value) for name, value in found.items() if value is not None}


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(sum(known)) if known else None


def _tags(candidate: ClosedCandidate, space: Space) -> dict[str, str]:
    """What is known of the candidate and of its run, as text."""
    facts: dict[str, Any] = {"state": candidate.state, **candidate.facts}
    meta = space.meta
    facts |= {"run_id": meta.run_id, "profile": meta.profile, "autoresearch_version": meta.autoresearch_version}
    facts |= {"yardstick_sha256": meta.yardstick_sha256, "metric": space.metric_name}
    facts["direction"] = "higher" if space.higher_is_better else "lower"
    return {name: safe(_text(value), TAG_CELLS) for name, value in facts.items() if value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _curve(outcomes: Iterable[TrialEnded]) -> tuple[float, ...]:
    for record in outcomes:
        if not isinstance(record.outcome, Failure) and record.outcome.train_loss_curve:
            return tuple(record.outcome.train_loss_curve)
    return ()
