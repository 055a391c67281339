"""Noise and loss curves of earlier runs on one yardstick: read once, when a run begins, kept in its first record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.decision import noise_of_earlier
from autoresearch.core.earlier_curve import EarlierCurve, newest
from autoresearch.core.records import EarlierRun, Event, Meta, Yardstick, decode
from autoresearch.core.text import plural
from autoresearch.core.trajectory import Totals, measurements
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import build_early_stop
from autoresearch.errors import AutoresearchError, ConfigError
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import ARCHIVE, TRAJECTORY
from autoresearch.verdicts.noise import noise_of_run

MAX_RUNS = 20  # the newest of an archive


def read_earlier_runs(
    settings: Settings, yardstick: Yardstick, baseline: Cfg, notify: Callable[[str], None]
) -> tuple[EarlierRun, ...]:
    """What ``decision.earlier_runs`` say of the noise on this yardstick; a run that is named twice counts once.

    Their loss curves are kept of those with the same ``baseline``, where trials may be stopped early.

    An archived run that cannot be read is left out with a message. Raises ``ConfigError`` for one that was named.
    """
    wanted = settings.decision.earlier_runs
    if settings.decision.rule == "threshold" or wanted == "off":
        return ()
    found: dict[str, EarlierRun] = {}
    for file in _archived(settings.run_dir) if wanted == "auto" else map(_trajectory, wanted):
        try:
            run = read_run_noise(file, yardstick, baseline)
        except AutoresearchError as e:
            if wanted != "auto":
                hint = "name run directories or trajectories of this version in decision.earlier_runs, or leave it out"
                raise ConfigError(f"decision.earlier_runs: {e.what}", hint=hint) from e
            notify(f"the noise of {file} is not used: {e.what}")
            continue
        if run is not None:
            found.setdefault(run.run_id, run)
        elif wanted != "auto":
            notify(f"the noise of {file} is not used: it has another yardstick, or repeated no trial")
    runs = _bound_curves(found.values(), build_early_stop(settings) is not None)
    if runs:
        df, curves = noise_of_earlier(runs).df, sum(len(run.curves) for run in runs)
        learned = f", and {plural(curves, 'loss curve')} for early stopping" if curves else ""
        notify(
            f"{plural(len(runs), 'earlier run')} on this yardstick: {df:g} degrees of freedom for the noise{learned}"
        )
    return runs


def _bound_curves(runs: Iterable[EarlierRun], wanted: bool) -> tuple[EarlierRun, ...]:
    """The runs, newest first, with no more curves than the first record should hold; with none if not ``wanted``."""
    found = list(runs)
    kept = newest([run.curves if wanted else () for run in found])
    return tuple(run.model_copy(update={"curves": curves}) for run, curves in zip(found, kept, strict=True))


def read_run_noise(file: Path, yardstick: Yardstick, baseline: Cfg) -> EarlierRun | None:
    """What the run of a trajectory says of the noise; ``None`` with another yardstick or without any repeat.

    Its curves are compared with its own baseline's: with another ``baseline`` they are left out.

    Raises ``JournalError`` or ``JournalDamaged``.
    """
    payloads = read(file).payloads
    if not payloads:
        return None
    meta = decode(payloads[0])
    if not isinstance(meta, Meta) or meta.yardstick != yardstick:
        return None
    run = Totals.fold(map(_without_inherited, decode_trajectory(payloads, file)))
    noise = noise_of_run([m.loss for m in measurements(run.baseline_outcomes)], run.earlier_gains)
    if not noise.df:
        return None
    return EarlierRun(
        run_id=meta.run_id,
        gains_sd_frac=noise.gains.sd_frac,
        gains_df=noise.gains.df,
        trials_sd_frac=noise.trials.sd_frac,
        trials_df=noise.trials.df,
        curves=tuple(map(EarlierCurve.of, run.curves)) if meta.baseline_cfg == baseline else (),
    )


def _without_inherited(record: Event) -> Event:
    """A record without what its run took over from runs before it: those are read themselves."""
    return record.model_copy(update={"earlier_runs": ()}) if isinstance(record, Meta) else record


def _archived(run_dir: Path) -> Iterator[Path]:
    """The trajectories that ``--fresh`` moved away, the newest first; their folders are named by time."""
    return islice(iter(sorted((run_dir / ARCHIVE).glob(f"*/{TRAJECTORY}"), reverse=True)), MAX_RUNS)


def _trajectory(path: Path) -> Path:
    if not path.exists():
        raise ConfigError(
            f"decision.earlier_runs: {path} does not exist",
            hint="name a run directory or a trajectory, or leave it out",
        )
    return path / TRAJECTORY if path.is_dir() else path
