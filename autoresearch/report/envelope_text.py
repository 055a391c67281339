"""The text of `autoresearch envelope`: a line per point, and an explanation of the columns. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence

from autoresearch.core.speeds import Point, Speed
from autoresearch.report.format import safe
from autoresearch.report.table import paint

WIDTHS = {"batch": 5, "seq": 6, "prec": 6, "tokens/s": 11, "random": 11, "step ms": 9, "data path": 15, "MFU": 7}
WIDTHS |= {"GiB": 6}
POWER_WIDTHS = {"batch": 5, "seq": 6, "prec": 5, "tokens/s": 10, "random": 10, "step ms": 8, "data path": 13, "MFU": 6}
POWER_WIDTHS |= {"GiB": 6, "W": 5, "tok/J": 6}
UNITS = ((1e15, "PFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s"))


def render_envelope(
    points: Sequence[Point], peaks: Mapping[str, float], *, width: int = 80, color: bool = False
) -> str:
    """A heading, a line per point and the notes below; at most 80 cells wide. No newline at the end."""
    widths = POWER_WIDTHS if any(p.speed and p.speed.watts for p in points) else WIDTHS
    heading = "".join(name.rjust(cells) for name, cells in widths.items())
    lines = [paint(heading, "dim", color)]
    for point in points:
        text = format_point(point, widths, width)
        lines.append(paint(text, "bad" if point.failure else "dim" if point.refused else "", color))
    return "\n".join([*lines, "", *format_notes(points, peaks, width)]) if points else "No point was measured."


def format_point(point: Point, widths: Mapping[str, int] = WIDTHS, width: int = 80) -> str:
    """One point: its figures, or the reason why it has none."""
    where = (str(point.batch_size), str(point.seq_len), point.precision)
    cells = list(widths.values())
    head = "".join(text.rjust(room) for text, room in zip(where, cells[:3], strict=True))
    if (s := point.speed) is None:
        why = f"{point.failure.cause}: {point.failure.detail}" if point.failure else f"R7: {point.refused}"
        return f"{head}  {safe(why, max(20, width - len(head) - 2))}"
    return head + "".join(text.rjust(room) for text, room in zip(_figures(s, point.mfu), cells[3:], strict=False))


def _figures(s: Speed, mfu: float | None) -> list[str]:
    return [
        f"{s.real_tokens_per_s:,.0f}",
        f"{s.random_tokens_per_s:,.0f}",
        f"{s.real_step_ms:.{1 if s.real_step_ms < 1e4 else 0}f}",
        f"{100 * s.data_path_frac:+.1f} ±{100 * s.data_path_spread:.1f}%",
        "-" if mfu is None else f"{100 * mfu:.1f}%",
        f"{s.peak_bytes / 2**30:.2f}" if s.peak_bytes < 100 * 2**30 else f"{s.peak_bytes / 2**30:.0f}",
        "-" if s.watts is None else f"{s.watts:.0f}",
        "-" if s.tokens_per_joule is None else f"{s.tokens_per_joule:.{1 if s.tokens_per_joule < 1000 else 0}f}",
    ]


def format_notes(points: Sequence[Point], peaks: Mapping[str, float], width: int) -> list[str]:
    """The meaning of the columns, and the two figures that apply to all points."""
    speeds = [p.speed for p in points if p.speed]
    sentences = []
    if speeds:
        sentences.append(
            "tokens/s, step ms, MFU: on the corpus. data path: 1 - corpus/random speed, median of the rounds "
            "± half of their range; noise can make it negative."
        )
        host = max(s.batch_ms / s.real_step_ms for s in speeds)
        sentences.append(f"The host needed at most {100 * host:.3f}% of a step to make a batch of the corpus.")
    if peaks:
        peak_list = ", ".join(f"{precision} {format_flops(peak)}" for precision, peak in peaks.items())
        sentences.append(f"MFU is the fraction of the matmul peak measured here in the same precision: {peak_list}.")
    return [row for sentence in sentences for row in textwrap.wrap(sentence, min(width, 80))]


def format_flops(per_s: float) -> str:
    """``198 GFLOP/s``."""
    scale, unit = next(((s, u) for s, u in UNITS if per_s >= s), UNITS[-1])
    return f"{per_s / scale:.3g} {unit}"


def envelope_json(
    points: Sequence[Point], peaks: Mapping[str, float], conditions: Mapping[str, object], ended: str
) -> str:
    """The whole sweep as one JSON object; ``ended_by`` is null for a complete sweep."""
    rows = [{"status": p.status, **p.model_dump(mode="json", exclude={"kind"})} for p in points]
    whole = {"conditions": conditions, "matmul_peak_flops_per_s": peaks, "ended_by": ended or None, "points": rows}
    return json.dumps(whole, indent=2)
