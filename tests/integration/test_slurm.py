"""Executor slurm on a real Slurm: its own munged, slurmctld and two slurmd on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.core.ports import Interrupted
from autoresearch.trials.slurm.cluster import SlurmCluster as SlurmPrograms
from autoresearch.trials.slurm.runner import SlurmRunner
from autoresearch.trials.slurm.session import SlurmSession
from tests.slurm_cluster import SlurmCluster, missing_for_slurm, slurm_cluster

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
