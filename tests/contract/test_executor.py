"""Every executor of trials under the contract of its port, with fake trials."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.fleet.simulated_executor import SimulatedExecutor
from autoresearch.core.executor import TrialOrder
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Trial
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.values import Cfg
from autoresearch.daemon.local_workers import CheckpointPerTrial
from autoresearch.errors import TrialServerError
from autoresearch.testing.contracts.executor import TrialExecutorContract
from autoresearch.testing.fake_cluster import FACTS, FakeCluster, FakePlan
from autoresearch.testing.fake_slurm import FakeSlurm
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.stand_in_trainer import stand_in_spec
from autoresearch.testing.switch import Switch
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.local_executor import LocalExecutor, MakeTrial
from autoresearch.trials.remote.executor import RemoteExecutor
from autoresearch.trials.remote.fleet import Fleet
from autoresearch.trials.remote.ports import Node
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession
from tests.slurm_jobs import seed_of_job

LONG_S = 0.25
FAILING = {Cause.ERROR: 70.0, Cause.OUT_OF_MEMORY: 71.0, Cause.TIMEOUT: 72.0, Cause.NON_FINITE_LOSS: 73.0}  # by lr


def fails(cfg: Cfg) -> Failure | None:
    cause = next((cause for cause, lr in FAILING.items() if cfg["lr"] == lr), None)
    return None if cause is None else Failure(cause=cause, detail="it diverged")


class TimedTrial(FakeTrial):
    """A configuration may say how long it takes."""

    def measure(self, cfg: Cfg, *args: Any) -> Any:  # type: ignore[override]
        self.takes_s = float(cfg.get("takes_s", 0.01))
        return FakeTrial.measure(self, cfg, *args)


def fake_trial(aborted: Callable[[], bool]) -> TimedTrial:
    return TimedTrial(fail=fails, aborted=aborted)


class FakeTrialsContract(TrialExecutorContract):
    @pytest.fixture
    def abort(self) -> Switch:
        return Switch()

    @pytest.fixture
    def suspend(self) -> Switch:
        return Switch()

    @pytest.fixture
    def cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg

    @pytest.fixture
    def long_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | {"takes_s": LONG_S}

    @pytest.fixture
    def failing(self, baseline_cfg: Cfg) -> dict[Cause, Cfg]:
        return {cause: baseline_cfg | {"lr": lr} for cause, lr in FAILING.items()}


class TestSerialExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> SerialExecutor:
        trial = fake_trial(abort)
        return SerialExecutor(lambda: trial, suspend)


class TestSimulatedExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> SimulatedExecutor:
        trial = FakeTrial(fail=fails)
        return SimulatedExecutor(trial, 4, lambda order: 10.0 - order.seed, suspend_requested=suspend, aborted=abort)


class TestLocalExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> Iterator[LocalExecutor]:
        executor = LocalExecutor([fake_trial] * 3, abort, suspend)
        yield executor
        executor.close()
        assert not any(thread.name.startswith("worker-") for thread in threading.enumerate())

    def test_an_error_of_a_trial_is_raised_where_it_is_polled(self, cfg: Cfg) -> None:
        def out_of_files(_cfg: Cfg) -> Failure:
            raise TrialServerError("no pipe can be opened", hint="ulimit -n")

        executor = LocalExecutor([lambda _aborted: FakeTrial(fail=out_of_files)] * 2)
        executor.submit(TrialOrder(1, 1, 0, cfg))
        with pytest.raises(TrialServerError, match="no pipe"):
            executor.poll(10.0)
        assert not executor.poll(0.0)
        executor.close()


class TestRemoteExecutor(FakeTrialsContract):
    @pytest.fixture
    def cluster(self) -> FakeCluster:
        return FakeCluster([Node(f"id-{n}", f"n{n}", {"CPU": 1.0}) for n in range(3)])

    @pytest.fixture
    def executor(self, cluster: FakeCluster, abort: Switch, suspend: Switch) -> Iterator[RemoteExecutor]:
        executor = RemoteExecutor(cluster, Fleet(FakePlan(fake_trial), 3, lambda _node: 1, FACTS), abort, suspend)
        executor.open()
        yield executor
        executor.close()
        assert cluster.is_closed
        assert all(worker.lost for worker in cluster.workers)

    @pytest.fixture
    def lose(self, cluster: FakeCluster, executor: RemoteExecutor) -> Callable[[int], None]:
        def lose(trial: int) -> None:
            at_work = next(w for w in executor._workers if w.order is not None and w.order.trial == trial)
            cluster.lose(at_work.handle, "its process was killed")

        return lose


class TestSlurmExecutor(FakeTrialsContract):
    """Trials as jobs: the daemon's half and the job's half of the folder, without Slurm between them."""

    @pytest.fixture
    def slurm(self) -> Iterator[FakeSlurm]:
        slurm = FakeSlurm(fake_trial)
        yield slurm
        slurm.close()

    @pytest.fixture
    def session(self, slurm: FakeSlurm, tmp_path: Path) -> SlurmSession:
        return SlurmSession(slurm, tmp_path, tmp_path, 1, look_interval_s=0.005, states_interval_s=0.01)

    @pytest.fixture
    def executor(
        self, slurm: FakeSlurm, session: SlurmSession, abort: Switch, suspend: Switch, tmp_path: Path
    ) -> Iterator[LocalExecutor]:
        session.open()
        executor = LocalExecutor([make_job_trial(session, tmp_path)] * 2, abort, suspend)
        yield executor
        executor.close()
        session.close()
        slurm.wait()
        assert not slurm.open_jobs("")
        assert not (tmp_path / "slurm").exists(), "its folders are removed"

    @pytest.fixture
    def lose(self, slurm: FakeSlurm, session: SlurmSession) -> Callable[[int], None]:
        def lose(_trial: int) -> None:
            first = (n for n in slurm.open_jobs("") if seed_of_job(session, slurm.jobs[n].name) == 0)
            slurm.lose(next(first))

        return lose


def make_job_trial(session: SlurmSession, tmp_path: Path) -> MakeTrial:
    def make_trial(aborted: Callable[[], bool]) -> Trial:
        runner, spec = SlurmRunner(session, "torch", aborted), stand_in_spec("corpus")
        memory = lambda _cfg: 1 << 30  # noqa: E731
        return CheckpointPerTrial(ForkedTrial(runner, spec, 60.0, tmp_path, tmp_path / "checkpoint", memory_for=memory))

    return make_trial
