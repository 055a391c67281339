"""A number as programs print it. Pure."""

from __future__ import annotations

import re

_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


def parse_number(text: str, *, is_count: bool = False) -> float:
    """``text`` as a float: ``1,234,567``, ``93.1%`` and ``3.21,`` are read.

    Raises ``ValueError`` for any other text, and where a comma may be a decimal point: ``0,93``, and ``1,234`` unless
    ``is_count``, of which nothing comes after the point.
    """
    text = text.strip().rstrip(",;").rstrip("%")
    if "," in text:
        if not _GROUPED.fullmatch(text) or not (is_count or "." in text or text.count(",") > 1):
            raise ValueError("a comma in it may be a decimal point; print the number without one")
        text = text.replace(",", "")
    return float(text)
