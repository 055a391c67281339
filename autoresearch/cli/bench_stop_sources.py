"""What ``autoresearch bench stop --curves`` reads: CSV files, and run directories with trajectories or null trials."""

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

    Curves of run directories must be of one yardstick and one baseline; what a CSV file is of is not known.
    """
    trials: list[FullTrial] = []
    names: list[str] = []
    conditions: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            found, of = _read_run(path)
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

    return read_trials(_lines(path), str(path), baseline)


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


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise CorpusError(f"{path} is larger than {MAX_BYTES >> 20} MiB", hint="give fewer points per curve")
        return data.decode("utf-8-sig").splitlines()
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint="name a CSV file or a run directory") from e
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path} is not UTF-8 text (byte {e.start})", hint="name a CSV file") from e
