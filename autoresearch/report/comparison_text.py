"""The text of `autoresearch report A B`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from autoresearch.core.text import plural
from autoresearch.report.comparison import SEED, Comparison, Difference, KeptChange, Outcome, Side
from autoresearch.report.energy import SCOPES
from autoresearch.report.format import (
    NAME_CELLS,
    format_bpb,
    format_change,
    format_duration,
    format_percent,
    format_share,
    pad,
    safe,
)
from autoresearch.report.table import paint

MIN_WIDTH = 60
LABEL_CELLS = 14
MAX_LINES = 20  # of a list; the JSON has all
PATH_CELLS = 200


def render_comparison(c: Comparison, *, width: int = 80, color: bool = False) -> str:
    """Both runs side by side. No newline at the end; apart from ``color`` no control characters, whatever the logs."""
    width = max(width, MIN_WIDTH)
    blocks = [
        [line for text in describe_sides(c) for line in wrap(text, width)],
        [paint(line, "bold", color) for line in wrap(describe_comparability(c), width)],
        _difference_lines("yardstick", c.yardstick_differences, width),
        _difference_lines("baseline configuration", c.baseline_differences, width),
        _difference_lines("decision rule", c.rule_differences, width),
        [_columns(label, a, b, width) for label, a, b in (("", "A", "B"), *figures(c))],
        *(_kept_lines(title, changes) for title, changes in kept_lists(c)),
        wrap(describe_common(c), width),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def describe_sides(c: Comparison) -> Iterator[str]:
    """Which runs these are, and what may make their figures wrong."""
    for name, side in (("A", c.a), ("B", c.b)):
        run = f", run {safe(side.run_id, NAME_CELLS)}" if side.run_id else ""
        yield f"{name}: {safe(side.path, PATH_CELLS)}{run}"
        if side.live:
            yield f"{name} is running now: its figures can still change."
        if side.warnings:
            yield f"WARNING: the trajectory of {name} is damaged; only its whole records count."
    if any(d.name == SEED for d in c.rule_differences):
        yield "The seeds differ: a part of every difference is their noise."
    if c.same_run:
        yield "Both have the same run id: one is a copy of the other, or of an earlier state of it."


def describe_comparability(c: Comparison) -> str:
    """Whether figures may be compared, in words that name what is missing."""
    if c.same_yardstick is None:
        return "At least one log does not record its yardstick: whether any figure can be compared is unknown."
    if not c.same_yardstick:
        parts = ", ".join(d.name for d in c.yardstick_differences)
        return f"NOT comparable: the yardsticks differ ({parts}). Neither val_bpb nor gains of A and B can be compared."
    if c.verdicts_comparable:
        return "Same yardstick, same baseline configuration, same rule: val_bpb, gains and verdicts can be compared."
    if c.gains_comparable:
        return (
            "Same yardstick and baseline configuration: val_bpb and gains can be compared. The decision rules differ: "
            "the verdicts cannot."
        )
    return (
        "Same yardstick: val_bpb can be compared. The baseline configurations differ: a change is not the same "
        "configuration in both, and gains and verdicts cannot be compared."
    )


def figures(c: Comparison) -> Iterator[tuple[str, str, str]]:
    """Label and both texts of each figure."""
    for label, text in (
        ("state", _state),
        ("profile", lambda s: safe(s.profile or "-", NAME_CELLS)),
        ("proposer", lambda s: safe(s.proposer or "-", NAME_CELLS)),
        ("measured", lambda s: f"{s.evaluated}, {s.failed} failed, {s.blocked} blocked"),
        ("keeps", lambda s: str(s.keeps)),
        ("baseline", _baseline),
        ("best keep", _best),
        ("best change", lambda s: format_change(s.best_knob, s.best_value, NAME_CELLS)),
        ("best gain", lambda s: format_percent(s.best_improvement_frac)),
        ("repeats", _repeats),
        ("time", _time),
        ("trained on", lambda s: "-" if s.tokens is None else f"{s.tokens:,} tokens"),
        ("energy", _energy),
    ):
        yield label, text(c.a), text(c.b)


def kept_lists(c: Comparison) -> Iterator[tuple[str, Sequence[KeptChange]]]:
    """The three lists of kept changes with their titles, empty ones too."""
    yield "Kept in both", c.kept_in_both
    yield "Kept only in A", c.kept_only_in_a
    yield "Kept only in B", c.kept_only_in_b


def describe_common(c: Comparison) -> str:
    """What the changes that both measured say about the noise."""
    if not c.measured_in_both:
        return "No change was measured in both."
    text = f"{plural(c.measured_in_both, 'change')} measured in both"
    if c.gain_difference_median is None or c.gain_difference_max is None:
        return f"{text}; their gains cannot be compared."
    differ = f"{100 * c.gain_difference_median:.2f}% in the median, {100 * c.gain_difference_max:.2f}% at most"
    return f"{text}: their gains differ by {differ}. The baseline of B has {_baseline_gap(c.baseline_change_frac)}."


def _baseline_gap(change: float | None) -> str:
    if not change:
        return "the same val_bpb"
    return f"{100 * abs(change):.2f}% {'less' if change > 0 else 'more'} val_bpb"


def describe_change(change: KeptChange) -> str:
    """A kept change, with what became of it in both runs."""
    known = f"A {verdict_of(change.a, change.a_gain)}, B {verdict_of(change.b, change.b_gain)}"
    return f"{format_change(change.knob, change.new_value, NAME_CELLS)}: {known}"


def verdict_of(outcome: Outcome, gain: float | None) -> str:
    """The outcome of a change in one run, with its gain if it was measured."""
    return outcome if gain is None else f"{outcome} {format_percent(gain)}"


def _difference_lines(title: str, differences: Sequence[Difference], width: int) -> list[str]:
    if not differences:
        return []
    lines = [_columns(safe(d.name, NAME_CELLS), d.a or "-", d.b or "-", width, 28) for d in differences[:MAX_LINES]]
    return [_columns(f"Differs in the {title}:", "A", "B", width, 28), *lines, *_more(len(differences))]


def _kept_lines(title: str, changes: Sequence[KeptChange]) -> list[str]:
    lines = [f"  {describe_change(change)}" for change in changes[:MAX_LINES]]
    return [f"{title}: {len(changes)}", *lines, *_more(len(changes))]


def _more(count: int) -> list[str]:
    return [f"  and {count - MAX_LINES} more; --json has all"] if count > MAX_LINES else []


def _columns(label: str, a: str, b: str, width: int, label_cells: int = LABEL_CELLS) -> str:
    each = (width - label_cells) // 2
    return f"{pad(label, label_cells)}{pad(safe(a, each - 2), each)}{safe(b, each - 2)}".rstrip()


def _state(s: Side) -> str:
    of = f" of {s.iters_requested}" if s.iters_requested is not None else ""
    return f"{s.state}, {s.iterations}{of} iterations"


def _baseline(s: Side) -> str:
    trials = f", {plural(s.baseline_trials, 'trial')}" if s.baseline_trials else ""
    return f"{format_bpb(s.baseline_val_bpb)}{trials}"


def _best(s: Side) -> str:
    return "none" if s.best_iter is None else f"{format_bpb(s.best_val_bpb)}, iteration {s.best_iter}"


def _repeats(s: Side) -> str:
    return "-" if s.repeat_rate is None else f"{s.repeat_count} ({format_share(s.repeat_rate)} of the proposals)"


def _time(s: Side) -> str:
    training = f", {format_duration(s.train_s)} of training" if s.train_s is not None else ""
    return f"{format_duration(s.wall_s)}{training}"


def _energy(s: Side) -> str:
    metered = [f"{e.energy_kwh:.4f} kWh of {SCOPES[e.scope]}" for e in s.energy if e.energy_kwh is not None]
    trials = [f"{s.energy_kwh:.4f} kWh of the trials"] if s.energy_kwh is not None and not metered else []
    return ", ".join(metered or trials) or "not measured"
