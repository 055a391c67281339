"""Cross constraints as a small expression tree: numbers, strings, names, arithmetic, comparison, and / or / not.

A rule is parsed with Python's own grammar (``ast``, never ``eval``) and copied node by node into the tree below; syntax
without a node here (calls, attributes, indexing, powers, lambdas) is refused when the menu is loaded.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_RULE_CHARS = 300
MAX_DEPTH = 24

ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARISON: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

Env = Mapping[str, Any]


class RuleError(ValueError):
    """A rule that is not valid in this language, or that cannot be computed for the given values."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a string written in the rule."""

    value: int | float | str

    def value_in(self, env: Env) -> Any:
        return self.value


@dataclass(frozen=True, slots=True)
class Name:
    """A knob, or the run's ``steps``."""

    name: str

    def value_in(self, env: Env) -> Any:
        return env[self.name]


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic on numbers only; a string raises ``TypeError``."""

    apply: Callable[[Any, Any], Any]
    left: Node
    right: Node

    def value_in(self, env: Env) -> Any:
        left, right = self.left.value_in(env), self.right.value_in(env)
        if isinstance(left, str) or isinstance(right, str):
            raise TypeError("arithmetic on a string")
        return self.apply(left, right)


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain ``a < b <= c``."""

    first: Node
    rest: tuple[tuple[Callable[[Any, Any], Any], Node], ...]

    def value_in(self, env: Env) -> Any:
        left = self.first.value_in(env)
        for apply, node in self.rest:
            right = node.value_in(env)
            if not apply(left, right):
                return False
            left = right
        return True


@dataclass(frozen=True, slots=True)
class Logic:
    """``and`` (all) or ``or`` (any) of several parts."""

    every: bool
    parts: tuple[Node, ...]

    def value_in(self, env: Env) -> Any:
        values = (bool(p.value_in(env)) for p in self.parts)
        return all(values) if self.every else any(values)


@dataclass(frozen=True, slots=True)
class Unary:
    """``not x`` or ``-x``."""

    negate: bool
    part: Node

    def value_in(self, env: Env) -> Any:
        value = self.part.value_in(env)
        if not self.negate:
            return not value
        if isinstance(value, str):
            raise TypeError("arithmetic on a string")
        return -value


Node = Literal | Name | Binary | Compare | Logic | Unary


@dataclass(frozen=True, slots=True)
class Rule:
    """A parsed rule: its text, its tree and the names it uses."""

    text: str
    tree: Node
    names: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Parse ``text``. Raises ``RuleError`` with the part that is not allowed."""
        if len(text) > MAX_RULE_CHARS:
            raise RuleError(f"a rule has at most {MAX_RULE_CHARS} characters, not {len(text)}")
        try:
            body = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
            raise RuleError(f"{text!r} is not an expression") from e
        tree = _copy(body, 0)
        if not _is_condition(tree):
            raise RuleError(
                f"a rule is true or false, but {text!r} is a value: compare it, for example {text.strip()} > 0"
            )
        return cls(text, tree, frozenset(n.id for n in ast.walk(body) if isinstance(n, ast.Name)))

    def holds(self, env: Env) -> bool:
        """Whether the rule holds. Raises ``RuleError`` where it cannot be computed (for example a division by zero)."""
        try:
            return bool(self.tree.value_in(env))
        except (ArithmeticError, TypeError, KeyError) as e:
            raise RuleError(f"{self.text} cannot be computed: {type(e).__name__}: {e}") from e


def _is_condition(node: Node) -> bool:
    match node:
        case Compare():
            return True
        case Logic(parts=parts):
            return all(_is_condition(part) for part in parts)
        case Unary(negate=False, part=part):
            return _is_condition(part)
    return False


def _copy(node: ast.expr, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise RuleError(f"a rule nests at most {MAX_DEPTH} deep")
    deeper = depth + 1
    match node:
        case ast.Constant(value=bool()):
            raise RuleError("True and False are not allowed in a rule")
        case ast.Constant(value=int() | float() | str() as value):
            if value == math.inf:
                raise RuleError("a number in it is too large")
            return Literal(value)
        case ast.Name(id=name):
            return Name(name)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            return Binary(ARITHMETIC[type(op)], _copy(left, deeper), _copy(right, deeper))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISON for op in ops):
            pairs = zip(ops, others, strict=True)
            return Compare(_copy(left, deeper), tuple((COMPARISON[type(op)], _copy(n, deeper)) for op, n in pairs))
        case ast.BoolOp(op=op, values=values):
            return Logic(isinstance(op, ast.And), tuple(_copy(v, deeper) for v in values))
        case ast.UnaryOp(op=ast.Not() | ast.USub() as op, operand=operand):
            return Unary(isinstance(op, ast.USub), _copy(operand, deeper))
    raise RuleError(
        f"{type(node).__name__} is not allowed in a rule: only names, numbers, + - * / // %, comparisons, and/or/not"
    )
