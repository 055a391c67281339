"""Every trial under the contract of its port: the fake that ships, and the real one in its own process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.core.ports import Trial
from autoresearch.core.values import Cfg
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.contracts.trial import SuspendableTrialContract, TrialContract
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.switch import Switch
from tests.command_trial import make_command_trial


class TestFakeTrial(SuspendableTrialContract):
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


class TestForkedTrial(SuspendableTrialContract):
    @pytest.fixture
    def abort(self, switch_of_the_server: Switch) -> Iterator[Switch]:
        yield switch_of_the_server
        switch_of_the_server.on = False  # other tests share the server

    @pytest.fixture
    def trial(self, forked: TrialBackend) -> Trial:
        return forked.trial

    @pytest.fixture
    def cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg

    @pytest.fixture
    def long_cfg(self, baseline_cfg: Cfg) -> Cfg:
        return baseline_cfg | {"n_layer": 6, "batch_size": 16, "seq_len": 256}


SCRIPT = """
import sys, time
cfg = dict(word.removeprefix("--").split("=") for word in sys.argv[1:])
print("step 1/4", flush=True)
time.sleep(float(cfg["sleep_s"]))
print("step 4/4", flush=True)
print(f"loss: {float(cfg['lr']) + 0.01 * int(cfg['seed'])}")
"""


class TestCommandTrial(TrialContract):
    """A script of the user's own, with flags."""

    @pytest.fixture
    def abort(self) -> Switch:
        return Switch()

    @pytest.fixture
    def trial(self, abort: Switch, tmp_path: Path) -> Trial:
        script = tmp_path / "train.py"
        script.write_text(SCRIPT)
        return make_command_trial(
            tmp_path,
            argv=(sys.executable, "-I", "-S", str(script)),
            seed_flag="--seed={seed}",
            metric="loss",
            metric_pattern=r"^loss: (\S+)",
            progress_pattern=r"step (\d+)/(\d+)",
            aborted=abort,
        )

    @pytest.fixture
    def cfg(self) -> Cfg:
        return {"lr": 1e-3, "sleep_s": 0.0}

    @pytest.fixture
    def long_cfg(self) -> Cfg:
        return {"lr": 1e-3, "sleep_s": 30.0}
