"""The menu: the declarative allowlist of knobs and cross constraints, parsed strictly, hashed, and overridable."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rails.expr import Rule, RuleError
from rails.knobs import ChoiceKnob, FloatKnob, IntKnob, Knob, is_finite, show
from rails.strict_json import parse_json
from rails.verdict import Config

DEFAULT_PATH = Path(__file__).with_name("perturbation_menu.json")
VERSION = 1
MAX_MENU_BYTES = 8 << 20
STEPS = "steps"  # the one name besides the knobs that a rule may use
# The step budget: a number, a function of the configuration (for a budget in tokens), or None for a budget in seconds
# (rules that use it are then skipped).
Steps = int | None | Callable[[Config], int | None]
FIELDS = {
    "int": {"low", "high", "default"},
    "float": {"low", "high", "default"},
    "choice": {"choices", "default"},
}
OPTIONAL = {"int": {"doc"}, "float": {"doc", "log"}, "choice": {"doc"}}


class MenuError(ValueError):
    """A menu that cannot be used; the message names the entry and the value."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """A rule over several knobs that every candidate must satisfy."""

    name: str
    rule: Rule
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """The knobs by name, in the menu's order, and the cross constraints."""

    knobs: Mapping[str, Knob]
    constraints: tuple[Constraint, ...]
    source: Mapping[str, Any]

    @property
    def defaults(self) -> dict[str, Any]:
        """The menu's own baseline: every knob at its default."""
        return {name: knob.default for name, knob in self.knobs.items()}

    @property
    def sha256(self) -> str:
        """Hash of the menu's content; the layout of its file does not matter."""
        canonical = json.dumps(self.source, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def broken_rule(self, cfg: Config, steps: Steps) -> str:
        """The reason why ``cfg`` breaks a cross constraint, or an empty string."""
        try:
            steps = steps(cfg) if callable(steps) else steps
        except (ValueError, TypeError, ArithmeticError, LookupError) as e:
            return f"its number of steps cannot be computed: {type(e).__name__}: {e}"
        env = {**cfg, STEPS: steps}
        for constraint in self.constraints:
            if steps is None and STEPS in constraint.rule.names:
                continue
            try:
                held = constraint.rule.holds(env)
            except RuleError as e:
                return f"{constraint.name}: {e}"
            if not held:
                values = ", ".join(f"{n} = {env[n]}" for n in sorted(constraint.rule.names))
                return f"{constraint.name}: {constraint.rule.text} does not hold with {values}"
        return ""

    def check_config(self, cfg: Config, steps: Steps) -> str:
        """The reason why ``cfg`` is not a valid configuration of this menu, or an empty string."""
        for name, knob in self.knobs.items():
            if name not in cfg:
                return f"{name} is missing"
            if (why := knob.accept(cfg[name])[1]) != "":
                return why
        return self.broken_rule(cfg, steps)

    def override(
        self,
        changes: Mapping[str, Any],
        defaults: Config | None = None,
        optional: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> Menu:
        """A menu with entries narrowed or extended: ``{"knobs": {"d_model": {"choices": [...]}}, ...}``.

        A knob's fields replace those of the same name; ``constraints``, when given, replace the list; ``defaults``
        (a run's baseline) replaces every default. ``optional``: entries that ``changes`` may add to the menu by naming
        them. Raises ``MenuError`` for any other knob that this menu does not have.
        """
        _only(changes, {"knobs", "constraints"}, "the override")
        knobs = {name: dict(entry) for name, entry in self.source["knobs"].items()}
        for name, fields in _table(changes.get("knobs", {}), "knobs").items():
            if name not in knobs and name in optional:
                knobs[name] = dict(optional[name])
            if name not in knobs:
                able = ", ".join(dict.fromkeys([*knobs, *optional]))
                raise MenuError(f"knobs.{name}: there is no such knob; there are {able}")
            if not isinstance(fields, Mapping):
                raise MenuError(f"knobs.{name}: a table of fields is expected, not {fields!r}")
            if fields.get("type", knobs[name]["type"]) != knobs[name]["type"]:
                knobs[name] = {"doc": knobs[name].get("doc", "")}  # another kind of knob has other fields
            knobs[name].update(fields)
        for name, entry in knobs.items():
            if defaults is not None and name in defaults:
                entry["default"] = defaults[name]
        constraints = changes.get("constraints", self.source["constraints"])
        return parse_menu({"version": VERSION, "knobs": knobs, "constraints": constraints})


def load_menu(path: Path = DEFAULT_PATH) -> Menu:
    """Read a menu file. Raises ``MenuError`` naming file and entry."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MENU_BYTES + 1)
        if len(data) > MAX_MENU_BYTES:
            raise MenuError(f"more than {MAX_MENU_BYTES >> 20} MiB")
        return parse_menu(parse_json(data.decode("utf-8-sig")))
    except OSError as e:
        raise MenuError(f"{path}: {e.strerror}") from e
    except ValueError as e:
        raise MenuError(f"{path}: {e}") from e


@functools.cache
def default_menu() -> Menu:
    """The menu of the package."""
    return load_menu()


def parse_menu(raw: object) -> Menu:
    """A menu from plain JSON values. Raises ``MenuError`` naming the first bad entry."""
    top = _table(raw, "the menu")
    _only(top, {"version", "knobs", "constraints"}, "the menu")
    if top.get("version") != VERSION:
        raise MenuError(f"version: {top.get('version')!r} is not {VERSION}")
    entries = _table(top.get("knobs"), "knobs")
    if not entries:
        raise MenuError("knobs: at least one is needed")
    knobs = {name: _knob(name, entry) for name, entry in entries.items()}
    listed = top.get("constraints", [])
    if not isinstance(listed, list | tuple):
        raise MenuError(f"constraints: a list is expected, not {listed!r}")
    constraints = tuple(_constraint(i, entry, set(knobs)) for i, entry in enumerate(listed))
    return Menu(knobs, constraints, {"version": VERSION, "knobs": dict(entries), "constraints": list(listed)})


def _knob(name: str, raw: object) -> Knob:
    where = f"knobs.{name}"
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or name == STEPS:
        raise MenuError(f"{where}: not a usable name (lower-case letters, digits and _; not {STEPS!r})")
    entry = _table(raw, where)
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in FIELDS:
        raise MenuError(f"{where}.type: {kind!r} is not one of {', '.join(FIELDS)}")
    _only(entry, {"type"} | FIELDS[kind] | OPTIONAL[kind], where)
    for field in sorted(FIELDS[kind] - set(entry)):
        raise MenuError(f"{where}.{field}: missing")
    doc = entry.get("doc", "")
    if not isinstance(doc, str):
        raise MenuError(f"{where}.doc: a string is expected, not {doc!r}")
    _only_visible(f"{where}.doc", re.sub(r"[\n\t]", " ", doc))
    knob = _choice_knob(name, entry, doc) if kind == "choice" else _range_knob(name, kind, entry, doc)
    if why := knob.accept(knob.default)[1]:
        raise MenuError(f"{where}.default: {why}")
    return knob


def _choice_knob(name: str, entry: Mapping[str, Any], doc: str) -> ChoiceKnob:
    choices = entry["choices"]
    ok = isinstance(choices, list | tuple) and choices and all(type(c) is type(choices[0]) for c in choices)
    plain = ok and (type(choices[0]) is str or (type(choices[0]) is int and all(map(is_finite, choices))))
    if not plain or len(set(choices)) != len(choices):
        raise MenuError(
            f"knobs.{name}.choices: different whole numbers, or different strings, are expected, not {choices!r}"
        )
    for choice in choices:
        _only_visible(f"knobs.{name}.choices", choice)
    if len({unicodedata.normalize("NFKC", c) if isinstance(c, str) else c for c in choices}) != len(choices):
        raise MenuError(f"knobs.{name}.choices: two of {choices!a} look the same")
    return ChoiceKnob(name, tuple(sorted(choices) if type(choices[0]) is int else choices), entry["default"], doc)


def _range_knob(name: str, kind: str, entry: Mapping[str, Any], doc: str) -> IntKnob | FloatKnob:
    low, high, log = entry["low"], entry["high"], entry.get("log", False)
    allowed = (int,) if kind == "int" else (int, float)
    for field, value in (("low", low), ("high", high)):
        if type(value) not in allowed or not is_finite(value):
            raise MenuError(f"knobs.{name}.{field}: {show(value)} is not a finite {kind}")
    if low > high:
        raise MenuError(f"knobs.{name}: low = {low} is above high = {high}")
    if type(log) is not bool or (log and low <= 0):
        raise MenuError(f"knobs.{name}.log: true or false, and true only where low is above 0, not {log!r}")
    if kind == "int":
        return IntKnob(name, low, high, entry["default"], doc)
    default = entry["default"]
    if type(default) is int and low <= default <= high:
        default = float(default)
    return FloatKnob(name, float(low), float(high), default, log, doc)


def _constraint(index: int, raw: object, knobs: set[str]) -> Constraint:
    where = f"constraints[{index}]"
    entry = _table(raw, where)
    _only(entry, {"name", "rule", "doc"}, where)
    name, text, doc = entry.get("name"), entry.get("rule"), entry.get("doc", "")
    if not (isinstance(name, str) and name and isinstance(text, str) and isinstance(doc, str)):
        raise MenuError(f"{where}: name and rule are needed, both as strings")
    _only_visible(f"{where}.name", name)
    _only_visible(f"{where}.doc", re.sub(r"[\n\t]", " ", entry.get("doc", "")))
    try:
        rule = Rule.parse(text)
    except RuleError as e:
        raise MenuError(f"{where} ({name}): {e}") from e
    if unknown := sorted(rule.names - knobs - {STEPS}):
        raise MenuError(f"{where} ({name}): {', '.join(unknown)} is neither a knob nor {STEPS!r}")
    return Constraint(name, rule, doc)


def _only_visible(where: str, text: object) -> None:
    """Raise ``MenuError`` for text that shows otherwise than it is: controls, bidirectional and invisible marks."""
    if isinstance(text, str) and not text.isprintable():
        raise MenuError(f"{where}: {show(text)} has a character that does not print")


def _table(raw: object, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping) or not all(isinstance(k, str) for k in raw):
        raise MenuError(f"{where}: a table is expected, not {raw!r:.80}")
    return raw


def _only(table: Mapping[str, Any], allowed: set[str], where: str) -> None:
    if extra := sorted(set(table) - allowed):
        raise MenuError(f"{where}: unknown field {extra[0]!r}; known are {', '.join(sorted(allowed))}")
