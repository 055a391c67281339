"""A new run begins with the loss curves of earlier ones on its yardstick and baseline: it stops losers sooner."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.earlier_curve import MAX_EARLIER_CURVES, EarlierCurve, curves_of, newest
from autoresearch.core.records import Meta, StoppedEarly, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.report.verify import verify
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import ARCHIVE, TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.verdicts.early_stop import Curve
from tests.unit.core.test_loop_early_stop import BAD, bpb, losses

ORDINARY = tuple(round(3e-4 * (1 + 0.02 * (n + 1)), 9) for n in range(12))
FIXED = {
    "decision.rule": "sequential",
    "baseline.lr": 3e-4,
    "baseline.lr_warmup": 0,
    "early_stop.min_curves": 12,
    "early_stop.audit_frac": 0,
}


def run(settings: Settings, lrs: Sequence[float], fresh: bool = False) -> RecordingObserver:
    def backend(*_: Any) -> TrialBackend:
        return TrialBackend(FakeTrial(bpb=bpb, curve=losses), YARDSTICK, None)

    replies = tuple((json.dumps({"knob": "lr", "new_value": lr, "reason": "a hunch"}),) for lr in lrs)
    observer = RecordingObserver()
    service.run(settings, observer, fresh=fresh, replies=replies, make_backend=backend)
    return observer


def records(run_dir: Path) -> list[Any]:
    return [decode(payload) for payload in read(run_dir / TRAJECTORY).payloads]


@pytest.fixture
def two_runs(make_settings: Any) -> Any:
    """A night of ordinary candidates, then a fresh one whose first candidate is hopeless."""

    def make(**changes: Any) -> tuple[Settings, RecordingObserver]:
        run(make_settings(FIXED, proposer="replay", iters=len(ORDINARY)), ORDINARY)
        settings = make_settings({**FIXED, **changes}, proposer="replay", iters=1)
        return settings, run(settings, [BAD], fresh=True)

    return make


def stopped(settings: Settings) -> list[Any]:
    return [r for r in records(settings.run_dir) if isinstance(r, StoppedEarly)]


def test_the_first_hopeless_candidate_of_the_second_night_is_stopped(two_runs: Any) -> None:
    settings, observer = two_runs()
    assert len(stopped(settings)) == 1
    (meta, *_) = records(settings.run_dir)
    assert isinstance(meta, Meta)
    (earlier,) = meta.earlier_runs
    assert len(earlier.curves) >= len(ORDINARY)
    assert any(f"{len(earlier.curves)} loss curves for early stopping" in m for m in observer.messages)
    assert verify(records(settings.run_dir)).difference is None


def test_without_the_curves_in_its_first_record_the_stop_cannot_be_recomputed(two_runs: Any) -> None:
    settings, _ = two_runs()
    meta, *rest = records(settings.run_dir)
    without = tuple(earlier.model_copy(update={"curves": ()}) for earlier in meta.earlier_runs)
    assert verify([meta.model_copy(update={"earlier_runs": without}), *rest]).difference is not None


@pytest.mark.parametrize(
    "changes",
    [{"baseline.lr": 3.1e-4}, {"early_stop.enabled": "off"}, {"decision.earlier_runs": "off"}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_baseline_and_a_rule_that_is_off_take_no_curve_over(two_runs: Any, changes: dict[str, Any]) -> None:
    settings, _ = two_runs(**changes)
    meta, *_ = records(settings.run_dir)
    assert not any(earlier.curves for earlier in meta.earlier_runs)
    assert stopped(settings) == []


def test_a_third_night_takes_each_curve_over_once(two_runs: Any) -> None:
    settings, _ = two_runs()
    run(settings, [1.4e-2], fresh=True)
    meta, *_ = records(settings.run_dir)
    assert len(list((settings.run_dir / ARCHIVE).iterdir())) == 2
    assert sum(len(earlier.curves) for earlier in meta.earlier_runs) == len(Trajectory.fold([meta]).curves)
    gains = [curve.gain for curve in Trajectory.fold([meta]).curves]
    assert len(gains) == len(ORDINARY)


def test_the_oldest_curves_are_left_out_and_the_order_is_kept() -> None:
    old, new = ([EarlierCurve.of(Curve((0.1,), gain, "lr up")) for gain in range(n)] for n in (150, 100))
    kept = newest([new, old])
    assert [len(curves) for curves in kept] == [100, MAX_EARLIER_CURVES - 100]
    assert [c.gain for c in curves_of(kept)] == [*range(50, 150), *range(100)]


def test_a_curve_survives_its_record() -> None:
    curve = Curve((None, 0.123456789, -0.1), 0.0123456789, "lr up")
    kept = EarlierCurve.model_validate_json(EarlierCurve.of(curve).model_dump_json()).curve()
    assert kept == Curve((None, 0.12346, -0.1), 0.0123456789, "lr up")
