"""A second implementation of the rails, written from the documentation: slow, plain, and sharing no code with them.

It reads JSON character by character, compares floats as fractions, and evaluates cross constraints by a walk over
Python's own syntax tree. It knows a menu only as the plain table of its file.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.rails_oracle.reader import No, Reader

PASSED = "passed"
REASON_CHARS, REPLY_BYTES = 500, 4096


def may_stand_in_a_reason(char: str) -> bool:
    """Not a control character (C0, C1, delete), half a character, a line separator or a bidirectional control."""
    code = ord(char)
    if code < 0x20 or 0x7F <= code <= 0x9F or 0xD800 <= code <= 0xDFFF:
        return False
    return code not in (0x2028, 0x2029) and not 0x202A <= code <= 0x202E and not 0x2066 <= code <= 0x2069


@dataclass
class World:
    """What both judge with: the menu as its file has it, the baseline, and what the run knows."""

    menu: dict[str, Any]
    baseline: dict[str, Any]
    steps: int | None = 60
    measured: list[dict[str, Any]] = field(default_factory=list)
    memory: tuple[int, int | None] | None = None  # needed and available bytes
    time_ratio: float = 1.0
    max_changes: int = 1


def rail(raw: str | bytes, world: World) -> str:
    """The rail that refuses ``raw``, or ``passed``."""
    try:
        changes = read(raw, world.max_changes)
    except (No, UnicodeDecodeError, ValueError, RecursionError):
        return "R1_schema"
    if any(change["knob"] not in world.menu["knobs"] for change in changes):
        return "R2_menu"
    if not all(name in world.baseline for name in world.menu["knobs"]) or not all(map(usable, world.baseline.values())):
        return "R2_menu"
    new = dict(world.baseline)
    for change in changes:
        entry = world.menu["knobs"][change["knob"]]
        if not fits(entry, change["new_value"]):
            return "R3_range"
        new[change["knob"]] = float(change["new_value"]) if entry["type"] == "float" else change["new_value"]
    if any(not holds(c["rule"], new, world.steps) for c in world.menu["constraints"]):
        return "R4_cross"
    if len(changes) > 1 and any(same(new[c["knob"]], world.baseline[c["knob"]]) for c in changes):
        return "R5_diff_lint"
    if any(all(same(new[k], old[k]) for k in new) for old in (world.baseline, *world.measured)):
        return "R6_novelty"
    if world.memory and world.memory[1] is not None and world.memory[0] > world.memory[1]:
        return "R7_budget"
    return "R7_budget" if world.memory and not world.time_ratio <= 3.0 else PASSED


def read(raw: str | bytes, max_changes: int) -> list[dict[str, Any]]:
    """R1: the changes, one table each. Raises ``No`` or ``ValueError``."""
    size = len(raw) if isinstance(raw, bytes) else len(raw.encode("utf-8", "surrogatepass"))
    if size > REPLY_BYTES:
        raise No
    reply = Reader(raw.decode("utf-8") if isinstance(raw, bytes) else raw).whole()
    if not isinstance(reply, dict):
        raise No
    if sorted(reply) == ["knob", "new_value", "reason"]:
        changes: Any = [{"knob": reply["knob"], "new_value": reply["new_value"]}]
    elif sorted(reply) == ["changes", "reason"] and max_changes > 1:
        changes = reply["changes"]
        if not isinstance(changes, list) or not 1 <= len(changes) <= max_changes:
            raise No
    else:
        raise No
    for change in changes:
        if (
            not isinstance(change, dict)
            or sorted(change) != ["knob", "new_value"]
            or not isinstance(change["knob"], str)
        ):
            raise No
    if len({change["knob"] for change in changes}) < len(changes):
        raise No
    reason = reply["reason"]
    if not isinstance(reason, str) or len(reason) > REASON_CHARS:
        raise No
    if not all(may_stand_in_a_reason(char) for char in reason):
        raise No
    return changes


def usable(value: Any) -> bool:
    """R2: the baseline's values are strings and finite numbers."""
    return isinstance(value, str) or (type(value) in (int, float) and abs(value) <= sys.float_info.max)


def fits(entry: dict[str, Any], value: Any) -> bool:
    """R3."""
    if value is True or value is False:
        return False
    if entry["type"] == "choice":
        return any(type(c) is type(value) and c == value for c in entry["choices"])
    if not isinstance(value, int) and not (entry["type"] == "float" and isinstance(value, float)):
        return False
    return Fraction(entry["low"]) <= Fraction(value) <= Fraction(entry["high"])


def same(a: Any, b: Any) -> bool:
    """One configuration: floats within 1e-9 of the larger one, whole numbers and strings exactly equal."""
    if isinstance(a, str) or isinstance(b, str):
        return type(a) is type(b) and a == b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    gap, larger = abs(Fraction(a) - Fraction(b)), max(abs(Fraction(a)), abs(Fraction(b)))
    return gap <= larger / 10**9


def holds(rule: str, values: dict[str, Any], steps: int | None) -> bool:
    """R4: one rule; what cannot be computed does not hold, and a rule of ``steps`` holds where there are none."""
    tree = ast.parse(rule, mode="eval").body
    if steps is None and any(isinstance(n, ast.Name) and n.id == "steps" for n in ast.walk(tree)):
        return True
    try:
        return bool(evaluate(tree, {**values, "steps": steps}))
    except (ZeroDivisionError, OverflowError, TypeError):
        return False


def evaluate(node: ast.AST, values: dict[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(evaluate(p, values) for p in parts)
        case ast.BoolOp(values=parts):
            return any(evaluate(p, values) for p in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not evaluate(part, values)
        case ast.UnaryOp(operand=part):
            return -number(evaluate(part, values))
        case ast.Compare(left=first, ops=ops, comparators=rest):
            at = evaluate(first, values)
            for op, other in zip(ops, rest, strict=True):
                then = evaluate(other, values)
                if not compare(op, at, then):
                    return False
                at = then
            return True
        case ast.BinOp(left=left, op=op, right=right):
            return arithmetic(op, number(evaluate(left, values)), number(evaluate(right, values)))
    raise AssertionError(ast.dump(node))


def number(value: Any) -> Any:
    if isinstance(value, str):
        raise TypeError
    return value


def compare(op: ast.cmpop, a: Any, b: Any) -> bool:
    match op:
        case ast.Eq():
            return bool(a == b)
        case ast.NotEq():
            return bool(a != b)
        case ast.Lt():
            return bool(a < b)
        case ast.LtE():
            return bool(a <= b)
        case ast.Gt():
            return bool(a > b)
    return bool(a >= b)


def arithmetic(op: ast.operator, a: Any, b: Any) -> Any:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.FloorDiv():
            return a // b
    return a % b
