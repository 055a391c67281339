"""What each source of proposals has earned, and the share of the iterations that a model earns by it. Pure.

``share = "auto"``: the model's share is its part of the gain per turn of both, between a floor and a cap,

    share = r_m / (r_m + r_o),   r = new gain of confirmed keeps / turns.

A gain is new as far as it exceeds what an earlier keep of the same knobs gains, so that a second value beside a known
one earns what it adds. Without any gain of the model its share is the floor. At the floor a turn comes after every 20
turns of the optimizer: what the model loses is at most its first turn, or 5% of the optimizer's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.results import Result

FLOOR = 1 / 21  # one turn after 20 of the optimizer: 5% of them
CAP = 0.5
FIRST_TURN = 4  # earlier there is nothing that the model could learn from


@dataclass(frozen=True, slots=True)
class Credit:
    """What a source has done. ``turns``: iterations in which it replied, or whose candidate is its own."""

    turns: int = 0
    gain_frac: float = 0.0  # sum of the new gains of its keeps
    last_turn: int = 0  # its last iteration; 0 if there is none

    @property
    def gain_per_turn_frac(self) -> float:
        return self.gain_frac / self.turns if self.turns else 0.0

    def after(self, n: int, gain_frac: float) -> Credit:
        """With one more turn, in iteration ``n``."""
        return Credit(self.turns + 1, self.gain_frac + gain_frac, max(n, self.last_turn))


def credit_of(results: Sequence[Result], source: str = LLM_SOURCE) -> tuple[Credit, Credit]:
    """The credit of ``source``, and that of every other source together.

    A turn of ``source`` is every iteration in which it replied. Where all its replies were refused and another source's
    candidate was tried instead, the gain is the other's.
    """
    own, others = Credit(), Credit()
    best: dict[frozenset[str], float] = {}
    for result in results:
        knobs, new = frozenset(knob for knob, _ in result.changes), 0.0
        if result.is_keep and result.improvement_frac is not None:
            new = max(0.0, result.improvement_frac - best.get(knobs, 0.0))
            best[knobs] = max(result.improvement_frac, best.get(knobs, 0.0))
        is_own = result.source == source
        if is_own or source in result.reply_sources:
            own = own.after(result.iter, new if is_own else 0.0)
        if not is_own and result.changes:
            others = others.after(result.iter, new)
    return own, others


def earned_share(own: Credit, others: Credit) -> float:
    """The share of the iterations that ``own`` has earned."""
    rates = own.gain_per_turn_frac, others.gain_per_turn_frac
    if rates[0] <= 0:
        return FLOOR
    return min(CAP, max(FLOOR, rates[0] / math.fsum(rates)))


def is_earned_turn(n: int, own: Credit, others: Credit) -> bool:
    """Whether iteration ``n`` is a turn of ``own``: its first one, or the next at its share, evenly spread.

    Every other iteration at most may be one, also while the model does not answer at all, which leaves no trace here.
    """
    if n < FIRST_TURN or n % 2:
        return False
    if not own.turns:
        return True
    share = earned_share(own, others)
    return own.turns + 1 <= share * n + 1e-9 and n - own.last_turn >= 2 * math.floor(0.5 / share + 1e-9)
