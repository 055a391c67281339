"""Values as the page shows them. Pure. Escaping is the template's; this makes text harmless to a reader's eye."""

from __future__ import annotations

from autoresearch.core.text import escape_control, signed_percent
from autoresearch.core.values import KnobValue

ELLIPSIS = "…"
MINUS = "\N{MINUS SIGN}"
NAME_CHARS = 60
VALUE_DIGITS, BRIEF_DIGITS = 6, 4


def clean(text: str, chars: int) -> str:
    """Untrusted ``text`` as one line of at most ``chars`` characters.

    What is not printable (controls, bidirectional and other invisible marks) is shown as its escape, so that it can
    neither hide nor turn round what stands beside it.
    """
    line = " ".join(text[: 8 * chars].split())  # the cut bounds the work: no text of that many characters is shown
    line = escape_control(line)
    return line if len(line) <= chars else line[: chars - 1] + ELLIPSIS


def shown(value: KnobValue | None) -> str:
    """A knob's value in a few digits."""
    if value is None:
        return "-"
    return f"{value:.{VALUE_DIGITS}g}" if isinstance(value, float) else clean(str(value), NAME_CHARS)


def brief(value: KnobValue | None) -> str:
    """As ``shown``, where fewer digits read better."""
    return f"{value:.{BRIEF_DIGITS}g}" if isinstance(value, float) else shown(value)


def signed(fraction: float | None, digits: int = 2) -> str:
    """A change in percent with its sign, as ``+3.46%``."""
    return "-" if fraction is None else signed_percent(fraction, digits).replace("-", MINUS)


def joined(words: list[str]) -> str:
    """``lr``, ``lr and beta1``, ``lr, beta1 and beta2``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def kwh(value: float) -> str:
    """An amount of energy, in enough digits to be more than zero and never in powers of ten."""
    digits = 2 if value >= 1 else 3 if value >= 0.1 else 4 if value >= 0.01 else 6
    return f"{value:.{digits}f} kWh"
