"""A menu from a script's constants, by stated rules: what each may become, or why it is left out. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoresearch.trials.command.constants import Constant

ALL_CAPS = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
SEEDS = re.compile(r"SEED")
BUDGETS = re.compile(r"BUDGET|DEADLINE|TIMEOUT|MAX_(SECONDS|TIME|MINUTES|HOURS)|TIME_LIMIT")
MEASURED = re.compile(r"^(EVAL|VAL|TEST)_|_(EVAL|VAL|TEST)$|_EVAL_")
HARDWARE = re.compile(r"FLOPS|BANDWIDTH")
NEAR_ONE = re.compile(r"BETA|MOMENTUM|DECAY|EMA")  # of which the distance to 1 matters
FRACTIONS = re.compile(rf"{NEAR_ONE.pattern}|RATIO|FRAC|DROPOUT|PROB")
MIN_POWER = 64  # from here on a power of two is a size, and its neighbours are powers of two
MAX_DOC_CHARS = 200
MAX_INT = 2**63 - 1  # what Optuna, Parquet and TOML can hold


@dataclass(frozen=True, slots=True)
class DerivedMenu:
    """The menu as plain JSON values, the rule behind each knob, and why each other constant is left out."""

    menu: dict[str, Any]
    rules: dict[str, str]
    left_out: dict[str, str] = field(default_factory=dict)


def menu_from_constants(constants: Mapping[str, Constant]) -> DerivedMenu:
    """One knob for each ALL_CAPS constant whose value has a range by the rules; the others with their reason."""
    knobs: dict[str, Any] = {}
    rules: dict[str, str] = {}
    left_out: dict[str, str] = {}
    able = Counter(name.lower() for name, constant in constants.items() if not constant.problem)
    for name, constant in constants.items():
        if name != name.upper() or name == name.lower() or name.startswith("_"):
            continue  # a variable, not a constant
        if not ALL_CAPS.fullmatch(name):
            left_out[name] = "its name cannot be a knob's: a letter of A to Z, then letters, digits and _, 40 at most"
            continue
        entry, why = _entry(name, constant)
        if entry is None:
            left_out[name] = why
        elif able[name.lower()] > 1:
            left_out[name] = "another name of the script differs from it in case only: rename one of them"
        elif name == "STEPS":
            left_out[name] = "steps has a meaning of its own in a menu's constraints"
        else:
            knobs[name.lower()] = entry | {"doc": _doc(constant)}
            rules[name.lower()] = why
    return DerivedMenu({"version": 1, "knobs": knobs, "constraints": []}, rules, left_out)


def _entry(name: str, constant: Constant) -> tuple[dict[str, Any] | None, str]:
    """The entry of a knob and the rule that made it, or ``None`` and why there is none."""
    if constant.problem:
        return None, constant.problem
    for pattern, why in (
        (SEEDS, "a seed is not a knob: the run chooses seeds itself"),
        (BUDGETS, "a budget is not a knob: trials with different budgets cannot be compared"),
        (MEASURED, "by its name it changes how the metric is measured"),
        (HARDWARE, "by its name it is a property of the hardware"),
    ):
        if pattern.search(name):
            return None, why
    match constant.value:
        case bool() as value:
            return _choice(["False", "True"], str(value)), "true or false"
        case int() as value:
            return _int_entry(value)
        case float() as value:
            return _float_entry(name, value)
        case tuple() | list() as values:
            return _sequence_entry(values)
        case str():
            return None, "a text: which others it may be is not known; add a knob of type choice"
        case _:
            return None, f"{constant.text[:40]} has no range"


def _int_entry(value: int) -> tuple[dict[str, Any] | None, str]:
    if value <= 0:
        return None, "zero or a negative whole number has no scale: add a range by hand"
    if 4 * value > MAX_INT:
        return None, "its range is beyond 64 bits"
    if value >= MIN_POWER and value.bit_count() == 1:
        return _choice([value // 4, value // 2, value, 2 * value, 4 * value], value), "powers of two, from / 4 to x 4"
    if value <= 8:
        return _range("int", 1, 2 * value, value), "from 1 to x 2"
    return _range("int", math.ceil(value / 4), 4 * value, value), "from / 4 to x 4"


def _float_entry(name: str, value: float) -> tuple[dict[str, Any] | None, str]:
    is_fraction = bool(FRACTIONS.search(name)) and 0 <= value <= 1
    if value == 0:
        if is_fraction:
            return _range("float", 0.0, 0.5, value), "a fraction that is 0: from 0 to 0.5"
        return None, "zero has no scale: add a range by hand"
    if value < 0:
        low, high = _rounded(4 * value), _rounded(value / 4)
        if not -math.inf < low < high < 0:
            return None, "its range is beyond what a float can hold"
        return _range("float", low, high, value), "a negative number: from x 4 to / 4"
    if is_fraction and value >= 0.5 and not NEAR_ONE.search(name):
        return _range("float", 0.0, 1.0, value), "a fraction of at least 0.5: from 0 to 1"
    if is_fraction and value >= 0.5:
        high = min(1.0, _rounded(1 - (1 - value) / 10))
        return _range("float", 0.5, high, value), "a decay of at least 0.5: from 0.5 to a tenth of its distance to 1"
    if is_fraction:
        return _range("float", 0.0, _rounded(min(1.0, 4 * value)), value), "a fraction below 0.5: from 0 to x 4"
    factor = 10 if re.search(r"LR|RATE", name) else 4
    low, high = _rounded(value / factor), _rounded(value * factor)
    if not 0 < low < high < math.inf:
        return None, "its range is beyond what a float can hold"
    return _range("float", low, high, value) | {"log": True}, f"from / {factor} to x {factor}, on a logarithmic scale"


def _sequence_entry(values: tuple[Any, ...] | list[Any]) -> tuple[dict[str, Any] | None, str]:
    """A choice of texts, each a Python literal: the value itself, and with one number at a time moved."""
    if not values or not all(type(v) in (int, float) and 0 < v < math.inf for v in values):
        return None, "a sequence of other things than numbers above zero: add a knob of type choice"
    if any(type(v) is int and 2 * v > MAX_INT for v in values):
        return None, "its range is beyond 64 bits"
    found = [repr(values)]
    for place, value in enumerate(values):
        for moved in _moved(value):
            changed = [*values[:place], moved, *values[place + 1 :]]
            found.append(repr(tuple(changed) if isinstance(values, tuple) else changed))
    return _choice(list(dict.fromkeys(found)), repr(values)), "the value, and with one number at a time moved"


def _moved(value: float) -> tuple[float, ...]:
    """Near values: of a fraction half and one and a half times its distance to 1 or to 0, else / 2 and x 2."""
    if isinstance(value, int):
        return tuple(v for v in (value // 2, 2 * value) if v > 0)
    if 0.5 <= value < 1:
        return tuple(v for v in (_rounded(1 - (1 - value) / 2), _rounded(1 - 1.5 * (1 - value))) if 0 < v < 1)
    moved = _rounded(value / 2), _rounded(value * 1.5 if value < 1 else value * 2)
    return tuple(v for v in moved if 0 < v < math.inf)


def _range(kind: str, low: float, high: float, default: float) -> dict[str, Any]:
    return {"type": kind, "low": min(low, default), "high": max(high, default), "default": default}


def _choice(choices: list[Any], default: Any) -> dict[str, Any]:
    return {"type": "choice", "choices": choices, "default": default}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _doc(constant: Constant) -> str:
    """The comment beside or above the constant, with its line: printable and on one line, as a menu needs it."""
    text = "".join(c if c.isprintable() else " " for c in constant.comment).strip("# ")[:MAX_DOC_CHARS]
    return f"{text} (line {constant.line})" if text else f"{constant.name} (line {constant.line})"
