"""A run as one study in an Optuna journal file, written by Optuna itself: a trial per candidate, the baseline first."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.core.records import Event
from autoresearch.core.values import KnobValue
from autoresearch.errors import JournalError, missing_extra
from autoresearch.report.trial_export.candidates import ClosedCandidate, Space, State, closed_candidates, split_meta
from autoresearch.report.trial_export.times import parse_ts

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

STATES: Mapping[State, str] = {"measured": "COMPLETE", "failed": "FAIL", "stopped early": "PRUNED"}


def write_optuna(records: Iterable[Event], path: Path) -> Counter[State]:
    """Write the study to the new file ``path``; returns how many trials of each kind it has, the baseline's included.

    Raises ``JournalError`` where no trial is closed yet, ``MissingPackage`` without Optuna, and ``OSError``.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as e:
        raise missing_extra("export optuna", "optuna", "tpe", instead="autoresearch export csv") from e
    meta, events = split_meta(records)
    space, states = Space(meta), Counter[State]()
    study = _new_study(space, path)
    for candidate in closed_candidates(events):
        study.add_trial(_as_trial(candidate, space))
        states[candidate.state] += 1
    if not states:
        hint = "wait until the baseline is measured; `autoresearch status` shows it"
        raise JournalError("the run has no measurement yet that can be exported", hint=hint)
    return states


def other_studies(records: Iterable[Event], path: Path) -> list[str]:
    """The studies in an existing journal beside that of this run; none where it is not a journal of Optuna.

    Raises ``JournalDamaged`` for a run without ``meta``, and ``MissingPackage`` without Optuna.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as e:
        raise missing_extra("export optuna", "optuna", "tpe", instead="autoresearch export csv") from e
    meta, _ = split_meta(records)
    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    except Exception:  # Optuna raises whatever a foreign line makes of it
        return []
    return [name for name in names if name != meta.run_id]


def _new_study(space: Space, path: Path) -> Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend
    from optuna.study import StudyDirection

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    direction = StudyDirection.MAXIMIZE if space.higher_is_better else StudyDirection.MINIMIZE
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name=space.meta.run_id, direction=direction)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([space.metric_name])
    for name, value in space.facts.items():
        study.set_user_attr(name, value)
    return study


def _as_trial(candidate: ClosedCandidate, space: Space) -> FrozenTrial:
    """The trial; its parameters are the knobs of the menu, and the rest of the configuration is the study's."""
    from optuna.trial import TrialState, create_trial

    params: dict[str, Any] = {name: candidate.cfg[name] for name in space.knobs if name in candidate.cfg}
    baseline = space.meta.baseline_cfg
    distributions = {
        name: distribution(space.knobs[name], (value, baseline.get(name, value))) for name, value in params.items()
    }
    trial = create_trial(
        state=TrialState[STATES[candidate.state]],
        value=candidate.value,
        params=params,
        distributions=distributions,
        user_attrs=dict(candidate.facts),
    )
    trial.datetime_start, trial.datetime_complete = _local(candidate.started), _local(candidate.ended)
    return trial


def distribution(entry: Mapping[str, Any], values: Iterable[KnobValue]) -> BaseDistribution:
    """An entry of the menu, extended to ``values``: a baseline may be outside of the menu."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = list(values)
    if "choices" in entry:
        return CategoricalDistribution(list(dict.fromkeys([*entry["choices"], *values[1:]])))
    low, high = min([entry["low"], *values]), max([entry["high"], *values])
    log = bool(entry.get("log", False)) and low > 0
    if entry["type"] == "int":
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _local(ts: str) -> datetime:
    """Optuna's times are local and without a zone."""
    return parse_ts(ts).astimezone().replace(tzinfo=None)
