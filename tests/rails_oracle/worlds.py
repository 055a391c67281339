"""Random menus, baselines and histories, and replies to judge in them: good, nearly good and hostile."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from tests.rails_oracle.oracle import World, usable

NAMES = ("lr", "n_head", "d_model", "n_layer", "beta1", "precision", "a", "x_1", "warmup", "seq_len")
WORDS = ("bf16", "fp8", "fp32", "", "a b", "\u00e9", "\u0430", "\u5b57", "x" * 60)
ODD_TEXT = ('"', "\\", "{", "}", "[", "]", ",", ":", "0", "-", "e", ".", "\n", "\0", " ", "\ufeff", "\u200b", "\ud83d",
            "\\u", "\\ud83d", "\\ude00", "\ude00", "NaN", "Infinity", "1e999", "true", "null", "/", "'", "\x7f", "\x85",
            "\u2028", "\u2066", "\U0001f600", "\u0665", "[" * 101, "9" * 40)  # fmt: skip


def draw_world(chance: random.Random) -> World:
    """A menu that the loader accepts, a baseline of it, and now and then history, steps and a budget."""
    names = chance.sample(NAMES, chance.randint(1, 5))
    knobs = {name: draw_knob(chance) for name in names}
    rules = [{"name": f"rule{n}", "rule": draw_rule(names, chance)} for n in range(chance.choice([0, 0, 1, 2]))]
    menu = {"version": 1, "knobs": knobs, "constraints": rules}
    baseline = {name: draw_value(knob, chance) for name, knob in knobs.items()}
    for _ in range(chance.choice([0, 0, 0, 1])):
        extra: list[Any] = [3, 2.5, "text", None, math.inf, True, 10**400]
        baseline[chance.choice([*names, "other"])] = chance.choice(extra)
    world = World(menu, baseline, chance.choice([60, 60, None, 0, 9, 200]))
    for _ in range(chance.randint(0, 3) if all(map(usable, baseline.values())) else 0):  # else there is no run yet
        changed = chance.sample(names, chance.choice([1, 1, min(2, len(names)), len(names)]))
        world.measured.append({**baseline, **{name: draw_value(knobs[name], chance) for name in changed}})
    world.max_changes = chance.choice([1, 1, 2, 3, 9])
    if chance.random() < 0.3:
        world.memory = (chance.randint(0, 4), chance.choice([None, 2, 3]))
        world.time_ratio = chance.choice([0.5, 3.0, 3.0000000000000004, 9.0, math.nan, math.inf])
    return world


def draw_knob(chance: random.Random) -> dict[str, Any]:
    """One entry of a menu."""
    match chance.choice(["int", "float", "names", "numbers"]):
        case "int":
            low = chance.choice([0, 1, -5, 10**20, chance.randint(-99, 99)])
            return {
                "type": "int",
                "low": low,
                "high": (high := low + chance.choice([0, 1, 7, 10**20])),
                "default": high,
            }
        case "float":
            low = chance.choice([0.0, 1e-5, 1, -2.5, 5e-324, -1e308, chance.uniform(-1, 1)])
            high = max(low, chance.choice([0.5, 1e-2, 3, 1e308, low]))
            return {"type": "float", "low": low, "high": high, "default": low}
        case "names":
            choices: list[Any] = chance.sample(WORDS, chance.randint(1, 4))
        case _:
            choices = chance.sample([1, 2, 4, 8, 16, 0, -1, 10**19], chance.randint(1, 5))
    return {"type": "choice", "choices": choices, "default": choices[0]}


def draw_value(knob: dict[str, Any], chance: random.Random) -> Any:
    """A value on the menu."""
    if knob["type"] == "choice":
        return chance.choice(knob["choices"])
    low, high = knob["low"], knob["high"]
    if knob["type"] == "int":
        return chance.choice([low, high, chance.randint(low, high)])
    between = low + (high - low) * chance.random()
    return float(chance.choice([low, high, between if low <= between <= high else low]))


def draw_rule(names: list[str], chance: random.Random, depth: int = 0) -> str:
    """A condition over the names: comparisons of arithmetic, joined by and, or, not."""
    if depth < 2 and chance.random() < 0.3:
        parts = [draw_rule(names, chance, depth + 1) for _ in range(2)]
        return chance.choice([f"({parts[0]} and {parts[1]})", f"({parts[0]} or {parts[1]})", f"not ({parts[0]})"])
    terms = [draw_term(names, chance) for _ in range(chance.choice([2, 2, 3]))]
    return f" {chance.choice(['<', '<=', '>', '>=', '==', '!='])} ".join(terms)


def draw_term(names: list[str], chance: random.Random, depth: int = 0) -> str:
    """A number, a name, a string, or an operation on two of them."""
    if depth < 2 and chance.random() < 0.4:
        left, right = (draw_term(names, chance, depth + 1) for _ in range(2))
        return f"({left} {chance.choice(['+', '-', '*', '/', '//', '%'])} {right})"
    return chance.choice([*names, *names, "steps", "0", "1", "2.5", "-3", "1e308", "'fp8'"])


def draw_reply(world: World, chance: random.Random) -> str | bytes:
    """A reply to judge in ``world``: of one change, or of several."""
    fields = draw_several(world, chance) if chance.random() < 0.5 else draw_one(world, chance)
    items = list(fields.items())
    chance.shuffle(items)
    text = json.dumps(dict(items), ensure_ascii=chance.random() < 0.6)
    for _ in range(chance.choice([0, 0, 0, 0, 1, 1, 2, 5])):
        text = spoil(text, chance)
    if chance.random() < 0.15:
        raw = text.encode("utf-8", "surrogatepass")
        return raw if chance.random() < 0.7 else raw[: chance.randint(0, len(raw))] + b"\xff\xc3"
    return text


def draw_several(world: World, chance: random.Random) -> dict[str, Any]:
    """The fields of a reply with a list of changes: often that of a known configuration, often with a flaw."""
    names = list(world.menu["knobs"])
    chosen = chance.sample(names, min(len(names), chance.choice([1, 2, 2, 3, 5])))
    known = chance.choice([world.baseline, *world.measured])
    is_known = chance.random() < 0.3
    clean = chance.random() < 0.6
    changes: list[Any] = [
        {
            "knob": name,
            "new_value": known[name]
            if is_known
            else draw_value(world.menu["knobs"][name], chance)
            if clean
            else near(world, name, chance),
        }
        for name in chosen
    ]
    fields: dict[str, Any] = {"changes": changes, "reason": draw_reason(chance)}
    match chance.randrange(24):
        case 0:
            changes.append(dict(chance.choice(changes)))  # a knob twice
        case 1:
            changes.insert(chance.randint(0, len(changes)), chance.choice([None, [], {}, "lr", 1, {"knob": names[0]}]))
        case 2:
            chance.choice(changes)["reason"] = "a key too many"
        case 3:
            chance.choice(changes)["knob"] = chance.choice(["", "steps", "LR", None, 3, [names[0]]])
        case 4:
            fields["changes"] = chance.choice([[], None, {}, "x", changes[0], [changes]])
        case 5:
            fields |= draw_one(world, chance)  # both forms at once
        case 6:
            del fields[chance.choice(list(fields))]
    return fields


def draw_one(world: World, chance: random.Random) -> dict[str, Any]:
    """The fields of a reply with one change, often with a flaw."""
    name = chance.choice(list(world.menu["knobs"]))
    value = near(world, name, chance)
    fields: dict[str, Any] = {"knob": name, "new_value": value, "reason": draw_reason(chance)}
    kind = chance.random()
    if kind < 0.05:
        fields[chance.choice([*fields, "Knob", "extra", ""])] = chance.choice([None, 1, True, "x", [], {}])
    elif kind < 0.08:
        del fields[chance.choice(list(fields))]
    elif kind < 0.13:
        fields["knob"] = chance.choice([name.upper(), f"{name} ", "steps", "", "lr", "\u0430", None, 3, [name]])
    return fields


def near(world: World, name: str, chance: random.Random) -> Any:
    """A value on, at the edge of, or off the menu, or of another type; often one that the run knows."""
    knob = world.menu["knobs"][name]
    known = [cfg[name] for cfg in (world.baseline, *world.measured)]
    value = chance.choice([draw_value(knob, chance), chance.choice(known)])
    if chance.random() < 0.6:
        return value
    odd: list[Any] = [
        None,
        True,
        False,
        "",
        [],
        {},
        [value],
        {"a": value},
        str(value)[:50],
        0,
        -0.0,
        1,
        4.0,
        10**30,
        1e308,
    ]
    if type(value) in (int, float) and abs(value) < 1e300:
        odd += [value + 1, value - 1, -value, float(value), value * (1 + 5e-10), value * (1 + 2e-9), value * 1.0000001]
        odd += [math.nextafter(value, math.inf), math.nextafter(value, -math.inf), math.nan]
        odd += [int(value)] if abs(value) < 1e18 else []
    return chance.choice(odd)


def draw_reason(chance: random.Random) -> str:
    """A reason, often with odd characters, and about 500 long now and then."""
    if chance.random() < 0.05:
        return "\u20ac"[: chance.randint(0, 1)] + "r" * chance.choice([498, 499, 500, 501])
    return "".join(
        chance.choice(["a", " ", "\u00e9", *ODD_TEXT[-12:]]) if chance.random() < 0.05 else "b" for _ in range(9)
    )


def spoil(text: str, chance: random.Random) -> str:
    """Change the text at one place: insert, drop, double, swap, escape, pad."""
    at = chance.randint(0, len(text))
    match chance.randrange(7):
        case 0:
            return text[:at] + chance.choice(ODD_TEXT) + text[at:]
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            return text[:at] + text[max(0, at - 9) :]
        case 3:
            return text + chance.choice(["", " ", "\n", text, " " * (4096 - len(text)), " " * 4096])
        case 4 if at < len(text) and ord(text[at]) < 0x10000:
            return f"{text[:at]}\\u{ord(text[at]):04x}{text[at + 1 :]}"
        case 5:
            return text.replace(
                chance.choice(['"', "0", "1", ", ", ": "]), chance.choice(["'", "00", "1.", ",", ":", "-1"]), 1
            )
    return text[:at]
