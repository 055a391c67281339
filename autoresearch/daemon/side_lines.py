"""What the terminal prints of side trials."""

from __future__ import annotations

from autoresearch.core.measurement import Failure, Measurement
from autoresearch.core.records import SideTrial, SideTrialStarted
from autoresearch.core.text import escape_control
from autoresearch.report.format import format_bpb


def side_subject(trial: SideTrial | SideTrialStarted) -> str:
    """What is trained: the first baseline of the climb, the baseline, or a keep."""
    if trial.iter is None:
        return "first baseline"
    return f"keep of iteration {trial.iter}" if trial.iter else "baseline"


def side_trial_line(trial: SideTrial) -> str:
    """One line of a side trial that ended."""
    subject = f"{side_subject(trial)}, seed {trial.seed}"
    match trial.outcome:
        case Measurement():
            result = format_bpb(trial.outcome.value)
        case Failure():
            result = f"failed: {escape_control(trial.outcome.detail)}"
        case _:
            result = "stopped early"
    return f"{trial.purpose:>8}  {subject:<36} {result}"
