"""Format values, effects and untrusted text for the prompt, briefly."""

from __future__ import annotations

import re

from rails import Value

# Where a chat template's mark begins: <|im_end|>, </s>, <think>, <<SYS>>, [INST]. "a <= b" and "[0, 1]" do not match.
_MARK = re.compile(r"<(?=[^=\s])|\[(?=/?[A-Za-z])")
_UNPRINTABLE = re.compile(r"[^ -~]")


def one_line(text: str, chars: int) -> str:
    """At most ``chars`` printable ASCII characters on one line, without a chat template's marks."""
    line = " ".join(text[: 4 * chars].split())  # bounds the work; the line is cut below
    line = _MARK.sub("(", _UNPRINTABLE.sub("?", line))
    return line if len(line) <= chars else line[: chars - 3] + "..."


def quoted(text: str, chars: int) -> str:
    """Untrusted text as one short line in double quotes; double quotes in it become single ones."""
    return '"' + one_line(text, chars).replace('"', "'") + '"'


def value_text(value: Value) -> str:
    """A value of the menu: integers in full, floats to four significant digits, strings as they are."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(effect: float) -> str:
    """A relative improvement in percent with its sign; two decimals below 10%."""
    text = f"{100 * effect:+.2f}%" if abs(effect) < 0.1 else f"{100 * effect:+.0f}%"
    return "0.00%" if text in ("+0.00%", "-0.00%") else text


def format_times(count: int) -> str:
    """``once``, ``2 times``."""
    return "once" if count == 1 else f"{count} times"


def collapse_whitespace(text: str) -> str:
    """Text of the user's own files on one line, otherwise unchanged."""
    return " ".join(text.split())
