"""A night with one of everything that a trial can come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.core.measurement import Measurement
from autoresearch.core.metric import Metric, MetricKind
from autoresearch.core.records import (
    Baseline,
    CommandYardstick,
    Evaluated,
    Event,
    KnobChange,
    Meta,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
)
from autoresearch.core.stopped_trial import EarlyStop, StopPoint
from rails import Rail, default_menu

STOPPED = EarlyStop(
    stopped_early=StopPoint(fraction=0.45, loss=5.41, limit=5.1),
    train_loss_curve=(5.5, 5.41),
    train_steps=27,
    train_tokens=1800,
    train_flops=450,
    tokens_per_s=200.0,
    train_wall_s=9.0,
    trial_wall_s=10.0,
    peak_bytes=2**29,
    device="cpu",
    energy_j=90.0,
)


@pytest.fixture
def everything(new_run: Callable[[], Any]) -> list[Event]:
    """Baseline (1); a keep of two trials with different seeds (2, 3); a void trial (4) and its repeat (5), reverted;
    a failure (6); a block; one stopped early (7); a trial that has not ended (8)."""
    run = new_run().begin()
    run.evaluated("lr", 0.001, 3.36, 3.38, energy_j=120.0)
    run.evaluated("beta2", 0.99, 3.395, 3.396)
    run.failed("n_layer", 48)
    run.blocked(Rail.R3_RANGE)
    run.iter += 1
    run.begin_trial(run.iter)
    run.records.append(TrialEnded(ts="2026-11-20T23:30:00Z", trial=7, iter=5, seed=0, outcome=STOPPED))
    candidate = run._candidate("d_model", 768, "=HYPERLINK()", (), (7,), 9.0)
    run.records.append(StoppedEarly(**candidate, reason="stopped", eval_metrics=STOPPED, baseline_trial=1))
    run.begin_trial(6)
    return [_changed(record) for record in run.records]


def _changed(record: Event) -> Event:
    match record:
        case TrialStarted(trial=3) | TrialEnded(trial=3):
            return record.model_copy(update={"seed": 1})
        case TrialEnded(trial=4):
            return record.model_copy(update={"void": True, "marks": ("contended", "slow")})
        case Evaluated(iter=2):
            return record.model_copy(update={"trials": (5,)})
    return record


@pytest.fixture
def accuracy_night(new_run: Callable[[], Any]) -> list[Event]:
    """A command whose metric is better where it is higher: one baseline, one candidate of two changes."""
    kind = MetricKind(name="accuracy", direction="higher", unit="share")
    command = CommandYardstick(
        argv=("python", "fit.py"),
        files_sha256="f",
        files=1,
        commit=None,
        settings_sha256="s",
        metric=kind,
        seeded=False,
        owns_budget=True,
    )

    def measured(outcome: Measurement, value: float) -> Measurement:
        metric = Metric(name="accuracy", value=value, direction="higher")
        unknown = dict.fromkeys(("train_tokens", "train_flops", "params", "peak_bytes"))
        return outcome.model_copy(update={"val_bpb": None, "metric": metric, **unknown})

    records: list[Event] = []
    for record in new_run().begin().evaluated("lr", 0.001, 3.0).records:
        value = 0.75 if getattr(record, "iter", 0) else 0.5
        metric = Metric(name="accuracy", value=value, direction="higher")
        match record:
            case Meta():
                yardstick = record.yardstick.model_copy(update={"command": command, "trainer": "command"})
                record = record.model_copy(update={"yardstick": yardstick})
            case TrialEnded(outcome=Measurement() as outcome):
                record = record.model_copy(update={"outcome": measured(outcome, value)})
            case Baseline():
                record = record.model_copy(update={"baseline_val_bpb": None, "metric": metric})
            case Evaluated():
                proposal = record.proposal.model_copy(update={"also": (KnobChange(knob="beta1", new_value=0.95),)})
                cfg = default_menu().defaults | {"lr": 0.001, "beta1": 0.95}
                changes = {"val_bpb": None, "metric": metric, "proposal": proposal, "candidate_cfg": cfg}
                record = record.model_copy(update=changes)
        records.append(record)
    return records
