"""The menu of a foreign table: any names of knobs, and choices that this program's own menu does not have.

The rails take names of lower-case letters, digits and ``_``, and choices that are whole numbers or strings. A table may
have ``MATRIX_LR``, ``optim.beta1``, choices such as 0.1, 0.2 and 0.5, and true and false: names are respelled, and such
choices stand for their ranks, in the menu and in every configuration that is read. The optimizers see no difference:
they work on ranks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.errors import ConfigError
from rails import Menu, MenuError, is_finite, parse_menu
from rails.knobs import Knob, same_value, show
from rails.menu import STEPS
from rails.strict_json import parse_json

MAX_BYTES = 1 << 20
MAX_NAME = 36  # characters; the menu takes 40, and a number may follow
USABLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
NO_RANK = -1  # of a number that is not one of the choices
TRUE_WORDS, FALSE_WORDS = ("true", "yes"), ("false", "no")


@dataclass(frozen=True)
class TableMenu:
    """``names`` has the menu's name for each knob of the file; ``ranked`` the choices of those that stand for ranks."""

    menu: Menu
    names: Mapping[str, str]
    ranked: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def plain(cls, menu: Menu) -> TableMenu:
        """A menu whose names and choices are taken as they are."""
        return cls(menu, {name: name for name in menu.knobs})

    def knob(self, name: str) -> Knob | None:
        """The knob of a field of the file, if it is one."""
        return self.menu.knobs.get(self.names.get(name, ""))

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration of the file in the menu's names and values. A field that is not a knob stays apart."""
        knobs = {self.names[name]: self._value(name, value) for name, value in given.items() if name in self.names}
        others = {name: value for name, value in given.items() if name not in self.names}
        return knobs | {f"{name} (a field)" if name in self.menu.knobs else name: v for name, v in others.items()}

    def _value(self, name: str, value: Any) -> Any:
        choices = self.ranked.get(name)
        if choices is None:
            return value
        if isinstance(value, str) and isinstance(choices[0], bool) and value.lower() in TRUE_WORDS + FALSE_WORDS:
            value = value.lower() in TRUE_WORDS
        if not isinstance(value, int | float):
            return value
        return next((rank for rank, choice in enumerate(choices) if same_value(choice, value)), NO_RANK)


def read_menu(path: Path) -> TableMenu:
    """The menu of a table; a file without ``version`` is taken for version 1. Raises ``ConfigError``."""
    try:
        raw = parse_json(path.read_bytes()[:MAX_BYTES].decode("utf-8-sig"))
        if isinstance(raw, dict) and "version" not in raw:
            raw = {"version": 1, **(raw if "knobs" in raw else {"knobs": raw})}
        return _respell(raw)
    except OSError as e:
        raise ConfigError(f"menu: {path}: {e.strerror}", hint="perturbation_menu.json shows the format") from e
    except ValueError as e:
        raise ConfigError(f"menu: {path}: {e}", hint="perturbation_menu.json shows the format") from e


def _respell(raw: Any) -> TableMenu:
    """Raises ``MenuError`` as ``parse_menu`` does."""
    entries = raw.get("knobs") if isinstance(raw, Mapping) else None
    if not isinstance(entries, Mapping) or not all(isinstance(entry, Mapping) for entry in entries.values()):
        return TableMenu.plain(parse_menu(raw))
    names = _usable_names(list(entries))
    ranked = {name: tuple(sorted(entry["choices"])) for name, entry in entries.items() if _is_ranked(entry)}
    knobs = {
        names[name]: _rank(name, entry, ranked[name]) if name in ranked else entry for name, entry in entries.items()
    }
    listed = raw.get("constraints", [])
    constraints = [_respell_rule(rule, names, ranked) for rule in listed] if isinstance(listed, list) else listed
    return TableMenu(parse_menu({**raw, "knobs": knobs, "constraints": constraints}), names, ranked)


def _usable_names(given: list[str]) -> dict[str, str]:
    """Names that the menu takes are kept; the others are made of what is usable in them, each different."""
    found = {name: name for name in given if USABLE.fullmatch(name) and name != STEPS}
    taken = set(found.values())
    for name in given:
        if name in found:
            continue
        stem = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:MAX_NAME]
        stem = stem if stem[:1].isalpha() else f"knob_{stem}".rstrip("_")[:MAX_NAME]
        spelled, number = stem, 2
        while spelled in taken or spelled == STEPS:
            spelled, number = f"{stem}_{number}", number + 1
        found[name] = spelled
        taken.add(spelled)
    return {name: found[name] for name in given}


def _is_ranked(entry: Mapping[str, Any]) -> bool:
    """Whether the choices are numbers that the menu does not take as they are, or true and false."""
    choices = entry.get("choices")
    if entry.get("type") != "choice" or not isinstance(choices, list) or not choices:
        return False
    if all(isinstance(c, bool) for c in choices):
        return len(set(choices)) == len(choices)
    if not all(isinstance(c, int | float) and not isinstance(c, bool) and is_finite(c) for c in choices):
        return False
    return any(isinstance(c, float) for c in choices) and len(set(choices)) == len(choices)


def _rank(name: str, entry: Mapping[str, Any], choices: tuple[float, ...]) -> dict[str, Any]:
    default = entry.get("default")
    rank = next((i for i, c in enumerate(choices) if isinstance(default, int | float) and same_value(c, default)), None)
    if rank is None:
        raise MenuError(f"knobs.{name}.default: {json.dumps(default)} is not one of {json.dumps(choices)}")
    return {**entry, "choices": list(range(len(choices))), "default": rank}


def _respell_rule(entry: Any, names: Mapping[str, str], ranked: Mapping[str, Any]) -> Any:
    """The rule with the menu's names; what is not a rule is left for ``parse_menu`` to refuse."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("rule"), str):
        return entry
    used = {name for name in names if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", entry["rule"])}
    if bad := sorted(used & set(ranked)):
        raise MenuError(f"constraints: {show(entry['rule'])} uses {bad[0]}, whose choices stand for their ranks")
    spelled = re.sub(r"[A-Za-z_]\w*", lambda found: names.get(found[0], found[0]), entry["rule"])
    return {**entry, "rule": spelled}
