"""Every trial under the contract of its port: the fake that ships, and the real one in its own process."""

from __future__ import annotations

import pytest

from autoresearch.core.ports import Trial
from autoresearch.core.values import Cfg
from autoresearch.daemon.backend import TrialBackend
from autoresearch.testing.contracts.trial import TrialContract
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.switch import Switch


class TestFakeTrial(TrialContract):
    """Each of its trials takes some steps."""

    @pytest.fixture
    def abort(self) -> Switch:
        return Switch()

    @pytest.fixture
    def trial(self, abort: Switch) -> FakeTrial:
        return FakeTrial(takes_s=0.02, aborted=abort)

    @pytest.fixture
    def cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg

    @pytest.fixture
    def long_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg


@pytest.mark.xdist_group("trial_server")
class TestForkedTrial(TrialContract):
    @pytest.fixture
    def abort(self, switch_of_the_server: Switch) -> Switch:
        return switch_of_the_server

    @pytest.fixture
    def trial(self, forked: TrialBackend) -> Trial:
        return forked.trial

    @pytest.fixture
    def cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg

    @pytest.fixture
    def long_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | {"n_layer": 6, "batch_size": 16, "seq_len": 256}
