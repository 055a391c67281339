"""Every executor of trials under the contract of its port, with fake trials."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from autoresearch.benches.fleet.simulated_executor import SimulatedExecutor
from autoresearch.core.executor import TrialOrder
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.values import Cfg
from autoresearch.errors import TrialServerError
from autoresearch.testing.contracts.executor import TrialExecutorContract
from autoresearch.testing.fake_cluster import FACTS, FakeCluster, FakePlan
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.switch import Switch
from autoresearch.trials.local_executor import LocalExecutor
from autoresearch.trials.remote.executor import Fleet, RemoteExecutor
from autoresearch.trials.remote.ports import Node

BAD_LR = 77.0


def fails(cfg: Cfg) -> Failure | None:
    return Failure(cause=Cause.ERROR, detail="it diverged") if cfg["lr"] == BAD_LR else None


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
    def bad_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | {"lr": BAD_LR}


class TestSerialExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> SerialExecutor:
        trial = FakeTrial(fail=fails, takes_s=0.005, aborted=abort)
        return SerialExecutor(lambda: trial, suspend)


class TestSimulatedExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> SimulatedExecutor:
        trial = FakeTrial(fail=fails)
        return SimulatedExecutor(trial, 4, lambda order: 10.0 - order.seed, suspend_requested=suspend, aborted=abort)


class TestLocalExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> Iterator[LocalExecutor]:
        def make_trial(aborted: Callable[[], bool]) -> FakeTrial:
            return FakeTrial(fail=fails, takes_s=0.01, aborted=aborted)

        executor = LocalExecutor([make_trial] * 3, abort, suspend)
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


def fake_trial(aborted: Callable[[], bool]) -> FakeTrial:
    return FakeTrial(fail=fails, takes_s=0.01, aborted=aborted)


class TestRemoteExecutor(FakeTrialsContract):
    @pytest.fixture
    def executor(self, abort: Switch, suspend: Switch) -> Iterator[RemoteExecutor]:
        nodes = [Node(f"id-{n}", f"n{n}", {"CPU": 1.0}) for n in range(3)]
        cluster = FakeCluster(nodes)
        executor = RemoteExecutor(cluster, Fleet(FakePlan(fake_trial), 3, lambda _node: 1, FACTS), abort, suspend)
        executor.open()
        yield executor
        executor.close()
        assert cluster.is_closed
        assert all(worker.lost for worker in cluster.workers)
