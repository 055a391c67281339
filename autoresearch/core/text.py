"""Text for a person: untrusted text made safe to print, errors in one line, numbers with their noun. Pure."""

from __future__ import annotations


def escape_control(text: str) -> str:
    """``text`` with every unprintable character (controls, bidirectional marks, surrogates) shown as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def describe_error(error: BaseException, max_chars: int) -> str:
    """Type and message of ``error`` in printable ASCII, at most ``max_chars`` characters."""
    return ascii(f"{type(error).__name__}: {error}")[1:-1][:max_chars]


def plural(number: int, noun: str) -> str:
    """``1 keep``, ``10,000 keeps``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def signed_percent(fraction: float, digits: int = 2) -> str:
    """A relative change with its sign: ``+3.46%``."""
    return f"{100 * fraction:+.{digits}f}%"
