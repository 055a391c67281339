"""One real backend for all contract tests that need a trial server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.values import Cfg
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.switch import Switch


@pytest.fixture(scope="session")
def trial_settings(small_corpus: Path) -> Settings:
    """A trial of a fraction of a second."""
    small = {"baseline.d_model": 64, "baseline.n_layer": 1, "baseline.lr_warmup": 0, "menu.knobs.lr_warmup.high": 1}
    flags = {"corpus": str(small_corpus), "budget.size": 12, "eval.bytes": 2048, "threads": 1}
    return resolve({**small, **flags}, {}).settings


@pytest.fixture(scope="session")
def baseline_cfg(trial_settings: Settings) -> Cfg:
    return build_policy(trial_settings).baseline


@pytest.fixture(scope="session")
def switch_of_the_server() -> Switch:
    """Ends what the shared trial server runs."""
    return Switch()


@pytest.fixture(scope="session")
def forked(
    trial_settings: Settings, switch_of_the_server: Switch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TrialBackend]:
    """A trial server that forks a process for each trial; tests of the group ``trial_server`` share it."""
    run_dir, policy = tmp_path_factory.mktemp("run"), build_policy(trial_settings)
    made = real_backend(trial_settings, policy, run_dir, switch_of_the_server, RecordingObserver())
    yield made
    made.close()
