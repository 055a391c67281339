"""Values as text for the page: bounded in characters, with a typographic minus. The template escapes HTML. Pure."""

from __future__ import annotations

import re

from autoresearch.core.text import signed_percent
from autoresearch.core.values import KnobValue
from autoresearch.report.format import ELLIPSIS, escape_line

MINUS = "\N{MINUS SIGN}"
NAME_CHARS = 60
_NEGATIVE = re.compile(r"(?<!\w)-(?=\d)")
VALUE_DIGITS, SHORT_DIGITS = 6, 4


def clean(text: str, chars: int) -> str:
    """Untrusted ``text`` as one printable line of at most ``chars`` characters."""
    line = escape_line(text, chars)
    return line if len(line) <= chars else line[: chars - 1] + ELLIPSIS


def format_value(value: KnobValue | None) -> str:
    """A knob's value with at most six significant digits; a dash for ``None``."""
    if value is None:
        return "-"
    return f"{value:.{VALUE_DIGITS}g}" if isinstance(value, float) else clean(str(value), NAME_CHARS)


def format_short_value(value: KnobValue | None) -> str:
    """As ``format_value``, with at most four significant digits."""
    return f"{value:.{SHORT_DIGITS}g}" if isinstance(value, float) else format_value(value)


def format_gain(fraction: float | None, digits: int = 2) -> str:
    """A relative change in percent with its sign: ``+3.46%``; a dash for ``None``."""
    return "-" if fraction is None else signed_percent(fraction, digits).replace("-", MINUS)


def with_minus(text: str) -> str:
    """``text`` with a typographic minus before every negative number; the hyphen of a name stays."""
    return _NEGATIVE.sub(MINUS, text)


def join_words(words: list[str]) -> str:
    """``lr``, ``lr and beta1``, ``lr, beta1 and beta2``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def format_kwh(value: float) -> str:
    """An amount of energy, with enough digits to be more than zero, never in scientific notation."""
    digits = 2 if value >= 1 else 3 if value >= 0.1 else 4 if value >= 0.01 else 6
    return f"{value:.{digits}f} kWh"
