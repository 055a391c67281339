"""The check of the run's own logs: how far the run is, and whether it can be continued."""

from __future__ import annotations

from autoresearch.config.settings import Settings
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.daemon.policy import Policy, check_policy
from autoresearch.daemon.recorded_rule import keep_recorded_rule
from autoresearch.daemon.run_reader import view_run
from autoresearch.errors import AutoresearchError
from autoresearch.proposers.factory import LLM_PROPOSERS
from autoresearch.storage.exchange_log import stream_exchanges
from autoresearch.storage.run_dir import EXCHANGE_FILES, TRAJECTORY


def history(settings: Settings, policy: Policy) -> tuple[Check, Trajectory, list[Event]]:
    """Check that the logs are readable and of the same policy.

    Also returns the run so far and the records that ``read_run`` returns; an empty run and none if it is not readable.
    """
    trajectory, ends = Trajectory(), list[Event]()
    kept: list[str] = []  # what of the rule is the run's own
    try:
        trajectory, ends = view_run(settings.run_dir / TRAJECTORY)
        check_policy(trajectory, keep_recorded_rule(policy, settings, trajectory, kept.append))
        if settings.proposer in LLM_PROPOSERS and any(settings.run_dir.glob(EXCHANGE_FILES)):
            for _ in stream_exchanges(settings.run_dir):
                pass  # each is verified
    except AutoresearchError as e:
        return fail("run", e), trajectory, ends
    done = len(trajectory.iterations)
    if trajectory.meta is None:
        return ok("run", f"new, {settings.iters} iterations", next_iter=1), trajectory, ends
    if done >= settings.iters:
        hint = f"--iters {2 * done} adds iterations; --fresh starts over"
        return warn("run", f"all {done} iterations are done", hint, next_iter=done + 1), trajectory, ends
    found = "; ".join([f"continues at iteration {done + 1} of {settings.iters}", *kept])
    return ok("run", found, next_iter=done + 1), trajectory, ends
