"""The ``TrialExecutor`` port: every trial that is handed in ends once, and the user can end or suspend what runs."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from autoresearch.core.executor import TrialExecutor, TrialFinished, TrialOrder, TrialProgress
from autoresearch.core.measurement import Cause, Failure, Measurement, Suspended
from autoresearch.core.ports import Interrupted
from autoresearch.core.values import Cfg
from autoresearch.testing.switch import Switch

MAX_POLLS = 1000  # of POLL_S: a trial that has not ended by then hangs
POLL_S = 0.1
# What a trial ends with whose worker ended: a process of this machine, or one elsewhere.
LOST = frozenset({Cause.KILLED, Cause.HOST_LOST})


class TrialExecutorContract:
    """For every implementation of ``autoresearch.core.executor.TrialExecutor``, around trials that can be suspended."""

    @pytest.fixture
    def executor(self) -> Any:
        """An executor whose trials are ended while ``abort`` is on and suspended while ``suspend`` is."""
        raise NotImplementedError

    @pytest.fixture
    def abort(self) -> Any:
        """The ``Switch`` with which the user ends what runs."""
        raise NotImplementedError

    @pytest.fixture
    def suspend(self) -> Any:
        """The ``Switch`` with which the user suspends what runs."""
        raise NotImplementedError

    @pytest.fixture
    def cfg(self) -> Any:
        """A configuration that reports progress several times before it is measured."""
        raise NotImplementedError

    @pytest.fixture
    def long_cfg(self, cfg: Cfg) -> Any:
        """One that runs long enough for a test to reach it while it does."""
        return cfg

    @pytest.fixture
    def failing(self) -> Any:
        """Configurations by the ``Cause`` that the failure of each must have, at least ``Cause.ERROR``."""
        raise NotImplementedError

    @pytest.fixture
    def lose(self) -> Any:
        """A function that ends what runs a trial, given its number, as a power failure does.

        Where trials run in the process of the executor itself nothing can be lost alone: ``None``.
        """
        return None

    def orders(self, executor: TrialExecutor, cfg: Cfg) -> list[TrialOrder]:
        """One trial for each place, each with a seed of its own."""
        return [TrialOrder(n, n, seed, cfg) for seed, n in enumerate(range(7, 7 + executor.capacity))]

    def all_ends(
        self, executor: TrialExecutor, count: int, seen: list[TrialProgress] | None = None
    ) -> dict[int, TrialFinished]:
        """Poll until ``count`` trials have ended; each of them once."""
        ends: dict[int, TrialFinished] = {}
        for _ in range(MAX_POLLS):
            for end in executor.poll(POLL_S, (seen if seen is not None else []).append):
                assert end.id not in ends, "reported twice"
                ends[end.id] = end
            if len(ends) >= count:
                return ends
        raise AssertionError(f"{len(ends)} of {count} trials ended")

    def test_there_is_room_for_a_trial_and_without_one_nothing_ends(self, executor: TrialExecutor) -> None:
        assert executor.capacity >= 1
        assert not executor.poll(0.0)

    def test_each_trial_ends_once_under_the_number_it_was_submitted_with(
        self, executor: TrialExecutor, cfg: Cfg
    ) -> None:
        orders = self.orders(executor, cfg)
        assert [executor.submit(order) for order in orders] == [order.trial for order in orders]
        ends = self.all_ends(executor, len(orders))
        assert sorted(ends) == [order.trial for order in orders]
        assert all(isinstance(end.outcome, Measurement) for end in ends.values())
        assert not executor.poll(0.0)

    def test_a_full_executor_takes_no_more(self, executor: TrialExecutor, cfg: Cfg) -> None:
        for order in self.orders(executor, cfg):
            executor.submit(order)
        with pytest.raises(ValueError, match="at work"):
            executor.submit(TrialOrder(99, 9, 0, cfg))
        assert 99 not in self.all_ends(executor, executor.capacity)
        executor.submit(TrialOrder(99, 9, 0, cfg))  # now there is room
        assert list(self.all_ends(executor, 1)) == [99]

    def test_a_seed_measures_the_same_wherever_and_beside_whatever_it_runs(
        self, executor: TrialExecutor, cfg: Cfg
    ) -> None:
        values: dict[int, set[str]] = {}
        for again in range(2):
            orders = self.orders(executor, cfg)[:: 1 if again else -1]  # the other way round: on another device
            for order in orders:
                executor.submit(order)
            ends = self.all_ends(executor, len(orders))
            for order in orders:
                outcome = ends[order.trial].outcome
                assert isinstance(outcome, Measurement)
                values.setdefault(order.seed, set()).add(outcome.value.hex())
        assert all(len(found) == 1 for found in values.values())

    def test_progress_names_the_trial_and_comes_before_its_end(self, executor: TrialExecutor, cfg: Cfg) -> None:
        orders = self.orders(executor, cfg)
        for order in orders:
            executor.submit(order)
        seen: list[TrialProgress] = []
        self.all_ends(executor, len(orders), seen)
        assert {at.id for at in seen} == {order.trial for order in orders}
        assert all(0 <= at.fraction <= 1 for at in seen)
        count = len(seen)
        executor.poll(0.0, seen.append)
        assert len(seen) == count, "no progress after the end"

    def test_requests_and_events_are_plain_values(self, executor: TrialExecutor, cfg: Cfg) -> None:
        """They can be sent to another process or machine, and arrive equal."""
        order = self.orders(executor, cfg)[0]
        seen: list[TrialProgress] = []
        executor.submit(pickle.loads(pickle.dumps(order)))
        end = self.all_ends(executor, 1, seen)[order.trial]
        for value in (order, end, *seen[:3]):
            assert pickle.loads(pickle.dumps(value)) == value

    def test_a_failure_is_an_end_and_the_next_trial_is_normal(
        self, executor: TrialExecutor, cfg: Cfg, failing: Mapping[Cause, Cfg]
    ) -> None:
        assert Cause.ERROR in failing
        for cause, bad_cfg in failing.items():
            executor.submit(TrialOrder(1, 1, 0, bad_cfg))
            outcome = self.all_ends(executor, 1)[1].outcome
            assert isinstance(outcome, Failure)
            assert outcome.cause is cause, outcome.detail
        executor.submit(TrialOrder(2, 2, 0, cfg))
        assert isinstance(self.all_ends(executor, 1)[2].outcome, Measurement)

    def test_a_lost_worker_is_one_lost_trial_and_its_place_comes_back(
        self, executor: TrialExecutor, cfg: Cfg, long_cfg: Cfg, lose: Callable[[int], None] | None
    ) -> None:
        if lose is None:
            pytest.skip("its trials run in the process of the executor itself")
        capacity, losses = executor.capacity, list[int]()
        orders = self.orders(executor, long_cfg)
        for order in orders:
            executor.submit(order)

        def lose_the_first(at: TrialProgress) -> None:
            if at.id == orders[0].trial and at.phase == "train" and not losses:  # before that it may wait in a queue
                losses.append(at.id)
                lose(at.id)

        ends: dict[int, TrialFinished] = {}
        for _ in range(MAX_POLLS):
            ends |= {end.id: end for end in executor.poll(POLL_S, lose_the_first)}
            if len(ends) == len(orders):
                break
        outcomes = [ends[order.trial].outcome for order in orders]
        assert isinstance(outcomes[0], Failure)
        assert outcomes[0].cause in LOST, outcomes[0].detail
        assert all(isinstance(outcome, Measurement) for outcome in outcomes[1:])
        executor.submit(TrialOrder(30, 1, 0, cfg))
        assert isinstance(self.all_ends(executor, 1)[30].outcome, Measurement)
        for _ in range(MAX_POLLS):
            if executor.capacity == capacity:
                return
            executor.submit(TrialOrder(31, 1, 0, cfg))  # a worker is started while something is waited for
            self.all_ends(executor, 1)
        raise AssertionError(f"{executor.capacity} of {capacity} places are there again")

    def test_a_cancelled_trial_is_never_reported_and_its_place_is_free(
        self, executor: TrialExecutor, cfg: Cfg, long_cfg: Cfg
    ) -> None:
        orders = self.orders(executor, long_cfg)
        for order in orders:
            executor.submit(order)
        executor.cancel(orders[0].trial)
        executor.cancel(orders[0].trial)  # a second time, or of an unknown id: nothing happens
        executor.cancel(12345)
        assert sorted(self.all_ends(executor, len(orders) - 1)) == [order.trial for order in orders[1:]]
        for _ in range(MAX_POLLS):
            try:
                executor.submit(TrialOrder(50, 1, 0, cfg))
                break
            except ValueError:  # it may still be ending
                assert not executor.poll(POLL_S)
        assert list(self.all_ends(executor, 1)) == [50]

    def test_the_users_abort_ends_all_and_reports_none(
        self, executor: TrialExecutor, cfg: Cfg, long_cfg: Cfg, abort: Switch
    ) -> None:
        for order in self.orders(executor, long_cfg):
            executor.submit(order)
        abort.on = True
        with pytest.raises(Interrupted):
            self.all_ends(executor, 1)
        abort.on = False
        assert not executor.poll(0.0)
        executor.submit(TrialOrder(60, 1, 0, cfg))
        assert list(self.all_ends(executor, 1)) == [60], "none is left running, and the next one is normal"

    def test_a_suspension_reaches_every_running_trial_and_each_resumes_to_the_same_value(
        self, executor: TrialExecutor, long_cfg: Cfg, suspend: Switch
    ) -> None:
        orders = self.orders(executor, long_cfg)
        for order in orders:
            executor.submit(order)
        whole = self.all_ends(executor, len(orders))
        suspend.on = True
        for order in orders:
            executor.submit(order)
        parts = self.all_ends(executor, len(orders))
        suspend.on = False
        for order in orders:
            part = parts[order.trial].outcome
            assert isinstance(part, Suspended)
            executor.submit(TrialOrder(order.trial, order.iter, order.seed, long_cfg, suspended_at=part))
        for id_, end in self.all_ends(executor, len(orders)).items():
            one, other = end.outcome, whole[id_].outcome
            assert isinstance(one, Measurement)
            assert isinstance(other, Measurement)
            assert one.value.hex() == other.value.hex()

    def test_what_is_sealed_comes_with_the_measurement_alone(
        self, executor: TrialExecutor, long_cfg: Cfg, suspend: Switch
    ) -> None:
        executor.submit(TrialOrder(1, 1, 0, long_cfg))
        whole = self.all_ends(executor, 1)[1].test_bpb
        suspend.on = True
        executor.submit(TrialOrder(2, 1, 0, long_cfg))
        assert self.all_ends(executor, 1)[2].test_bpb is None
        suspend.on = False
        executor.submit(TrialOrder(3, 1, 0, long_cfg))
        assert self.all_ends(executor, 1)[3].test_bpb == whole
