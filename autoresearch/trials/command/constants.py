"""The top-level constants of a Python script, ``NAME = literal``: found, and replaced in a copy of the text. Pure.

Only the exact span of a value is replaced, so that comments, layout and line numbers stay. A name that is bound
anywhere else in the module (twice, in an ``if``, as an import, through ``global``) has a problem and is not replaced:
nobody could say which of its values counts.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autoresearch.trials.command.literals import NotLiteral, literal_value

_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class ScriptError(ValueError):
    """A script that cannot be read, or a constant that cannot be replaced; the message names it."""


@dataclass(frozen=True, slots=True)
class Constant:
    """One name that the script assigns at its top level. ``problem`` says why it cannot be replaced; empty if it can.

    ``start`` and ``end`` bound the value in the UTF-8 bytes of the text; ``comment`` is the one beside it.
    """

    name: str
    line: int
    text: str = ""  # the value as written
    value: Any = None  # evaluated; None too where there is a problem
    comment: str = ""
    start: int = 0
    end: int = 0
    problem: str = ""


def read_constants(source: str) -> dict[str, Constant]:
    """Every name that is assigned at the top level of ``source``, in its order. Raises ``ScriptError``."""
    try:
        tree = _parse(source)
        comments = _comments(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as e:
        where = f" (line {e.lineno})" if isinstance(e, SyntaxError) and e.lineno else ""
        version = f"{sys.version_info.major}.{sys.version_info.minor}"  # the script may be for a newer one
        raise ScriptError(f"it is not valid Python {version}{where}: {e.args[0] if e.args else e}") from e
    offsets, data = _line_offsets(source), source.encode()
    bindings: dict[str, list[tuple[int, str]]] = {}  # name -> (line, how it is bound), once for each place
    for name, line, how in _bindings(tree):
        bindings.setdefault(name, []).append((line, how))
    stars = [line for line, _ in bindings.pop("*", [])]
    found: dict[str, Constant] = {}
    for node in tree.body:
        target = _single_target(node)
        if target is not None and target[0] not in found:
            name, value = target
            start = offsets[value.lineno - 1] + value.col_offset
            end = offsets[(value.end_lineno or 0) - 1] + (value.end_col_offset or 0)
            text = data[start:end].decode()
            comment = comments.beside.get(node.end_lineno or 0) or comments.text_above(node.lineno)
            try:
                known, problem = literal_value(value), ""
            except NotLiteral as e:
                known, problem = None, f"its value is not a literal: {e}"
            problem = _bound_elsewhere(bindings[name]) or problem
            if later := [line for line in stars if line > node.lineno]:
                problem = problem or f"a later import of * may replace it (line {later[0]})"
            found[name] = Constant(name, node.lineno, text, known, comment, start, end, problem)
    for name, places in bindings.items():
        if name not in found and any(how.startswith("assigned") for _, how in places):
            line, how = places[0]
            found[name] = Constant(name, line, problem=f"it is {how} (line {line})")
    return dict(sorted(found.items(), key=lambda item: item[1].line))


def replace_constants(source: str, values: Mapping[str, object], file: str | None = None) -> str:
    """``source`` with other values of these constants; with ``file``, ``__file__`` reads as that path.

    A text for a constant that is not a text (a tuple, True, None) is the Python literal that it spells.
    Raises ``ScriptError`` naming the constant.
    """
    known = read_constants(source)
    edits: list[tuple[int, int, str]] = []
    for name, value in values.items():
        constant = _replaceable(name, known)
        edits.append((constant.start, constant.end, spell(constant, value)))
    if file is not None:
        edits += [(start, end, repr(file)) for start, end in _file_spans(source)]
    data = source.encode()
    for start, end, text in sorted(edits, reverse=True):
        data = data[:start] + text.encode() + data[end:]
    changed = data.decode()
    after = read_constants(changed)
    for name, value in values.items():
        if after[name].value != literal_of(known[name], value):
            raise ScriptError(f"{name}: the copy has {after[name].text[:60]} instead of {value!r:.60}")
    return changed


def constant_of_knob(knob: str, known: Mapping[str, Constant]) -> Constant:
    """The constant of a knob, its name in any case; of several the one that can be replaced. Raises ``ScriptError``."""
    alike = [name for name in known if name.lower() == knob.lower()]
    able = [name for name in alike if not known[name].problem]
    if len(able) > 1:
        raise ScriptError(f"{knob}: {' and '.join(able)} differ in case only: rename all but one of them in the script")
    if not alike:
        raise ScriptError(f"{knob.upper()}: the script has no such constant at its top level")
    return _replaceable((able or alike)[0], known)


def literal_of(constant: Constant, value: object) -> object:
    """The Python value that ``value`` stands for in place of this constant. Raises ``ScriptError``."""
    if not isinstance(value, str) or isinstance(constant.value, str):
        return value
    try:
        return literal_value(ast.parse(value.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        was = f"is {' '.join(constant.text.split())[:60]} and not a text"
        raise ScriptError(f"{constant.name} {was}, and {value!r:.60} does not spell a Python literal") from e


def spell(constant: Constant, value: object) -> str:
    """``value`` as Python source in place of this constant. Raises ``ScriptError``."""
    return repr(literal_of(constant, value))


def _replaceable(name: str, known: Mapping[str, Constant]) -> Constant:
    if (constant := known.get(name)) is None:
        raise ScriptError(f"{name}: the script has no such constant at its top level")
    if constant.problem:
        raise ScriptError(f"{name} cannot be replaced: {constant.problem}")
    return constant


def _parse(source: str) -> ast.Module:
    """The syntax tree. Warnings of the script, for example of ``"\\d"``, are the business of its own run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def _single_target(node: ast.stmt) -> tuple[str, ast.expr] | None:
    """Name and value of ``NAME = value`` and ``NAME: type = value``."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return name, value
        case _:
            return None


def _bound_elsewhere(places: list[tuple[int, str]]) -> str:
    """Why a name with these bindings has no single value; empty if it has."""
    if len(places) == 1:
        return ""
    other = next(((line, how) for line, how in places if how != "assigned"), None)
    if other is None:
        return f"it is assigned {len(places)} times (lines {', '.join(str(line) for line, _ in places)})"
    return f"it is {other[1]} too (line {other[0]})"


def _bindings(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """(name, line, how) of every place that binds a name of the module."""
    for node in tree.body:
        if (target := _single_target(node)) is not None:
            yield target[0], node.lineno, "assigned"
            yield from _walk(target[1], "assigned inside an expression")
        elif not isinstance(node, ast.AnnAssign) or node.value is not None:
            yield from _walk(node, _block_of(node))
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            declared = {name for n in ast.walk(scope) if isinstance(n, ast.Global) for name in n.names}
            stored = {(n.id, n.lineno) for n in ast.walk(scope) if isinstance(n, ast.Name) and _binds(n)}
            yield from ((name, line, "assigned through global") for name, line in sorted(stored) if name in declared)


def _walk(root: ast.AST, how: str) -> Iterator[tuple[str, int, str]]:
    """The bindings of a statement or an expression, without the bodies of functions and classes.

    Without recursion: a script may have a sum of 2,000 terms, or an ``if`` of 1,000 branches.
    """
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield from _bound_by(node, how)
        if not isinstance(node, _SCOPES):
            children = list(ast.iter_child_nodes(node))
            if isinstance(node, ast.comprehension):  # it has names of its own
                children.remove(node.target)
            waiting += reversed(children)


def _bound_by(node: ast.AST, how: str) -> Iterator[tuple[str, int, str]]:
    """What this node itself binds."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, node.lineno, "a function or a class"
        case ast.Name() if _binds(node):
            yield node.id, node.lineno, how
        case ast.Import() | ast.ImportFrom():
            for alias in node.names:
                yield (alias.asname or alias.name).partition(".")[0], node.lineno, "imported"
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name, node.lineno, how
        case ast.MatchMapping(rest=str(name)):
            yield name, node.lineno, how


def _binds(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store | ast.Del)


def _block_of(node: ast.stmt) -> str:
    """How a statement at the top level that is not ``NAME = value`` binds its names."""
    match node:
        case ast.If():
            return "assigned inside an if"
        case ast.For() | ast.AsyncFor() | ast.While():
            return "assigned inside a loop"
        case ast.Try():
            return "assigned inside a try"
        case ast.With() | ast.AsyncWith():
            return "assigned inside a with"
        case ast.AugAssign():
            return "assigned with an operator"
        case ast.Delete():
            return "deleted"
        case ast.Assign():
            return "assigned together with others"
        case _:
            return "assigned inside another statement"


def _file_spans(source: str) -> Iterator[tuple[int, int]]:
    """Where ``__file__`` is read."""
    offsets, tree = _line_offsets(source), _parse(source)
    in_f_strings = {id(n) for f in ast.walk(tree) if isinstance(f, ast.JoinedStr) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "__file__" and id(node) not in in_f_strings and not _binds(node):
            start = offsets[node.lineno - 1]
            yield start + node.col_offset, start + (node.end_col_offset or 0)


def _line_offsets(source: str) -> list[int]:
    """Where each line begins, in UTF-8 bytes: the columns of ``ast`` count those."""
    return [0, *(match.end() for match in _LINE.finditer(source.encode()))]


@dataclass(frozen=True, slots=True)
class _Comments:
    """The comments of a script by line: ``beside`` code, and ``alone``."""

    beside: dict[int, str]
    alone: dict[int, str]

    def text_above(self, line: int) -> str:
        """The comment in the lines directly above ``line``."""
        first = line
        while first - 1 in self.alone:
            first -= 1
        return " ".join(filter(None, (self.alone[n] for n in range(first, line))))


def _comments(source: str) -> _Comments:
    found = _Comments({}, {})
    for token in tokenize.generate_tokens(io.StringIO(source, newline=None).readline):
        if token.type == tokenize.COMMENT:
            where = found.beside if token.line[: token.start[1]].strip() else found.alone
            text = token.string.lstrip("#").strip()
            where[token.start[0]] = text if any(map(str.isalnum, text)) else ""  # a ruler is not a comment
    return found
