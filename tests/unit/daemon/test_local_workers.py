"""Which settings several workers go with, and a run with workers through the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.climb import SideNeeded
from autoresearch.core.loop import Loop
from autoresearch.core.records import Baseline, Evaluated, Started, TrialEnded, TrialStarted, decode
from autoresearch.daemon import backend as backends
from autoresearch.daemon import local_workers, service
from autoresearch.daemon.cost_check import backend_limits
from autoresearch.daemon.local_workers import (
    CheckpointPerTrial,
    LocalWorkers,
    _place,
    count_workers,
    has_workers,
    refuse_gpu_for_workers,
    refuse_unfit_workers,
    threads_per_worker,
)
from autoresearch.daemon.service import run
from autoresearch.daemon.side_trials import run_side_trial
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError
from autoresearch.report.verify import verify
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK, fake_backend
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.spec import Device

Make = Callable[..., Settings]


@pytest.fixture(autouse=True)
def _cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_workers, "usable_cpus", lambda: 8)
    monkeypatch.setattr(local_workers.os, "sched_getaffinity", lambda _pid: set(range(4, 12)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"executor.workers": 2, "budget.kind": "seconds"}, "slow each other down"),
        ({"executor.workers": 2, "threads": 5}, "2 workers of 5 threads on 8 cores"),
        ({"executor.workers": 9}, "9 workers of 1 threads on 8 cores"),
        ({"executor.devices": ("cuda:0", "cuda:0")}, "twice"),
        ({"executor.devices": ("cuda:0", "cuda:1"), "executor.workers": 3}, "3 with 2"),
        ({"executor.devices": ("cuda:0", "cuda:1"), "device": "cpu"}, "device = 'cpu'"),
        ({"executor.workers": 2, "parallel.data": 2}, "ranks"),
    ],
)
def test_what_does_not_go_together_is_refused(make_settings: Make, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        refuse_unfit_workers(make_settings(changes))
    assert says in f"{refused.value.what} {refused.value.hint}"


@pytest.mark.parametrize("device", ["cuda", "cuda:x", "cpu:0", "cuda:-1", "cuda:0\n"])
def test_a_device_has_a_number(make_settings: Make, device: str) -> None:
    with pytest.raises(ConfigError, match="devices"):
        make_settings({"executor.devices": (device,)})


def test_serial_is_the_default_and_has_every_core(make_settings: Make) -> None:
    settings = make_settings({"budget.kind": "seconds"})
    refuse_unfit_workers(settings)
    assert (count_workers(settings), threads_per_worker(settings)) == (1, 8)


def test_each_worker_has_its_own_cores_or_its_own_gpu(make_settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    three = make_settings({"executor.workers": 3})
    refuse_unfit_workers(three)
    assert [list(_place(three, n)[1]) for n in range(3)] == [[4, 5], [6, 7], [8, 9]]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    gpus = make_settings({"executor.devices": ("cuda:1", "cuda:0"), "device": "cuda"})
    refuse_unfit_workers(gpus)
    assert [_place(gpus, n)[0]["CUDA_VISIBLE_DEVICES"] for n in range(count_workers(gpus))] == ["1", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    assert _place(gpus, 1)[0]["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    with pytest.raises(ConfigError, match="no cuda:1"):
        _place(gpus, 0)


def test_workers_do_not_share_a_gpu(make_settings: Make) -> None:
    gpu = Device.model_construct(device="cuda")
    with pytest.raises(ConfigError, match=r"executor\.workers = 2 on a GPU"):
        refuse_gpu_for_workers(make_settings({"executor.workers": 2}), gpu)
    refuse_gpu_for_workers(make_settings({"executor.devices": ("cuda:0", "cuda:1")}), gpu)
    refuse_gpu_for_workers(make_settings({}), gpu)


def test_a_run_with_workers_is_whole_and_continues_with_one(make_settings: Make, tmp_path: Any) -> None:
    def several(*args: Any) -> Any:
        made = [lambda aborted: FakeTrial(takes_s=0.003, aborted=aborted)] * 3
        return replace(fake_backend(*args), workers=made)

    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4, "proposer": "random", "reports": ()}
    settings = make_settings({**fixed, "dir": tmp_path, "iters": 4})
    assert run(settings, RecordingObserver(), make_backend=several) == "complete"
    records = [decode(p) for p in read(tmp_path / TRAJECTORY).payloads]
    assert next(r for r in records if isinstance(r, Started)).workers == 3
    first = [r.stage for r in records if isinstance(r, TrialStarted | TrialEnded | Baseline)][:3]
    assert first == ["trial_started"] * 3
    assert verify(records).difference is None
    more = make_settings({**fixed, "dir": tmp_path, "iters": 6})
    assert run(more, RecordingObserver(), make_backend=fake_backend) == "complete"
    records = [decode(p) for p in read(tmp_path / TRAJECTORY).payloads]
    assert sorted(r.iter for r in records if isinstance(r, Evaluated)) == [1, 2, 3, 4, 5, 6]
    assert verify(records).difference is None


def test_each_trials_checkpoint_has_a_folder_that_any_worker_finds(tmp_path: Any) -> None:
    seen: list[Any] = []

    class Spy(ForkedTrial):
        def measure(self, *args: Any) -> Any:
            seen.append(self.checkpoint)
            return None

    for _worker in range(2):
        trial = CheckpointPerTrial(Spy(None, None, 1.0, tmp_path, tmp_path / "checkpoint"))  # type: ignore[arg-type]
        for cfg, seed in (({"lr": 1.0}, 0), ({"lr": 1.0}, 1), ({"lr": 2.0}, 0)):
            trial.measure(cfg, seed, lambda *_: None)
    assert len(set(seen)) == 3
    assert seen[:3] == seen[3:]
    assert all(folder.parent == tmp_path / "checkpoint" for folder in seen)


def test_progress_of_a_side_trial_is_shown_as_that_of_any_other(make_settings: Make) -> None:
    loop = fake_loop(make_settings(iters=1), ScriptedProposer([]), FakeTrial(takes_s=0.002))
    seen = []
    loop.observer.progressed = seen.append  # type: ignore[method-assign]
    run_side_trial(loop, SideNeeded(purpose="climb", iter=3, seed=0, cfg=dict(loop.baseline_cfg)))
    assert {at.iter for at in seen} == {3}


@pytest.mark.parametrize(("devices", "workers", "own"), [((), 1, False), (("cuda:1",), 1, True), ((), 2, True)])
def test_one_named_device_is_a_worker_of_its_own(
    make_settings: Make, devices: tuple[str, ...], workers: int, own: bool
) -> None:
    """Else the trials would run on cuda:0, whichever device is named."""
    assert has_workers(make_settings({"executor.devices": devices, "executor.workers": workers})) is own


def test_what_is_measured_outside_of_the_loop_runs_on_the_first_worker(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The trial that the backend had before is of a server that is closed then."""
    closed: list[str] = []
    server: Any = SimpleNamespace(close=lambda: closed.append("first"))
    runner: Any = SimpleNamespace(aborted=lambda: False)
    first = ForkedTrial(runner, None, 1.0, tmp_path, tmp_path / "checkpoint")  # type: ignore[arg-type]
    made = [FakeTrial(), FakeTrial()]
    workers = LocalWorkers([], [lambda _aborted: made[0], lambda _aborted: made[1]], ("GPU-a",))
    monkeypatch.setattr(backends, "build_workers", lambda *_: workers)
    device = Device.model_construct(device="cuda", free_bytes=1, gpus=("GPU-b",))
    backend = TrialBackend(cast("Any", first), YARDSTICK, None)
    with_own = backends.with_workers(backend, first, server, device, make_settings(), tmp_path)
    assert closed == ["first"]
    assert with_own.trial is made[0]
    assert with_own.workers == workers.make_trials


def test_a_single_worker_is_a_serial_run(make_settings: Make, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[FakeTrial] = []
    build, loops = service.build_loop, []
    monkeypatch.setattr(service, "build_loop", lambda *args: loops.append(build(*args)) or loops[-1])

    def make_trial(aborted: Callable[[], bool]) -> FakeTrial:
        made.append(FakeTrial(aborted=aborted))
        return made[-1]

    fixed = {"decision.rule": "sequential", "baseline.lr": 3e-4, "proposer": "random", "reports": ()}
    settings = make_settings({**fixed, "dir": tmp_path, "iters": 2})
    one = lambda *args: replace(fake_backend(*args), workers=[make_trial])  # noqa: E731
    assert run(settings, RecordingObserver(), make_backend=one) == "complete"
    assert [type(loop) for loop in loops] == [Loop]
    payloads = read(tmp_path / TRAJECTORY).payloads
    records = [decode(p) for p in payloads]
    assert sum(len(trial.measured) for trial in made) == sum(isinstance(r, TrialEnded) for r in records) > 2
    assert not any(b"for_iter" in p for p in payloads)
    assert verify(records).difference is None


def test_the_gpu_with_the_least_free_memory_is_what_r7_checks_against(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A proposal is judged before it is known which GPU will run it."""
    free = iter([40 << 30, 12 << 30, 60 << 30])
    same = {"device": "cuda", "kind": "H100", "precisions": ("fp32",), "versions": {"torch": "2.13"}}
    monkeypatch.setattr(
        local_workers.ChildRunner, "probe", lambda *_: Device(**same, free_bytes=next(free), gpus=("GPU",))
    )
    first = ForkedTrial(SimpleNamespace(aborted=lambda: False), None, 1.0, tmp_path, tmp_path / "c")  # type: ignore[arg-type]
    server: Any = SimpleNamespace(close=lambda: None)
    settings = make_settings({"device": "cuda", "executor.devices": ("cuda:0", "cuda:1", "cuda:2")})
    device = Device(**same, free_bytes=50 << 30)
    backend = TrialBackend(cast("Any", first), YARDSTICK, None, free_accelerator_bytes=device.free_bytes)
    several = backends.with_workers(backend, first, server, device, settings, tmp_path)
    assert several.free_bytes == 12 << 30
    assert backend_limits(several, settings).memory_bytes == 12 << 30
