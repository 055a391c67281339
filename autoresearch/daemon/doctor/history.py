"""The check of the run's own logs: how far the run is, and whether it can be continued."""

from __future__ import annotations

from autoresearch.config.settings import Settings
from autoresearch.core.records import Event
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.daemon.policy import Policy, check_policy
from autoresearch.daemon.recorded_rule import keep_recorded_rule
from autoresearch.errors import AutoresearchError
from autoresearch.proposers.factory import LLM_PROPOSERS
from autoresearch.storage import journal
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.exchange_log import read_exchanges
from autoresearch.storage.run_dir import EXCHANGE_FILES, TRAJECTORY


def history(settings: Settings, policy: Policy) -> tuple[Check, list[Event]]:
    """Check that the logs are readable and of the same policy; also returns their records, none if they are not."""
    file, records = settings.run_dir / TRAJECTORY, []
    kept: list[str] = []  # what of the rule is the run's own
    try:
        records = list(decode_trajectory(journal.read(file).payloads, file))
        run = Trajectory.fold(records)
        check_policy(run, keep_recorded_rule(policy, settings, run, kept.append))
        if settings.proposer in LLM_PROPOSERS and any(settings.run_dir.glob(EXCHANGE_FILES)):
            read_exchanges(settings.run_dir)
    except AutoresearchError as e:
        return fail("run", e), records
    done = len(Trajectory.fold(records).iterations)
    if not records:
        return ok("run", f"new, {settings.iters} iterations", next_iter=1), records
    if done >= settings.iters:
        hint = f"--iters {2 * done} adds iterations; --fresh starts over"
        return warn("run", f"all {done} iterations are done", hint, next_iter=done + 1), records
    found = "; ".join([f"continues at iteration {done + 1} of {settings.iters}", *kept])
    return ok("run", found, next_iter=done + 1), records
