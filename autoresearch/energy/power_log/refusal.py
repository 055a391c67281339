"""The error of a file that cannot be read as power over time."""

from __future__ import annotations

from autoresearch.core.text import escape_control
from autoresearch.errors import AutoresearchError

HINT = "give a CSV with the columns timestamp and power_w, or those of nvidia-smi --query-gpu=timestamp,power.draw"
MAX_CELL_CHARS = 120


def show(text: str) -> str:
    """A cell or a line of the file, printable and of bounded length."""
    text = escape_control(text.strip())
    return f"'{text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 3] + '...'}'"


def refusal(name: str, problem: str, hint: str = HINT, *, line: int | None = None) -> AutoresearchError:
    """``name`` is the file; ``line`` counts from 1."""
    return AutoresearchError(f"{name}{f', line {line}' if line else ''}: {problem}", hint=hint)
