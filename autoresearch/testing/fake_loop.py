"""The real loop and the real gate around a proposer, in memory, without files and processes."""

from __future__ import annotations

from functools import partial
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.executor import TrialExecutor
from autoresearch.core.loop import Loop
from autoresearch.core.parallel_loop import ParallelLoop
from autoresearch.core.ports import (
    Proposer,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.cost_check import judge
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import build_meta
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.machine import utc
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_control import FakeControl
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.memory_journal import MemoryJournal
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.trial_budget import warmup_frac


def fake_loop(
    settings: Settings,
    proposer: Proposer,
    trial: FakeTrial | None = None,
    estimator: Estimator | None = None,
    trajectory: Trajectory | None = None,
    executor: TrialExecutor | None = None,
) -> Loop:
    """Build the loop of a new run, or of one that continues ``trajectory``; a parallel one with an ``executor``."""
    policy = build_policy(settings)
    kind = Loop if executor is None else ParallelLoop
    more: dict[str, Any] = {} if executor is None else {"executor": executor}
    loop = kind(
        trajectory=Trajectory() if trajectory is None else trajectory,
        journal=MemoryJournal(),
        proposer=proposer,
        judge=partial(judge, policy, TrialBackend(trial or FakeTrial(), YARDSTICK, estimator), settings),
        trial=trial or FakeTrial(),
        control=FakeControl(),
        observer=RecordingObserver(),
        rule=policy.rule,
        baseline_cfg=policy.baseline,
        iters=settings.iters,
        max_attempts=settings.limits.max_attempts,
        on_pause=settings.on_pause,
        boot_id="boot",
        utc=utc,
        warmup_frac=lambda cfg: warmup_frac(loop.trajectory.meta, cfg),
        exhausted_completes=settings.compose == "only",
        **more,
    )
    if trajectory is None:
        loop.record(build_meta(settings, policy, YARDSTICK))
    return loop
