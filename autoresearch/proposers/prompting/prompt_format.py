"""Values, effects and untrusted text in the few words that a prompt has room for."""

from __future__ import annotations

import re

from rails import Value

# What opens a chat template's marks: <|im_end|>, </s>, <think>, <<SYS>>, [INST]. "a <= b" and "[0, 1]" are none.
_MARK = re.compile(r"<(?=[^=\s])|\[(?=/?[A-Za-z])")
_UNPRINTABLE = re.compile(r"[^ -~]")


def one_line(text: str, chars: int) -> str:
    """At most ``chars`` printable ASCII characters on one line, without a chat template's marks."""
    line = " ".join(text[: 4 * chars].split())  # what is cut off here would not be shown either
    line = _MARK.sub("(", _UNPRINTABLE.sub("?", line))
    return line if len(line) <= chars else line[: chars - 3] + "..."


def quoted(text: str, chars: int) -> str:
    """Untrusted text as one short line in double quotes, which it cannot end by itself."""
    return '"' + one_line(text, chars).replace('"', "'") + '"'


def value_text(value: Value) -> str:
    """A value of the menu: whole numbers in full, others to four digits, words as they are."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def percent(effect: float) -> str:
    """A relative improvement in percent, with its sign; two decimals where they can matter."""
    text = f"{100 * effect:+.2f}%" if abs(effect) < 0.1 else f"{100 * effect:+.0f}%"
    return "0.00%" if text in ("+0.00%", "-0.00%") else text


def format_times(count: int) -> str:
    """How often."""
    return "once" if count == 1 else f"{count} times"


def collapse_whitespace(text: str) -> str:
    """Text of the user's own files on one line, unchanged otherwise."""
    return " ".join(text.split())
