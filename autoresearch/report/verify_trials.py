"""Whether each trial of a serial run was the one that its rule needed, and the rule needed no other before a verdict.

A verdict that follows from its trials proves little if they were chosen: one seed more, or a stop at a lucky one.
In a parallel run seeds are measured ahead of need, and ``confirmation`` alone says which of them count.
"""

from __future__ import annotations

from autoresearch.core.decision import Needed, next_baseline_trial, next_trial
from autoresearch.core.records import Evaluated, Event, TrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.report.difference import Difference


def check_needed(record: Event, run: Trajectory) -> Difference | None:
    """Whether the trial that begins is the one that the records before it need; ``None`` too for any other record."""
    if not isinstance(record, TrialStarted) or run.parallel or run.meta is None:
        return None
    if run.proposed is None and run.baseline is not None:
        return None  # the vault's
    next_needed = next_trial if run.proposed else next_baseline_trial
    needed = next_needed(run.comparison, run.meta.decision_rule)
    began = Needed(record.seed, of_baseline=record.iter == 0)
    if needed == began:
        return None
    expected = "a verdict, and no further trial" if needed is None else _describe(needed)
    return Difference(run.proposed.iter if run.proposed else 0, f"trial {record.trial}", _describe(began), expected)


def check_enough(record: Evaluated, run: Trajectory) -> Difference | None:
    """Whether the rule could judge without a further trial."""
    if run.parallel or run.meta is None or (more := next_trial(run.comparison, run.meta.decision_rule)) is None:
        return None
    return Difference(record.iter, "trials", list(record.trials), f"no verdict yet: {_describe(more)} is needed")


def _describe(trial: Needed) -> str:
    return f"seed {trial.seed} of the {'baseline' if trial.of_baseline else 'candidate'}"
