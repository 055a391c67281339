"""What a trial may take now, in memory and time, and which configurations rail R7 refuses for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from autoresearch.config.settings import Settings
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.allowed_changes import allowed_changes
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.machine import spare_bytes
from autoresearch.trials.command.costs import learned_estimate
from rails import Config, Estimate, Limits, Verdict, gate, over_budget

LIMITS_VALID_S = 1.0
NO_MEMORY_LIMIT = 1 << 62


def judge(policy: Policy, backend: TrialBackend, settings: Settings, raw: str, trajectory: Trajectory) -> Verdict:
    """Pass a reply through the gate with the menu, history, estimator and limits of this run."""
    return gate(
        raw,
        policy.baseline,
        policy.menu,
        steps=policy.steps,
        known=trajectory.known(),
        estimate=estimate_of(policy, backend, trajectory),
        limits=backend_limits(backend, settings),
        max_changes=allowed_changes(settings, policy, raw, trajectory),
    )


def estimate_of(
    policy: Policy, backend: TrialBackend, trajectory: Trajectory
) -> Callable[[Config], Estimate | None] | None:
    """What R7 expects of a configuration: computed from the model, or learned from what this run has measured."""
    if backend.estimator is not None or not policy.own_menu:
        return backend.estimator
    return learned_estimate(policy.baseline, trajectory.costs)


def backend_limits(backend: TrialBackend, settings: Settings) -> Limits:
    """``limits_now``; of a command that reports the memory of another device, only the user's own limit counts."""
    if settings.trainer == "command" and settings.command.peak_memory_pattern:
        cap = memory_cap_bytes(settings)
        return Limits(NO_MEMORY_LIMIT if cap is None else cap, settings.limits.max_time_ratio)
    return limits_now(backend.free_bytes, settings)


def limits_now(free_accelerator_bytes: int | None, settings: Settings) -> Limits:
    """Memory and time that a trial may take now; ``None`` means a device that shares the machine's own memory."""
    free = spare_bytes() if free_accelerator_bytes is None else free_accelerator_bytes
    cap = memory_cap_bytes(settings)
    return Limits(free if cap is None else min(free, cap), settings.limits.max_time_ratio)


def refusal_for_cost(backend: TrialBackend, settings: Settings, cfg: Config) -> str:
    """Why R7 would refuse ``cfg`` now, or an empty string."""
    return build_cost_check(backend, settings)(cfg)


def build_cost_check(
    backend: TrialBackend,
    settings: Settings,
    clock: Callable[[], float] = time.monotonic,
    estimate: Callable[[], Callable[[Config], Estimate | None] | None] | None = None,
) -> Callable[[Config], str]:
    """``refusal_for_cost`` for a proposer, which calls it for hundreds of candidates before it proposes one.

    Memory is read once a second and not for each of them: reading it takes ten times as long as the estimate.
    ``estimate`` gives the present estimate where it is learned; the backend's own if it is not given.
    """
    limits, read_at = None, -math.inf

    def find_refusal(cfg: Config) -> str:
        nonlocal limits, read_at
        estimator = estimate() if estimate else backend.estimator
        if estimator is None or (cost := estimator(cfg)) is None:
            return ""
        if limits is None or clock() - read_at >= LIMITS_VALID_S:
            limits, read_at = backend_limits(backend, settings), clock()
        return over_budget(cost, limits) or ""

    return find_refusal


def memory_cap_bytes(settings: Settings) -> int | None:
    """The configured limit on a trial's memory, in bytes."""
    return int(settings.limits.memory_gib * 2**30) if settings.limits.memory_gib else None
