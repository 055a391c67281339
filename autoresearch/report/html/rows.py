"""Every iteration as columns of plain values, which the table and the plots of the page read. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autoresearch.report.history import History, Row
from autoresearch.report.html.text import MINUS, NAME_CHARS, clean, format_value
from autoresearch.report.table import format_marked_verdict, format_verdict
from autoresearch.report.verdict_text import format_interval

KIND_NAMES = {"keep": "confirmed", "revert": "not confirmed"}  # by rule sequential
KINDS = ("keep", "revert", "failed", "blocked", "no proposal", "stopped early")
STAGES = {"eval_failed": 2, "blocked": 3, "proposer_failed": 4, "stopped_early": 5}
MAX_REASON_BYTES = 1_600_000  # of all distinct reasons together, so that 10,000 long ones still make a small file
CUTS = (500, 300, 200, 140, 100, 70, 40)
BPB_DIGITS, GAIN_DIGITS, TIME_DIGITS, NUMBER_DIGITS = 6, 7, 2, 10


@dataclass(slots=True)
class Texts:
    """Distinct texts, each held once and referred to by its index; 0 is the empty text."""

    cut: int
    held: dict[str, int] = field(default_factory=lambda: {"": 0})
    _seen: dict[str, int] = field(default_factory=lambda: {"": 0})

    def index_of(self, text: str | None) -> int:
        """The index of ``text``, cut and escaped; a new one if it is not held yet."""
        if text is None:
            return 0
        if (known := self._seen.get(text)) is None:
            known = self._seen[text] = self.held.setdefault(clean(text, self.cut), len(self.held))
        return known


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns by name, and the number of characters to which reasons are cut."""

    data: dict[str, list[Any]]
    cut: int
    was_cut: bool


def kind_index(row: Row) -> int:
    """The index in ``KINDS`` of how the iteration ended."""
    return STAGES.get(row.stage, 0 if row.decision == "keep" else 1)


def build_columns(history: History) -> Columns:
    """One list per column. ``why`` is the proposer's reason; ``reason`` the program's own remark.

    By rule sequential ``y`` is the place in the plot, ``seeds`` the number that the gain is the mean of, ``low`` and
    ``high`` its interval.
    """
    rows = history.rows
    pairs = [(row.why, row.remark or None) for row in rows]
    cut = next((c for c in CUTS if _bytes(pairs, c) <= MAX_REASON_BYTES), CUTS[-1])
    texts, names = Texts(cut), Texts(NAME_CHARS)
    data: dict[str, list[Any]] = {
        "iter": [row.iter for row in rows],
        "knob": [names.index_of(row.knob) for row in rows],
        "value": [_plain(row) for row in rows],
        "bpb": [_rounded(row.val_bpb, BPB_DIGITS) for row in rows],
        "gain": [_rounded(row.improvement_frac, GAIN_DIGITS) for row in rows],
        "kind": [kind_index(row) for row in rows],
        "end": [names.index_of(format_end(row)) for row in rows],
        "source": [names.index_of(row.source) for row in rows],
        "time": [_rounded(row.wall_s, TIME_DIGITS) for row in rows],
        "why": [texts.index_of(why) for why, _ in pairs],
        "reason": [texts.index_of(reason) for _, reason in pairs],
    }
    if history.is_sequential:
        data["y"] = [_rounded(history.comparable_bpb(row), BPB_DIGITS) for row in rows]
        data["seeds"] = [len(row.evidence.seeds) if row.evidence else 0 for row in rows]
        for name in ("low", "high"):
            data[name] = [_rounded(getattr(row.evidence, f"{name}_frac", None), GAIN_DIGITS) for row in rows]
    longest = max((len(text) for pair in pairs for text in pair if text), default=0)
    return Columns({**data, "names": list(names.held), "texts": list(texts.held)}, cut, longest > cut)


def format_end(row: Row) -> str:
    """How the iteration ended; ``confirmed, 4 seeds`` by rule sequential."""
    seeds = len(row.evidence.seeds) if row.evidence else 0
    if seeds < 2:
        return format_marked_verdict(row)
    return f"{format_verdict(row)}, {seeds} seeds{' !' if row.marks else ''}"


def format_row_interval(row: Row) -> str:
    """The interval of a gain over several seeds; empty for one seed, whose interval says little, and without any."""
    if row.evidence is None or len(row.evidence.seeds) < 2:
        return ""
    return format_interval(row.evidence).replace("-", MINUS)


def _bytes(pairs: Sequence[tuple[str | None, str | None]], cut: int) -> int:
    """The size in the file of the distinct texts, each cut to ``cut`` characters; rarely more than computed here."""
    distinct = {text[:cut] for pair in pairs for text in pair if text}
    return sum(len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) for text in distinct)


def _plain(row: Row) -> Any:
    value = row.new_value
    if isinstance(value, float):
        return float(f"{value:.{NUMBER_DIGITS}g}")
    return value if isinstance(value, int) or value is None else format_value(value)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
