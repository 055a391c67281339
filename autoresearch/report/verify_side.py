"""Whether a side trial trained what it says: the configuration of its keep, of the baseline, or of the first one."""

from __future__ import annotations

from autoresearch.core.race import build_race
from autoresearch.core.records import Race, SideTrial, SideTrialStarted, SideTrialSuspended
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
    if isinstance(record, SideTrial | SideTrialSuspended) and run.side_running is not None:
        for name in FIELDS:
            if (recorded := getattr(record, name)) != (begun := getattr(run.side_running, name)):
                return Difference(record.iter or 0, f"{record.stage}.{name}", recorded, begun)
    return None


def check_race(record: Race, run: Trajectory) -> Difference | None:
    """The first field of a race that its trials do not give."""
    if not run.finalists:
        return Difference(0, "race.arms", record.arms, "no keep")
    found = build_race(run, record.ts)
    for name in type(record).model_fields:
        if (recorded := getattr(record, name)) != (recomputed := getattr(found, name)):
            return Difference(record.winner or 0, f"race.{name}", recorded, recomputed)
    return None


def _cfg_of(record: SideTrialStarted, run: Trajectory) -> Cfg | None:
    if run.meta is None:
        return None
    if record.iter is None:
        return run.meta.climb.first_baseline_cfg if run.meta.climb else None
    if record.iter == 0:
        return run.meta.baseline_cfg
    return next((keep.candidate_cfg for keep in run.finalists if keep.iter == record.iter), None)
