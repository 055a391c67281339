"""One frame of `autoresearch watch`: what is seen of a run, as lines for a terminal of a given size. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from autoresearch.report.energy import SCOPES
from autoresearch.report.format import NAME_CELLS, clip, format_bpb, format_change, pad, safe, width_of
from autoresearch.report.summary import best_keep
from autoresearch.report.table import COLUMNS, MIN_WHY_CELLS, WITH_SOURCE, kind_of, line
from autoresearch.report.text import LABEL_CELLS, curve, facts
from autoresearch.report.watch.headline import headline, now_lines
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.report.watch.styles import STYLES

MIN_WIDTH = 40
ROOMY = 36  # lines, from which on there is room for everything that a report counts
ROWS_ONCE = 8  # in a frame that is not on a screen
MIN_TABLE = 3  # lines: a heading and two iterations
DISPENSABLE = ("time", "source", "val_bpb")  # columns, the first to go first
FIRST = ("verdicts",)  # of the facts
KEYS = "q leaves; the run goes on"

Lines = list[Text]


def frame(snapshot: Snapshot, width: int, height: int | None = None) -> Lines:
    """The lines of a frame, none wider than ``width``, at most ``height`` of them; without it as many as there are.

    Where lines are short the table gets fewer, then the footer goes, the curve, and what is counted.
    """
    width = max(width, MIN_WIDTH)
    blocks = [
        _head(snapshot, width),
        now_lines(snapshot, width),
        _numbers(snapshot, width, height),
        _curve(snapshot, width),
    ]
    chosen: list[Lines] = []
    for block in blocks:
        if block and (not chosen or height is None or _height([*chosen, block]) <= height):
            chosen.append(block)
    footer = [[Text(KEYS, "dim")]] if height is not None and _height([*chosen, [Text()]]) <= height else []
    room = ROWS_ONCE + 1 if height is None else height - _height([*chosen, *footer, []])
    if rows := _table(snapshot, width, room):
        chosen.append(rows)
    lines = _joined(chosen)
    if footer and height is not None:
        lines += [Text()] * (height - len(lines) - 1) + footer[0]
    return lines[:height]


def _height(blocks: Sequence[Lines]) -> int:
    """Of blocks with a blank line between any two."""
    return sum(map(len, blocks)) + max(0, len(blocks) - 1)


def _joined(blocks: Sequence[Lines]) -> Lines:
    lines: Lines = []
    for block in blocks:
        lines += [*([Text()] if lines else []), *block]
    return lines


def _head(snapshot: Snapshot, width: int) -> Lines:
    """Which run, and what time it is: a clock that stands still is a watch that has lost its terminal."""
    clock = f"{snapshot.now:%H:%M:%S}"
    room = width - len(clock) - 2
    name = safe(str(snapshot.path), room)
    about = safe(_identity(snapshot), max(0, room - width_of(name) - 2))
    gap = " " * (width - width_of(name) - (2 + width_of(about) if about else 0) - len(clock))
    title = Text.assemble((name, "bold"), ("  " + about if about else "", "dim"), gap, (clock, "dim"))
    words, style = headline(snapshot)
    return [title, *(Text(part, style) for part in textwrap.wrap(words, width)[:3])]


def _identity(snapshot: Snapshot) -> str:
    if (s := snapshot.summary) is None:
        return ""
    parts = [
        name for name in (s.proposer and f"proposer {s.proposer}", s.yardstick and s.yardstick.device_kind) if name
    ]
    return ", ".join(parts)


def _numbers(snapshot: Snapshot, width: int, height: int | None) -> Lines:
    """Baseline and best, verdicts and power; where there is room, everything that a report counts."""
    if snapshot.summary is None:
        return []
    roomy = height is not None and height >= ROOMY
    found = [
        *_results(snapshot),
        *((label, text) for label, text in facts(snapshot.summary) if label in FIRST or (roomy and label != "energy")),
        *_power(snapshot),
    ]
    return [text for label, words in found for text in _labelled(label, words, width)]


def _results(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    history, s = snapshot.history, snapshot.summary
    if history is None or s is None:
        return
    if s.baseline_val_bpb is None:
        yield "baseline", "not measured yet"
        return
    yield "baseline", f"{format_bpb(s.baseline_val_bpb)} bits per byte"
    if best := best_keep(history.rows):
        gain = f", {100 * best.improvement_frac:.2f}% below" if best.improvement_frac is not None else ""
        change = format_change(best.knob, best.new_value, NAME_CELLS)
        yield "best", f"{format_bpb(best.val_bpb)}{gain}: {change}, iteration {best.iter}"
    elif s.evaluated:
        where = f"iteration {s.lowest_iter}" if s.lowest_iter else "the baseline's own"
        yield "best", f"no keep yet; the lowest measurement is {format_bpb(s.lowest_val_bpb)}, {where}"
    else:
        yield "best", "nothing else is measured yet"


def _power(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    energy = snapshot.summary.energy if snapshot.summary else []
    so_far = [f"{e.energy_kwh:.4f} kWh of {SCOPES[e.scope]} so far" for e in energy if e.energy_kwh is not None]
    now = [] if snapshot.watts is None else [f"{snapshot.watts:.0f} W while the last trial trained"]
    if now or so_far:
        yield "power", ", ".join([*now, *so_far])


def _labelled(label: str, text: str, width: int) -> Lines:
    parts = textwrap.wrap(text, width - LABEL_CELLS) or [""]
    labels = [label, *[""] * (len(parts) - 1)]
    return [Text.assemble((pad(name, LABEL_CELLS), "dim"), part) for name, part in zip(labels, parts, strict=True)]


def _curve(snapshot: Snapshot, width: int) -> Lines:
    if snapshot.summary is None or snapshot.history is None:
        return []
    glyphs, *legend = curve(snapshot.summary, snapshot.history, width) or [""]
    if not glyphs:
        return []
    label, line_ = glyphs[:LABEL_CELLS], glyphs[LABEL_CELLS:]
    return [Text.assemble((label, "dim"), (line_, "cyan")), *(Text(part, "dim") for part in legend)]


def _table(snapshot: Snapshot, width: int, room: int) -> Lines:
    """A heading and the last iterations, the newest at the bottom, in at most ``room`` lines."""
    if snapshot.history is None or snapshot.summary is None or not snapshot.history.rows or room < MIN_TABLE:
        return []
    columns = _columns(len(snapshot.summary.sources) > 1, width)
    heading = "".join(pad(name, cells) for name, cells in columns.items())
    if width - sum(columns.values()) >= MIN_WHY_CELLS:
        heading += "why"
    rows = snapshot.history.rows[-(room - 1) :]
    return [
        Text(clip(heading.rstrip(), width), "dim"),
        *(Text(clip(line(row, width, columns), width), STYLES.get(kind_of(row), "")) for row in rows),
    ]


def _columns(with_source: bool, width: int) -> dict[str, int]:
    """Those for which there is room: in a narrow window a verdict is worth more than a time."""
    columns = dict(WITH_SOURCE if with_source else COLUMNS)
    for name in DISPENSABLE:
        if sum(columns.values()) > width:
            columns.pop(name, None)
    return columns
