"""Every executor of trials under the contract of its port, with trials in processes of their own.

Ray and Slurm are real ones on this machine. The trainer is a stand-in without torch; all else is what a run uses.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoresearch.core.measurement import Cause
from autoresearch.core.ports import Trial
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.values import Cfg
from autoresearch.daemon.local_workers import CheckpointPerTrial
from autoresearch.testing.contracts.executor import TrialExecutorContract
from autoresearch.testing.stand_in_job import run_stand_in_job
from autoresearch.testing.stand_in_trainer import StandInServer, stand_in_spec
from autoresearch.testing.switch import Switch
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.local_executor import LocalExecutor, MakeTrial
from autoresearch.trials.remote.executor import RemoteExecutor
from autoresearch.trials.slurm.cluster import SlurmCluster as SlurmPrograms
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession
from tests.ray_cluster import RayNodes, missing_for_ray, pid_of_trial, ray_executor, ray_nodes, stand_in_fleet
from tests.slurm_cluster import SlurmCluster, missing_for_slurm, slurm_cluster
from tests.slurm_jobs import seed_of_job
from tests.stand_in import CFG, DEADLINE_S, FAILING, LONG, MEMORY_BYTES, all_end, make_trial, marked, processes

pytestmark = pytest.mark.slow


class ProcessContract(TrialExecutorContract):
    """The executor of a class is opened once; after its last test no process of it is left."""

    @pytest.fixture(scope="class")
    @classmethod
    def mark(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
        mark = str(tmp_path_factory.mktemp("mark"))
        with marked(mark):
            yield mark
        assert not all_end(processes(mark)), "trial servers or trials were left"

    @pytest.fixture(scope="class")
    @classmethod
    def abort(cls) -> Switch:
        return Switch()

    @pytest.fixture(scope="class")
    @classmethod
    def suspend(cls) -> Switch:
        return Switch()

    @pytest.fixture
    def cfg(self) -> Cfg:
        return CFG

    @pytest.fixture
    def long_cfg(self) -> Cfg:
        return LONG

    @pytest.fixture
    def failing(self) -> dict[Cause, Cfg]:
        return FAILING


class TestSerial(ProcessContract):
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, mark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInServer]:
        server = StandInServer("torch", tmp_path_factory.mktemp("serial") / "log")
        yield server
        server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, server: StandInServer, abort: Switch, suspend: Switch) -> SerialExecutor:
        trial = make_trial(server, abort, server.log.parent)
        return SerialExecutor(lambda: trial, suspend)

    @pytest.fixture
    def lose(self, server: StandInServer) -> Callable[[int], None]:
        return lambda _trial: os.kill(server.pid or 0, signal.SIGKILL)


class TestLocalWorkers(ProcessContract):
    @pytest.fixture(scope="class")
    @classmethod
    def servers(cls, mark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[StandInServer]]:
        folder = tmp_path_factory.mktemp("local")
        servers = [StandInServer("torch", folder / f"log-{n}") for n in range(2)]
        yield servers
        for server in servers:
            server.close()

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, servers: list[StandInServer], abort: Switch, suspend: Switch) -> Iterator[LocalExecutor]:
        def maker(server: StandInServer) -> MakeTrial:
            return lambda aborted: CheckpointPerTrial(make_trial(server, aborted, server.log.parent))

        executor = LocalExecutor([maker(server) for server in servers], abort, suspend)
        yield executor
        executor.close()

    @pytest.fixture
    def lose(self, servers: list[StandInServer], executor: LocalExecutor) -> Callable[[int], None]:
        def lose(trial: int) -> None:
            at_work = [worker.job is not None and worker.job.order.trial == trial for worker in executor._workers]
            os.kill(servers[at_work.index(True)].pid or 0, signal.SIGKILL)

        return lose


@pytest.mark.skipif(bool(missing_for_ray()), reason=missing_for_ray() or "-")
class TestRay(ProcessContract):
    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls, mark: str) -> Iterator[RayNodes]:
        with ray_nodes(["n0", "n1"]) as cluster:
            yield cluster

    @pytest.fixture(scope="class")
    @classmethod
    def executor(
        cls,
        cluster: RayNodes,
        abort: Switch,
        suspend: Switch,
        small_corpus: Path,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[RemoteExecutor]:
        fleet = stand_in_fleet(small_corpus, tmp_path_factory.mktemp("ray"), 2)
        with ray_executor(cluster.address, fleet, aborted=abort, suspend=suspend) as executor:
            yield executor

    @pytest.fixture
    def lose(self, executor: RemoteExecutor) -> Callable[[int], None]:
        return lambda trial: os.kill(pid_of_trial(executor, trial), signal.SIGKILL)


@pytest.mark.skipif(bool(missing_for_slurm()), reason=missing_for_slurm() or "-")
class TestSlurm(ProcessContract):
    @pytest.fixture(scope="class")
    @classmethod
    def cluster(cls, mark: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
        with slurm_cluster(tmp_path_factory.mktemp("slurm")) as cluster, pytest.MonkeyPatch.context() as patch:
            for name, value in cluster.environ.items():
                patch.setenv(name, value)
            yield cluster

    @pytest.fixture(scope="class")
    @classmethod
    def session(cls, cluster: SlurmCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmSession]:
        run_dir = tmp_path_factory.mktemp("run")
        programs = SlurmPrograms(job=run_stand_in_job)  # a node for each job: the loss of one is that of one trial
        session = SlurmSession(
            programs, run_dir, run_dir, os.cpu_count() or 1, look_interval_s=0.05, states_interval_s=0.5
        )
        session.open()
        yield session
        session.close()

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, session: SlurmSession, abort: Switch, suspend: Switch) -> Iterator[LocalExecutor]:
        run_dir = session.run_dir

        def make(aborted: Callable[[], bool]) -> Trial:
            runner, spec = SlurmRunner(session, "torch", aborted), stand_in_spec("corpus")
            checkpoint = run_dir / "checkpoint"
            return CheckpointPerTrial(
                ForkedTrial(runner, spec, DEADLINE_S, run_dir, checkpoint, memory_for=lambda _cfg: MEMORY_BYTES)
            )

        executor = LocalExecutor([make] * 2, abort, suspend)
        yield executor
        executor.close()

    @pytest.fixture
    def lose(self, cluster: SlurmCluster, session: SlurmSession) -> Callable[[int], None]:
        """Its node goes down, and comes back."""

        def lose(_trial: int) -> None:
            node = next(job[3] for job in cluster.jobs() if seed_of_job(session, job[1]) == 0)
            cluster.call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
            time.sleep(0.5)
            cluster.call("scontrol", "update", f"nodename={node}", "state=resume", check=False)  # it may be back

        return lose
