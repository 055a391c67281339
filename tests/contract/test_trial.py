"""The Trial port: one suite, run by the fake that ships and by the real thing in its own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Measurement, Suspended
from autoresearch.core.ports import Interrupted, SuspendControl
from autoresearch.daemon.backend import TrialBackend, real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver


class AbortSwitch:
    """The user's second signal."""

    def __init__(self) -> None:
        self.abort = False

    def __call__(self) -> bool:
        return self.abort


@pytest.fixture(scope="module")
def settings(small_corpus: Path) -> Settings:
    small = {"baseline.d_model": 64, "baseline.n_layer": 1, "baseline.lr_warmup": 0, "menu.knobs.lr_warmup.high": 1}
    flags = {"corpus": str(small_corpus), "budget.size": 12, "eval.bytes": 2048, "threads": 1}
    return resolve({**small, **flags}, {}).settings


@pytest.fixture(scope="module", params=[fake_backend, real_backend], ids=["fake", "forked"])
def backend_and_switch(
    request: pytest.FixtureRequest, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[TrialBackend, AbortSwitch]]:
    switch = AbortSwitch()
    made = request.param(settings, build_policy(settings), tmp_path_factory.mktemp("run"), switch, RecordingObserver())
    yield made, switch
    made.close()


def test_the_same_configuration_and_seed_measure_the_same(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    backend, _ = backend_and_switch
    cfg = build_policy(settings).baseline
    first, other, again = (backend.trial.measure(cfg, seed, lambda *_: None) for seed in (0, 1, 0))
    assert isinstance(first, Measurement)
    assert isinstance(other, Measurement)
    assert isinstance(again, Measurement)
    assert first.val_bpb == again.val_bpb != other.val_bpb


def test_another_configuration_measures_something_else(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    backend, _ = backend_and_switch
    cfg = build_policy(settings).baseline
    one, two = (backend.trial.measure({**cfg, "lr": lr}, 0, lambda *_: None) for lr in (1e-3, 1e-4))
    assert isinstance(one, Measurement)
    assert isinstance(two, Measurement)
    assert one.val_bpb != two.val_bpb


def test_what_is_not_known_is_null_and_times_are_not_negative(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    outcome = backend_and_switch[0].trial.measure(build_policy(settings).baseline, 0, lambda *_: None)
    assert isinstance(outcome, Measurement)
    assert outcome.energy_j is None
    assert min(outcome.train_wall_s, outcome.val_wall_s, outcome.trial_wall_s) >= 0
    assert outcome.trial_wall_s >= outcome.train_wall_s + outcome.val_wall_s


def test_a_trial_dropped_at_the_users_request_is_neither_measured_nor_failed(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    backend, switch = backend_and_switch
    cfg = build_policy(settings).baseline
    switch.abort = True
    if hasattr(backend.trial, "takes_s"):
        backend.trial.takes_s = 1.0
    with pytest.raises(Interrupted):
        backend.trial.measure({**cfg, "n_layer": 6, "batch_size": 16, "seq_len": 256}, 0, lambda *_: None)
    switch.abort = False
    assert isinstance(backend.trial.measure(cfg, 0, lambda *_: None), Measurement), "the next one is normal"


LONG = {"n_layer": 6, "batch_size": 16, "seq_len": 256}


class Trains:
    """Requests a suspension once the trial trains."""

    def __init__(self) -> None:
        self.trains = False

    def __call__(self) -> bool:
        return self.trains

    def on_progress(self, *_how: object) -> None:
        self.trains = True


def test_a_suspended_and_resumed_trial_measures_the_same(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    backend, _ = backend_and_switch
    cfg = build_policy(settings).baseline | LONG
    if hasattr(backend.trial, "takes_s"):
        backend.trial.takes_s = 0.02
    whole = backend.trial.measure(cfg, 0, lambda *_: None)
    assert isinstance(whole, Measurement)
    before: Suspended | None = None
    steps = []
    for _ in range(2):
        wanted = Trains()
        before = backend.trial.measure(cfg, 0, wanted.on_progress, SuspendControl(wanted, before))
        assert isinstance(before, Suspended)
        assert (before.resumes_at, before.problem) == (before.step, "")
        steps.append(before.step)
    assert steps == sorted(steps)
    end = backend.trial.measure(cfg, 0, lambda *_: None, SuspendControl(before=before))
    assert isinstance(end, Measurement)
    assert end.val_bpb.hex() == whole.val_bpb.hex()
    assert end.train_steps == whole.train_steps
    assert end.trial_wall_s >= before.trial_wall_s


def test_a_resumed_trial_that_is_dropped_can_be_resumed_again(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    backend, switch = backend_and_switch
    cfg = build_policy(settings).baseline | LONG
    if hasattr(backend.trial, "takes_s"):
        backend.trial.takes_s = 0.02
    whole = backend.trial.measure(cfg, 0, lambda *_: None)
    wanted = Trains()
    before = backend.trial.measure(cfg, 0, wanted.on_progress, SuspendControl(wanted))
    assert isinstance(before, Suspended)
    switch.abort = True
    with pytest.raises(Interrupted):
        backend.trial.measure(cfg, 0, lambda *_: None, SuspendControl(before=before))
    switch.abort = False
    end = backend.trial.measure(cfg, 0, lambda *_: None, SuspendControl(before=before))
    assert isinstance(end, Measurement)
    assert isinstance(whole, Measurement)
    assert end.val_bpb.hex() == whole.val_bpb.hex()


def test_a_new_trial_ignores_an_old_checkpoint(
    backend_and_switch: tuple[TrialBackend, AbortSwitch], settings: Settings
) -> None:
    """A checkpoint whose record was lost with the daemon."""
    backend, _ = backend_and_switch
    cfg = build_policy(settings).baseline | LONG
    if hasattr(backend.trial, "takes_s"):
        backend.trial.takes_s = 0.02
    wanted = Trains()
    assert isinstance(backend.trial.measure(cfg, 0, wanted.on_progress, SuspendControl(wanted)), Suspended)
    steps: list[int] = []
    end = backend.trial.measure(cfg, 0, lambda _phase, _fraction, step, _speed: steps.append(step))
    assert isinstance(end, Measurement)
    assert steps[0] == 0
