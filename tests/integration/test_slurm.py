"""Executor slurm on a real Slurm (its own munged, slurmctld and two slurmd): its start, and how trials end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoresearch.core.executor import TrialOrder, TrialProgress
from autoresearch.core.measurement import Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import Interrupted
from autoresearch.core.values import Cfg
from autoresearch.testing.stand_in_job import run_stand_in_job
from autoresearch.trials.local_executor import LocalExecutor
from autoresearch.trials.slurm.cluster import SlurmCluster as SlurmPrograms
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession
from tests.executor_driver import ENDLESS, job_maker
from tests.slurm_cluster import SlurmCluster, missing_for_slurm, slurm_cluster
from tests.stand_in import CFG, LONG

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing_for_slurm()), reason=missing_for_slurm() or "-")]

DEADLINE_S = 60.0


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    here = tmp_path / "slurm"
    here.mkdir()
    with slurm_cluster(here) as cluster:
        for name, value in cluster.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OPENAI_API_KEY", "a secret")
        yield cluster


@pytest.fixture
def session(cluster: SlurmCluster, tmp_path: Path) -> Iterator[SlurmSession]:
    session = SlurmSession(SlurmPrograms(), tmp_path / "run", tmp_path / "run" / "logs", cpus=1)
    session.open()
    yield session
    session.close()


def test_a_job_looks_at_the_device_of_its_node(session: SlurmSession, cluster: SlurmCluster) -> None:
    device = SlurmRunner(session, "torch", lambda: False).probe("cpu", "torch", DEADLINE_S)
    assert device.device == "cpu"
    deadline = time.monotonic() + DEADLINE_S  # it writes its result before its own end
    while cluster.jobs() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not cluster.jobs()


def test_an_abort_cancels_the_job_and_leaves_none(session: SlurmSession, cluster: SlurmCluster) -> None:
    with pytest.raises(Interrupted):
        SlurmRunner(session, "torch", lambda: bool(cluster.jobs())).probe("cpu", "torch", DEADLINE_S)
    deadline = time.monotonic() + DEADLINE_S
    while cluster.jobs() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not cluster.jobs()


def test_the_next_start_cancels_what_an_earlier_one_left(
    session: SlurmSession, cluster: SlurmCluster, tmp_path: Path
) -> None:
    cluster.call("sbatch", f"--job-name={session.prefix}left", "--wrap=sleep 600", "--output=/dev/null")
    cluster.call("sbatch", "--job-name=of-another", "--wrap=sleep 600", "--output=/dev/null")
    again = SlurmSession(SlurmPrograms(), tmp_path / "run", tmp_path / "run" / "logs", cpus=1)
    again.open()
    again.close()
    assert [job[1] for job in cluster.jobs()] == ["of-another"]


@pytest.fixture
def executor(cluster: SlurmCluster, tmp_path: Path) -> Iterator[LocalExecutor]:
    """One trial at a time, of the stand-in trainer."""
    run_dir = tmp_path / "run"
    programs = SlurmPrograms(job=run_stand_in_job)
    session = SlurmSession(programs, run_dir, run_dir, 1, look_interval_s=0.05, states_interval_s=0.5)
    session.open()
    executor = LocalExecutor([job_maker(session)])
    yield executor
    executor.close()
    session.close()


def end_after(executor: LocalExecutor, cfg: Cfg, disturb: Callable[[], None] = lambda: None) -> Outcome | Suspended:
    """How a trial ends; ``disturb`` is called once it trains."""
    executor.submit(TrialOrder(1, 1, 0, cfg))
    disturbed = list[str]()

    def progressed(at: TrialProgress) -> None:
        if at.phase == "train" and not disturbed:
            disturbed.append("yes")
            disturb()

    deadline = time.monotonic() + 4 * DEADLINE_S
    while time.monotonic() < deadline:
        for end in executor.poll(0.1, progressed):
            return end.outcome
    raise AssertionError("it does not end")


def failure_after(executor: LocalExecutor, cfg: Cfg, disturb: Callable[[], None] = lambda: None) -> Failure:
    outcome = end_after(executor, cfg, disturb)
    assert isinstance(outcome, Failure)
    return outcome


def test_a_job_that_is_cancelled_from_outside_is_a_killed_trial(executor: LocalExecutor, cluster: SlurmCluster) -> None:
    failure = failure_after(executor, ENDLESS, lambda: cluster.call("scancel", cluster.jobs()[0][0]))
    assert failure.cause is Cause.KILLED
    assert "was cancelled from outside" in failure.detail


def test_a_node_that_goes_down_is_a_lost_host(executor: LocalExecutor, cluster: SlurmCluster) -> None:
    """Its slurmd is killed, and Slurm gives it up after ``SlurmdTimeout``; the next trial runs on the other node."""
    failure = failure_after(executor, ENDLESS, lambda: cluster.lose_node(cluster.jobs()[0][3]))
    assert failure.cause is Cause.HOST_LOST
    assert "was lost with its node" in failure.detail
    assert isinstance(end_after(executor, CFG), Measurement)


def test_a_job_at_its_time_limit_is_a_timeout(executor: LocalExecutor, cluster: SlurmCluster) -> None:
    """The administrator has lowered it: by itself it lies above the trial's own deadline."""
    failure = failure_after(
        executor, ENDLESS, lambda: cluster.call("scontrol", "update", f"jobid={cluster.jobs()[0][0]}", "timelimit=1")
    )
    assert failure.cause is Cause.TIMEOUT
    assert "time limit" in failure.detail


def test_a_job_above_its_memory_is_out_of_memory(executor: LocalExecutor) -> None:
    """Its processes together, each of which is below what a trial may take."""
    failure = failure_after(executor, CFG | {"ends": "crowd"})
    assert failure.cause is Cause.OUT_OF_MEMORY


def test_a_preempted_job_is_submitted_again(executor: LocalExecutor, cluster: SlurmCluster) -> None:
    """A job of a partition with priority takes both nodes for a while."""

    def preempt() -> None:
        words = ("--partition=urgent", "--nodes=2", "--exclusive", "--wrap=sleep 3", "--output=/dev/null")
        cluster.call("sbatch", *words)

    outcome = end_after(executor, CFG | {"steps": 200, "step_s": 0.05}, preempt)
    assert isinstance(outcome, Measurement), outcome
    assert outcome.trial_wall_s > 10.0, "it began anew after 3 s of another job"


def test_a_trial_survives_a_restart_of_the_controller_and_the_next_waits_for_it(
    executor: LocalExecutor, cluster: SlurmCluster
) -> None:
    def stop() -> None:
        cluster.kill("slurmctld")

    assert isinstance(end_after(executor, LONG | {"steps": 300}, stop), Measurement)
    starter = threading.Timer(25.0, cluster.start_controller)
    starter.start()
    assert isinstance(end_after(executor, CFG), Measurement)
    starter.join()
