"""An audit as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.core.text import escape_control, plural, signed_percent
from autoresearch.report.audit.judge import Verdict
from autoresearch.report.audit.repeated import FreshGains, describe_repeats
from autoresearch.report.format import format_share
from autoresearch.verdicts.audit import MAX_REPEATS

WIDTH = 44  # of a keep's name


def render(v: Verdict, fresh: FreshGains | None = None) -> str:
    """The audit of one log; ``fresh`` are measurements of one of its keeps that ``v`` takes into account."""
    log = v.log
    compared = "a fixed baseline" if log.loop == "fixed" else "the last keep"
    of = "one paired gain" if log.pair_sd else "one measurement"
    distinct = "" if v.distinct is None else f", {v.distinct} distinct"
    lines = [
        f"{escape_control(log.path)}: {log.format}, {escape_control(log.metric)} ({log.direction} is better), "
        f"each trial compared with {compared}",
        f"trials   {plural(v.measured, 'measured trial')}{distinct}, {v.failed} failed, {_keeps(v)}",
        f"noise    {100 * v.sigma:.3g}% (SD of {of}; {v.noise_from})",
        f"changes  about {format_share(v.null_share)} of all changes do nothing, as far as the log can tell",
        *(f"note     {escape_control(note)}" for note in log.notes),
        "",
        *_table(v),
        "",
        sentence(v) if fresh is None else f"{describe_repeats(fresh)} {sentence(v)}",
    ]
    return "\n".join(lines)


def _keeps(v: Verdict) -> str:
    """How many keeps; of how many configurations, where one was kept repeatedly and is judged once, by its mean."""
    if v.kept_trials == len(v.keeps):
        return plural(v.kept_trials, "keep")
    return f"{plural(v.kept_trials, 'keep')} of {plural(len(v.keeps), 'configuration')} (judged by their means)"


def _table(v: Verdict) -> Iterator[str]:
    if not v.keeps:
        yield "no keep"
        return
    threshold = f"P(> {100 * v.threshold:g}%)"
    yield f"{'':<14}{'keep':<{WIDTH}}  claimed  to expect  P(> 0)  {threshold:>9}  repeats a side"
    for keep in v.keeps:
        name = escape_control(keep.entry.name)[:WIDTH]
        repeats = f"{keep.repeats}" if keep.repeats < MAX_REPEATS else f"over {MAX_REPEATS}"
        yield (
            f"{keep.entry.place:<14}{name:<{WIDTH}}  {signed_percent(keep.claimed):>7}  "
            f"{signed_percent(keep.gain):>9}  {keep.p_real:>6.2f}  {keep.p_threshold:>9.2f}  {repeats:>14}"
        )


def sentence(v: Verdict) -> str:
    """What the log alone says, in one sentence or two."""
    if not v.keeps:
        return "The log kept nothing, so there is nothing to doubt."
    whole = "together they claim" if v.log.loop == "ratchet" else "the best claims"
    what = "keep" if v.kept_trials == len(v.keeps) else "kept configuration"
    text = (
        f"Of {plural(len(v.keeps), what)}, {v.expected_false:.1f} are expected to have no gain at all; {whole} "
        f"{signed_percent(v.claimed)}, and {signed_percent(v.corrected)} is to be expected."
    )
    if v.noise.is_assumed and v.noise_from != "given":
        text += " The noise is an assumption: repeat the baseline a few times, and give its relative SD with --noise."
    if v.ahead_of_random is not None:
        text += (
            f" Its gains came earlier than in {format_share(v.ahead_of_random)} of random orders of the same trials."
        )
    return text
