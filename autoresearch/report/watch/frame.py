"""One frame of `autoresearch watch`: a snapshot as lines for a terminal of a given size. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.text import Text

from autoresearch.core.text import plural
from autoresearch.report.energy import SCOPES
from autoresearch.report.format import NAME_CELLS, clip, format_bpb, format_change, pad, safe, width_of
from autoresearch.report.summary import best_keep
from autoresearch.report.table import MIN_WHY_CELLS, choose_columns, format_heading, format_row, row_style
from autoresearch.report.text import LABEL_CELLS, damage_lines, render_curve, summary_facts
from autoresearch.report.vault import describe_test_gain
from autoresearch.report.verdict_text import describe_verdict
from autoresearch.report.watch.headline import describe_state, render_activity
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.report.watch.styles import BAD, STYLES

MIN_WIDTH = 40
MIN_FULL_HEIGHT = 36  # lines, from which on all counts of a report are shown
PRINTED_ROWS = 8  # of the table in a frame that is printed, not shown on a screen
WARNING_LINES = 4  # of the warning of a damaged log
BASELINE_CELLS = 200  # of the reason why it failed
MIN_TABLE = 3  # lines: a heading and two iterations
OPTIONAL_COLUMNS = ("time", "source", "val_bpb")  # in the order in which a narrow terminal loses them
ALWAYS_SHOWN = ("verdicts",)  # facts, whatever the height
FOOTER = "q quits; the run continues"

Lines = list[Text]


def render_frame(snapshot: Snapshot, width: int, height: int | None = None) -> Lines:
    """The lines of a frame, none wider than ``width``, at most ``height`` of them; any number without a ``height``.

    In a low terminal the table gets fewer lines; then the footer, the curve and the counts are left out.
    """
    width = max(width, MIN_WIDTH)
    blocks = [
        _head(snapshot, width),
        render_activity(snapshot, width),
        _numbers(snapshot, width, height),
        _curve(snapshot, width),
    ]
    chosen: list[Lines] = []
    for block in blocks:
        if block and (not chosen or height is None or _height([*chosen, block]) <= height):
            chosen.append(block)
    footer = [[Text(FOOTER, "dim")]] if height is not None and _height([*chosen, [Text()]]) <= height else []
    room = PRINTED_ROWS + 1 if height is None else height - _height([*chosen, *footer, []])
    if rows := _table(snapshot, width, room):
        chosen.append(rows)
    lines = _join_blocks(chosen)
    if footer and height is not None:
        lines += [Text()] * (height - len(lines) - 1) + footer[0]
    return lines[:height]


def _height(blocks: Sequence[Lines]) -> int:
    """The number of lines of ``blocks`` with a blank line between any two."""
    return sum(map(len, blocks)) + max(0, len(blocks) - 1)


def _join_blocks(blocks: Sequence[Lines]) -> Lines:
    lines: Lines = []
    for block in blocks:
        lines += [*([Text()] if lines else []), *block]
    return lines


def _head(snapshot: Snapshot, width: int) -> Lines:
    """The run, the time and the state. A clock that stands still shows that the screen is no longer updated."""
    clock = f"{snapshot.now:%H:%M:%S}"
    room = width - len(clock) - 2
    name = safe(str(snapshot.path), room)
    about = safe(_describe_run(snapshot), max(0, room - width_of(name) - 2))
    gap = " " * (width - width_of(name) - (2 + width_of(about) if about else 0) - len(clock))
    title = Text.assemble((name, "bold"), ("  " + about if about else "", "dim"), gap, (clock, "dim"))
    words, style = describe_state(snapshot)
    damage = " ".join(damage_lines(snapshot.summary)) if snapshot.summary else ""
    warning = [Text(part, BAD) for part in textwrap.wrap(damage, width)[:WARNING_LINES]]
    return [title, *(Text(part, style) for part in textwrap.wrap(words, width)[:3]), *warning]


def _describe_run(snapshot: Snapshot) -> str:
    if (s := snapshot.summary) is None:
        return ""
    parts = [
        name for name in (s.proposer and f"proposer {s.proposer}", s.yardstick and s.yardstick.device_kind) if name
    ]
    return ", ".join(parts)


def _numbers(snapshot: Snapshot, width: int, height: int | None) -> Lines:
    """Baseline, best, verdicts and power; in a high terminal all counts of a report."""
    if snapshot.summary is None:
        return []
    is_full = height is not None and height >= MIN_FULL_HEIGHT
    found = [
        *_results(snapshot),
        *(
            (label, text)
            for label, text in summary_facts(snapshot.summary)
            if label in ALWAYS_SHOWN or (is_full and label != "energy")
        ),
        *_power(snapshot),
    ]
    return [text for label, words in found for text in _labelled(label, words, width)]


def _results(snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    history, s = snapshot.history, snapshot.summary
    if history is None or s is None:
        return
    if s.baseline_result is None:
        failed = f"failed: {safe(s.baseline_failure, BASELINE_CELLS)}" if s.baseline_failure else "not measured yet"
        yield "baseline", "its record is lost" if s.warnings and s.iterations else failed
        return
    yield "baseline", f"{format_bpb(s.baseline_result)} {safe(s.words.named_unit, NAME_CELLS)}"
    if (best := best_keep(history.rows)) and best.evidence:
        change = format_change(best.knob, best.new_value, NAME_CELLS)
        on_test = f"; on test {describe_test_gain(best.vault)}" if best.vault else ""
        verdict = describe_verdict(best.improvement_frac, best.evidence)
        yield "best", f"{change}, iteration {best.iter:,}: {verdict}{on_test}"
    elif best:
        gain = f", {100 * best.improvement_frac:.2f}% {s.words.beyond}" if best.improvement_frac is not None else ""
        change = format_change(best.knob, best.new_value, NAME_CELLS)
        yield "best", f"{format_bpb(best.val_bpb)}{gain}: {change}, iteration {best.iter:,}"
    elif s.evaluated and s.verdicts:
        yield "best", f"none of {plural(s.evaluated, 'candidate')} is confirmed yet"
    elif s.evaluated:
        where = f"iteration {s.lowest_iter:,}" if s.lowest_iter else "the baseline's own"
        yield "best", f"no keep yet; the {s.words.best} measurement is {format_bpb(s.lowest_result)}, {where}"
    else:
        yield "best", "no candidate is measured yet"


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
    glyphs, *legend = render_curve(snapshot.summary, snapshot.history, width) or [""]
    if not glyphs:
        return []
    label, line_ = glyphs[:LABEL_CELLS], glyphs[LABEL_CELLS:]
    return [Text.assemble((label, "dim"), (line_, "cyan")), *(Text(part, "dim") for part in legend)]


def _table(snapshot: Snapshot, width: int, room: int) -> Lines:
    """A heading and the last iterations, the newest at the bottom, in at most ``room`` lines."""
    if snapshot.history is None or snapshot.summary is None or not snapshot.history.rows or room < MIN_TABLE:
        return []
    columns = _columns(len(snapshot.summary.sources) > 1, snapshot.history.is_sequential, width)
    heading = format_heading(columns, snapshot.history.words.name)
    if width - sum(columns.values()) >= MIN_WHY_CELLS:
        heading += "why"
    rows = snapshot.history.rows[-(room - 1) :]
    return [
        Text(clip(heading.rstrip(), width), "dim"),
        *(Text(clip(format_row(row, width, columns), width), STYLES.get(row_style(row), "")) for row in rows),
    ]


def _columns(with_source: bool, sequential: bool, width: int) -> dict[str, int]:
    """The columns that fit; in a narrow terminal the verdict is kept rather than the time."""
    columns = dict(choose_columns(with_source=with_source, sequential=sequential))
    for name in OPTIONAL_COLUMNS:
        if sum(columns.values()) > width:
            columns.pop(name, None)
    return columns
