"""Executor ray on a real cluster of three nodes: one is lost, silent or slow, or has another torch."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.core.executor import TrialFinished, TrialOrder
from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.values import Cfg
from autoresearch.testing.stand_in_trainer import SLOWER, THIS_TORCH, TORCH
from autoresearch.trials.remote.executor import RemoteExecutor
from tests.ray_cluster import ACTOR, RayNodes, missing_for_ray, ray_executor, ray_nodes, stand_in_fleet
from tests.stand_in import CFG, LONG, all_end, marked, processes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing_for_ray()), reason=missing_for_ray() or "-")]

NAMES = ("n0", "n1", "n2")
SILENT_S = 6.0


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    mark = str(tmp_path_factory.mktemp("mark"))
    with marked(mark):
        with ray_nodes(NAMES) as nodes:
            yield nodes
        assert not all_end(processes(mark)), "trial servers or trials were left"


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def executor(nodes: RayNodes, small_corpus: Path, tmp_path: Path, notes: list[str]) -> Iterator[RemoteExecutor]:
    fleet = stand_in_fleet(small_corpus, tmp_path, len(NAMES), SILENT_S)
    with ray_executor(nodes.address, fleet, notify=notes.append) as executor:
        yield executor


def submit_on_all(executor: RemoteExecutor, cfg: Cfg) -> dict[str, int]:
    """A trial for every worker: the number of each by the name of its node."""
    assert executor.capacity == len(NAMES)
    for n in range(len(NAMES)):
        executor.submit(TrialOrder(n, n, n, cfg))
    return {w.node.name: w.order.trial for w in executor._workers if w.order is not None}


def ends_of(executor: RemoteExecutor, count: int, seconds: float = 90.0) -> dict[int, TrialFinished]:
    ends: dict[int, TrialFinished] = {}
    deadline = time.monotonic() + seconds
    while len(ends) < count:
        assert time.monotonic() < deadline, f"{len(ends)} of {count} ended"
        for end in executor.poll(0.1):
            assert end.id not in ends
            ends[end.id] = end
    return ends


def measure_until_full(executor: RemoteExecutor) -> None:
    """Workers are started while something is waited for."""
    deadline = time.monotonic() + 90.0
    while executor.capacity < len(NAMES):
        assert time.monotonic() < deadline
        executor.submit(TrialOrder(99, 1, 0, CFG))
        ends_of(executor, 1)


def check_lost(executor: RemoteExecutor, at: dict[str, int], name: str) -> None:
    """The trial on a node is lost, those on the others are measured."""
    ends = ends_of(executor, len(NAMES))
    lost = ends.pop(at[name]).outcome
    assert isinstance(lost, Failure)
    assert lost.cause is Cause.HOST_LOST
    assert name in lost.detail
    assert all(isinstance(end.outcome, Measurement) for end in ends.values())


def test_a_lost_node_is_a_lost_trial_and_a_new_node_gets_a_worker(
    nodes: RayNodes, executor: RemoteExecutor, notes: list[str]
) -> None:
    at = submit_on_all(executor, LONG)
    nodes.kill("n1")
    check_lost(executor, at, "n1")
    assert any("n1-" in note and "was lost" in note for note in notes)
    nodes.add("n1")
    measure_until_full(executor)


def test_a_node_that_stops_answering_is_lost_and_nothing_of_it_counts_later(
    nodes: RayNodes, executor: RemoteExecutor
) -> None:
    """Its processes are stopped, as by a partition, and continue once the run has given it up."""
    at = submit_on_all(executor, LONG)
    doomed = nodes.pids(nodes.nodes["n2"])
    nodes.send("n2", signal.SIGSTOP)
    check_lost(executor, at, "n2")
    for pid in doomed:
        nodes.signal(pid, signal.SIGCONT)
    assert not all_end([pid for pid in doomed if pid in processes_of_trials(doomed)]), "Ray ends what it gave up"
    nodes.forget("n2")
    nodes.add("n2")
    measure_until_full(executor)
    assert not executor.poll(0.5), "the trial that was given up is not reported again"


def processes_of_trials(pids: list[int]) -> set[int]:
    """Those that are a worker, a trial server or a trial."""
    found = set()
    for pid in pids:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except OSError:
            continue
        if ACTOR in command or "stand_in_trainer" in command:
            found.add(pid)
    return found


def test_a_stopped_worker_is_lost_while_its_node_answers(nodes: RayNodes, executor: RemoteExecutor) -> None:
    """Ray itself does not notice that."""
    at = submit_on_all(executor, LONG)
    workers = [pid for pid in nodes.pids(nodes.nodes["n0"]) if pid in processes_of_trials([pid])]
    for pid in workers:
        nodes.signal(pid, signal.SIGSTOP)
    check_lost(executor, at, "n0")
    assert not all_end(workers), "a stopped process is killed too"
    measure_until_full(executor)


def test_a_slow_node_does_not_hold_up_the_others(nodes: RayNodes, small_corpus: Path, tmp_path: Path) -> None:
    nodes.kill("n1")
    nodes.add("n1", {SLOWER: "30"})
    with ray_executor(nodes.address, stand_in_fleet(small_corpus, tmp_path, len(NAMES))) as executor:
        slow = submit_on_all(executor, CFG | {"steps": 50})["n1"]
        others = [n for n in range(len(NAMES)) if n != slow]
        number = 100
        while number < 106:  # six more on the other nodes
            for ended in ends_of(executor, 1):
                assert ended in others
                others.remove(ended)
                executor.submit(TrialOrder(number, 1, number, CFG))
                others.append(number)
                number += 1
        ends = ends_of(executor, len(NAMES))
        assert isinstance(ends[slow].outcome, Measurement)
    nodes.kill("n1")
    nodes.add("n1")


def test_a_node_with_another_torch_is_refused_by_name(
    nodes: RayNodes, small_corpus: Path, tmp_path: Path, notes: list[str]
) -> None:
    nodes.kill("n2")
    nodes.add("n2", {TORCH: "2.1"})
    fleet = stand_in_fleet(small_corpus, tmp_path, len(NAMES))
    with ray_executor(nodes.address, fleet, notify=notes.append) as executor:
        assert executor.capacity == len(NAMES) - 1
        assert f"node n2 is refused: torch is 2.1 there and {THIS_TORCH} here" in notes
        assert {worker.node.name for worker in executor._workers} == {"n0", "n1"}
    nodes.kill("n2")
    nodes.add("n2")
