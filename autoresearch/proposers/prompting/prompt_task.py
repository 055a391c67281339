"""The sections of the prompt that state the task: the fixed budget, and a worked example of an answer."""

from __future__ import annotations

import json
import random

from autoresearch.core.metric import BITS_PER_BYTE, named_kind
from autoresearch.core.records import DecisionRule, Meta
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.prompting.prompt_format import one_line
from autoresearch.proposers.space import Space
from rails import Value

SETUP_CHARS = 400
METRIC_CHARS = 60


def metric_sections(meta: Meta) -> dict[str, str]:
    """What is trained and measured: a GPT and bits per byte, or the user's own script and metric."""
    kind = named_kind(meta.yardstick.command.metric) if meta.yardstick.command else None
    what = "the training of a small GPT" if meta.yardstick.command is None else "a training script"
    if kind is None:
        metric, more = "val_bpb: bits per byte on validation text, lower", "fewer bits per byte"
    else:
        unit = f" ({one_line(kind.unit, METRIC_CHARS)})" if kind.unit else ""
        metric = f"{one_line(kind.name, METRIC_CHARS)}{unit}: {kind.direction}"
        more = f"{kind.direction} {one_line(kind.name, METRIC_CHARS)}"
    return {"what": f"You tune {what}.", "metric": metric, "more": more}


def metric_name(trajectory: Trajectory) -> str:
    """The name of what is measured."""
    command = trajectory.meta.yardstick.command if trajectory.meta else None
    return one_line(command.metric.name, METRIC_CHARS) if command else BITS_PER_BYTE


def budget_lines(space: Space, meta: Meta, setup: str, *, is_explained: bool) -> str:
    """How long each experiment trains, in the unit of the budget and in tokens; then ``setup`` as one line."""
    kind, size = meta.yardstick.budget_kind, meta.yardstick.budget_size
    batch_size, seq_len = space.baseline.get("batch_size"), space.baseline.get("seq_len")
    per_step = batch_size * seq_len if isinstance(batch_size, int) and isinstance(seq_len, int) else None
    steps = space.steps(space.baseline) if callable(space.steps) else space.steps
    if kind == "flops":
        count, flops = int(size), meta.yardstick.budget_flops
        of = f"the training FLOPs of {count:,} baseline steps"
        known = [f"{flops:.3g} FLOPs"] if flops else []
        known += [f"{count * per_step:,} tokens at the baseline"] if per_step else []
        text = f"{of} ({', '.join(known)})" if known else of
        meaning = "a larger model, batch_size or seq_len means fewer steps, and lr_warmup counts steps"
    elif kind == "seconds":
        text, meaning = f"{size:g} seconds", "a faster configuration sees more tokens"
    elif kind == "tokens":
        at_baseline = f", {steps:,} steps at the baseline" if steps else ""
        text, meaning = f"{size:,.0f} tokens{at_baseline}", "a larger batch_size or seq_len means fewer steps"
    else:
        count = steps or int(size)
        in_tokens = f", {count * per_step:,} tokens at the baseline" if per_step else ""
        text, meaning = f"{count:,} steps{in_tokens}", "a larger batch_size or seq_len means more tokens"
    lines = [f"- Each experiment: {text}{f': {meaning}' if is_explained else ''}."]
    return "\n".join(lines + ([f"- {one_line(setup, SETUP_CHARS)}"] if setup else []))


def changes_how_many(space: Space) -> str:
    """What an experiment does with the baseline, in the introduction of the prompt."""
    return "changes ONE knob" if space.max_changes == 1 else f"changes 1 to {_most_changes(space)} knobs"


def changes_rule(space: Space) -> str:
    """What a proposal is, and how changes that helped are combined."""
    if space.max_changes == 1:
        return (
            "- A proposal is one knob and its new value; all other knobs stay at the baseline.\n"
            "- The baseline never moves, not even when a change is kept: changes do not add up."
        )
    listed = [{"knob": "NAME", "new_value": "VALUE"}] * 2
    form = json.dumps({"changes": listed, "reason": "why"}).replace('"VALUE"', "VALUE")
    return (
        f"- A proposal is one knob and its new value, or up to {_most_changes(space)} knobs together:\n  {form}\n"
        "  All other knobs stay at the baseline.\n"
        "- The baseline never moves, not even when a change is kept: propose changes that helped together to combine "
        "them."
    )


def _most_changes(space: Space) -> int:
    return min(space.max_changes, len(space.menu.knobs))


def keep_rule(rule: DecisionRule) -> str:
    """What a change needs to be kept, in sentences for the rules of the prompt."""
    percent = f"+{100 * rule.accept_delta_frac:g}%"
    if rule.kind == "threshold":
        return (
            f"A change is kept if its effect\n  is at least {percent}; much smaller effects may be noise. "
            '"x2" is the mean of 2 trials.'
        )
    return (
        f"A change is kept if its mean\n  effect over several seeds is at least {percent} and above their noise. "
        '"x4" is the mean of 4 seeds; one seed is noisy.'
    )


def example_answer(space: Space, trajectory: Trajectory, tried_knobs: set[str]) -> str:
    """A valid answer with one open change, another one in each iteration: what is copied from it can be tried."""
    rng = random.Random(f"example:{trajectory.new_iter}")
    knob, value = space.random_open(rng, trajectory, ()) or (next(iter(space.menu.knobs)), 0)
    known = "not tried yet" if knob in tried_knobs else f"{knob} has no result yet"
    return json.dumps({"proposals": [_proposal(knob, value, known)]})


def _proposal(knob: str, value: Value, reason: str) -> dict[str, Value]:
    return {"knob": knob, "new_value": value, "reason": reason}
