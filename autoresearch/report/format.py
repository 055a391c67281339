"""Values as text for a terminal: untrusted text escaped; durations, sizes, costs and percentages formatted. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from autoresearch.core.records import ProposalRecord, Yardstick
from autoresearch.core.text import escape_control, signed_percent
from autoresearch.core.values import KnobValue

ELLIPSIS = "…"
NAME_CELLS = 40  # maximum width of a name that was read from a file
MAX_COUNTS = 20


def escape_line(text: str, limit: int) -> str:
    """Untrusted ``text`` as one line of printable characters; the caller cuts it to ``limit`` characters or cells.

    White space becomes single spaces. What is not printable (controls, escape sequences, bidirectional and other
    invisible marks, lone surrogates) is shown as its escape, so that it can neither control the terminal, nor hide or
    reorder the text beside it. Only the first ``8 * limit`` characters are processed: that bounds the work.
    """
    return escape_control(" ".join(text[: 8 * limit].split()))


def safe(text: str, cells: int) -> str:
    """Untrusted ``text`` as one printable line of at most ``cells`` terminal cells."""
    return clip(escape_line(text, cells), cells)


def clip(text: str, cells: int) -> str:
    """``text`` cut to ``cells`` terminal cells, with an ellipsis in place of the rest."""
    if (
        width_of(text) <= cells and len(text) <= 4 * cells
    ):  # a letter can carry any number of combining marks, which take no cell
        return text
    kept, used = "", 1
    for char in text[: 4 * cells]:
        used += width_of(char)
        if used > cells:
            break
        kept += char
    return kept + ELLIPSIS if cells > 0 else ""


def width_of(text: str) -> int:
    """The terminal cells that ``text`` takes: two for a wide character, none for a combining mark."""
    return len(text) if text.isascii() else sum(_cells(char) for char in text)


def _cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def pad(text: str, cells: int) -> str:
    """``text`` followed by spaces up to ``cells``, cut if it is longer."""
    cut = clip(text, cells)
    return cut + " " * (cells - width_of(cut))


def format_duration(seconds: float | None) -> str:
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


def format_percent(fraction: float | None) -> str:
    """A relative change with its sign: ``+0.93%``; a dash for ``None``."""
    return "-" if fraction is None else signed_percent(fraction)


def format_share(fraction: float) -> str:
    """A share in whole percent: ``67%``."""
    return f"{100 * fraction:.0f}%"


def format_gib(size_bytes: int) -> str:
    """``9.00 GiB``."""
    return f"{size_bytes / 2**30:.2f} GiB"


def format_cost(cost: float) -> str:
    """An amount of money without its currency, with enough digits to be more than zero."""
    return f"{cost:.{2 if cost >= 1 or cost == 0 else 4}f}"


def format_bpb(value: float | None) -> str:
    """A val_bpb or another metric with four decimals: ``3.3695``; a dash for ``None``.

    A metric of another size has six significant digits: ``123457``, ``-0.00123457``.
    """
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or 0.1 <= abs(value) < 1000 else f"{value:.6g}"


def format_change(knob: str | None, value: KnobValue | None, cells: int) -> str:
    """``knob = value`` as one printable line of at most ``cells`` terminal cells; a dash without a knob.

    Of several knobs, which a row lists with commas (``history.Row``), each is written beside its value.
    """
    if knob is None:
        return "-"
    names, values = knob.split(", "), str(value).split(", ")
    pairs = zip(names, values, strict=True) if len(names) == len(values) else ((knob, value),)
    return safe(", ".join(f"{name} = {one}" for name, one in pairs), cells)


def format_changes(proposal: ProposalRecord, cells: int) -> str:
    """Every change of a proposal as one printable line: ``lr = 0.001, beta1 = 0.95``."""
    return safe(", ".join(f"{knob} = {value}" for knob, value in proposal.changes), cells)


def format_counts(counts: Mapping[str, int]) -> str:
    """Names with their counts, the most frequent first, at most ``MAX_COUNTS`` of them: ``lr 3, beta2 1``."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    more = f" and {len(ranked) - MAX_COUNTS} more" if len(ranked) > MAX_COUNTS else ""
    return ", ".join(f"{safe(name, NAME_CELLS)} {n}" for name, n in ranked[:MAX_COUNTS]) + more


def describe_unseeded(yardstick: Yardstick | None) -> str:
    """What verdicts rest on where a command takes no seed; empty where trials have one."""
    if yardstick is None or yardstick.command is None or yardstick.command.seeded:
        return ""
    return (
        "The command takes no seed, so a seed only numbers its trials: verdicts assume that trials of candidate and "
        "baseline have nothing in common. A script that always computes the same shows no noise, and then a keep says "
        "nothing beyond that one computation."
    )


def describe_budget(yardstick: Yardstick) -> str:
    """As ``format_budget``; of a command that keeps its own budget, that it does: its size is not known here."""
    if yardstick.command and yardstick.command.owns_budget:
        return "the script's own budget"
    return format_budget(yardstick)


def format_budget(yardstick: Yardstick) -> str:
    """What every trial has the same amount of: 60 steps, or the FLOPs of 60 steps of the baseline."""
    if yardstick.budget_kind != "flops":
        return f"{yardstick.budget_size:g} {yardstick.budget_kind}"
    steps = f"{yardstick.budget_size:g} baseline steps"
    flops = yardstick.budget_flops
    return f"the FLOPs of {steps}" if flops is None else f"{flops:.3g} FLOPs ({steps})"
