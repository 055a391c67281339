"""Every timer under the contract of its port: the fake that ships, and the real one in its own process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Timer
from autoresearch.core.values import Cfg
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.contracts.timer import TimerContract
from autoresearch.testing.fake_timer import FakeTimer
from autoresearch.testing.switch import Switch

IMPOSSIBLE = {"n_head": 7}  # does not divide d_model


class TestFakeTimer(TimerContract):
    @pytest.fixture
    def abort(self) -> Switch:
        return Switch()

    @pytest.fixture
    def timer(self, abort: Switch) -> FakeTimer:
        refused = Failure(cause=Cause.EXITED, detail="7 heads do not divide the model")
        return FakeTimer(fail=lambda cfg: refused if cfg["n_head"] == 7 else None, aborted=abort)

    @pytest.fixture
    def cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg

    @pytest.fixture
    def impossible_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | IMPOSSIBLE


class TestForkedTrial(TimerContract):
    """The trial server forks a process for each measurement of speed, too."""

    @pytest.fixture
    def abort(self, switch_of_the_server: Switch) -> Iterator[Switch]:
        yield switch_of_the_server
        switch_of_the_server.on = False  # other tests share the server

    @pytest.fixture
    def timer(self, forked: TrialBackend) -> Timer:
        assert forked.timer is not None
        return forked.timer

    @pytest.fixture
    def cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | {"batch_size": 4, "seq_len": 64}

    @pytest.fixture
    def impossible_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | IMPOSSIBLE
