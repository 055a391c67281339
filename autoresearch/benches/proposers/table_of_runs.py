"""A table made of past nights with one yardstick: what their trials measured, by configuration and seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from autoresearch import __version__
from autoresearch.benches.proposers.table_file import TableFile, TableRow, canonical_cfg
from autoresearch.core.measurement import RETRYABLE, Failure, Measurement
from autoresearch.core.records import Event, Meta, TrialEnded, TrialStarted
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon.policy import refuse_differences
from autoresearch.errors import CorpusError, YardstickMismatch
from autoresearch.machine import utc
from autoresearch.report.load import load_records
from rails.menu import parse_menu


def table_of_runs(paths: Sequence[Path]) -> TableFile:
    """The trials of these runs, with the menu and the baseline of the first.

    Trials that are not rows are counted by reason in ``skipped``. Raises ``YardstickMismatch`` for runs of different
    yardsticks, and ``CorpusError`` where there is no trial.
    """
    runs = [(path, list(load_records(path))) for path in paths]
    metas = [_meta(path, records) for path, records in runs]
    first = metas[0]
    for path, meta in zip(paths[1:], metas[1:], strict=True):
        _check_yardstick(paths[0], first, path, meta)
    menu = parse_menu(first.menu)
    rows: list[TableRow] = []
    seen: set[tuple[str, int]] = set()
    skipped: Counter[str] = Counter()
    for _, records in runs:
        for cfg, ended in _trials(records):
            row = _row(cfg, ended)
            if isinstance(row, str):
                skipped[row] += 1
                continue
            try:
                canonical = canonical_cfg(menu, cfg, first.baseline_cfg, "cfg")
            except ValueError:
                skipped["trials of a configuration that the first run's menu does not allow"] += 1
                continue
            if (key := (sha256_of(canonical), ended.seed)) in seen:
                skipped["trials of a configuration and seed that an earlier trial measured"] += 1
                continue
            seen.add(key)
            rows.append(row)
    if not rows:
        raise CorpusError(f"{paths[0]}: no trial was measured", hint="name runs that have measured candidates")
    return TableFile(
        ts=utc(),
        autoresearch_version=__version__,
        profile=first.profile,
        yardstick=first.yardstick,
        yardstick_sha256=first.yardstick_sha256,
        menu=first.menu,
        menu_sha256=menu.sha256,
        baseline_cfg=first.baseline_cfg,
        vocab=first.vocab,
        planned=len(rows),
        source=tuple(meta.run_id for meta in metas),
        skipped=dict(skipped.most_common()),
        rows=tuple(rows),
    )


def _meta(path: Path, records: Sequence[Event]) -> Meta:
    meta = next((r for r in records if isinstance(r, Meta)), None)
    if meta is None:
        raise CorpusError(f"{path} has no meta record", hint="name a run that has started")
    return meta


def _check_yardstick(first: Path, one: Meta, path: Path, other: Meta) -> None:
    try:
        refuse_differences(one.yardstick.model_dump(mode="json"), other.yardstick.model_dump(mode="json"))
    except YardstickMismatch as e:
        text = e.what.partition(": ")[2].replace(" then,", f" in {first},").replace(" now", f" in {path}")
        raise YardstickMismatch(
            f"the runs were measured by different yardsticks: {text}", hint="give runs of one yardstick"
        ) from e


def _trials(records: Sequence[Event]) -> Iterator[tuple[Cfg, TrialEnded]]:
    """Every trial that ended, with its configuration."""
    running: dict[int, Cfg] = {}
    for record in records:
        if isinstance(record, TrialStarted):
            running[record.trial] = record.cfg
        elif isinstance(record, TrialEnded) and record.trial in running:
            yield running[record.trial], record


def _row(cfg: Cfg, ended: TrialEnded) -> TableRow | str:
    """The row of a trial, or why it is none."""
    match ended.outcome:
        case _ if ended.void:
            return "trials that were void"
        case Measurement(val_bpb=None):
            return "trials whose metric is not val_bpb"
        case Measurement() as m:
            return TableRow(
                cfg=cfg,
                seed=ended.seed,
                val_bpb=m.val_bpb,
                trial_wall_s=m.trial_wall_s,
                steps=m.train_steps,
                tokens=m.train_tokens,
                flops=m.train_flops,
                peak_bytes=m.peak_bytes,
                curve=m.train_loss_curve,
            )
        case Failure() as f if f.cause in RETRYABLE:
            return "trials that failed by chance"
        case Failure() as f:
            return TableRow(
                cfg=cfg,
                seed=ended.seed,
                val_bpb=None,
                cause=f.cause.value,
                detail=f.detail,
                trial_wall_s=f.trial_wall_s,
                peak_bytes=f.peak_bytes,
            )
        case _:
            return "trials that were stopped early"
