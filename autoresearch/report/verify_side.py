"""Whether a side trial trained what it says: the configuration of its keep, of the baseline, or of the first one."""

from __future__ import annotations

from autoresearch.core.records import SideTrial, SideTrialStarted
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.report.difference import Difference

FIELDS = ("purpose", "iter", "seed")


def check_side_trial(record: object, run: Trajectory) -> Difference | None:
    """The first field of a side trial that does not follow from the records before it."""
    if isinstance(record, SideTrialStarted):
        expected = _cfg_of(record, run)
        if expected is None:
            return Difference(record.iter or 0, "side_trial_started.iter", record.iter, "no such keep")
        if expected != record.cfg:
            return Difference(record.iter or 0, "side_trial_started.cfg", record.cfg, expected)
    if isinstance(record, SideTrial) and run.side_running is not None:
        for name in FIELDS:
            if (recorded := getattr(record, name)) != (begun := getattr(run.side_running, name)):
                return Difference(record.iter or 0, f"side_trial.{name}", recorded, begun)
    return None


def _cfg_of(record: SideTrialStarted, run: Trajectory) -> Cfg | None:
    if run.meta is None:
        return None
    if record.iter is None:
        return run.meta.climb.first_baseline_cfg if run.meta.climb else None
    if record.iter == 0:
        return run.meta.baseline_cfg
    return next((keep.candidate_cfg for keep in run.finalists if keep.iter == record.iter), None)
