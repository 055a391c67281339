"""The record of a race between a run's best keeps and its baseline."""

from __future__ import annotations

from typing import Literal

from autoresearch.core.record_bases import Event
from autoresearch.core.values import FrozenModel


class Eliminated(FrozenModel):
    """An arm that left the race."""

    iter: int  # 0: the baseline
    after_seeds: int
    by: int | None  # the arm that is better; null where a trial failed


class Race(Event):
    """The race is over. It follows from the ``side_trial`` records of purpose ``race``; no verdict's alpha is spent.

    ``gain_frac`` is the gain of the winner over the baseline, paired, over the seeds that both ran: that of the
    best of several arms.
    """

    stage: Literal["race"] = "race"
    arms: tuple[int, ...]  # iterations of the keeps; 0, the baseline, is the first
    seeds: tuple[int, ...]
    left: tuple[int, ...]  # with the stated confidence the best is among them
    eliminated: tuple[Eliminated, ...]
    alpha: float
    winner: int | None  # the iteration; null: the baseline alone was left, or nothing
    gain_frac: float | None
    low_frac: float | None  # 95% interval, by Student's t
    high_frac: float | None
