"""Measure one keep of anyone's log and its baseline again, on fresh seeds, with the trainer of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.values import KnobValue
from autoresearch.daemon.fresh_trials import FreshTrials
from autoresearch.daemon.recheck import FRESH_TRIALS, Kept, Rechecked, measure_all
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import ConfigError

REPEATS = ".repeats"  # of the directory beside a log, whose fresh-trials.jsonl has every measurement


def repeats_dir(log: Path) -> Path:
    """The directory beside a log that holds its repeats."""
    path = log.parent if log.name == "trajectory.jsonl" else log
    path = path.absolute()
    return path.with_name(path.name + REPEATS)


def repeat_change(
    settings: Settings,
    change: Mapping[str, KnobValue],
    claimed_frac: float,
    needed_frac: float,
    seeds: int,
    observer: Observer,
    *,
    make_backend: MakeBackend | None = None,
) -> tuple[Rechecked, bool]:
    """The baseline of the settings and ``change`` of it, each with ``seeds`` fresh seeds; whether it is complete.

    The same call continues an interrupted one. Raises ``ConfigError`` for a knob that the settings do not have.
    """
    with FreshTrials(settings, FRESH_TRIALS, observer, make_backend) as trials:
        policy = trials.policy
        if unknown := sorted(set(change) - set(policy.baseline)):
            known = ", ".join(policy.baseline)
            raise ConfigError(f"--change {unknown[0]}: not a knob of the trainer", hint=f"its knobs are {known}")
        cfg = {**policy.baseline, **change}
        if why := policy.menu.check_config(cfg, policy.steps):
            raise ConfigError(f"--change: {why}", hint="the values must fit the menu of the settings")
        text = ", ".join(f"{name} = {value}" for name, value in change.items())
        result = Rechecked(Kept(0, text, cfg, True, False, None, claimed_frac, 1), needed_frac)
        return result, measure_all(trials, policy.baseline, [result], seeds, observer)
