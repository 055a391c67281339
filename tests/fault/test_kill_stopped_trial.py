"""SIGKILL while a trial runs that is about to be stopped early: the next daemon stops it by the same limits."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Outcome, Suspended
from autoresearch.core.records import StoppedEarly, TrialStarted, decode
from autoresearch.core.values import Cfg
from autoresearch.daemon import service
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.report.load import load_records
from autoresearch.report.verify import verify
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from tests.fault.fake_daemon import OnlyRecords
from tests.unit.core.test_loop_early_stop import BAD, PAST, bpb, losses, script

REPLIES = tuple((reply,) for reply in script(BAD))


class Slow(FakeTrial):
    """The trial that is stopped takes as long as the test needs to kill its daemon."""

    def measure(self, cfg: Cfg, seed: int, *rest: Any) -> Outcome | Suspended:
        self.takes_s = 600.0 if cfg["lr"] == BAD else 0.0
        return FakeTrial.measure(self, cfg, seed, *rest)


def daemon(settings: Settings, trial: FakeTrial, fd: int) -> str:
    def make_backend(*_: Any) -> TrialBackend:
        return TrialBackend(trial, YARDSTICK, None)

    return service.run(settings, OnlyRecords(fd), replies=REPLIES, make_backend=make_backend)


def killed_in_the_stopped_trial(settings: Settings) -> None:
    """Run a daemon up to that trial, and kill it there."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            daemon(settings, Slow(bpb=bpb, curve=losses), writing)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "r", encoding="ascii") as pipe:
        for line in pipe:
            record = decode(line.removeprefix("record "))
            if isinstance(record, TrialStarted) and record.iter == PAST + 1:
                os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), "the daemon failed by itself: see stderr"


@pytest.mark.parametrize("kills", [1, 3])
def test_after_a_kill_the_trial_is_stopped_by_the_same_limits(
    make_settings: Callable[..., Settings], tmp_path: Path, kills: int
) -> None:
    rule = {"decision.rule": "sequential", "early_stop.min_curves": 12, "early_stop.audit_frac": 0}
    fixed = {"baseline.lr": 3e-4, "baseline.lr_warmup": 0, "proposer": "replay", "replay_from": "none"}
    settings = make_settings({**rule, **fixed}, iters=PAST + 1)
    for _ in range(kills):
        killed_in_the_stopped_trial(settings)
    with (tmp_path / "out").open("wb") as out:
        assert daemon(settings, FakeTrial(bpb=bpb, curve=losses), out.fileno()) == "complete"
    events = load_records(settings.run_dir)
    plans = [r.stop for r in events if isinstance(r, TrialStarted) and r.iter == PAST + 1]
    assert len(plans) == kills + 1
    assert plans[0] is not None
    assert set(plans) == {plans[0]}
    (stopped,) = (r for r in events if isinstance(r, StoppedEarly))
    assert stopped.eval_metrics.stopped_early.limit in plans[0].limits
    assert verify(events).difference is None
