"""Build the prompt: the task, the menu, and the results of the run, within the model's context length."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from autoresearch.core.records import Meta
from autoresearch.core.text import plural
from autoresearch.core.trajectory import Trajectory
from autoresearch.llm.tokens import estimate_tokens
from autoresearch.proposers.belief import Belief
from autoresearch.proposers.prompting.answer_schema import MAX_REASON_CHARS
from autoresearch.proposers.prompting.open_values import open_choices, open_integers, open_range
from autoresearch.proposers.prompting.prompt_format import collapse_whitespace, one_line, percent, value_text
from autoresearch.proposers.prompting.prompt_history import Results, summarise_results
from autoresearch.proposers.prompting.prompt_sections import (
    DOC_CHARS,
    Detail,
    belief_lines,
    detail_levels,
    failed_lines,
    knob_line,
    measured_lines,
    refused_lines,
)
from autoresearch.proposers.prompting.prompt_task import (
    budget_lines,
    changes_how_many,
    changes_rule,
    example_answer,
    keep_rule,
    metric_name,
    metric_sections,
)
from autoresearch.proposers.space import Space
from rails import ChoiceKnob, IntKnob, Knob
from rails.menu import STEPS

BUDGET_CHARS = 200
MAX_RUNS = 12  # ranges of whole numbers that are listed for one knob
VALUE_TOKENS = 8  # the least for one value with its effect: bounds the levels of detail that are tried
INTRODUCTION = "An optimizer that has seen the same results would look here next:"
ASK = (
    "Propose what it cannot know from numbers: what is known of training, and of how these knobs depend on each other."
)


class PromptTooLong(ValueError):
    """Even the shortest prompt does not fit the model's context."""

    def __init__(self, needed: int, allowed: int) -> None:
        super().__init__(f"the prompt needs at least {needed} tokens, {allowed} are allowed")
        self.needed, self.allowed = needed, allowed


@dataclass(frozen=True, slots=True)
class PromptInputs:
    """What a prompt is built from. ``budget_left`` is inserted as it is; ``beliefs`` get a section if there are any."""

    space: Space
    trajectory: Trajectory
    budget_left: str
    proposals: int  # how many an answer may hold at most
    beliefs: tuple[Belief, ...] = ()
    setup: str = ""  # one line on what is trained


def build_prompt(inputs: PromptInputs, max_tokens: int, count: Callable[[str], int] = estimate_tokens) -> str:
    """The prompt, as detailed as ``max_tokens`` by ``count`` allow: details become summaries, but are not dropped.

    Raises ``PromptTooLong``, and ``ValueError`` before the run has a meta record.
    """
    results = summarise_results(inputs.trajectory, inputs.space.menu)
    fixed_sections = _fixed_sections(inputs, results)
    values_left = _values_left(inputs.space, inputs.trajectory)
    levels = detail_levels(min(_most_values(results), max_tokens // VALUE_TOKENS))

    def text_at(level: int) -> str:
        return _template().substitute(fixed_sections | _sections(inputs, results, values_left, levels[level]))

    text, needed = "", 0
    fitting, too_long = -1, len(levels)  # levels; binary search: level 0 is tried last
    while too_long - fitting > 1:
        middle = (fitting + too_long) // 2
        candidate = text_at(middle)
        needed = count(candidate)
        if needed <= max_tokens:
            fitting, text = middle, candidate
        else:
            too_long = middle
    if not text:
        raise PromptTooLong(needed, max_tokens)
    return text


@functools.cache
def _template() -> Template:
    return Template(Path(__file__).with_suffix(".md").read_text(encoding="utf-8"))


def _most_values(results: Results) -> int:
    """The largest number of values of one knob that were measured, stopped early, or failed for one cause."""
    measured = [len(knob) for knob in results.measured.values()]
    failed = [len(failures.values) for failures in results.failures.values()]
    stopped = [len(stops.values) for stops in results.stopped.values()]
    return max([*measured, *failed, *stopped], default=0)


def _sections(
    inputs: PromptInputs, results: Results, values_left: Mapping[str, str | None], detail: Detail
) -> dict[str, str]:
    """The sections that depend on the level of detail."""
    space, meta = inputs.space, _meta(inputs.trajectory)
    return {
        "knobs": "\n".join(knob_line(knob, space, detail) for knob in space.menu.knobs.values()),
        "constraints": _constraints(space, detail),
        "measured": measured_lines(results, detail),
        "failed": failed_lines(results, detail),
        "refused": refused_lines(results, detail),
        "task": budget_lines(space, meta, inputs.setup if detail.by_knob else "", is_explained=detail.docs),
        "still_open": _still_open(inputs.space, results, values_left, detail),
        "best": _best(inputs.trajectory, detail),
        "beliefs": _beliefs(inputs.beliefs, detail),
    }


def _fixed_sections(inputs: PromptInputs, results: Results) -> dict[str, str]:
    meta = _meta(inputs.trajectory)
    return {
        "keep_rule": keep_rule(meta.decision_rule),
        "changes_how_many": changes_how_many(inputs.space),
        "changes_rule": changes_rule(inputs.space),
        **metric_sections(meta),
        "baseline": _baseline(inputs),
        "budget": f"{one_line(inputs.budget_left, BUDGET_CHARS)}\n{_so_far(results)}",
        "example": example_answer(inputs.space, inputs.trajectory, results.tried_knobs),
        "proposals": str(inputs.proposals),
        "reason_chars": str(MAX_REASON_CHARS),
    }


def _meta(trajectory: Trajectory) -> Meta:
    if trajectory.meta is None:
        raise ValueError("the trajectory has no meta record yet")
    return trajectory.meta


def _constraints(space: Space, detail: Detail) -> str:
    rules = space.menu.constraints
    docs = [f" ({one_line(rule.doc, DOC_CHARS)})" if detail.docs and rule.doc else "" for rule in rules]
    lines = [f"- {collapse_whitespace(rule.rule.text)}{doc}" for rule, doc in zip(rules, docs, strict=True)]
    steps = space.steps(space.baseline) if callable(space.steps) else space.steps
    if any(STEPS in rule.rule.names for rule in rules) and steps is not None:
        lines.append(f"- {STEPS} is {steps} at the baseline")
    return "\n".join(lines) or "None."


def _baseline(inputs: PromptInputs) -> str:
    """Its measurement, and the values that are not knobs of the menu; the others stand with their knobs."""
    space, measured = inputs.space, inputs.trajectory.baseline
    bpb = f"{metric_name(inputs.trajectory)} {measured.value:.4f}" if measured else "not measured yet"
    fixed = [f"{name} = {value_text(v)}" for name, v in space.baseline.items() if name not in space.menu.knobs]
    return bpb + (f"; not to be changed: {', '.join(fixed)}" if fixed else "")


def _so_far(results: Results) -> str:
    stopped = f"{results.stopped_count} stopped early, " if results.stopped else ""
    return (
        f"So far {plural(results.iterations, 'iteration')}: {results.measured_count} measured, {stopped}"
        f"{results.failed_count} failed, {results.blocked} refused, {results.proposer_failed} without an answer."
    )


def _still_open(space: Space, results: Results, values_left: Mapping[str, str | None], detail: Detail) -> str:
    """Knobs without a result, open choices and whole numbers, and knobs without an open value."""
    choices, closed = [], []
    for name, knob in space.menu.knobs.items():
        left = values_left[name]
        if left and isinstance(knob, IntKnob) and not detail.docs:
            continue  # the coarser levels have no room for ranges
        choices += [f"{name} {left}"] if left else []
        closed += [name] if left == "" else []
    untried = [name for name in space.menu.knobs if name not in results.tried_knobs]
    lines = [f"- knobs not changed yet: {', '.join(untried) or 'none'}"]
    lines += [f"- values left: {'; '.join(choices)}"] if choices else []
    lines += [f"- nothing left: {', '.join(closed)}"] if closed else []
    return "\n".join(lines)


def _values_left(space: Space, trajectory: Trajectory) -> dict[str, str | None]:
    """The open values of each knob; empty where none is, ``None`` where there are too many to list."""
    return {name: _values_left_of(knob, space, trajectory) for name, knob in space.menu.knobs.items()}


def _values_left_of(knob: Knob, space: Space, trajectory: Trajectory) -> str | None:
    if isinstance(knob, ChoiceKnob):
        return ", ".join(map(value_text, open_choices(space, knob, trajectory)))
    if isinstance(knob, IntKnob) and (numbers := open_integers(space, knob, trajectory)) is not None:
        return _ranges(numbers)
    return None if open_range(space, knob, trajectory) else ""


def _ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in rising order as ranges of neighbours: ``4 to 11, 13``."""
    runs: list[list[int]] = []
    for value in numbers:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    shown = [f"{low} to {high}" if low < high else str(low) for low, high in runs[:MAX_RUNS]]
    return ", ".join([*shown, *(["..."] if len(runs) > MAX_RUNS else [])])


def _best(trajectory: Trajectory, detail: Detail) -> str:
    best = trajectory.best
    if best is None:
        return "Nothing has been kept yet."
    change = ", ".join(f"{knob} = {value_text(value)}" for knob, value in best.proposal.changes)
    if best.evidence:  # its mean val_bpb is of other seeds than the baseline's
        low, high = best.evidence.low_frac, best.evidence.high_frac
        is_shown = detail.values > 1 and low is not None and high is not None
        interval = f", interval {percent(low or 0.0)} to {percent(high or 0.0)}" if is_shown else ""
        return f"{change}: {percent(best.improvement_frac)} x{len(best.trials)}{interval} (iteration {best.iter})"
    value = f"{metric_name(trajectory)} {best.value:.4f}"
    return f"{change}: {percent(best.improvement_frac)}, {value} (iteration {best.iter})"


def _beliefs(beliefs: tuple[Belief, ...], detail: Detail) -> str:
    """The section with the empty lines around it, or an empty string."""
    lines = belief_lines(beliefs, detail)
    ask = f"{ASK}\n" if detail.values > 1 else ""
    return f"\n## The optimizer's state\n{INTRODUCTION}\n{lines}\n{ask}" if lines else ""
