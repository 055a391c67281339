"""The workers of a cluster: which nodes get one, which are refused, and when one is given up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from autoresearch.core.executor import TrialOrder
from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.values import Cfg
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_cluster import FACTS, FakeCluster, FakePlan
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.trials.remote.executor import REST_S, RemoteExecutor
from autoresearch.trials.remote.fleet import Fleet
from autoresearch.trials.remote.ports import Greeting, Node

CFG: Cfg = {"lr": 1e-3}
SILENT_S = 0.2
OTHER_TORCH = Greeting(facts=FACTS.model_copy(update={"versions": {"torch": "2.1"}}))


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster([Node(f"id-{n}", f"n{n}", {"CPU": 1.0}) for n in range(3)])


@pytest.fixture
def notes() -> list[str]:
    return []


Open = Callable[..., RemoteExecutor]


@pytest.fixture
def open_executor(cluster: FakeCluster, notes: list[str]) -> Iterator[Open]:
    opened: list[RemoteExecutor] = []

    def open_(greetings: dict[str, Greeting] | None = None, **more: object) -> RemoteExecutor:
        plan = FakePlan(lambda aborted: FakeTrial(takes_s=0.01, aborted=aborted), greetings or {})
        fleet = Fleet(plan, 3, lambda _node: 1, FACTS, silent_s=SILENT_S)
        executor = RemoteExecutor(cluster, fleet, notify=notes.append, **more)  # type: ignore[arg-type]
        opened.append(executor)
        executor.open()
        return executor

    yield open_
    for executor in opened:
        executor.close()


def test_a_node_with_another_torch_is_refused_by_name_and_the_others_are_used(
    open_executor: Open, notes: list[str]
) -> None:
    executor = open_executor({"n1": OTHER_TORCH})
    assert executor.capacity == 2
    assert notes == ["node n1 is refused: fake is not installed there and 1 here"]


def test_without_a_node_that_fits_the_run_is_refused_with_each_reason(open_executor: Open) -> None:
    with pytest.raises(ConfigError, match=r"node n0: fake is .* node n1: .*; node n2: no corpus at /data"):
        open_executor({"n0": OTHER_TORCH, "n1": OTHER_TORCH, "n2": Greeting(problem="no corpus at /data")})


def test_the_least_memory_of_the_nodes_counts_and_only_while_its_node_is_there(
    open_executor: Open, cluster: FakeCluster
) -> None:
    sizes = {"n0": 4 << 30, "n1": 1 << 30, "n2": 2 << 30}
    executor = open_executor({name: Greeting(facts=FACTS, free_bytes=size) for name, size in sizes.items()})
    backend = TrialBackend(FakeTrial(), YARDSTICK, None, free_accelerator_bytes=8 << 30, fleet=executor)  # type: ignore[arg-type]
    assert backend.free_bytes == 1 << 30
    cluster.lose_node(cluster.present[1])
    executor.submit(TrialOrder(1, 1, 0, CFG))
    while not executor.poll(1.0):
        pass
    assert backend.free_bytes == 2 << 30


def test_a_worker_that_does_not_report_its_trial_is_lost(
    open_executor: Open, cluster: FakeCluster, notes: list[str]
) -> None:
    executor = open_executor()
    cluster.workers[0].is_silent = True
    for n in range(3):
        executor.submit(TrialOrder(n, 1, n, CFG))
    ends = {end.id: end.outcome for _ in range(100) for end in executor.poll(0.1)}
    assert [type(ends[n]) for n in range(3)] == [Failure, Measurement, Measurement]
    lost = ends[0]
    assert isinstance(lost, Failure)
    assert lost.cause is Cause.HOST_LOST
    assert "did not report its trial for 0.2 s" in lost.detail
    assert cluster.workers[0].lost, "it is ended"
    assert len(notes) == 1


def test_the_time_for_which_the_daemon_itself_was_stopped_does_not_count(
    open_executor: Open, cluster: FakeCluster, notes: list[str]
) -> None:
    now = [0.0]
    executor = open_executor(clock=lambda: now[0])
    cluster.workers[0].is_silent = True
    executor.submit(TrialOrder(1, 1, 0, CFG))
    for _ in range(3):
        now[0] += 1000.0
        assert not executor.poll(0.0)
    assert not notes
    cluster.lose(cluster.workers[0], "the end of the test")


def test_a_node_on_which_workers_do_not_start_is_tried_again_after_a_while(
    open_executor: Open, cluster: FakeCluster, notes: list[str]
) -> None:
    now = [0.0]
    cluster.broken = {"id-1": "its disk is full"}
    executor = open_executor(clock=lambda: now[0])
    assert executor.capacity == 2
    assert notes[-1] == "node n1 is refused: 3 workers did not start, it is tried again in 30 min: its disk is full"
    cluster.broken.clear()

    def measure_at(seconds: float) -> int:
        now[0] = seconds
        executor.submit(TrialOrder(int(seconds), 1, 0, CFG))
        while not executor.poll(0.0):
            now[0] += 0.01
        executor.open()
        return executor.capacity

    assert measure_at(REST_S - 60.0) == 2
    assert measure_at(REST_S + 60.0) == 3
