"""Read loss curves from CSV with the columns ``group,run,fraction,value``. Pure.

Groups are configurations, runs are seeds, ``value`` is the loss at that fraction of the budget. The last fraction of a
run is its end. Other columns are ignored. The order of the trials is that in which they first appear.
"""

from __future__ import annotations

from autoresearch.errors import CorpusError
from autoresearch.verdicts.csv_table import parse_number, read_rows
from autoresearch.verdicts.curves import Points, mean_curve
from autoresearch.verdicts.early_stop_replay import FullTrial

COLUMNS = ("group", "run", "fraction", "value")
MAX_NAME_CHARS = 200
HINT_COLUMNS = "the first line names the columns group,run,fraction,value"
HINT_NUMBER = "give finite numbers with a decimal point, and leave out the runs that diverged"
Key = tuple[str, str]  # group and run


def read_trials(text: str, name: str, baseline: str | None = None) -> tuple[list[FullTrial], str]:
    """The trials of a CSV file in their order, and the group that is the baseline (the first unless it is named).

    A run is compared with the baseline's run of the same name, or, where there is none, with the mean of its runs. A
    group that is named KNOB=VALUE is of the kind KNOB, any other of its own. Raises ``CorpusError`` that names the line
    or the run.
    """
    curves = _scaled(_read(text, name), name)
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


def _read(text: str, name: str) -> dict[Key, dict[float, float]]:
    found: dict[Key, dict[float, float]] = {}
    try:
        for line, cells in read_rows(text, COLUMNS, HINT_COLUMNS):
            group, run, fraction, value = _row(line, cells)
            curve = found.setdefault((group, run), {})
            if fraction in curve:
                what = f"line {line} gives run {run!r} of {group!r} at {fraction:g} again"
                raise CorpusError(what, hint="give each fraction of a run once")
            curve[fraction] = value
    except CorpusError as e:
        raise CorpusError(f"{name}: {e.what}", hint=e.hint) from e
    if not found:
        raise CorpusError(f"{name} has no rows", hint=HINT_COLUMNS)
    return found


def _row(line: int, cells: list[str]) -> tuple[str, str, float, float]:
    group, run, fraction, value = (cell[:MAX_NAME_CHARS] for cell in cells)
    if not group or not run:
        raise CorpusError(f"line {line} names no {'run' if group else 'group'}", hint=HINT_COLUMNS)
    at, loss = parse_number(fraction, "fraction", line, HINT_NUMBER), parse_number(value, "value", line, HINT_NUMBER)
    if not 0 <= at <= 1:
        hint = "a fraction is the share of the budget, from 0 to 1: divide steps by the last step"
        raise CorpusError(f"line {line}: fraction {at:g} is not between 0 and 1", hint=hint)
    if loss <= 0:
        raise CorpusError(f"line {line}: value {loss:g} is not above 0", hint="give losses, of which lower is better")
    return group, run, at, loss


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
