"""One row per trial of a run, in the order of the trials. What was not measured is ``None``, never 0. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from autoresearch.core.measurement import Failure, Measurement
from autoresearch.core.power import scope_of
from autoresearch.core.records import (
    Baseline,
    CandidateTried,
    Evaluated,
    Event,
    Proposed,
    Started,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
    Unsealed,
)
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.core.values import Cfg
from autoresearch.errors import JournalDamaged
from autoresearch.report.history import encodable
from autoresearch.report.trial_export.candidates import split_meta
from autoresearch.report.trial_export.knob_columns import PREFIX, Kind, as_kind, knob_columns

Cell = int | float | str | None

# docs/exports.md explains each.
COLUMNS: Mapping[str, Kind] = {
    "iter": "int",
    "trial": "int",
    "seed": "int",
    "role": "text",
    "outcome": "text",
    "source": "text",
    "knobs": "text",
    "change": "text",
    "val_bpb": "float",
    "metric_name": "text",
    "metric_value": "float",
    "metric_direction": "text",
    "gain_frac": "float",
    "seed_gain_frac": "float",
    "decision": "text",
    "label": "text",
    "cause": "text",
    "trial_wall_s": "float",
    "train_wall_s": "float",
    "val_wall_s": "float",
    "train_tokens": "int",
    "train_flops": "int",
    "energy_j": "float",
    "energy_scope": "text",
    "peak_bytes": "int",
    "marks": "text",
    "ts": "time",
}
TrialRow = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What the rows of one candidate's trials share."""

    iter: int
    cells: Mapping[str, Cell]
    cfg: Cfg
    seed_gains: Mapping[int, float]


@dataclass(slots=True)
class TrialTable:
    """The columns of a run and its rows, read once from its records; the trials of one iteration are held at a time.

    Raises ``JournalDamaged`` where the first record is not ``meta``.
    """

    records: Iterable[Event]
    columns: dict[str, Kind] = field(init=False)
    count: int = 0  # of rows so far
    _knobs: dict[str, Kind] = field(init=False)
    _started: dict[int, TrialStarted] = field(default_factory=dict)  # by trial: those without a row yet
    _ended: dict[int, TrialEnded] = field(default_factory=dict)
    _candidates: dict[int, _Candidate] = field(default_factory=dict)  # open ones, and those with rows to come
    _open: set[int] = field(default_factory=set)  # iterations, of which a parallel run has several
    _running: set[int] = field(default_factory=set)  # trials
    _baseline_cfg: Cfg = field(default_factory=dict)

    def __post_init__(self) -> None:
        meta, self.records = split_meta(self.records)
        self._knobs, self._baseline_cfg = knob_columns(meta), meta.baseline_cfg
        self.columns = {**COLUMNS, **{encodable(PREFIX + name): kind for name, kind in self._knobs.items()}}

    def __iter__(self) -> Iterator[TrialRow]:
        for record in self.records:
            match record:
                case Started():
                    self._running.clear()  # what the earlier process had running was interrupted
                case TrialStarted():
                    self._started[record.trial] = record
                    self._running.add(record.trial)
                case TrialEnded():
                    self._ended[record.trial] = record
                    self._running.discard(record.trial)
                case Proposed():
                    yield from self._take()  # what an earlier keep's vault needed
                    if not self._started and not self._ended:
                        self._candidates = {n: c for n, c in self._candidates.items() if n in self._open}
                    self._open.add(record.iter)
                    self._candidates[record.iter] = _Candidate(record.iter, _proposed(record), record.candidate_cfg, {})
                case CandidateTried():
                    self._open.discard(record.iter)
                    self._candidates[record.iter] = _judged(record)
                    yield from self._take()
                case Baseline() | Unsealed():
                    yield from self._take()
        self._open.clear()
        self._running.clear()
        yield from self._take()

    def _take(self) -> Iterator[TrialRow]:
        """The rows of the trials so far, in their order, up to the first of which a later record says more."""
        for number in sorted({*self._started, *self._ended}):
            started, ended = self._started.get(number), self._ended.get(number)
            event = ended or started
            if number in self._running or (event and event.iter in self._open):
                return
            self.count += 1
            yield self._row(number, started, ended)
            self._started.pop(number, None)
            self._ended.pop(number, None)

    def _row(self, number: int, started: TrialStarted | None, ended: TrialEnded | None) -> TrialRow:
        event = ended or started
        assert event is not None, "one of both has the number"
        candidate = self._candidates.get(event.iter)
        cells: dict[str, Cell] = dict.fromkeys(self.columns)
        cells |= {"iter": event.iter, "trial": number, "seed": event.seed, "ts": event.ts}
        cells |= {"role": "candidate" if event.iter else "baseline", "outcome": "unfinished"}
        if candidate:
            cells |= candidate.cells
            cells["seed_gain_frac"] = candidate.seed_gains.get(event.seed)
        if ended:
            cells |= _outcome(ended)
        cfg = started.cfg if started else candidate.cfg if candidate else {} if event.iter else self._baseline_cfg
        for name, value in cfg.items():
            if name not in self._knobs:
                raise JournalDamaged(f"trial {number} has the knob {name!a}, which the run's menu does not have")
            cells[encodable(PREFIX + name)] = as_kind(name, value, self._knobs[name])
        return cells


def _proposed(record: Proposed | CandidateTried) -> dict[str, Cell]:
    knobs = ", ".join(knob for knob, _ in record.proposal.changes)
    return {"source": encodable(record.source), "knobs": encodable(knobs), "change": encodable(record.proposal.text)}


def _judged(record: CandidateTried) -> _Candidate:
    cells, gains = _proposed(record), dict[int, float]()
    match record:
        case Evaluated(evidence=evidence):
            cells |= {"gain_frac": record.improvement_frac, "decision": record.decision}
            if evidence:
                cells["label"] = evidence.label
                gains = dict(zip(evidence.seeds, evidence.gains_frac, strict=False))
        case StoppedEarly():
            cells |= {"decision": record.decision, "label": record.label}
    return _Candidate(record.iter, cells, record.candidate_cfg, gains)


def _outcome(record: TrialEnded) -> dict[str, Cell]:
    """The cells of a trial's end. A void trial took part in no comparison: it has costs, and no value."""
    outcome = record.outcome
    cells: dict[str, Any] = {
        "trial_wall_s": outcome.trial_wall_s,
        "train_wall_s": outcome.train_wall_s,
        "energy_j": outcome.energy_j,
        "energy_scope": scope_of(record.power) if outcome.energy_j is not None else None,
        "peak_bytes": outcome.peak_bytes,
        "marks": ", ".join(record.marks) or None,
    }
    match outcome:
        case Measurement():
            cells |= {"outcome": "measured", "val_wall_s": outcome.val_wall_s}
            cells |= {"train_tokens": outcome.train_tokens, "train_flops": outcome.train_flops}
            if not record.void:
                cells["val_bpb"] = outcome.val_bpb
            if metric := outcome.metric:
                cells |= {"metric_name": encodable(metric.name), "metric_direction": metric.direction}
                cells["metric_value"] = None if record.void else metric.value
        case EarlyStop():
            cells |= {"outcome": "stopped early"}
            cells |= {"train_tokens": outcome.train_tokens, "train_flops": outcome.train_flops}
        case Failure():
            cells |= {"outcome": "failed", "cause": str(outcome.cause)}
        case _:
            assert_never(outcome)
    return {**cells, "outcome": "void"} if record.void else cells
