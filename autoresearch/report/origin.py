"""The log format of the origin, the system that this one is derived from, as a ``History``.

Its lines have neither sequence number nor checksum: first ``{"_meta": ..., "baseline_val_bpb": ...}``, then one object
per iteration (``evaluated, blocked, eval_failed, nim_error``), ``paused`` events that use up an iteration number, and
``loop_complete`` at the end. It is read leniently, because several versions wrote it: an unknown field or stage is
ignored, a missing or non-finite number is unknown. A line that is not JSON, and another kind of log, are errors that
name the line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from autoresearch.core.measurement import Cause
from autoresearch.core.values import Cfg
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.report.history import History, Row, State, encodable, plain_value, total
from rails import default_menu

MAX_BYTES = 256 << 20  # fifty of its iterations take 52 kB
MAX_TEXT_CHARS = 1000
MAX_CFG_FIELDS = 100
MAX_NUMBER = 1e15  # larger seconds, steps or bits do not occur in a real run
MIN_BPB = 1e-9  # a baseline below it is not a valid divisor
STATES: Mapping[object, State] = {"paused": "paused", "loop_complete": "complete"}
Record = Mapping[str, Any]


def parse(data: bytes, name: str) -> list[Record]:
    """The objects of a log, without blank lines and a torn last line. ``name`` is the file name for error messages.

    Raises ``JournalDamaged`` naming the first line before the last that is not a JSON object, and ``JournalError`` for
    a file of another kind.
    """
    lines = data.split(b"\n")
    filled = [n for n, line in enumerate(lines, 1) if line.strip()]
    records: list[Record] = []
    for n in filled:
        record = _object(lines[n - 1])
        if record is None and n != filled[-1]:
            raise JournalDamaged(
                f"{name}: line {n} is not a JSON object", hint="check whether this is a trajectory, and that line of it"
            )
        if record is not None:
            records.append(record)
    if not records:
        raise JournalError(f"{name} contains no complete record", hint="wait for the first one, or name another file")
    if not ("_meta" in records[0] or "stage" in records[0]):
        what = f"{name}: line {filled[0]} is JSON but has neither `_meta` nor `stage`"
        raise JournalError(what, hint="name a run directory or a trajectory.jsonl")
    return records


def build_history(records: Sequence[Record]) -> History:
    """The history of a log in the origin's format. What the format lacks (starts, energy, attempts) is unknown."""
    header = records[0] if "_meta" in records[0] else {}
    baseline = next((b for r in records if (b := _number(r, "baseline_val_bpb")) is not None), None)
    requested = [
        n for r in records for field in ("requested_iters", "iters_requested") if (n := _positive_int(r, field))
    ]
    last = records[-1]
    state = STATES.get(
        _text(last, "stage"), "open"
    )  # it logs no start: only the next iteration shows that a pause ended
    rows: list[Row] = []
    for record in records:
        if row := _row(record, len(rows) + 1, baseline):
            rows.append(row)
    return History(
        log_format="origin",
        knobs=tuple(default_menu().knobs),
        menu=default_menu().source,
        baseline=_baseline_row(baseline) if baseline is not None else None,
        baseline_cfg=_cfg(header),
        accept_delta_frac=_number(header, "accept_delta_frac"),
        rows=tuple(rows),
        iters_requested=requested[-1] if requested else None,
        state=state,
        stop_reason=_text(last, "reason") if state == "paused" else None,
    )


def _baseline_row(val_bpb: float) -> Row:
    """Measured once; its time and memory are not in this log."""
    return Row(iter=0, stage="baseline", val_bpb=val_bpb, lowest_val_bpb=val_bpb, trials=1)


def _row(record: Record, position: int, baseline: float | None) -> Row | None:
    """The row of a record that closes an iteration; ``None`` for every other kind."""
    common: dict[str, Any] = {
        "iter": _positive_int(record, "iter") or position,
        "ts": _text(record, "ts"),
        "wall_s": _number(record, "iter_wall_s"),
        "propose_s": _number(record, "nim_latency_s"),
    }
    match record.get("stage"):
        case "evaluated":
            return _evaluated(record, common, baseline)
        case "eval_failed":
            metrics = _table(record, "eval_metrics")
            cause = Cause.OUT_OF_MEMORY if metrics.get("oom") is True else Cause.ERROR
            return _failed(record, common, cause, _text(metrics, "error"))
        case "blocked":
            rail = _text(record, "rail") or "unknown"
            fields: dict[str, Any] = {"rail": rail, "reason": _text(record, "reason"), "refused": {rail: 1}}
            rest_s = _overhead_s(common["wall_s"], common["propose_s"])
            return Row(stage="blocked", **common, **_proposed(record), **fields, overhead_s=rest_s)
        case "nim_error":
            return Row(stage="proposer_failed", **common, reason=_text(record, "nim_error"))
        case _:
            return None


def _evaluated(record: Record, common: dict[str, Any], baseline: float | None) -> Row:
    bpb = _number(record, "val_bpb")
    if bpb is None:  # the origin wrote NaN if training diverged: not a measurement
        return _failed(record, common, Cause.GARBAGE, "no finite val_bpb")
    metrics = _table(record, "eval_metrics")
    gain = _number(record, "improvement_frac")
    if gain is None and baseline is not None and baseline >= MIN_BPB:
        gain = (baseline - bpb) / baseline
    train_s, eval_s = _number(metrics, "train_wall_s"), _number(metrics, "val_wall_s")
    peak_gib = _number(metrics, "peak_gpu_mem_gib")
    decision: Literal["keep", "revert"] = (
        "keep" if record.get("decision") == "keep" else "revert"
    )  # the origin counts any other value as a revert
    return Row(
        stage="evaluated",
        rail="passed",
        **common,
        **_proposed(record),
        val_bpb=bpb,
        lowest_val_bpb=bpb,
        trials=1,
        improvement_frac=gain,
        decision=decision,
        is_new_best=record.get("is_new_best") is True,
        train_s=train_s,
        eval_s=eval_s,
        overhead_s=_overhead_s(common["wall_s"], common["propose_s"], train_s, eval_s),
        peak_bytes=round(peak_gib * 2**30) if peak_gib is not None else None,
    )


def _failed(record: Record, common: dict[str, Any], cause: Cause, detail: str | None) -> Row:
    """The format has no time of failed trials: the wall time without the proposer's counts as the trial's."""
    wall_s = common["wall_s"]
    failed_s = max(0.0, wall_s - (common["propose_s"] or 0.0)) if wall_s is not None else None
    fields: dict[str, Any] = {"rail": "passed", "reason": detail, "cause": str(cause), "failed_s": failed_s}
    return Row(stage="eval_failed", **common, **_proposed(record), **fields)


def _overhead_s(wall_s: float | None, *parts: float | None) -> float | None:
    """Wall time minus the parts, unknown if one of them is; at least 0, because the logged times are rounded."""
    if wall_s is None or None in parts:
        return None
    return max(0.0, wall_s - (total(*parts) or 0.0))


def _proposed(record: Record) -> dict[str, Any]:
    proposal = _table(record, "proposal")
    knob = _text(proposal, "knob")
    if knob is None or "new_value" not in proposal:
        return {}
    return {"knob": knob, "new_value": plain_value(proposal["new_value"]), "why": _text(proposal, "reason")}


def _cfg(header: Record) -> Cfg:
    cfg = _table(header, "baseline_cfg")
    return {encodable(name[:MAX_TEXT_CHARS]): plain_value(value) for name, value in list(cfg.items())[:MAX_CFG_FIELDS]}


def _object(line: bytes) -> Record | None:
    try:
        value = json.loads(line.decode(), parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(record: Record, name: str) -> float | None:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= MAX_NUMBER else None  # false for NaN


def _positive_int(record: Record, name: str) -> int | None:
    value = _number(record, name)
    return int(value) if value is not None and value.is_integer() and value > 0 else None


def _text(record: Record, name: str) -> str | None:
    value = record.get(name)
    return encodable(value[:MAX_TEXT_CHARS]) if isinstance(value, str) else None


def _table(record: Record, name: str) -> Record:
    value = record.get(name)
    return value if isinstance(value, dict) else {}
