"""An Optuna journal file as a ``Log``, read by Optuna itself: a keep is a value better than all before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autoresearch.errors import CorpusError, missing_extra
from autoresearch.report.audit.log import Direction, Entry, Log, best_so_far, bounded, finite

if TYPE_CHECKING:
    from optuna import Study


def read_optuna(path: Path, study_name: str | None = None) -> Log:
    """The trials of a study, which must have one objective. Raises ``CorpusError``, and ``MissingPackage``."""
    study = _study(path, study_name)
    if len(study.directions) != 1:
        what = f"{path}: study {study.study_name} has {len(study.directions)} objectives"
        raise CorpusError(what, hint="a study with one objective can be audited")
    direction: Direction = "lower" if study.direction.name == "MINIMIZE" else "higher"
    trials = study.get_trials(deepcopy=False)
    values = [finite(t.value) if t.state.name == "COMPLETE" else None for t in trials]
    entries = []
    for trial, value, better in zip(trials, values, best_so_far(values, direction), strict=True):
        config = json.dumps(trial.params, sort_keys=True, default=str)
        name = ", ".join(f"{k} = {v}" for k, v in list(trial.params.items())[:4])
        entries.append(Entry(f"trial {trial.number}", name, value, better, config))
    first = next((n for n, v in enumerate(values) if v is not None), None)
    if first is None:
        raise CorpusError(f"{path}: study {study.study_name} has no complete trial", hint="name a longer study")
    value = values[first]
    baseline = () if value is None else (value,)
    rest = bounded(entries[first + 1 :], str(path))
    first_config = entries[first].config
    return Log(
        str(path), "optuna", study.study_name, direction, "ratchet", baseline, rest, baseline_config=first_config
    )


def _study(path: Path, name: str | None) -> Study:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as e:
        raise missing_extra("reading an Optuna journal", "optuna", "tpe") from e
    if not path.is_file():  # Optuna would create it
        raise CorpusError(f"{path} is not a file", hint="name a journal of Optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage: Any = JournalStorage(JournalFileBackend(str(path)))
        names = [s.study_name for s in optuna.get_all_study_summaries(storage)]
        if name is None and len(names) != 1:
            what = f"{path} has {len(names)} studies" + (f": {', '.join(names[:10])}" if names else "")
            raise CorpusError(what, hint="--study NAME" if names else "name a journal of Optuna")
        return optuna.load_study(study_name=name or names[0], storage=storage)
    except CorpusError:
        raise
    except Exception as e:  # Optuna raises whatever a damaged line makes of it
        raise CorpusError(f"{path} is not an Optuna journal: {e}", hint="see --format") from e
