"""The daemon is killed while its executor runs trials: no trial is left running, wherever they run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.ray_cluster import ACTOR, missing_for_ray, ray_nodes
from tests.slurm_cluster import missing_for_slurm, slurm_cluster
from tests.stand_in import all_end, marked, processes

LEASE_S = 5.0
needs_ray = pytest.mark.skipif(bool(missing_for_ray()), reason=missing_for_ray() or "-")
needs_slurm = pytest.mark.skipif(bool(missing_for_slurm()), reason=missing_for_slurm() or "-")


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[str]:
    with marked(str(tmp_path)):
        yield str(tmp_path)


def kill_while_it_runs(kind: str, run_dir: Path, *arguments: str, look: Callable[[], None] = lambda: None) -> None:
    """Start a driver and kill it once its trials run and ``look`` has looked at it."""
    run_dir.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.executor_driver", kind, str(run_dir), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert any(line == "running\n" for line in driver.stdout), "it ended before its trials ran"
        try:
            look()
        finally:
            driver.kill()


def only_loopback(mark: str) -> None:
    """No process with the mark listens on another address than that of loopback."""
    found = set()
    for pid in processes(mark, ""):
        with suppress(psutil.Error):
            found |= {c.laddr.ip for c in psutil.Process(pid).net_connections("inet") if c.status == psutil.CONN_LISTEN}
    assert found, "nothing listens at all"
    assert found <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize(("kind", "count"), [("serial", 2), ("local", 4)])
def test_a_killed_daemon_takes_its_trials_along(tmp_path: Path, mark: str, kind: str, count: int) -> None:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    command = [sys.executable, "-m", "tests.executor_driver", kind, str(run_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert any(line == "running\n" for line in driver.stdout)
        children = processes(mark)
        driver.kill()
    assert len(children) == count, "a trial server and a trial for each worker"
    assert not all_end(children)


@pytest.mark.slow
@needs_ray
@pytest.mark.parametrize("own", [True, False], ids=["its own cluster", "a cluster at an address"])
def test_a_killed_daemon_leaves_no_trial_on_a_ray_cluster(
    tmp_path: Path, mark: str, small_corpus: Path, own: bool
) -> None:
    if own:
        kill_while_it_runs("ray", tmp_path / "run", str(small_corpus), "", look=lambda: only_loopback(mark))
        assert not all_end([*processes(mark, ACTOR), *processes(mark)], 30.0)
        assert not all_end(processes(mark, ""), 240.0), "Ray's agents look for their dead cluster for a while"
        return
    with ray_nodes(["n0", "n1"]) as nodes:
        kill_while_it_runs("ray", tmp_path / "run", str(small_corpus), nodes.address)
        assert not all_end([*processes(mark, ACTOR), *processes(mark)], 30.0)


@pytest.mark.slow
@needs_slurm
def test_a_killed_daemon_leaves_no_job_after_its_lease(
    tmp_path: Path, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "slurm"
    here.mkdir()
    with slurm_cluster(here) as cluster:
        for name, value in cluster.environ.items():
            monkeypatch.setenv(name, value)
        kill_while_it_runs("slurm", tmp_path / "run", str(LEASE_S))
        trials = processes(mark)
        assert trials
        assert not all_end(trials, 10 * LEASE_S)
        assert cluster.wait_for_no_jobs()
