r"""Answers as text: what a mathematical answer is compared as, the letter of a choice, and the key of a vote.

math_verify misreads a few ways to write a number: it takes ``12 000`` for 12 times 0 and ``2 1/2`` for 3/2. They are
rewritten before it sees them, as are marks that it does not know. Pure; linear in the length of the text.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

MAX_NUMBER_CHARS = 60  # a longer number is compared as text

_CHARACTERS = str.maketrans(
    {
        "\u2212": "-", "\u2010": "-", "\u2011": "-", "\u2013": "-", "·": r"\cdot ", "⋅": r"\cdot ",
        "\u00d7": r"\times ",
        "÷": r"\div ", "°": r"^\circ ", "π": r"\pi ", "∞": r"\infty ", "∅": r"\emptyset ", "√": r"\sqrt ",
        "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "≤": r"\le ", "≥": r"\ge ",
        "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2007": " ", "\u200b": "", "\u2061": "", "\ufeff": "",
        "\t": " ", "\n": " ", "\r": " ", "€": "", "£": "",
    }
)  # fmt: skip
_REWRITES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])", r"\\frac"),
        (r"\\varnothing(?![A-Za-z])", r"\\emptyset "),
        (r"\^?\s*(?:\\degree(?![A-Za-z])|\{\s*\\degree\s*\})", r"^\\circ "),
        (r"\\displaystyle(?![A-Za-z])", ""),
        (r"\\!", ""),
        (r"~", " "),
    )
)
_WRAPPERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_COMMAND = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|boxed|fbox|rm|bf)\s*\{")
_DOLLAR = re.compile(r"(?<!\\)\$")
_THOUSANDS = re.compile(  # of a text that is one number, with what stands around it
    r"((?:[A-Za-z]\s?=)?\s?[+-]?\s?(?:\\\$)?)(\d{1,3})(\\[,;: ]|\{,\}|,| |')(\d{3}(?:\3\d{3})*)(?!\d)(\.\d+)?"
    r"([^\d,]{0,60}(?:\^\{?[23]\}?)?)"
)
_MIXED = re.compile(r"(-?\d{1,9})\s+(\d{1,9})\s*/\s*(\d{1,9})")
_SCIENTIFIC = re.compile(r"([+-]?\d{1,30}(?:\.\d{1,30})?)[eE]([+-]?\d{1,4})")
_PERCENT = re.compile(r"\s*\\?%$")
_SPACING = re.compile(r"\s+|\\[,;:! ]|\\(?:left|right|quad|qquad|,)(?![A-Za-z])")
_UNIT = re.compile(r"(?<=[\d})])\\(?:text|mathrm|mbox)\{[^{}\d]*\}(?:\^\{?[23]\}?)?$")
_ASSIGNED = re.compile(r"^[A-Za-z]=(?!.*[=<>,;])")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_RATIO = re.compile(r"([+-]?)(?:\\frac\{([+-]?\d+)\}\{(\d+)\}|\\frac(\d)(\d)|(\d+)/(\d+))")

_OTHER_LETTERS = str.maketrans("أبجدঅবডঢ", "ABCDABCD")  # choices A to D in Arabic and Bengali, as upstream reads them
_LEADING_LETTER = re.compile(r"^[\s(\[{<*_\"'$]*([A-Z])\s*(?:[.):\]}>*]+(?:\s|$)|$)")
_SEVERAL_LETTERS = re.compile(r"[\s(]*[A-Z](?:[\s)]*(?:,|/|&|\band\b|\bor\b)[\s(]*[A-Z])+[\s).]*")
_LOWER_LETTER = re.compile(r"[\s(\[{<*_]*([a-z])[\s)\]}>*_.]*")
_LONE_LETTER = re.compile(r"\b[A-Z]\b")


def math_text(answer: str) -> str:
    """``answer`` as math_verify reads it rightly: characters, wrappers, thousands, mixed and scientific numbers."""
    text = answer.translate(_CHARACTERS)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _unwrapped(text.strip()).rstrip(". ").removesuffix("\\").rstrip()
    text = _DOLLAR.sub("", text).strip()
    if thousands := _THOUSANDS.fullmatch(text):
        before, first, _, others, decimals, after = thousands.groups()
        text = f"{before}{first}{re.sub(r'[^0-9]', '', others)}{decimals or ''}{after}"
    if mixed := _MIXED.fullmatch(text):
        text = r"{}\frac{{{}}}{{{}}}".format(*mixed.groups())
    if scientific := _SCIENTIFIC.fullmatch(text):
        text = rf"{scientific[1]}\times10^{{{int(scientific[2])}}}"
    return text


def without_percent(text: str) -> str:
    """``text`` without a percent sign at its end, as upstream compares it."""
    return _PERCENT.sub("", text)


def choice_letter(answer: str) -> str | None:
    """The letter of a multiple-choice answer: the one that it is or begins with, else the last one that stands alone.

    ``None`` where there is none, and where the answer is a list of letters: it does not choose.
    """
    text = _choice_text(answer)
    if _SEVERAL_LETTERS.fullmatch(text):
        return None
    if letter := marked_letter(answer):
        return letter
    alone = _LONE_LETTER.findall(text)
    return alone[-1] if alone else None


def marked_letter(answer: str) -> str | None:
    r"""The letter of an answer that is one, or begins with one: ``B``, ``(b)``, ``\text{B}``, ``B. Paris``, ``<B>``."""
    text = _choice_text(answer)
    if len(text) == 1:
        return text.upper() if "A" <= text.upper() <= "Z" else None
    found = _LEADING_LETTER.match(text) or _LOWER_LETTER.fullmatch(text)
    return found.group(1).upper() if found else None


def _choice_text(answer: str) -> str:
    text = unicodedata.normalize("NFKC", answer[:2_000]).strip()
    return _unwrapped(text).translate(_OTHER_LETTERS).strip()


def plain_text(answer: str) -> str:
    r"""An exact answer without what is ignored: case, spacing, quotes, a last full stop, ``\text{}`` around it."""
    text = _unwrapped(unicodedata.normalize("NFKC", answer).strip())
    text = " ".join(text.split()).rstrip(".").strip(" \"'\u201c\u201d\u2018\u2019`")
    return unicodedata.normalize("NFKC", text.casefold())


def vote_key(answer: str) -> str:
    """The normalised answer, by which votes are clustered: two ways of writing one number or expression are one answer.

    It merges only answers that every grade treats alike: numbers in any notation, units, ``x =``, spacing. Expressions
    that are equal only by algebra stay apart, and so does a percent sign.
    """
    text = _SPACING.sub("", math_text(answer))
    text = re.sub(r"\^(?:\\circ|\{\\circ\})$", "", _UNIT.sub("", text)).replace(r"\$", "").replace("$", "")
    text = _ASSIGNED.sub("", text)
    number = _number(text)
    if number is not None:
        return str(number)
    return text


def _unwrapped(text: str) -> str:
    """Without the wrappers that enclose all of it, for example dollar signs and ``\\text{}``."""
    for _ in range(8):
        inner = _inside(text)
        if inner is None:
            return text
        text = inner.strip()
    return text


def _inside(text: str) -> str | None:
    for opening, closing in _WRAPPERS:
        if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            if opening not in inner and closing not in inner:
                return inner
    command = _COMMAND.match(text)
    start = command.end() if command else 1 if text.startswith("{") else 0
    return text[start:-1] if start and text.endswith("}") and _is_one_group(text, start) else None


def _is_one_group(text: str, start: int) -> bool:
    """Whether the brace that opened before ``start`` closes with the last character."""
    depth = 1
    for match in re.finditer(r"\\.|[{}]", text[start:-1]):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return False
    return depth == 1


def _number(text: str) -> Fraction | None:
    if len(text) > MAX_NUMBER_CHARS:
        return None
    if _DECIMAL.fullmatch(text):
        return Fraction(text.rstrip("."))
    if ratio := _RATIO.fullmatch(text):
        sign, *parts = ratio.groups()
        over, under = [part for part in parts if part is not None]
        return Fraction(int(sign + "1") * int(over), int(under)) if int(under) else None
    return None
