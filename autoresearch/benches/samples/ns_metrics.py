"""``metrics.json`` of ``ns eval``: figures to show beside ours. None of them is computed again.

Upstream writes rates as percentages from 0 to 100, but the ``_statistics`` of a rate as fractions. Here all rates are
fractions. The nesting differs: benchmark and mode for most, deeper for the groups of BFCL.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autoresearch.benches.jsonl import NotJson, decode_json, shown
from autoresearch.errors import CorpusError
from autoresearch.hints import hint_after

MAX_BYTES = 64 << 20
MAX_DEPTH = 6
HINT = "name the metrics.json that `ns eval` or `ns summarize_results` wrote"
STATISTICS = "_statistics"
NUMBERS = frozenset(  # what is not a rate
    {
        "num_entries", "num_prompts", "num_instructions", "num_problems", "num_subtasks", "num_benchmarks_in_group",
        "avg_tokens", "gen_seconds", "invalid_scores", "score",
    }
)  # fmt: skip
COUNTED = frozenset({"num_entries", "num_prompts", "num_problems", "num_benchmarks_in_group", "accuracy"})


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The rows ``{benchmark, mode, metrics: {name: {value, unit}}, statistics}``. Raises ``CorpusError``."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise CorpusError(f"{file} has more than {MAX_BYTES >> 20} MiB", hint=HINT)
        value = decode_json(file.read_text("utf-8-sig"))
    except OSError as e:
        raise CorpusError(f"cannot read {file}: {e.strerror}", hint=hint_after(e, file, "read")) from e
    except UnicodeDecodeError as e:
        raise CorpusError(f"{file}: byte {e.start} is not UTF-8", hint=HINT) from e
    except NotJson as e:
        raise CorpusError(f"{file}: {e}", hint=HINT) from e
    if not isinstance(value, dict):
        raise CorpusError(f"{file}: a JSON object is expected, not {shown(value)}", hint=HINT)
    rows = [_row(file, path, figures) for path, figures in _leaves(file, (), value)]
    if not any(COUNTED & row["metrics"].keys() for row in rows):
        raise CorpusError(f"{file} has no figures of `ns eval`: none of {', '.join(sorted(COUNTED))}", hint=HINT)
    return rows


def _leaves(file: Path, path: tuple[str, ...], value: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The objects that have figures, with the names that lead to them."""
    if any(isinstance(figure, int | float) and not isinstance(figure, bool) for figure in value.values()):
        yield path, value
    elif len(path) == MAX_DEPTH:
        raise CorpusError(f"{file}: {'.'.join(path)}: nested more than {MAX_DEPTH} times", hint=HINT)
    else:
        for name, inner in value.items():
            if isinstance(inner, dict):
                yield from _leaves(file, (*path, name), inner)


def _row(file: Path, path: tuple[str, ...], figures: Mapping[str, Any]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    for name, value in figures.items():
        if name.endswith(STATISTICS) and isinstance(value, dict):
            statistics[name.removesuffix(STATISTICS)] = value
        elif isinstance(value, dict):
            raise CorpusError(f"{file}: {'.'.join((*path, name))}: figures beside an object", hint=HINT)
        else:
            metrics[name] = _metric(f"{file}: {'.'.join((*path, name))}", name, value)
    return {
        "benchmark": path[0] if path else file.parent.name,
        "mode": " ".join(path[1:]) or "-",
        "metrics": metrics,
        "statistics": statistics,
    }


def _metric(where: str, name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {"value": shown(value), "unit": "text"}
    if not math.isfinite(value):
        raise CorpusError(f"{where}: {value} is not a finite number", hint=HINT)
    if name in NUMBERS or not 0 <= value <= 100:  # older versions count no_answer once per method: up to 400
        return {"value": value, "unit": "number"}
    return {"value": value / 100, "unit": "fraction"}


def rows_of(rows: Iterable[dict[str, Any]], benchmarks: Iterable[str]) -> list[dict[str, Any]]:
    """The rows of these benchmarks, of their subsets (``math-aime24``) and of their groups (``ruler``)."""

    def belongs(row: str, benchmark: str) -> bool:
        return row == benchmark or row.startswith(f"{benchmark}-") or benchmark.startswith(f"{row}.")

    names = list(benchmarks)
    return [row for row in rows if any(belongs(row["benchmark"], name) for name in names)]
