"""A closed iteration as one short JSON array, which a page holds 10,000 of. Pure."""

from __future__ import annotations

import json
import math
from typing import Any

from autoresearch.report.format import format_change, format_duration
from autoresearch.report.history import Row
from autoresearch.report.html.rows import (
    BPB_DIGITS,
    GAIN_DIGITS,
    format_end,
    format_row_interval,
    kind_index,
)
from autoresearch.report.html.text import clean, format_value

FIELDS = ("iter", "change", "value", "gain", "paired", "kind", "end", "interval", "source", "time", "why")
CHANGE_CHARS, WHY_CHARS, SOURCE_CHARS = 80, 160, 30


def encode_row(row: Row) -> bytes:
    """The row in the order of ``FIELDS``."""
    return json.dumps(row_fields(row), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def row_fields(row: Row) -> list[Any]:
    """Text is printable and cut, numbers are finite or null."""
    remark = f"{row.remark}; " if row.remark and row.why else row.remark
    return [
        row.iter,
        describe_change(row),
        _rounded(row.val_bpb, BPB_DIGITS),
        _rounded(row.improvement_frac, GAIN_DIGITS),
        int(row.evidence is not None and row.improvement_frac is not None),
        kind_index(row),
        clean(format_end(row), SOURCE_CHARS),
        format_row_interval(row),
        clean(row.source or "", SOURCE_CHARS),
        format_duration(row.wall_s) if row.wall_s is not None else "",
        clean(f"{remark}{row.why or ''}", WHY_CHARS),
    ]


def describe_change(row: Row) -> str:
    """The change with at most six significant digits, as in the report; of several knobs each beside its value."""
    if row.knob is None or row.several:
        return format_change(row.knob, row.new_value, CHANGE_CHARS)
    return clean(f"{row.knob} = {format_value(row.new_value)}", CHANGE_CHARS)


def _rounded(value: float | None, digits: int) -> float | None:
    """Rounded; ``None`` for what JSON cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits) or float(f"{value:.{digits}g}")
