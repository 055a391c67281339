"""Rails R1, R2, R5, R6 and R7, a function each: ``None`` to pass, a reason to refuse. R3 and R4 are the menu's."""

from __future__ import annotations

import difflib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rails.knobs import Value, is_finite, same_value, show
from rails.menu import Menu
from rails.novelty import Tried
from rails.strict_json import StrictJsonError, parse_json
from rails.verdict import Config, Estimate, Limits

MAX_REPLY_BYTES = 4096
MAX_REASON_CHARS = 500
FIELDS = ("knob", "new_value", "reason")
SEVERAL_FIELDS = ("changes", "reason")  # of a proposal of several changes
CHANGE_FIELDS = ("knob", "new_value")  # of each of them
# Control characters, lone surrogates, line and paragraph separators: they can forge lines in a log.
FORBIDDEN_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# Bidirectional overrides: with them the text that is displayed differs from the text that is stored.
BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Refused(Exception):
    """A reply that R1 refuses, with the reason. ``gate`` catches it; it never leaves this package."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What R1 reads of a reply: the changes with their values as written, and the reason."""

    changes: tuple[tuple[str, Any], ...]
    reason: str


def schema(raw: object, max_changes: int) -> Reply:
    """R1: one JSON object, of ``knob, new_value, reason`` or, where several are allowed, of ``changes, reason``.

    Raises ``Refused``.
    """
    text = _text(raw)
    try:
        reply = parse_json(text)
    except StrictJsonError as e:
        raise Refused(f"not one JSON object: {e}") from e
    if not isinstance(reply, dict):
        raise Refused(f"a JSON object is expected, not {show(reply)}")
    is_several = max_changes > 1 and "changes" in reply
    _check_keys(reply, SEVERAL_FIELDS if is_several else FIELDS)
    changes = _several(reply["changes"], max_changes) if is_several else (_change(reply),)
    _check_reason(reply["reason"])
    return Reply(changes, reply["reason"])


def _several(listed: object, max_changes: int) -> tuple[tuple[str, Any], ...]:
    """The changes of a list: from one to ``max_changes``, each of another knob."""
    if not isinstance(listed, list) or not listed:
        raise Refused(f"changes must be a list of at least one change, not {show(listed)}")
    if len(listed) > max_changes:
        raise Refused(f"{len(listed)} changes are proposed, at most {max_changes} are allowed (max_changes)")
    changes: dict[str, Any] = {}
    for number, entry in enumerate(listed, 1):
        where = f"change {number}: "
        if not isinstance(entry, dict):
            raise Refused(f"{where}a JSON object is expected, not {show(entry)}")
        _check_keys(entry, CHANGE_FIELDS, where)
        knob, value = _change(entry, where)
        if knob in changes:
            raise Refused(f"{where}{show(knob)} is changed twice")
        changes[knob] = value
    return tuple(changes.items())


def _change(entry: Mapping[str, Any], where: str = "") -> tuple[str, Any]:
    if not isinstance(entry["knob"], str):
        raise Refused(f"{where}knob must be a string, not {show(entry['knob'])}")
    return entry["knob"], entry["new_value"]


def _check_keys(given: Mapping[str, Any], expected: tuple[str, ...], where: str = "") -> None:
    if extra := [k for k in given if k not in expected]:
        raise Refused(f"{where}unexpected key {show(extra[0])}; exactly {', '.join(expected)} are expected")
    if missing := [k for k in expected if k not in given]:
        raise Refused(f"{where}missing key {missing[0]}; exactly {', '.join(expected)} are expected")


def menu_entry(knobs: Iterable[str], menu: Menu, baseline: object) -> str | None:
    """R2: the knobs are on the menu, and the baseline is a configuration with a usable value for every knob."""
    if (unknown := next((name for name in knobs if name not in menu.knobs), None)) is not None:
        near = difflib.get_close_matches(unknown[:40], menu.knobs, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(menu.knobs)}"
        return f"{show(unknown)} is not a knob of the menu; {hint}"
    if not isinstance(baseline, Mapping):
        return f"the baseline is not a configuration: {show(baseline)}"
    if missing := [name for name in menu.knobs if name not in baseline]:
        return f"the baseline has no value for {missing[0]}"
    for name, value in baseline.items():  # also fields that are not knobs: R5 prints and R6 compares them all
        if not isinstance(name, str) or not _is_plain(value):
            return f"the baseline has no usable value for {show(name)}: {show(value)}"
    return None


def diff_lines(knobs: Sequence[str], baseline: Config, candidate: Config) -> tuple[str, str | None]:
    """R5: the change as a unified diff with one line per knob, and the reason why it is not one (or ``None``).

    The check does not trust the code that built the candidate: it applies the diff to the baseline's text and compares
    the result with the candidate's text, every field of it. Of several knobs each must have another value than the
    baseline's: what is named is what changes. (Of one knob, R6 refuses the baseline's own value.)
    """
    before, after = _lines(baseline), _lines(candidate)
    names = list(baseline)
    places = sorted(names.index(knob) for knob in knobs)
    hunks = [f"@@ -{at + 1} +{at + 1} @@\n-{before[at]}\n+{after[at]}\n" for at in places]
    diff = f"--- a/cfg.py\n+++ b/cfg.py\n{''.join(hunks)}"
    applied = list(before)
    for at, hunk in zip(places, hunks, strict=True):
        applied[at] = hunk.splitlines()[-1][1:]
    if list(candidate) != names or applied != after:
        touched = [n for n in names if candidate.get(n) != baseline[n]]
        alone = f"{', '.join(knobs)} alone"
        return diff, f"the change touches {', '.join(touched) or 'another set of fields'}, not {alone}"
    if len(knobs) > 1 and (same := [k for k in knobs if same_value(candidate[k], baseline[k])]):
        return diff, f"{same[0]} = {show(candidate[same[0]])} is the baseline's own value: leave it out"
    return diff, None


def novelty(candidate: Config, known: Tried) -> str | None:
    """R6: the candidate is neither the baseline nor a configuration that this run has tried."""
    return known.find(candidate) or None


def budget(estimate: Estimate, limits: Limits) -> str | None:
    """R7: refuses, before a trial starts, what the trainer cannot do, what needs too much memory or takes too long."""
    if estimate.unsupported:
        return estimate.unsupported
    if limits.memory_bytes is not None and not estimate.peak_bytes <= limits.memory_bytes:
        need, have = estimate.peak_bytes / 2**30, limits.memory_bytes / 2**30
        return f"needs about {need:.2f} GiB of memory, {have:.2f} GiB are available"
    if not estimate.time_ratio <= limits.max_time_ratio:  # "not" lets no NaN pass
        if estimate.slow_because:
            return f"{estimate.slow_because}; at most {limits.max_time_ratio:.1f} times is allowed"
        allowed = f"at most {limits.max_time_ratio:g} x is allowed"
        return f"takes about {estimate.time_ratio:.1f} x the baseline's time, {allowed}"
    return None


def _is_plain(value: object) -> bool:
    """Whether it is a string or a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return isinstance(value, str)
    return is_finite(value)


def _text(raw: object) -> str:
    if isinstance(raw, str):
        if len(raw) > MAX_REPLY_BYTES or len(raw.encode("utf-8", "surrogatepass")) > MAX_REPLY_BYTES:
            raise Refused(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
        return raw
    if not isinstance(raw, bytes):
        raise Refused(f"a reply is a string or bytes, not {show(type(raw).__name__)}")
    if len(raw) > MAX_REPLY_BYTES:
        raise Refused(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as e:
        raise Refused(f"the reply is not UTF-8: byte {e.start}") from e


def _check_reason(reason: object) -> None:
    if not isinstance(reason, str):
        raise Refused(f"reason must be a string, not {show(reason)}")
    if len(reason) > MAX_REASON_CHARS:
        raise Refused(f"reason has {len(reason)} characters, at most {MAX_REASON_CHARS} are allowed")
    for char in reason:
        if unicodedata.category(char) in FORBIDDEN_CATEGORIES or char in BIDI:
            raise Refused(f"reason contains the control character {show(char)}")


def _lines(cfg: Config) -> list[str]:
    return [f"{name} = {_literal(value)}" for name, value in cfg.items()]


def _literal(value: Value) -> str:
    return json.dumps(value)
