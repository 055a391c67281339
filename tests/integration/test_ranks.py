"""One trial on several ranks: the result of one rank, and a rank that fails takes its trial with it, nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure, Measurement, Suspended
from autoresearch.core.ports import SuspendControl
from autoresearch.daemon.backend import check_baseline, real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.spec import Budget, TrialSpec

ENDLESS = Budget(kind="steps", size=10**9)
MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="module")
def make(small_corpus: Path, quick_trials: dict[str, Any]) -> MakeSettings:
    def settings(**changes: Any) -> Settings:
        base = {"corpus": str(small_corpus), "trainer": "megatron", **quick_trials, "baseline.d_model": 64}
        return resolve({**base, **{k.replace("__", "."): v for k, v in changes.items()}}, {}).settings

    return settings


@pytest.fixture(scope="module")
def backend(make: MakeSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrialBackend]:
    settings = make()
    made = real_backend(
        settings, build_policy(settings), tmp_path_factory.mktemp("run"), lambda: False, RecordingObserver()
    )
    yield made
    made.close()


@pytest.fixture(scope="module")
def baseline(make: MakeSettings) -> dict[str, Any]:
    return build_policy(make()).baseline


def split(backend: TrialBackend, data: int, tensor: int, **spec: Any) -> ForkedTrial:
    """The bench's trial on so many ranks, with other fields of the spec."""
    trial = backend.trial
    assert isinstance(trial, ForkedTrial)

    def several(cfg: dict[str, Any], seed: int) -> TrialSpec:
        return trial.spec(cfg, seed).model_copy(update={"data_parallel": data, "tensor_parallel": tensor, **spec})

    return dataclasses.replace(trial, spec=several)


def measured(trial: Any, cfg: dict[str, Any]) -> Measurement:
    outcome = trial.measure(cfg, 0, lambda *_: None)
    assert isinstance(outcome, Measurement), outcome
    return outcome


@pytest.mark.parametrize(
    ("data", "tensor"),
    [pytest.param(2, 1, marks=pytest.mark.slow), pytest.param(1, 2, marks=pytest.mark.slow), (2, 2)],
)
def test_several_ranks_measure_what_one_measures(
    backend: TrialBackend, baseline: dict[str, Any], data: int, tensor: int
) -> None:
    """The vocabulary of 257 ids is not a multiple of 2: the rows that pad it must not be scored."""
    one, several = measured(backend.trial, baseline), measured(split(backend, data, tensor), baseline)
    assert several.val_bpb == pytest.approx(one.val_bpb, rel=1e-5)
    assert several.train_loss_last == pytest.approx(one.train_loss_last, rel=1e-5)
    assert (several.train_tokens, several.val_bytes) == (one.train_tokens, one.val_bytes)


def test_the_same_trial_on_two_ranks_is_bitwise_the_same(backend: TrialBackend, baseline: dict[str, Any]) -> None:
    first, second = (measured(split(backend, 2, 1), baseline) for _ in range(2))
    assert first.val_bpb == second.val_bpb


@pytest.mark.slow
@pytest.mark.parametrize(("data", "tensor"), [(2, 1), (1, 2)])
def test_put_aside_and_gone_on_with_it_is_bitwise_the_same(
    backend: TrialBackend, baseline: dict[str, Any], data: int, tensor: int
) -> None:
    trial = split(backend, data, tensor, budget=Budget(kind="steps", size=60))
    whole = measured(trial, baseline)
    before: Suspended | None = None
    for _ in range(2):
        trains: list[bool] = []
        end = trial.measure(
            baseline, 0, lambda *_, t=trains: t.append(True), SuspendControl(lambda t=trains: bool(t), before)
        )
        assert isinstance(end, Suspended)
        assert (end.resumes_at, end.problem) == (end.step, "")
        assert before is None or end.step >= before.step
        before = end
    end = trial.measure(baseline, 0, lambda *_: None, SuspendControl(suspended_at=before))
    assert isinstance(end, Measurement)
    same = ("val_bpb", "train_loss_first", "train_loss_last", "train_steps")
    assert [getattr(end, name) for name in same] == [getattr(whole, name) for name in same]


@pytest.mark.slow
def test_without_one_ranks_part_of_the_checkpoint_all_begin_again(
    backend: TrialBackend, baseline: dict[str, Any]
) -> None:
    trial = split(backend, 2, 1, budget=Budget(kind="steps", size=60))
    whole = measured(trial, baseline)
    trains: list[bool] = []
    aside = trial.measure(baseline, 0, lambda *_: trains.append(True), SuspendControl(lambda: bool(trains)))
    assert isinstance(aside, Suspended)
    (part,) = trial.checkpoint.glob("*-rank-1.pt")
    part.unlink()
    end = trial.measure(baseline, 0, lambda *_: None, SuspendControl(suspended_at=aside))
    assert isinstance(end, Measurement)
    assert end.val_bpb == whole.val_bpb


def test_two_ranks_seal_what_one_seals_and_once(backend: TrialBackend, baseline: dict[str, Any]) -> None:
    sealed: list[float] = []
    for trial in (backend.trial, split(backend, 2, 1)):
        assert isinstance(trial.measure(baseline, 0, lambda *_: None, seal=sealed.append), Measurement)
    one, several = sealed
    assert several == pytest.approx(one, rel=1e-5)
    assert backend.has_vault


def test_progress_is_reported_by_one_rank(backend: TrialBackend, baseline: dict[str, Any]) -> None:
    seen: list[str] = []
    outcome = split(backend, 2, 1).measure(baseline, 0, lambda phase, *_: seen.append(phase))
    assert isinstance(outcome, Measurement)
    assert seen.count("validate") == 1


class TestARankThatFails:
    """... fails its trial with the cause; no process is left, and the next trial is normal."""

    @pytest.mark.parametrize("victim", [0, 1])
    @pytest.mark.parametrize(
        ("number", "cause"), [(signal.SIGKILL, Cause.KILLED), (signal.SIGSEGV, Cause.CRASHED)], ids=["kill", "segv"]
    )
    def test_by_a_signal(
        self, backend: TrialBackend, baseline: dict[str, Any], victim: int, number: signal.Signals, cause: Cause
    ) -> None:
        trial, left = split(backend, 2, 1, budget=ENDLESS), []

        def strike(*_: Any) -> None:
            if not left:
                left.extend(self.ranks(trial))
                left[victim].send_signal(number)

        outcome = trial.measure(baseline, 0, strike)
        assert isinstance(outcome, Failure)
        assert (outcome.cause, outcome.detail) == (cause, f"rank {victim} was ended by signal {int(number)}")
        assert not [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        measured(backend.trial, baseline)

    def test_by_a_loss_that_is_none(self, backend: TrialBackend, baseline: dict[str, Any]) -> None:
        cfg = {**baseline, "lr": 1e30, "lr_warmup": 0, "grad_clip": 5.0}
        outcome = split(backend, 2, 1, budget=Budget(kind="steps", size=200)).measure(cfg, 0, lambda *_: None)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.NON_FINITE_LOSS
        assert outcome.step is not None

    def test_before_it_begins(self, backend: TrialBackend, baseline: dict[str, Any], tmp_path: Path) -> None:
        outcome = split(backend, 2, 1, corpus=str(tmp_path / "none")).measure(baseline, 0, lambda *_: None)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.ERROR
        assert "none" in outcome.detail

    @pytest.mark.slow
    def test_with_the_whole_trial_past_its_deadline(self, backend: TrialBackend, baseline: dict[str, Any]) -> None:
        trial, seen = split(backend, 2, 1, budget=ENDLESS), []

        def poll(*_: Any) -> None:
            seen[:] = seen or self.ranks(trial)

        outcome = dataclasses.replace(trial, deadline_s=3.0).measure(baseline, 0, poll)
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT
        gone, alive = psutil.wait_procs(seen, timeout=10)
        assert len(gone) == 2
        assert not alive

    @staticmethod
    def ranks(trial: ForkedTrial) -> list[psutil.Process]:
        (child,) = psutil.Process(trial.runner.server.pid).children()
        return sorted(child.children(), key=lambda p: p.pid)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_out_is_refused_before_it_runs(make: MakeSettings, tmp_path: Path) -> None:
    settings = make(parallel__data=4, baseline__batch_size=2)
    refuse(settings, tmp_path, "batch_size = 2 is not a multiple of 4")


def test_a_budget_in_seconds_needs_one_clock(make: MakeSettings, tmp_path: Path) -> None:
    settings = make(parallel__data=2, budget__kind="seconds", budget__size=1.5)
    with pytest.raises(ConfigError, match="seconds"):
        real_backend(settings, build_policy(settings), tmp_path, lambda: False, RecordingObserver())


@pytest.mark.slow
def test_trainer_torch_says_that_it_has_one_rank(make: MakeSettings, tmp_path: Path) -> None:
    settings = make(trainer="torch", parallel__data=2)
    refuse(settings, tmp_path, "take trainer megatron")


def refuse(settings: Settings, folder: Path, why: str) -> None:
    policy = build_policy(settings)
    made = real_backend(settings, policy, folder, lambda: False, RecordingObserver())
    with closing(made), pytest.raises(ConfigError, match=why):
        check_baseline(made, policy)


@pytest.mark.slow
def test_torchrun_starts_the_same_trial_by_hand(
    backend: TrialBackend, baseline: dict[str, Any], tmp_path: Path
) -> None:
    spec = split(backend, 2, 1).spec(baseline, 0)
    file = tmp_path / "spec.json"
    file.write_text(spec.model_dump_json())
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "autoresearch.training.torchrun", str(file)],
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)["measured"]
    assert outcome["val_bpb"] == pytest.approx(measured(backend.trial, baseline).val_bpb, rel=1e-5)
