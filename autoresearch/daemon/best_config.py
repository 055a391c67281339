"""best_config.toml: a run's winner as settings, with its provenance, for the next run's ``--baseline``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.config.resolve import read_toml
from autoresearch.config.settings import Settings
from autoresearch.core.climb_record import Climb
from autoresearch.core.records import Evaluated, Meta, Yardstick
from autoresearch.core.toml import toml_key, toml_value
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon.policy import Policy, refuse_differences
from autoresearch.daemon.run_reader import view_run
from autoresearch.errors import ConfigError
from autoresearch.storage.files import atomic_write
from autoresearch.storage.run_dir import BEST_CONFIG, TRAJECTORY
from rails import STRUCTURAL_KNOBS

HEAD = "# The winner of a run of autoresearch, for `autoresearch run --baseline FILE`. Change nothing under [climb].\n"
OTHER_YARDSTICK = "the climb was begun with another yardstick, so that its gains cannot be compared"


def build_best_config(run: Trajectory) -> str | None:
    """The text of best_config.toml; ``None`` of a run that kept nothing."""
    if run.meta is None or (winner := run.winner) is None:
        return None
    yardstick = run.meta.yardstick
    tables: dict[str, Mapping[str, Any]] = {}
    if yardstick.budget_kind == "flops" and yardstick.budget_flops is not None:  # those of steps of the first baseline
        tables["budget"] = {"kind": "flops", "size": yardstick.budget_size, "flops": yardstick.budget_flops}
    tables |= {"baseline": winner.candidate_cfg, "climb": _climb_table(run.meta, winner)}
    first = run.meta.climb.first_baseline_cfg if run.meta.climb else run.meta.baseline_cfg
    tables["climb.first_baseline"] = first
    return HEAD + f"profile = {toml_value(run.meta.profile)}\n" + "".join(map(_table, tables.items()))


def _climb_table(meta: Meta, winner: Evaluated) -> dict[str, Any]:
    evidence = winner.evidence
    earlier = meta.climb.run_ids if meta.climb else ()
    table = {
        "run_ids": [*earlier, meta.run_id],
        "iter": winner.iter,
        "gain_frac": winner.improvement_frac,
        "low_frac": evidence.low_frac if evidence else None,
        "high_frac": evidence.high_frac if evidence else None,
        "seeds": list(evidence.seeds) if evidence else [meta.decision_rule.seed],
        "baseline_sha256": sha256_of(winner.candidate_cfg),
        "yardstick_sha256": meta.yardstick_sha256,
        "yardstick": json.dumps(meta.yardstick.model_dump(mode="json"), sort_keys=True),
    }
    return {name: value for name, value in table.items() if value is not None}


def _table(named: tuple[str, Mapping[str, Any]]) -> str:
    name, values = named
    lines = (f"{toml_key(key)} = {_value(value)}\n" for key, value in values.items())
    return f"\n[{name}]\n" + "".join(lines)


def _value(value: Any) -> str:
    return f"[{', '.join(map(toml_value, value))}]" if isinstance(value, list) else toml_value(value)


def write_best_config(run_dir: Path, run: Trajectory, notify: Callable[[str], None]) -> Path | None:
    """Write best_config.toml atomically; a link in its place is replaced, not followed. A failure is reported.

    Returns its path; ``None`` where nothing was kept or it could not be written.
    """
    path = run_dir / BEST_CONFIG
    try:
        if (text := build_best_config(run)) is None:
            path.unlink(missing_ok=True)  # of a keep that lost its race against the baseline
            return None
        atomic_write(path, text.encode())
    except OSError as e:
        notify(f"{path} was not written: {e.strerror}; `autoresearch crown {run_dir}` writes it")
        return None
    return path


def read_baseline(path: Path) -> dict[str, Any]:
    """The settings of ``--baseline RUN|FILE``: the winner of a run, read from its records, or a TOML file.

    Raises ``ConfigError`` for a run without a keep, and for a file that has no baseline or other settings beside it.
    """
    if path.is_dir() or path.name == TRAJECTORY:
        return _winner_of(path)
    settings = read_toml(path)
    if not isinstance(settings.get("baseline"), dict) or not settings["baseline"]:
        hint = f"name a run directory, or the {BEST_CONFIG} of a run"
        raise ConfigError(f"--baseline {path}: it has no table [baseline]", hint=hint)
    if other := sorted(set(settings) - {"profile", "budget", "baseline", "climb"}):
        hint = "give settings that are not the baseline with --config FILE"
        raise ConfigError(f"--baseline {path}: {other[0]} is not part of a baseline", hint=hint)
    return settings


def _winner_of(path: Path) -> dict[str, Any]:
    return tomllib.loads(text_of(path, read_run(path)))


def text_of(path: Path, run: Trajectory) -> str:
    """The text of best_config.toml of the run at ``path``. Raises ``ConfigError`` where nothing was kept."""
    if (text := build_best_config(run)) is None:
        hint = "continue that run, or name another one; a baseline without a winner is the one that the run had"
        raise ConfigError(f"{path}: that run kept nothing, so it has no winner", hint=hint)
    return text


def read_run(path: Path) -> Trajectory:
    """The run at ``path``, a directory or its trajectory. Raises ``ConfigError`` where no run has started there."""
    file = path / TRAJECTORY if path.is_dir() else path
    if not file.exists():
        hint = f"name a run directory, or the {BEST_CONFIG} of a run"
        raise ConfigError(f"{path}: there is no {TRAJECTORY}, so no run has started there", hint=hint)
    return view_run(file)[0]


def climb_of(settings: Settings, policy: Policy, yardstick: Yardstick) -> Climb | None:
    """What the first record of a new run has of the runs before it; ``None`` where ``[climb]`` is empty.

    Raises ``ConfigError`` for a baseline that is not the winner, and for a damaged section; ``YardstickMismatch``
    naming every field of the yardstick that differs.
    """
    given = settings.climb
    if not given.run_ids:
        return None
    missing = [name for name in ("iter", "gain_frac", "baseline_sha256", "yardstick") if getattr(given, name) is None]
    if missing or not given.first_baseline:
        name = missing[0] if missing else "first_baseline"
        raise ConfigError(f"climb.{name} is missing", hint=f"take {BEST_CONFIG} as the earlier run wrote it")
    _refuse_another_baseline(settings, policy.baseline)
    try:
        then = Yardstick.model_validate_json(given.yardstick or "")
    except ValueError as e:
        hint = f"take {BEST_CONFIG} as the earlier run wrote it"
        raise ConfigError("climb.yardstick is not a yardstick of this version", hint=hint) from e
    if sha256_of(then) != given.yardstick_sha256:
        hint = f"take {BEST_CONFIG} as the earlier run wrote it"
        raise ConfigError("climb.yardstick does not have the hash climb.yardstick_sha256", hint=hint)
    refuse_differences(
        then.model_dump(mode="json"),
        yardstick.model_dump(mode="json"),
        what=OTHER_YARDSTICK,
        hint="give the settings of the earlier run; for a new yardstick start without --baseline, with the winner's "
        "values as --set baseline.NAME=VALUE",
    )
    return Climb(
        run_ids=given.run_ids,
        iter=given.iter or 0,
        gain_frac=given.gain_frac or 0.0,
        low_frac=given.low_frac,
        high_frac=given.high_frac,
        seeds=given.seeds,
        first_baseline_cfg=_typed(given.first_baseline, policy.baseline),
    )


def _refuse_another_baseline(settings: Settings, baseline: Cfg) -> None:
    """Raise ``ConfigError`` for values that are not the winner's; of a knob added to the menu it had none."""
    if sha256_of({n: v for n, v in baseline.items() if n in settings.baseline}) != settings.climb.baseline_sha256:
        hint = "give no baseline.NAME beside --baseline; or, to start from other values, leave --baseline out"
        raise ConfigError("the baseline is not the winner of the run that [climb] names", hint=hint)


def _typed(first: Mapping[str, Any], baseline: Cfg) -> Cfg:
    """The first baseline with the types of this one, and with a knob that has come onto the menu since.

    TOML may have 1 for a float. A structural knob that was not on the menu then had the origin's value, and another
    one the value that this baseline starts with.
    """
    added = {
        n: STRUCTURAL_KNOBS[n].origin if n in STRUCTURAL_KNOBS else v for n, v in baseline.items() if n not in first
    }
    typed = {n: float(v) if isinstance(baseline.get(n), float) and isinstance(v, int) else v for n, v in first.items()}
    return {**typed, **added}


def refuse_own_directory(path: Path, run_dir: Path) -> None:
    """Raise ``ConfigError`` where ``--baseline`` names the directory in which the new run would be."""
    named: Sequence[Path] = (path, path.parent) if path.name in (TRAJECTORY, BEST_CONFIG) else (path,)
    if run_dir.exists() and any(p.exists() and p.samefile(run_dir) for p in named):
        hint = f"choose another directory for the next run, for example --dir {run_dir}-2"
        raise ConfigError(f"--baseline {path} and --dir {run_dir} are the same run", hint=hint)
