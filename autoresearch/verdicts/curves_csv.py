"""Read loss curves from CSV with the columns ``group,run,fraction,value``. Pure.

Groups are configurations, runs are seeds, ``value`` is the loss at that fraction of the budget. The last fraction of a
run is its end. Other columns are ignored. The order of the trials is that in which they first appear.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence

from autoresearch.errors import CorpusError
from autoresearch.verdicts.curves import Points, mean_curve
from autoresearch.verdicts.early_stop_replay import FullTrial

COLUMNS = ("group", "run", "fraction", "value")
MAX_NAME_CHARS = 200
HINT_COLUMNS = "the first line names the columns group,run,fraction,value, separated by commas"
Key = tuple[str, str]  # group and run


def read_trials(lines: Iterable[str], name: str, baseline: str | None = None) -> tuple[list[FullTrial], str]:
    """The trials of a CSV file in their order, and the group that is the baseline (the first unless it is named).

    A run is compared with the baseline's run of the same name, or, where there is none, with the mean of its runs. A
    group that is named KNOB=VALUE is of the kind KNOB, any other of its own. Raises ``CorpusError`` that names the line
    or the run.
    """
    curves = _scaled(_read(lines, name), name)
    groups = list(dict.fromkeys(group for group, _ in curves))
    chosen = groups[0] if baseline is None else baseline
    if chosen not in groups:
        shown = ", ".join(groups[:8]) + (", ..." if len(groups) > 8 else "")
        raise CorpusError(f"{name} has no group {chosen!r} for the baseline", hint=f"--baseline with one of {shown}")
    if len(groups) < 2:
        raise CorpusError(f"{name} has the group {chosen!r} only", hint="add the curves of candidates to compare")
    own = {run: points for (group, run), points in curves.items() if group == chosen}
    mean = mean_curve(list(own.values()))
    trials = [
        FullTrial(group, run, points, own.get(run, mean), kind_of(group))
        for (group, run), points in curves.items()
        if group != chosen
    ]
    return trials, chosen


def kind_of(group: str) -> str:
    """The knob of a group that is named KNOB=VALUE; the name of any other."""
    return group.partition("=")[0].strip()


def _read(lines: Iterable[str], name: str) -> dict[Key, dict[float, float]]:
    reader = csv.reader(lines)
    found: dict[Key, dict[float, float]] = {}
    try:
        places = _places(next(reader, []), name)
        for row in reader:
            if any(cell.strip() for cell in row):
                group, run, fraction, value = _row(row, places, f"{name}: line {reader.line_num}")
                curve = found.setdefault((group, run), {})
                if fraction in curve:
                    what = f"{name}: line {reader.line_num} gives run {run!r} of {group!r} at {fraction:g} again"
                    raise CorpusError(what, hint="give each fraction of a run once")
                curve[fraction] = value
    except csv.Error as e:
        raise CorpusError(f"{name}: line {reader.line_num} is not CSV: {e}", hint=HINT_COLUMNS) from e
    if not found:
        raise CorpusError(f"{name} has no rows", hint=HINT_COLUMNS)
    return found


def _places(header: Sequence[str], name: str) -> list[int]:
    names = [cell.strip().lower().removeprefix("\ufeff") for cell in header]
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        raise CorpusError(f"{name} has no column {', '.join(missing)}", hint=HINT_COLUMNS)
    return [names.index(column) for column in COLUMNS]


def _row(row: Sequence[str], places: Sequence[int], where: str) -> tuple[str, str, float, float]:
    if len(row) <= max(places):
        raise CorpusError(f"{where} has {len(row)} cells", hint=HINT_COLUMNS)
    group, run, fraction, value = (row[place].strip()[:MAX_NAME_CHARS] for place in places)
    at, loss = _number(fraction, "fraction", where), _number(value, "value", where)
    if not 0 <= at <= 1:
        hint = "a fraction is the share of the budget, from 0 to 1: divide steps by the last step"
        raise CorpusError(f"{where}: fraction {at:g} is not between 0 and 1", hint=hint)
    if loss <= 0:
        raise CorpusError(f"{where}: value {loss:g} is not above 0", hint="give losses, of which lower is better")
    if not group or not run:
        raise CorpusError(f"{where} names no {'run' if group else 'group'}", hint=HINT_COLUMNS)
    return group, run, at, loss


def _number(text: str, column: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = "give a finite number, and leave out the runs that diverged"
        raise CorpusError(f"{where}: {column} {text!r} is not a finite number", hint=hint)
    return number


def _scaled(curves: dict[Key, dict[float, float]], name: str) -> dict[Key, Points]:
    """The points of each curve in order, the last one at fraction 1."""
    end = max(max(curve) for curve in curves.values())
    for (group, run), curve in curves.items():
        if len(curve) < 2:
            what = f"{name}: run {run!r} of {group!r} has a single point"
            raise CorpusError(what, hint="give at least one point before the end")
        if max(curve) < end - 1e-6:
            what = f"{name}: run {run!r} of {group!r} ends at {max(curve):g} of the budget, others at {end:g}"
            raise CorpusError(what, hint="leave out the runs that did not end")
    return {key: [(at / end, loss) for at, loss in sorted(curve.items())] for key, curve in curves.items()}
