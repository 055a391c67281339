"""Values as words for a terminal: untrusted text made harmless, spans, sizes and percentages made readable. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from autoresearch.core.text import escape_control, signed_percent
from autoresearch.core.values import KnobValue

ELLIPSIS = "…"
NAME_CELLS = 40  # at most, of a name that came out of a file
MAX_LISTED = 20


def safe(text: str, cells: int) -> str:
    """Untrusted ``text`` as one line of at most ``cells`` terminal cells.

    White space becomes single spaces. What is not printable (controls, escape sequences, bidirectional and other
    invisible marks, lone surrogates) is shown as its escape, so that it can neither act nor hide.
    """
    line = " ".join(text[: 8 * cells].split())  # the cut bounds the work: no text of that many characters is shown
    return clip(escape_control(line), cells)


def clip(text: str, cells: int) -> str:
    """``text`` cut to ``cells`` terminal cells, an ellipsis in place of what is missing."""
    if width_of(text) <= cells and len(text) <= 4 * cells:  # marks take no cell, and a letter can carry any number
        return text
    kept, used = "", 1
    for char in text[: 4 * cells]:
        used += width_of(char)
        if used > cells:
            break
        kept += char
    return kept + ELLIPSIS if cells > 0 else ""


def width_of(text: str) -> int:
    """The terminal cells that ``text`` takes: two for a wide character, none for a mark on the one before."""
    return sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, cells: int) -> str:
    """``text`` followed by spaces up to ``cells``, cut if it is longer."""
    cut = clip(text, cells)
    return cut + " " * (cells - width_of(cut))


def span(seconds: float | None) -> str:
    """A duration in the two units that matter: ``0.66 s``, ``47 s``, ``4 min 07 s``, ``1 h 13 min``, ``2 d 03 h``."""
    if seconds is None:
        return "unknown"
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def percent(fraction: float | None) -> str:
    """A signed change: ``+0.93%``; a dash where there is none."""
    return "-" if fraction is None else signed_percent(fraction)


def bpb(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def change(knob: str | None, value: KnobValue | None, cells: int) -> str:
    """``knob = value``, safe to show."""
    return "-" if knob is None else safe(f"{knob} = {value}", cells)


def listed(counts: Mapping[str, int]) -> str:
    """Names with their counts, the most frequent first, bounded."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    more = f" and {len(ranked) - MAX_LISTED} more" if len(ranked) > MAX_LISTED else ""
    return ", ".join(f"{safe(name, NAME_CELLS)} {n}" for name, n in ranked[:MAX_LISTED]) + more
