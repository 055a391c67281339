"""What ``autoresearch bench stop --curves`` reads: CSV files, tables, and run directories with runs or null trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch.errors import CorpusError

if TYPE_CHECKING:
    from autoresearch.verdicts.early_stop_replay import FullTrial

MAX_BYTES = 256 << 20


def read_sources(paths: Sequence[Path], baseline: str | None) -> tuple[list[FullTrial], str]:
    """The trials of all paths in their order, and the name of the baseline. Raises ``CorpusError``.

    Curves of run directories and tables must be of one yardstick and one baseline; what a CSV file is of is not known.
    """
    trials: list[FullTrial] = []
    names: list[str] = []
    conditions: dict[str, Path] = {}
    for path in paths:
        if path.is_dir() or path.suffix == ".json":
            found, of = _read_run(path) if path.is_dir() else _read_table(path)
            names.append("the baseline")
            for one in of:
                conditions.setdefault(one, path)
        else:
            found, name = _read_csv(path, baseline)
            names.append(name)
        trials += found
    if len(conditions) > 1:
        first, other, *_ = conditions.values()
        what = f"the trials of {first} and {other} differ in more than their candidates: yardstick or baseline"
        raise CorpusError(what, hint="give directories of one profile on one corpus and one machine")
    return trials, ", ".join(dict.fromkeys(names))


def _read_csv(path: Path, baseline: str | None) -> tuple[list[FullTrial], str]:
    from autoresearch.verdicts.curves_csv import read_trials

    return read_trials(_text(path), str(path), baseline)


def _read_run(path: Path) -> tuple[list[FullTrial], set[str]]:
    """The trials of a run directory, and hashes of what their curves depend on beside the candidates."""
    from autoresearch.core.records import Meta
    from autoresearch.core.values import sha256_of
    from autoresearch.daemon.fresh_trials import decode_fresh_trials
    from autoresearch.daemon.null_trials import NULL_TRIALS
    from autoresearch.report.full_trials import null_trials, trials_of_run
    from autoresearch.report.load import load_records
    from autoresearch.storage.journal import read
    from autoresearch.storage.run_dir import TRAJECTORY

    trials: list[FullTrial] = []
    conditions: set[str] = set()
    if (path / TRAJECTORY).exists():
        records = load_records(path)
        trials += trials_of_run(records)
        metas = [r for r in records if isinstance(r, Meta)]
        conditions |= {
            sha256_of({"yardstick": m.yardstick.model_dump(mode="json"), "cfg": m.baseline_cfg}) for m in metas
        }
    if (path / NULL_TRIALS).exists():
        nulls = decode_fresh_trials(path / NULL_TRIALS, read(path / NULL_TRIALS).payloads)
        known = [n for n in nulls if n.train_loss_curve]
        latest = known[-1].conditions_sha256 if known else ""
        same = [n for n in known if n.conditions_sha256 == latest]
        curves = [(n.seed, n.train_loss_curve or (), n.loss) for n in same]
        trials += null_trials(curves, same[-1].warmup_frac if same else 0.0)
        conditions |= {latest} if same else set()
    if not trials:
        hint = "name the directory of a run that has measured candidates, or of `autoresearch bench aa --trials`"
        raise CorpusError(f"{path} has no full loss curve of a candidate or a null trial", hint=hint)
    return trials, conditions


def _read_table(path: Path) -> tuple[list[FullTrial], set[str]]:
    """The trials of a table of `autoresearch bench table`, each against the baseline with the same seed."""
    from autoresearch.benches.proposers.table_file import read_table
    from autoresearch.core.values import sha256_of
    from autoresearch.report.full_trials import change_trial

    table = read_table(path)
    known = [row for row in table.rows if row.val_bpb is not None and row.curve]
    baselines = {row.seed: row for row in known if row.cfg == table.baseline_cfg}
    trials = []
    for row in known:
        changed = [knob for knob, value in row.cfg.items() if value != table.baseline_cfg[knob]]
        baseline = baselines.get(row.seed)
        if len(changed) == 1 and baseline and row.curve and baseline.curve and row.val_bpb and baseline.val_bpb:
            own, reference = (row.curve, row.val_bpb), (baseline.curve, baseline.val_bpb)
            warmup = float(row.cfg["lr_warmup"]) / row.steps if row.steps and "lr_warmup" in row.cfg else 0.0
            trials.append(change_trial(changed[0], row.cfg, row.seed, own, reference, table.baseline_cfg, warmup))
    if not trials:
        hint = "measure it again with this version: `autoresearch bench table`"
        raise CorpusError(f"{path} has no full loss curve of a changed configuration", hint=hint)
    return trials, {sha256_of({"yardstick": table.yardstick.model_dump(mode="json"), "cfg": table.baseline_cfg})}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise CorpusError(f"{path} is larger than {MAX_BYTES >> 20} MiB", hint="give fewer points per curve")
        return data.decode()
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint="name a CSV file or a run directory") from e
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path} is not UTF-8 text (byte {e.start})", hint="name a CSV file") from e
