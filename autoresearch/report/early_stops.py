"""The early stops of a run: how many, what they saved, and what came of those that the audit let run on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import format_duration, format_share
from autoresearch.report.history import Row, total


class EarlyStopNumbers(FrozenModel):
    """The trials that were stopped early, and those that would have been."""

    stopped: int
    mean_fraction: float | None  # of their budgets, that they trained
    saved_train_s: float | None  # that they would have trained for, at their own speed
    saved_frac: float | None  # of the training of the reverts, had none been stopped
    audited: int  # would have been stopped and ran on
    audited_past_screen: int  # of these, reached a second seed: their screen had not sent them away
    audited_keeps: int  # of these, became keeps: they would have been lost


def early_stop_numbers(rows: Sequence[Row]) -> EarlyStopNumbers | None:
    """The numbers of a run; ``None`` where no trial was stopped and none would have been."""
    stops = [(row, row.stopped) for row in rows if row.stopped]
    audited = [row for row in rows if row.would_stop]
    if not stops and not audited:
        return None
    saved = total(*(r.train_s * (1 / at.fraction - 1) for r, at in stops if r.train_s is not None and at.fraction > 0))
    trained = total(*(row.train_s for row in rows if row.decision == "revert"))
    return EarlyStopNumbers(
        stopped=len(stops),
        mean_fraction=fmean(at.fraction for _, at in stops) if stops else None,
        saved_train_s=saved,
        saved_frac=saved / (trained + saved) if saved and trained else None,
        audited=len(audited),
        audited_past_screen=sum(row.trials > 1 for row in audited),
        audited_keeps=sum(row.decision == "keep" for row in audited),
    )


def describe_early_stops(s: EarlyStopNumbers) -> str:
    """``7 trials stopped early, at 41% of their budget on average: 3 min of training saved, ...``."""
    text = f"{plural(s.stopped, 'trial')} stopped early"
    if s.mean_fraction is not None:
        text += f", at {format_share(s.mean_fraction)} of their budget on average"
    if s.saved_train_s is not None:
        of = f" ({format_share(s.saved_frac)} of that of the reverts)" if s.saved_frac is not None else ""
        text += f": {format_duration(s.saved_train_s)} of training saved{of}"
    return f"{text}; {_describe_audit(s)}"


def _describe_audit(s: EarlyStopNumbers) -> str:
    if not s.audited:
        return "none ran on for the audit"
    kept = plural(s.audited_keeps, "keep") if s.audited_keeps else "none a keep"
    return f"{s.audited} more ran on for the audit, {kept}"
