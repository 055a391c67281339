"""Early stopping with real trials: both trainers, in parts, on several ranks, and in a run that stops one by itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import CURVE_POINTS, Measurement, Suspended
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import run
from autoresearch.data.corpus import Corpus
from autoresearch.report import summarise
from autoresearch.report.load import load_records
from autoresearch.report.native import build_history
from autoresearch.report.verify import verify
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.training.build import build_model
from autoresearch.training.checkpointing.checkpoint import Checkpoint
from autoresearch.training.checkpointing.suspension import Suspension
from autoresearch.training.stop_early import LimitExceeded
from autoresearch.training.train import train_and_measure
from autoresearch.training.trainer import LossQueue
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.spec import TrialSpec
from tests.integration.test_pausing import Stops, build_spec

UNREACHABLE = 1e-3
HALF = (*[None] * (CURVE_POINTS // 2 - 1), UNREACHABLE)


def end_of(spec: TrialSpec, folder: Path, after: float = float("inf"), resumes: bool = False) -> Any:
    """How a trial of ``spec`` ends in this process; suspended after so many checks."""
    corpus = Corpus.open(Path(spec.corpus))
    suspender = Stops(Checkpoint(folder, spec), suspend_fd=-1, resumes=resumes, after=after)
    try:
        return train_and_measure(spec, corpus, build_model(spec, corpus.vocab), lambda *_: None, suspender)
    except Suspension as e:
        return e.suspended
    except LimitExceeded as e:
        return e.stop


@pytest.mark.parametrize("trainer", ["torch", "megatron"])
def test_a_trainer_ends_at_the_first_loss_above_its_limit_with_the_losses_of_a_whole_trial(
    small_corpus: Path, tmp_path: Path, trainer: str
) -> None:
    spec = build_spec(small_corpus, trainer, size=40)
    whole = end_of(spec, tmp_path)
    assert isinstance(whole, Measurement)
    curve = whole.train_loss_curve
    assert curve is not None
    stop = end_of(spec.model_copy(update={"stop_above": HALF}), tmp_path)
    assert isinstance(stop, EarlyStop)
    assert stop.stopped_early.fraction == 0.5
    assert stop.train_loss_curve == curve[:16]
    assert (stop.train_steps, stop.train_tokens) == (20, whole.train_tokens // 2)
    assert stop.train_flops == whole.train_flops // 2
    at = min(range(5, 28), key=lambda n: curve[n])  # limits just above every loss but one
    limits = tuple(loss + 1e-5 if n != at else loss - 1e-5 for n, loss in enumerate(curve[:28]))
    last = end_of(spec.model_copy(update={"stop_above": limits}), tmp_path)
    assert last.stopped_early.fraction == (at + 1) / CURVE_POINTS


@pytest.mark.parametrize("trainer", ["torch", "megatron"])
@pytest.mark.parametrize("looks", [[3], [19], [2, 3, 4]])
def test_in_parts_it_is_stopped_where_it_is_stopped_undisturbed(
    small_corpus: Path, tmp_path: Path, trainer: str, looks: Sequence[int]
) -> None:
    spec = build_spec(small_corpus, trainer, size=40).model_copy(update={"stop_above": HALF})
    whole = end_of(spec, tmp_path / "other")
    for n, after in enumerate(looks):
        assert isinstance(end_of(spec, tmp_path / "aside", after, resumes=n > 0), Suspended)
    end = end_of(spec, tmp_path / "aside", resumes=True)
    assert isinstance(end, EarlyStop)
    same = ("stopped_early", "train_loss_curve", "train_steps", "train_flops")
    assert [getattr(end, name) for name in same] == [getattr(whole, name) for name in same]


def test_losses_that_arrive_late_stop_it_at_the_same_step(
    small_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On CUDA the host runs ahead of the device: a loss is there some steps later, unless it is waited for."""
    spec = build_spec(small_corpus, "torch", size=40).model_copy(update={"stop_above": HALF})
    on_time = end_of(spec, tmp_path)
    take = LossQueue.take
    monkeypatch.setattr(LossQueue, "take", lambda queue, pending: [] if pending else take(queue, pending))
    late = end_of(spec, tmp_path)
    same = ("stopped_early", "train_loss_curve", "train_steps")
    assert [getattr(late, name) for name in same] == [getattr(on_time, name) for name in same]


@pytest.mark.slow
def test_all_ranks_stop_together(small_corpus: Path, quick_trials: dict[str, Any], tmp_path: Path) -> None:
    flags = {"corpus": str(small_corpus), "trainer": "megatron", **quick_trials, "baseline.d_model": 64}
    settings = resolve(flags, {}).settings
    policy = build_policy(settings)
    backend = real_backend(settings, policy, tmp_path, lambda: False, RecordingObserver())
    try:
        one = backend.trial
        assert isinstance(one, ForkedTrial)
        spec = one.spec
        for ranks in ({"data_parallel": 2}, {"tensor_parallel": 2}):
            several = dataclasses.replace(one, spec=lambda cfg, seed, r=ranks: spec(cfg, seed).model_copy(update=r))
            outcome = several.measure(policy.baseline, 0, lambda *_: None, limits=HALF)
            assert isinstance(outcome, EarlyStop), outcome
            assert outcome.stopped_early.fraction == 0.5
    finally:
        backend.close()


@pytest.mark.slow
def test_a_run_stops_a_learning_rate_that_learns_nothing_and_is_verified(small_corpus: Path, tmp_path: Path) -> None:
    """Ten harmless changes give the curves, the eleventh trains with a thousandth of the learning rate."""
    small = {"baseline.d_model": 64, "baseline.n_layer": 1, "baseline.lr_warmup": 0, "menu.knobs.lr_warmup.high": 1}
    flags: dict[str, Any] = {"corpus": str(small_corpus), "eval.bytes": 2048, "threads": 1, "budget.size": 32}
    rule = {"early_stop.min_curves": 10, "early_stop.audit_frac": 0.0, "decision.baseline_seeds": 1}
    more = {"dir": str(tmp_path / "run"), "proposer": "replay", "replay_from": "none", "iters": 11, "baseline.lr": 1e-2}
    more |= {"menu.knobs.lr.low": 1e-6, "decision.vault": "off", "reports": ["text"]}
    settings = resolve({**small, **flags, **rule, **more}, {}).settings
    values = [*(round(1e-2 * (0.9 - 0.01 * n), 6) for n in range(10)), 1e-5]
    replies = [json.dumps({"knob": "lr", "new_value": v, "reason": "a test"}) for v in values]
    assert run(settings, RecordingObserver(), replies=tuple((reply,) for reply in replies)) == "complete"
    records = load_records(tmp_path / "run")
    last = records[-2]
    assert last.stage == "stopped_early", last
    assert last.eval_metrics.stopped_early.fraction < 0.9
    assert verify(records).difference is None
    summary = summarise(build_history(records))
    assert summary.early_stops is not None
    assert (summary.early_stops.stopped, summary.reverts) == (1, 11 - summary.keeps)
    assert summary.early_stops.saved_train_s is not None
    assert summary.early_stops.saved_train_s > 0
