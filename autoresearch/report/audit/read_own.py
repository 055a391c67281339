"""Our trajectory and the origin's, as a ``Log``: both compare with a fixed baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from autoresearch.report.audit.log import Entry, Log, bounded
from autoresearch.report.history import History, Row
from autoresearch.report.load import load


def read_own(path: Path) -> Log:
    """The log of a run directory or a trajectory. Raises ``JournalError`` as ``load`` does, and ``CorpusError``."""
    history = load(path)
    baseline = history.baseline_bpbs or _single(history)
    residuals = [r for row in history.rows for r in _residuals(row)]
    df = sum(len(row.paired_bpbs) - 1 for row in history.rows if len(row.paired_bpbs) > 1)
    sd = math.sqrt(math.fsum(r * r for r in residuals) / df) if df else None
    return Log(
        path=str(path),
        format=history.log_format,
        metric=history.words.name,
        direction="higher" if history.words.higher_is_better else "lower",
        loop="fixed",
        baseline=baseline,
        entries=bounded([_entry(row) for row in history.rows], str(path)),
        pair_sd=sd if sd else None,
        pair_df=float(df) if sd else 0.0,
        notes=tuple(history.warnings),
    )


def _single(history: History) -> tuple[float, ...]:
    value = history.baseline.val_bpb if history.baseline else None
    return () if value is None else (value,)


def _entry(row: Row) -> Entry:
    name = f"{row.knob} = {row.new_value}" if row.knob else row.reason or row.stage
    pairs = len(row.paired_bpbs)
    return Entry(
        place=f"iteration {row.iter}",
        name=name,
        value=row.val_bpb,
        kept=row.decision == "keep",
        config=name if row.knob else None,
        gain=_paired_gain(row) if pairs > 1 else row.improvement_frac,
        pairs=max(1, pairs),
    )


def _gains(row: Row) -> list[float]:
    reference = abs(math.fsum(b for b, _ in row.paired_bpbs) / len(row.paired_bpbs))  # of a metric it may be negative
    return [(b - c) / reference for b, c in row.paired_bpbs]


def _paired_gain(row: Row) -> float:
    gains = _gains(row)
    return math.fsum(gains) / len(gains)


def _residuals(row: Row) -> Iterator[float]:
    if len(row.paired_bpbs) > 1:
        gains = _gains(row)
        mean = math.fsum(gains) / len(gains)
        yield from (g - mean for g in gains)
