"""Write flat TOML: a key, and a value that a knob can have. (Python's tomllib only reads.)"""

from __future__ import annotations

import re

from autoresearch.core.values import KnobValue

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_key(name: str) -> str:
    """``name`` as a bare key of TOML, or quoted if it cannot be one."""
    return name if _BARE.fullmatch(name) else toml_value(name)


def toml_value(value: KnobValue) -> str:
    """``value`` in TOML; in a string everything except printable ASCII is escaped."""
    if not isinstance(value, str):
        return repr(value)
    return '"' + "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else _escape(c) for c in value) + '"'


def _escape(char: str) -> str:
    return f"\\{char}" if char in '"\\' else f"\\U{ord(char):08X}"
