"""Sentences about the state of a run that terminal, service manager and hooks share. Pure."""

from __future__ import annotations

from typing import Literal

from autoresearch.core.text import plural
from autoresearch.core.trajectory import Trajectory

SIGNALS = frozenset({"SIGTERM", "SIGINT", "SIGHUP"})
PauseRequest = Literal["", "after_trial", "now"]


def describe_ending(reason: str) -> str:
    """Why a run ended, in words that can follow "finished:"."""
    if reason in SIGNALS:
        return f"a stop was requested ({reason})"
    return f"ended while {reason}" if reason.startswith("paused") else reason


def describe_drain(stop_reason: str, drain_max_s: float | None) -> str:
    """What happens to a running trial on a stop; ``drain_max_s`` holds for signals only."""
    if drain_max_s is None or stop_reason not in SIGNALS:
        return "is finished first"
    if drain_max_s == 0:
        return "is suspended at its next step; the next start resumes it"
    return f"is suspended if it has not ended in {drain_max_s:g} s; the next start resumes it"


def describe_request(stop_reason: str, pause: PauseRequest, drain_max_s: float | None, *, in_trial: bool) -> str:
    """The stop or pause that is requested and has not taken effect; empty without one. A stop comes before a pause."""
    if stop_reason:
        if not in_trial:
            return f"stopping ({stop_reason})"
        if describe_drain(stop_reason, drain_max_s) == "is finished first":
            return f"stopping after this trial ({stop_reason})"
        return f"stopping ({stop_reason}): this trial {describe_drain(stop_reason, drain_max_s)}"
    if pause:
        when = (
            "" if not in_trial else " after this trial" if pause == "after_trial" else " at the next step of this trial"
        )
        return f"pausing{when} (pause.flag is there)"
    return ""


def describe_suspended(trajectory: Trajectory) -> str:
    """Where the suspended trial of the open iteration resumes; empty without one."""
    if (suspended := trajectory.suspended) is None:
        return ""
    again = "starts over" if suspended.resumes_at is None else f"resumes after step {suspended.resumes_at}"
    return f"its suspended trial {again}"


def describe_change(trajectory: Trajectory) -> str:
    """The change of the open iteration; empty without one."""
    p = trajectory.proposed.proposal if trajectory.proposed else None
    return p.text if p else ""


def describe_continuation(trajectory: Trajectory, iters: int) -> str:
    """What a start continues; empty for a new run."""
    if trajectory.starts < 2:
        return ""
    suspended = describe_suspended(trajectory)
    if trajectory.baseline is None:
        return f"continues: the baseline is not measured yet; {suspended or 'its trial starts over'}"
    closed = f"{len(trajectory.iterations)} of {plural(iters, 'iteration')} closed"
    if not (change := describe_change(trajectory)):
        return f"continues: {closed}; iteration {trajectory.next_iter} is next"
    done = f"{plural(len(trajectory.outcomes), 'trial')} of it measured, " if trajectory.outcomes else ""
    rest = suspended or (f"{done}the next trial starts" if done else "its trial starts over")
    return f"continues: {closed}; iteration {trajectory.next_iter}, {change}, is open: {rest}"
