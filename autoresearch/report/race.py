"""The race between the best keeps and the baseline, as sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.core.records import Race
from autoresearch.core.text import plural
from autoresearch.report.gain_text import format_gain


def race_lines(race: Race | None) -> Iterator[str]:
    """What won, and what could not be told apart from it."""
    if race is None:
        return
    of = f"{plural(len(race.arms) - 1, 'keep')} and the baseline over {plural(len(race.seeds), 'fresh seed')}"
    if race.winner is None:
        yield f"{of}: no keep is left, so the baseline stays the best configuration"
        return
    gain = "" if race.gain_frac is None else f", gain {format_gain(race.gain_frac, race.low_frac, race.high_frac)}"
    others = [_name(arm) for arm in race.left if arm != race.winner]
    sure = (
        f"not told apart from {', '.join(others)}"
        if others
        else f"the best with {100 * (1 - race.alpha):g}% confidence"
    )
    yield f"{of}: iteration {race.winner} wins{gain}, {sure}"


def _name(arm: int) -> str:
    return f"iteration {arm}" if arm else "the baseline"
