"""What happened to the keeps when they were combined: unions beside the sums of their parts, and the ablation. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from autoresearch.core.stacking import STACK_SOURCE
from autoresearch.core.values import FrozenModel, KnobValue
from autoresearch.report.format import format_change, format_percent, pad, safe
from autoresearch.report.history import Row
from autoresearch.report.table import format_verdict, paint
from autoresearch.verdicts.interaction import (
    Contrast,
    Interaction,
    Term,
    contrast,
    interaction,
    label_interaction,
    sum_of_parts,
)
from autoresearch.verdicts.stack import LeftOut, Outcome, Tried, keeps_in_order, parts_of, plan_stack

UNION_COLUMNS = {"iter": 6, "changes": 26, "gain": 8, "sum of parts": 24, "difference": 24, "they": 16}
LEFT_OUT_COLUMNS = {"left out": 26, "alone": 8, "stack without": 14, "what it adds": 24, "iter": 6}


class GainInterval(FrozenModel):
    """A sum or difference of gains with its 95% interval; bounds are ``None`` where the noise is not known."""

    value_frac: float
    low_frac: float | None
    high_frac: float | None


class UnionNumbers(FrozenModel):
    """A measured union of keeps. ``interaction`` is its gain less the sum of its parts'.

    The parts were selected for their gains, so that their sum is too large on average, and the interaction too low.
    """

    iter: int
    changes: dict[str, KnobValue]
    verdict: str
    gain_frac: float
    seeds: int
    parts: list[int]  # the iterations of the keeps that it is made of
    sum_of_parts: GainInterval
    interaction: GainInterval
    label: Interaction


class StepNumbers(FrozenModel):
    """What became of a keep when it was to be added to the stack."""

    iter: int
    changes: dict[str, KnobValue]
    gain_frac: float
    outcome: Outcome
    union_iter: int | None


class AblationNumbers(FrozenModel):
    """The final stack without one knob. ``adds`` is the stack's gain less that without it; ``None``: not measured."""

    knob: str
    value: KnobValue
    iter: int | None  # of the measurement without it
    without_frac: float | None
    adds: GainInterval | None
    alone_frac: float | None  # the gain of this change alone


class StackNumbers(FrozenModel):
    """The combination of what was kept."""

    best_iter: int
    changes: dict[str, KnobValue]
    gain_frac: float
    verdict: str
    steps: list[StepNumbers]  # the other keeps, in the order in which they were to be added
    unions: list[UnionNumbers]
    ablation: list[AblationNumbers]


def tried_rows(rows: Sequence[Row]) -> list[Tried]:
    """The candidates of a report that were tried, as the plan of the stack reads them."""
    return [
        Tried(r.iter, _changes(r), r.improvement_frac, r.decision == "keep", r.source == STACK_SOURCE)
        for r in rows
        if r.stage in ("evaluated", "stopped_early", "eval_failed") and r.knob is not None
    ]


def _changes(row: Row) -> dict[str, KnobValue]:
    if row.several or row.knob is None or row.new_value is None:
        return dict(row.several)
    return {row.knob: row.new_value}


def stack_numbers(rows: Sequence[Row]) -> StackNumbers | None:
    """The numbers of the stack; ``None`` where no union was measured."""
    if not any(row.several or row.source == STACK_SOURCE for row in rows):  # most runs, and long ones
        return None
    tried = tried_rows(rows)
    by_iter = {row.iter: row for row in rows}
    parts = keeps_in_order(tried)
    made_of = [(t, parts_of(t, parts)) for t in tried if t.gain_frac is not None and len(t.changes) > 1]
    unions = [_union(by_iter, union, found) for union, found in made_of if found]
    plan = plan_stack(tried)
    if plan.best is None or not (unions or any(t.is_union for t in tried)):
        return None
    alone = {next(iter(t.key)): t.gain_frac for t in tried if len(t.changes) == 1}
    best = plan.best
    return StackNumbers(
        best_iter=best.iter,
        changes=dict(best.changes),
        gain_frac=best.gain_frac or 0.0,
        verdict=format_verdict(by_iter[best.iter]),
        steps=[
            StepNumbers(
                iter=s.part.iter,
                changes=dict(s.part.changes),
                gain_frac=s.part.gain_frac or 0.0,
                outcome=s.outcome,
                union_iter=s.union.iter if s.union else None,
            )
            for s in plan.steps
        ],
        unions=unions,
        ablation=[_left_out(by_iter, best, one, alone.get((one.knob, one.value))) for one in plan.ablation],
    )


def term_of(row: Row) -> Term:
    """The gain of a measured row, with the noise that its verdict went by."""
    if row.evidence is None:
        return Term(row.improvement_frac or 0.0, tuple(range(max(1, row.trials))))
    return Term(row.improvement_frac or 0.0, row.evidence.seeds, row.evidence.sd_frac, row.evidence.df)


def _union(by_iter: dict[int, Row], union: Tried, parts: Sequence[Tried]) -> UnionNumbers:
    row = by_iter[union.iter]
    terms = [term_of(by_iter[part.iter]) for part in parts]
    return UnionNumbers(
        iter=union.iter,
        changes=dict(union.changes),
        verdict=format_verdict(row),
        gain_frac=union.gain_frac or 0.0,
        seeds=len(term_of(row).seeds),
        parts=[part.iter for part in parts],
        sum_of_parts=_interval(sum_of_parts(terms)),
        interaction=_interval(interaction(term_of(row), terms)),
        label=label_interaction(term_of(row), terms),
    )


def _left_out(by_iter: dict[int, Row], best: Tried, one: LeftOut, alone: float | None) -> AblationNumbers:
    without = one.without if one.without is not None and one.without.gain_frac is not None else None
    adds = None
    if without is not None:
        adds = _interval(contrast([term_of(by_iter[best.iter]), term_of(by_iter[without.iter]).times(-1.0)]))
    return AblationNumbers(
        knob=one.knob,
        value=one.value,
        iter=one.without.iter if one.without else None,
        without_frac=without.gain_frac if without else None,
        adds=adds,
        alone_frac=alone,
    )


def _interval(found: Contrast) -> GainInterval:
    return GainInterval(value_frac=found.value_frac, low_frac=found.low_frac, high_frac=found.high_frac)


def describe_stack(s: StackNumbers) -> Iterator[str]:
    """The result in sentences."""
    name = ", ".join(f"{safe(knob, 30)} = {safe(str(value), 30)}" for knob, value in s.changes.items())
    together = "The best union of keeps is" if len(s.changes) > 1 else "No union gains more than the best keep,"
    yield f"{together} iteration {s.best_iter:,} ({name}): {format_percent(s.gain_frac)}, {s.verdict}."
    for outcome, text in (
        ("held back", "left out, because the union with it did not gain more"),
        ("same knobs", "left out, because a better keep changes the same knobs"),
        ("not possible", "left out, because no rail-conforming union with it was measured"),
        ("not measured", "not tried together with it yet"),
    ):
        found = [f"{_join(step.changes)} (iteration {step.iter:,})" for step in s.steps if step.outcome == outcome]
        if found:
            yield f"{'; '.join(found)}: {text}."


def _join(changes: dict[str, KnobValue]) -> str:
    return ", ".join(f"{safe(knob, 30)} = {safe(str(value), 30)}" for knob, value in changes.items())


NOTE = (
    "sum of parts: what the keeps would gain together if their gains added up, with its 95% interval; difference: the "
    "union's gain less that sum. The keeps were selected for their gains, so that their sum is too large on average."
)

ABLATION_NOTE = (
    "alone: the gain of the change alone; what it adds: the stack's gain less the gain without it, with its 95% "
    "interval. A change that adds less than it gains alone shares its gain with the rest of the stack."
)


def union_rows(s: StackNumbers) -> list[tuple[str, ...]]:
    """The cells of ``UNION_COLUMNS``."""
    return [
        (
            str(u.iter),
            format_change(", ".join(u.changes), ", ".join(str(v) for v in u.changes.values()), 25),
            format_percent(u.gain_frac),
            format_gain_interval(u.sum_of_parts),
            format_gain_interval(u.interaction),
            u.label,
        )
        for u in s.unions
    ]


def ablation_rows(s: StackNumbers) -> list[tuple[str, ...]]:
    """The cells of ``LEFT_OUT_COLUMNS``."""
    return [
        (
            format_change(a.knob, a.value, 25),
            format_percent(a.alone_frac),
            format_percent(a.without_frac),
            format_gain_interval(a.adds) if a.adds else "not measured",
            "-" if a.iter is None else str(a.iter),
        )
        for a in s.ablation
    ]


def format_gain_interval(found: GainInterval) -> str:
    """``+1.20% (+0.80 to +1.60)``."""
    text = format_percent(found.value_frac).strip()
    if found.low_frac is None or found.high_frac is None:
        return text
    return f"{text} ({100 * found.low_frac:+.2f} to {100 * found.high_frac:+.2f})"


def render_stack(s: StackNumbers | None, width: int, color: bool) -> list[str]:
    """Sentences and the two tables; empty where no union was measured."""
    if s is None:
        return []
    lines = [line for text in describe_stack(s) for line in textwrap.wrap(text, width)]
    if s.unions:
        lines += _table(UNION_COLUMNS, union_rows(s), color) + textwrap.wrap(NOTE, width)
    if s.ablation:
        lines += ["", "The stack without one change:", *_table(LEFT_OUT_COLUMNS, ablation_rows(s), color)]
        lines += textwrap.wrap(ABLATION_NOTE, width)
    return lines


def _table(columns: dict[str, int], rows: Sequence[tuple[str, ...]], color: bool) -> list[str]:
    heading = "".join(pad(name, cells) for name, cells in columns.items()).rstrip()
    cells = [
        "".join(pad(cell, room) for cell, room in zip(row, columns.values(), strict=True)).rstrip() for row in rows
    ]
    return [paint(heading, "dim", color), *cells]
