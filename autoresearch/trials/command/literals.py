"""Values that a script spells out: literals, and arithmetic of numbers such as ``2**19``. Nothing is executed. Pure."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

MAX_BITS = 4096  # of a whole number that an expression may have
MAX_ITEMS = 256  # of a tuple or a list
KINDS = "a number, a text, True, False, None, or a tuple or list of these"
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}


class NotLiteral(ValueError):
    """The expression is neither a literal nor arithmetic of numbers."""


def literal_value(node: ast.expr) -> Any:
    """The value of a literal or of an expression of numbers. Raises ``NotLiteral``."""
    try:
        return _value(node)
    except RecursionError as e:
        raise NotLiteral("it is nested too deeply") from e


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return node.value
        case ast.Tuple(elts=items) if len(items) <= MAX_ITEMS:
            return tuple(_value(item) for item in items)
        case ast.List(elts=items) if len(items) <= MAX_ITEMS:
            return [_value(item) for item in items]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            value = _number(_value(operand))
            return -value if isinstance(node.op, ast.USub) else value
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
            return _computed(op, _number(_value(left)), _number(_value(right)))
        case _:
            raise NotLiteral(f"{ast.unparse(node)[:60]} is none of {KINDS}")


def _computed(op: ast.operator, left: int | float, right: int | float) -> int | float:
    """``left op right``, bounded: a power or a shift may be of any size."""
    if isinstance(op, ast.Pow | ast.LShift) and isinstance(left, int) and isinstance(right, int):
        bits = max(1, left.bit_length()) * max(0, right) if isinstance(op, ast.Pow) else left.bit_length() + right
        if bits > MAX_BITS:
            raise NotLiteral(f"{left}{'**' if isinstance(op, ast.Pow) else '<<'}{right} is too large")
    try:
        value = _BINARY[type(op)](left, right)
    except (ArithmeticError, ValueError, TypeError) as e:
        raise NotLiteral(f"it cannot be computed: {e}") from e
    return _number(value)


def _number(value: object) -> int | float:
    """``value`` if it is a finite number. Raises ``NotLiteral``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotLiteral(f"{value!r:.60} is not a number")
    if not math.isfinite(value):
        raise NotLiteral("it is not finite")
    return value
