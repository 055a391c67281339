"""Starting the trial server where an import of the network's packages makes it unfit to fork trials."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from autoresearch.errors import TrialServerError
from autoresearch.trials import server
from autoresearch.trials.requests import ProbeRequest
from autoresearch.trials.server import TrialServer
from autoresearch.trials.trainers import TRAINERS

pytest.importorskip("torch")
THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"


@pytest.fixture
def preloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trainer ``torch`` whose network module is ``network_with_a_thread``, beside ``harmless``."""
    (tmp_path / "network_with_a_thread.py").write_text(THREAD)
    (tmp_path / "harmless.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    spec = dataclasses.replace(
        TRAINERS["torch"], build_network="network_with_a_thread:f", preload=("harmless", "network_with_a_thread")
    )
    monkeypatch.setattr(server, "TRAINERS", {"torch": spec})
    return tmp_path


def fork_and_wait(started: TrialServer) -> int:
    null = os.open(os.devnull, os.O_RDWR)
    try:
        started.fork(ProbeRequest(device="cpu", trainer="torch"), [null] * 3, lambda: False)
        return started.child_exit()[0]
    finally:
        os.close(null)


def test_the_network_whose_import_is_unfit_is_left_to_the_trials(
    preloading: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = TrialServer("torch", preloading / "log")
    unfit = iter(["2 threads, not 1,", ""])
    monkeypatch.setattr(started, "_start_with_preload", lambda _aborted: next(unfit))
    started._start(lambda: False)
    assert started.preloaded == ("harmless",)
    monkeypatch.setattr(started, "_start_with_preload", lambda _aborted: "2 threads, not 1,")
    with pytest.raises(TrialServerError, match="the trial server has 2 threads, not 1, after its imports"):
        started._start(lambda: False)


@pytest.mark.slow
def test_it_is_left_to_the_trials_and_the_server_forks(preloading: Path) -> None:
    started = TrialServer("torch", preloading / "log")
    try:
        assert fork_and_wait(started) == 0
        assert started.preloaded == ("harmless",)
        assert (
            "after importing harmless network_with_a_thread: CUDA context False, threads "
            in (preloading / "log").read_text()
        )
    finally:
        started.close()


@pytest.mark.slow
def test_another_import_that_does_so_is_an_error(preloading: Path) -> None:
    (preloading / "harmless.py").write_text(THREAD)
    started = TrialServer("torch", preloading / "log")
    with pytest.raises(TrialServerError, match="the trial server has 2 threads, not 1, after its imports"):
        started.fork(ProbeRequest(device="cpu", trainer="torch"), [], lambda: False)
    assert started.pid is None
