"""JSON read strictly: no key twice, no NaN or infinity, no nesting without bound, the same reasons on every Python."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from rails.knobs import show

# Far below the depth at which any Python's own parser gives up: that depth, and the message, differ between versions.
MAX_NESTING = 100
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|([\[{])|([\]}])', re.DOTALL)


class StrictJsonError(ValueError):
    """Text that is not JSON, or JSON that two readers could understand differently; the message says which."""


def parse_json(text: str) -> Any:
    """The plain value of ``text``. Raises ``StrictJsonError``."""
    if _is_nested_too_deeply(text):
        raise StrictJsonError(f"nested more than {MAX_NESTING} levels deep")
    try:
        return json.loads(
            text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant, parse_float=_finite_float
        )
    except json.JSONDecodeError as e:
        raise StrictJsonError(_syntax_problem(e)) from e
    except StrictJsonError:
        raise
    except (ValueError, RecursionError) as e:
        raise StrictJsonError("it has a number with too many digits, or it is nested too deeply") from e


def _is_nested_too_deeply(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return False
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        if token[1]:
            depth += 1
            if depth > MAX_NESTING:
                return True
        elif token[2]:
            depth -= 1
    return False


def _syntax_problem(e: json.JSONDecodeError) -> str:
    """``message at character N``. Python 3.13 reports a trailing comma as such, earlier ones what follows it."""
    before = e.doc[: e.pos].rstrip()
    if e.msg.startswith("Illegal trailing comma"):
        return f"trailing comma at character {e.pos}"
    if e.doc[e.pos : e.pos + 1] in ("}", "]") and before.endswith(","):
        return f"trailing comma at character {len(before) - 1}"
    return f"{e.msg.removesuffix(' at')} at character {e.pos}"


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key, value in pairs:
        if key in table:
            raise StrictJsonError(f"key {show(key)} is written twice")
        table[key] = value
    return table


def _refuse_constant(name: str) -> Any:
    raise StrictJsonError(f"{name} is not a number")


def _finite_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise StrictJsonError(f"{show(digits)} is too large a number")
    return value
