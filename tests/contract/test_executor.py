"""Every executor of trials under the contract of its port, with fake trials."""

from __future__ import annotations

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.serial_executor import SerialExecutor
from autoresearch.core.values import Cfg
from autoresearch.testing.contracts.executor import TrialExecutorContract
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.switch import Switch

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
