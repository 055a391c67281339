"""A climb: runs of which each takes the winner of the one before as its baseline."""

from __future__ import annotations

from autoresearch.core.values import Cfg, FrozenModel


class Climb(FrozenModel):
    """What a run's first record has of the runs before it."""

    run_ids: tuple[str, ...]  # the first one first; never empty
    iter: int  # of the last of them: the keep that is this run's baseline
    gain_frac: float  # of that keep, as its run measured it against its own baseline
    low_frac: float | None
    high_frac: float | None
    seeds: tuple[int, ...]
    first_baseline_cfg: Cfg  # of the first of them

    @property
    def generation(self) -> int:
        """The place of this run in the climb, from 1."""
        return len(self.run_ids) + 1
