"""The columns of a run's knobs: their names, and the type that holds every value of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from autoresearch.core.records import Meta
from autoresearch.core.values import KnobValue
from autoresearch.errors import JournalError
from autoresearch.report.history import encodable

Kind = Literal["int", "float", "text", "time"]
PREFIX = "cfg."
MAX_INT = 2**63 - 1  # of a column of Parquet


def knob_columns(meta: Meta) -> dict[str, Kind]:
    """The type of each knob, in the menu's order; entries of the baseline that are not on the menu follow."""
    entries: Mapping[str, Any] = meta.menu.get("knobs", {})
    names = dict.fromkeys([*entries, *meta.baseline_cfg])
    return {name: _kind([*_values(entries.get(name, {})), *_own(meta, name)]) for name in names}


def _own(meta: Meta, name: str) -> list[KnobValue]:
    return [meta.baseline_cfg[name]] if name in meta.baseline_cfg else []


def _values(entry: Mapping[str, Any]) -> Iterator[object]:
    """Values that stand for all of an entry: its choices, or its bounds, as floats where it takes fractions."""
    yield from entry.get("choices", ())
    for bound in ("low", "high"):
        if bound in entry:
            yield float(entry[bound]) if entry.get("type") == "float" else entry[bound]


def _kind(values: list[object]) -> Kind:
    if not all(isinstance(v, int | float) for v in values):
        return "text"
    if all(isinstance(v, int) for v in values):
        return "int" if all(abs(int(v)) <= MAX_INT for v in values) else "text"  # type: ignore[call-overload]
    return "float"


def as_kind(name: str, value: KnobValue, kind: Kind) -> KnobValue:
    """The value in the type of its column. Raises ``JournalError`` where that would change it."""
    if kind == "text":
        return encodable(str(value))
    if isinstance(value, str) or (kind == "int" and (value != int(value) or abs(value) > MAX_INT)):
        what = f"{name} = {value!r} is not a value of the run's menu, whose values are of type {kind}"
        raise JournalError(what, hint="`autoresearch verify RUN` checks the records")
    return int(value) if kind == "int" else float(value)
