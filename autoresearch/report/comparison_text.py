"""The text of `autoresearch report A B`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from textwrap import wrap

from autoresearch.core.metric import MetricWords
from autoresearch.core.text import plural
from autoresearch.report.comparison import SEED, ComparedChange, Comparison, Difference, Outcome, Side
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
from autoresearch.report.measured_gain import GainDifference, MeasuredGain
from autoresearch.report.table import paint
from autoresearch.report.verdict_text import format_range

MIN_WIDTH = 60
LABEL_CELLS = 15
MAX_LINES = 20  # of a list; the JSON has all
PATH_CELLS = 200


def render_comparison(c: Comparison, *, width: int = 80, color: bool = False) -> str:
    """Both runs side by side. No newline at the end; apart from ``color`` no control characters, whatever the logs."""
    width = max(width, MIN_WIDTH)
    sides = [line for text in describe_sides(c) for line in wrap(text, width)]
    comparable = [paint(line, "bold", color) for line in wrap(describe_comparability(c), width)]
    blocks = [
        *([sides, comparable] if c.val_bpb_comparable else [comparable, sides]),  # a warning stands at the top
        _difference_lines("yardstick", c.yardstick_differences, width),
        _difference_lines("baseline configuration", c.baseline_differences, width),
        _difference_lines("decision rule", c.rule_differences, width),
        [line for label, a, b in (("", "A", "B"), *figures(c)) for line in _wrapped_columns(label, a, b, width)],
        *(_kept_lines(title, changes, width) for title, changes in kept_lists(c)),
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


def _metric(c: Comparison) -> str:
    """The name of what is measured; of both, where it differs."""
    names = dict.fromkeys(safe(MetricWords(side.metric).name, NAME_CELLS) for side in (c.a, c.b))
    return " and ".join(names)


def describe_comparability(c: Comparison) -> str:
    """Whether figures may be compared, in words that name what is missing."""
    if c.same_yardstick is None:
        return "At least one log does not record its yardstick: whether any figure can be compared is unknown."
    if not c.same_yardstick:
        name, parts = _metric(c), ", ".join(d.name for d in c.yardstick_differences)
        return f"NOT comparable: the yardsticks differ ({parts}). Neither {name} nor gains of A and B can be compared."
    if c.verdicts_comparable:
        name = _metric(c)
        return f"Same yardstick, same baseline configuration, same rule: {name}, gains and verdicts can be compared."
    if c.gains_comparable:
        return (
            f"Same yardstick and baseline configuration: {_metric(c)} and gains can be compared. The decision rules "
            "differ: the verdicts cannot."
        )
    return (
        f"Same yardstick: {_metric(c)} can be compared. The baseline configurations differ: a change is not the same "
        "configuration in both, and gains and verdicts cannot be compared."
    )


def figures(c: Comparison) -> Iterator[tuple[str, str, str]]:
    """Label and both texts of each figure."""
    for label, text in (
        ("state", _state),
        ("profile", lambda s: safe(s.profile or "-", NAME_CELLS)),
        ("proposer", lambda s: safe(s.proposer or "-", NAME_CELLS)),
        ("measured", lambda s: f"{s.evaluated:,}, {s.failed:,} failed, {s.blocked:,} blocked"),
        ("verdicts", _verdicts),
        ("baseline", _baseline),
        ("one trial's SD", _noise),
        ("best keep", _best),
        ("best change", lambda s: format_change(s.best_knob, s.best_value, NAME_CELLS)),
        ("best gain", _best_gain),
        ("on test", _on_test),
        ("repeats", _repeats),
        ("time", _time),
        ("trained on", lambda s: "-" if s.tokens is None else f"{s.tokens:,} tokens"),
        ("energy", _energy),
    ):
        yield label, text(c.a), text(c.b)


def kept_lists(c: Comparison) -> Iterator[tuple[str, Sequence[ComparedChange]]]:
    """Every change that was kept, each in one list, with the titles of the lists, empty ones too."""
    yield "Kept in one and reverted in the other", c.opposite
    yield "Kept in both", c.kept_in_both
    yield "Kept in A, not measured in B", [k for k in c.kept_only_in_a if k not in c.opposite]
    yield "Kept in B, not measured in A", [k for k in c.kept_only_in_b if k not in c.opposite]


def describe_common(c: Comparison) -> str:
    """By how much the gains of changes that both measured differ, and how often by more than their noise."""
    if not c.measured_in_both:
        return "No change was measured in both."
    text = f"{plural(c.measured_in_both, 'change')} measured in both"
    if c.gain_difference_median is None or c.gain_difference_max is None:
        return f"{text}; their gains cannot be compared."
    median, most = 100 * c.gain_difference_median, 100 * c.gain_difference_max
    differ = f"{median:.2f} percentage points in the median, {most:.2f} at most"
    return f"{text}: their gains differ by {differ}; {_beyond_noise(c)}. {_baseline_gap(c)}"


def _beyond_noise(c: Comparison) -> str:
    if not c.gain_differences_judged:
        return "whether that is more than their noise is not known, because a run has no baseline of several seeds"
    of = f"{c.gain_differences_beyond_noise} of {c.gain_differences_judged}"
    return f"{of} differ by more than their noise (95% intervals: by chance one in twenty would)"


def _baseline_gap(c: Comparison) -> str:
    gap = c.baseline_change
    if gap is None:
        return "The baselines cannot be compared."
    if not gap.difference_frac:
        return f"The baseline of B has the same {_metric(c)}."
    better = "less" if gap.difference_frac > 0 else "more"
    interval = f" (less: {_interval(gap)})" if gap.low_frac is not None else ", of one seed in at least one of them"
    return f"The baseline of B has {100 * abs(gap.difference_frac):.2f}% {better} {_metric(c)}{interval}."


def describe_difference(difference: GainDifference | None, label: str = "B - A: ") -> str:
    """``B - A: -3.21 points (95% interval -4.01 to -2.41)``; empty where the gains are not comparable."""
    if difference is None:
        return ""
    points = f"{label}{100 * difference.difference_frac:+.2f} points"
    if difference.low_frac is None or difference.high_frac is None:
        return f"{points}, its noise is not known"
    within = "" if difference.beyond_noise else ", within the noise"
    return f"{points} ({_interval(difference, '')}{within})"


def _interval(of: GainDifference, unit: str = "%") -> str:
    return f"95% interval {100 * (of.low_frac or 0.0):+.2f} to {100 * (of.high_frac or 0.0):+.2f}{unit}"


def describe_change(change: ComparedChange) -> str:
    """A change, with what became of it in both runs, and the difference of its gains."""
    a, b = verdict_of(change.a, change.a_measured), verdict_of(change.b, change.b_measured)
    difference = describe_difference(change.difference)
    known = f"A {a}, B {b}" + (f"; {difference}" if difference else "")
    return f"{format_change(change.knob, change.new_value, NAME_CELLS)}: {known}"


def verdict_of(outcome: Outcome, measured: MeasuredGain | None) -> str:
    """``confirmed +3.08% (8 seeds, interval +1.59 to +4.57%)``, or the outcome of what was not measured."""
    if measured is None:
        return outcome
    seeds = plural(measured.seeds, "seed")
    interval = (
        f", interval {format_range(measured.low_frac, measured.high_frac)}" if measured.low_frac is not None else ""
    )
    return f"{measured.label} {format_percent(measured.gain_frac)} ({seeds}{interval})"


def _difference_lines(title: str, differences: Sequence[Difference], width: int) -> list[str]:
    if not differences:
        return []
    lines = [_columns(safe(d.name, NAME_CELLS), d.a or "-", d.b or "-", width, 28) for d in differences[:MAX_LINES]]
    heading = _columns("", "A", "B", width, 28)
    return [f"Differs in the {title}:", heading, *lines, *_more(len(differences))]


def _kept_lines(title: str, changes: Sequence[ComparedChange], width: int) -> list[str]:
    texts = [describe_change(change) for change in changes[:MAX_LINES]]
    lines = [line for text in texts for line in wrap(text, width, initial_indent="  ", subsequent_indent=" " * 6)]
    return [f"{title}: {len(changes)}", *lines, *_more(len(changes))]


def _more(count: int) -> list[str]:
    return [f"  and {count - MAX_LINES} more; --json has all"] if count > MAX_LINES else []


def _columns(label: str, a: str, b: str, width: int, label_cells: int = LABEL_CELLS) -> str:
    each = (width - label_cells) // 2
    return f"{pad(label, label_cells)}{pad(safe(a, each - 2), each)}{safe(b, each - 2)}".rstrip()


def _wrapped_columns(label: str, a: str, b: str, width: int) -> list[str]:
    """The texts below each other where they are longer than their column."""
    each = (width - LABEL_CELLS) // 2 - 2
    lines = zip_longest([label], wrap(a, each), wrap(b, each), fillvalue="")
    return [_columns(*cells, width) for cells in lines]


def _state(s: Side) -> str:
    of = f" of {s.iters_requested:,}" if s.iters_requested is not None else ""
    return f"{s.state}, {s.iterations:,}{of} iterations"


def _baseline(s: Side) -> str:
    trials = f", mean of {plural(s.baseline_trials, 'trial')}" if s.baseline_trials else ""
    value = s.baseline_metric.value if s.baseline_metric else s.baseline_val_bpb
    return f"{format_bpb(value)}{trials}"


def _verdicts(s: Side) -> str:
    if s.labels is None:
        return plural(s.keeps, "keep")
    return ", ".join(f"{n:,} {label}" for label, n in s.labels.items() if n or label == "confirmed")


def _noise(s: Side) -> str:
    if s.baseline_sd_frac is None or s.baseline_sd_interval is None:
        return "unknown, one seed" if s.baseline_seeds else "unknown"
    low, high = s.baseline_sd_interval
    seeds = plural(s.baseline_seeds, "seed")
    return f"{100 * s.baseline_sd_frac:.2f}% over {seeds}, 95% interval {100 * low:.2f} to {100 * high:.2f}%"


def _best_gain(s: Side) -> str:
    return "-" if s.best is None else verdict_of("keep", s.best)


def _on_test(s: Side) -> str:
    v = s.best_vault
    if v is None or v.test_gain_frac is None:
        return "-"
    interval = (
        f", 95% interval {format_range(v.test_low_frac, v.test_high_frac)}" if v.test_low_frac is not None else ""
    )
    return f"{format_percent(v.test_gain_frac)} ({plural(v.seeds, 'seed')}{interval})"


def _best(s: Side) -> str:
    value = s.best_metric.value if s.best_metric else s.best_val_bpb
    return "none" if s.best_iter is None else f"{format_bpb(value)}, iteration {s.best_iter:,}"


def _repeats(s: Side) -> str:
    return "-" if s.repeat_rate is None else f"{s.repeat_count} ({format_share(s.repeat_rate)} of the proposals)"


def _time(s: Side) -> str:
    training = f", {format_duration(s.train_s)} of training" if s.train_s is not None else ""
    return f"{format_duration(s.wall_s)}{training}"


def _energy(s: Side) -> str:
    metered = [f"{e.energy_kwh:.4f} kWh of {SCOPES[e.scope]}" for e in s.energy if e.energy_kwh is not None]
    trials = [f"{s.energy_kwh:.4f} kWh of the trials"] if s.energy_kwh is not None and not metered else []
    return ", ".join(metered or trials) or "not measured"
