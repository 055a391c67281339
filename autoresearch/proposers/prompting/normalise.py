"""Rewrite a model's proposal where its meaning is certain but its form is not what the rails accept.

For servers that enforce no schema: small models add keys, forget the reason, or write a number as text, all night. The
rails stay as strict as they are; they judge the rewritten text, and both are recorded. What could be meant in two ways
(``"0,06"``, ``"50%"``, a key twice) is left for the rails to refuse. Pure.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from autoresearch.core.ports import Normalisation
from rails import ChoiceKnob, IntKnob, Knob, Menu
from rails.checks import BIDI, CHANGE_FIELDS, FIELDS, FORBIDDEN_CATEGORIES, MAX_REASON_CHARS, SEVERAL_FIELDS
from rails.strict_json import StrictJsonError, parse_json

MAX_PROPOSAL_CHARS = 1 << 16
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)


def normalise(proposal: str, menu: Menu, *, several: bool = False) -> tuple[str, Normalisation | None]:
    """The text to judge and what was changed; ``proposal`` itself and ``None`` where nothing is.

    ``several``: a list of changes is a valid proposal, and each of its entries is rewritten alike.
    """
    try:
        given = parse_json(proposal[:MAX_PROPOSAL_CHARS])
    except StrictJsonError:
        return proposal, None
    is_several = several and isinstance(given, dict) and _is_list_of_changes(given.get("changes"))
    if not isinstance(given, dict) or not (is_several or _is_change(given)):
        return proposal, None
    changes: list[str] = []
    _count_extra(given, SEVERAL_FIELDS if is_several else FIELDS, changes)
    if is_several:
        fields: dict[str, Any] = {
            "changes": [_change(entry, menu, changes, CHANGE_FIELDS) for entry in given["changes"]]
        }
    else:
        fields = _change(given, menu, changes)
    reason, change = _reason(given)
    changes += [f"reason: {change}"] if change else []
    if not changes:
        return proposal, None
    text = json.dumps({**fields, "reason": reason}, ensure_ascii=False)
    return text, Normalisation(proposal, tuple(dict.fromkeys(changes)))


def _is_change(given: object) -> bool:
    return isinstance(given, dict) and isinstance(given.get("knob"), str) and "new_value" in given


def _is_list_of_changes(given: object) -> bool:
    return isinstance(given, list) and all(map(_is_change, given))


def _count_extra(given: dict[str, Any], expected: Sequence[str], changes: list[str]) -> None:
    if extra := [key for key in given if key not in expected]:
        changes.append(f"dropped {len(extra)} extra key{'s' if len(extra) > 1 else ''}")


def _change(given: dict[str, Any], menu: Menu, changes: list[str], expected: Sequence[str] = ()) -> dict[str, Any]:
    """Knob and value of one change as the menu writes them; what was rewritten is added to ``changes``."""
    if expected:
        _count_extra(given, expected, changes)
    name = _knob_name(given["knob"], menu)
    if name != given["knob"]:
        changes.append("knob: written as on the menu")
    value = _value(given["new_value"], menu.knobs.get(name))
    if type(value) is not type(given["new_value"]) or value != given["new_value"]:
        changes.append(f"new_value: {_kind(given['new_value'])} to {_kind(value)}")
    return {"knob": name, "new_value": value}


def _knob_name(given: str, menu: Menu) -> str:
    """The knob of the menu that ``given`` names in another case or with spaces around it, else ``given``."""
    return given if given in menu.knobs else _only_match(given, list(menu.knobs)) or given


def _value(given: Any, knob: Knob | None) -> Any:
    """``given`` in the type of the knob, where it is the same number or the same word, else ``given``."""
    if knob is None or isinstance(given, bool) or not isinstance(given, int | float | str):
        return given
    if isinstance(knob, ChoiceKnob) and isinstance(knob.choices[0], str):
        words = [str(choice) for choice in knob.choices]
        return given if not isinstance(given, str) or given in words else _only_match(given, words) or given
    number = _number(given) if isinstance(given, str) else given
    if number is None:
        return given
    is_whole = isinstance(knob, IntKnob | ChoiceKnob)
    return int(number) if is_whole and isinstance(number, float) and number.is_integer() else number


def _number(text: str) -> int | float | None:
    digits = text.strip()
    if not _NUMBER.fullmatch(digits):
        return None
    return int(digits) if digits.lstrip("+-").isdecimal() else float(digits)


def _reason(given: dict[str, Any]) -> tuple[str, str]:
    """The reason as the rails accept it, and what was changed; empty where nothing was."""
    if given.get("reason") is None:
        return "", "missing"
    reason = given["reason"]
    text = reason if isinstance(reason, str) else json.dumps(reason, ensure_ascii=False)
    plain = "".join(" " if _is_forbidden(char) else char for char in text[: 8 * MAX_REASON_CHARS])
    cut = plain if len(plain) <= MAX_REASON_CHARS else f"{plain[: MAX_REASON_CHARS - 3]}..."
    if cut == reason:
        return cut, ""
    if not isinstance(reason, str):
        return cut, f"{_kind(reason)} to text"
    return cut, "cut" if len(text) > MAX_REASON_CHARS else "control characters to spaces"


def _is_forbidden(char: str) -> bool:
    return char in BIDI or unicodedata.category(char) in FORBIDDEN_CATEGORIES


def _only_match(given: str, names: list[str]) -> str | None:
    """The one name that equals ``given`` but for case and white space around it."""
    matches = [name for name in names if name.casefold() == given.strip().casefold()]
    return matches[0] if len(matches) == 1 else None


def _kind(value: Any) -> str:
    kinds = {str: "text", int: "a whole number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), "another value")
