r"""Find a model's final answer in its text: the last ``\boxed{}``, for multiple choice also the last ``Answer: X``.

The text is what follows the thinking. Nothing is repaired by guessing: a box that the text does not close is not an
answer, and the boxes before it were not final. NVIDIA-NeMo/Skills takes the last box too; where this module differs,
docs/benches.md says so.
"""

from __future__ import annotations

import re

MAX_TEXT_CHARS = 400_000  # only the end of a longer text is searched: the answer is last

_BOX = re.compile(r"\\boxed\s*\{")
_FRAME = re.compile(r"\\fbox\s*\{")  # counts only where the text has no \boxed{}
_ANSWER_LINE = re.compile(
    r"(?i:\banswer)[*_]{0,3}[ \t]*[:\uff1a][ \t*_($\[{]*(?:\\(?:text|textbf|mathrm|mathbf)\{)?[ (]*"
    r"(?:([A-Z])(?![A-Za-z0-9])|([a-z])[ \t.)\]}$*_]*$)",
    re.MULTILINE,
)


def last_box(text: str) -> str | None:
    r"""The content of the last ``\boxed{}`` that is not empty, without outer spaces; ``None`` where there is none.

    ``None`` also where the text ends inside the last box.
    """
    text = text[-MAX_TEXT_CHARS:]
    starts = [match.end() for match in _BOX.finditer(text)] or [match.end() for match in _FRAME.finditer(text)]
    for start in reversed(starts):
        end = _closing_brace(text, start)
        if end is None:
            return None
        if content := text[start:end].strip():
            return content
    return None


def last_answer_line(text: str) -> str | None:
    """The letter of the last ``Answer: X``, in upper case. A lower-case letter counts where its line ends after it."""
    letter = None
    for match in _ANSWER_LINE.finditer(text[-MAX_TEXT_CHARS:]):
        letter = match.group(1) or match.group(2)
    return letter.upper() if letter else None


def _closing_brace(text: str, start: int) -> int | None:
    r"""Where the brace closes that opened before ``start``.

    ``\{`` and ``\}`` are characters, not braces. Where this finds no end they are counted as braces, as upstream
    does: ``\boxed{185\}``.
    """
    escaped = _balanced_end(text, start, skip_escaped=True)
    return escaped if escaped is not None else _balanced_end(text, start, skip_escaped=False)


_MARKS = {True: re.compile(r"\\.|[{}]", re.DOTALL), False: re.compile(r"[{}]")}


def _balanced_end(text: str, start: int, *, skip_escaped: bool) -> int | None:
    depth = 1
    for match in _MARKS[skip_escaped].finditer(text, start):
        mark = match.group()
        if mark == "{":
            depth += 1
        elif mark == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return None
