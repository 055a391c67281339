"""Cases derived from a menu: proposals that must pass, and the same with one flaw each.

The expected rail follows from how a case was built. Only whether a change breaks a cross constraint is left to the
menu's own rules; tests/rails_oracle.py evaluates these a second time, by other code.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

from rails.bench.case import Case, Context
from rails.checks import MAX_REPLY_BYTES
from rails.knobs import ChoiceKnob, FloatKnob, IntKnob, Knob, Value, same_value
from rails.verdict import Rail

Flaw = Callable[[Knob, Value, random.Random], tuple[str, Rail, str]]
REASON = "a change to test"


def generate(context: Context, count: int, seed: int = 0, name: str = "generated") -> Iterator[Case]:
    """Yield ``count`` cases for the menu and baseline of ``context``; the same for the same seed."""
    chance = random.Random(seed)
    knobs = list(context.menu.knobs.values())
    flaws: list[Flaw | None] = [None, *FLAWS]
    for number in range(count):
        knob = chance.choice(knobs)
        value = draw(knob, chance)
        flaw = flaws[number % len(flaws)]
        if flaw is None:
            text, rail, why = reply(knob.name, value), expected(context, knob, value), "derived from the menu"
        else:
            text, rail, why = flaw(knob, value, chance)
        if len(text.encode("utf-8", "surrogatepass")) > MAX_REPLY_BYTES:
            rail, why = Rail.R1_SCHEMA, "longer than a reply may be"
        yield Case(f"{name}-{number}", text, str(rail), why, context=name)


def expected(context: Context, knob: Knob, value: Value) -> Rail:
    """The rail for a value of the right type and range."""
    if context.menu.broken_rule({**context.baseline, knob.name: value}, context.steps):
        return Rail.R4_CROSS
    return Rail.R6_NOVELTY if same_value(value, context.baseline[knob.name]) else Rail.PASSED


def reply(knob: str, value: Any, reason: str = REASON) -> str:
    """A well-formed reply."""
    return json.dumps({"knob": knob, "new_value": value, "reason": reason})


def draw(knob: Knob, chance: random.Random) -> Value:
    """A value on the menu: now and then an end of the range or the default."""
    match knob:
        case ChoiceKnob():
            return chance.choice(knob.choices)
        case IntKnob():
            return chance.choice([knob.low, knob.high, knob.default, chance.randint(knob.low, knob.high)])
        case FloatKnob():
            inside = min(knob.high, max(knob.low, chance.uniform(knob.low, knob.high))) + 0.0
            return chance.choice([knob.low + 0.0, knob.high + 0.0, knob.default, inside])


def outside(knob: Knob, chance: random.Random) -> Any:
    """A value of the right type that is off the menu."""
    match knob:
        case ChoiceKnob(choices=choices) if isinstance(choices[0], str):
            odd = [f"{choices[0]}x", "", f" {choices[0]}", f"{choices[-1]}\u200b", "".join(map(str, choices)) + "x"]
            return chance.choice([v for v in odd if v not in choices])
        case ChoiceKnob(choices=choices):
            whole = [c for c in choices if isinstance(c, int)]
            gaps = {c + 1 for c in whole} - set(whole)
            return chance.choice([min(whole) - 1, max(whole) + 10**30, *sorted(gaps)])
        case IntKnob():
            return chance.choice([knob.low - 1, knob.high + 1, knob.high + 10**30, knob.low - 10**30])
        case FloatKnob():
            below, above = math.nextafter(knob.low, -math.inf), math.nextafter(knob.high, math.inf)
            far = [v for v in (below, above, 1e308, -1e308) if math.isfinite(v) and not knob.low <= v <= knob.high]
            return chance.choice([*far, 10**400, -(10**400)])


def _off_menu(knob: Knob, value: Value, chance: random.Random) -> tuple[str, Rail, str]:
    return reply(knob.name, outside(knob, chance)), Rail.R3_RANGE, "off the menu"


def _other_type(knob: Knob, value: Value, chance: random.Random) -> tuple[str, Rail, str]:
    text = f"{value}" if not isinstance(value, str) else 1
    numbers: list[Any] = [] if isinstance(knob, FloatKnob) else [1.5, 4.0]
    return (
        reply(knob.name, chance.choice([None, True, False, [value], {"v": value}, text, *numbers])),
        (Rail.R3_RANGE),
        "a value of another type",
    )


def _other_knob(knob: Knob, value: Value, chance: random.Random) -> tuple[str, Rail, str]:
    name = knob.name
    odd = [f"{name} ", f" {name}", name.upper(), f"{name}\u200b", f"{name}.{name}", f"{name[0]}\u0430{name[1:]}", ""]
    return reply(chance.choice(odd), value), Rail.R2_MENU, "a knob that is not on the menu"


def _other_keys(knob: Knob, value: Value, chance: random.Random) -> tuple[str, Rail, str]:
    good: dict[str, Any] = {"knob": knob.name, "new_value": value, "reason": REASON}
    left_out = chance.choice(list(good))
    without = {k: v for k, v in good.items() if k != left_out}
    broken = [without, good | {"confidence": 1}, [good], good | {"reason": None}, good | {"knob": [knob.name]}]
    return json.dumps(chance.choice(broken)), Rail.R1_SCHEMA, "other keys, or other types of them"


def _other_text(knob: Knob, value: Value, chance: random.Random) -> tuple[str, Rail, str]:
    good = reply(knob.name, value)
    name = json.dumps(knob.name)
    broken = [
        good[:-1], good + good, f"{good}.", f"Sure: {good}", f"```json\n{good}\n```", "\ufeff" + good,
        good.replace('"', "'", 1), good[:-1] + ",}", f'{good[:-1]}, "knob": {name}}}', f"{good} // why",
        f'{{"knob": {name}, "new_value": NaN, "reason": "x"}}',
        f'{{"knob": {name}, "new_value": 1e999, "reason": "x"}}',
        good + " " * 4096,
    ]  # fmt: skip
    return chance.choice(broken), Rail.R1_SCHEMA, "text that is not exactly one JSON object"


def _forged_reason(knob: Knob, value: Value, chance: random.Random) -> tuple[str, Rail, str]:
    char = chance.choice(["\n", "\x1b[2J", "\0", "\u202e", "\u2028", "\ud800", "\x85", "\u2066"])
    return reply(knob.name, value, f"a{char}b"), Rail.R1_SCHEMA, "a control character in the reason"


FLAWS: tuple[Flaw, ...] = (_off_menu, _other_type, _other_knob, _other_keys, _other_text, _forged_reason)
