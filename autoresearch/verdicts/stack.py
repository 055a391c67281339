"""The stack of a run: which union of its keeps to try next, and what the unions so far say. Pure.

Keeps are taken in order of gain. Each is added to the stack by measuring the union as a candidate of its own; it stays
if that candidate is a keep too and gains more than the stack without it. Then each knob of the stack is left out
once (an ablation); a stack that gains as much without a knob goes on without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Value = int | float | str
Changes = Mapping[str, Value]
Key = frozenset[tuple[str, Value]]

Outcome = Literal["added", "held back", "known", "same knobs", "not possible", "not measured"]
MIN_ABLATED = 2  # knobs of a stack of which one can be left out


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate that was tried. ``gain_frac`` is ``None`` where nothing was measured."""

    iter: int
    changes: Changes
    gain_frac: float | None
    is_keep: bool
    is_union: bool = False  # proposed as a union of keeps, so that it is not a part of one itself

    @property
    def key(self) -> Key:
        """What makes two candidates the same."""
        return frozenset(self.changes.items())


@dataclass(frozen=True, slots=True)
class Step:
    """A keep, and what became of it: ``union`` is the candidate that would add it, if that is a new one."""

    part: Tried
    outcome: Outcome
    union: Tried | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The stack without one of its knobs; ``without`` is ``None`` where that was not measured."""

    knob: str
    value: Value
    without: Tried | None


@dataclass(frozen=True, slots=True)
class Stack:
    """The best union so far. ``wanted`` is the candidate to try next, with the reason; ``None`` when all is known."""

    best: Tried | None
    steps: tuple[Step, ...] = ()
    ablation: tuple[LeftOut, ...] = ()
    wanted: Changes | None = None
    reason: str = ""
    needed: int = 0  # candidates that may still be wanted, this one included, if each union is a gain


def keeps_in_order(tried: Iterable[Tried]) -> list[Tried]:
    """The keeps that unions are made of, the largest gain first; of equal candidates the first."""
    keeps = {t.key: t for t in reversed([t for t in tried if t.is_keep and not t.is_union and t.gain_frac is not None])}
    return sorted(keeps.values(), key=lambda t: (-(t.gain_frac or 0.0), t.iter))


def unite(better: Changes, other: Changes) -> dict[str, Value]:
    """Both together; where they give one knob two values, the better one's."""
    return {**better, **{knob: value for knob, value in other.items() if knob not in better}}


@dataclass(slots=True)
class _Walk:
    """One pass over the keeps. ``is_possible`` is whether a candidate that is not known could be tried."""

    known: dict[Key, Tried]
    is_possible: Callable[[Changes], bool]
    steps: list[Step] = field(default_factory=list)
    wanted: dict[str, Value] | None = None
    reason: str = ""

    def add_parts(self, best: Tried, parts: Sequence[Tried]) -> tuple[Tried, int]:
        """The stack of ``best`` and ``parts``, up to the first union that is not known; how many parts are left."""
        for place, part in enumerate(parts):
            union = unite(best.changes, part.changes)
            if union.keys() == best.changes.keys():
                same = all(best.changes[knob] == value for knob, value in part.changes.items())
                self.steps.append(Step(part, "known" if same else "same knobs"))
                continue
            tried = self.known.get(frozenset(union.items()))
            if tried is None and self.is_possible(union):
                self.wanted = union
                self.reason = f"stack: {_name(best)} together with iteration {part.iter} ({_gain(part)})"
                self.steps.append(Step(part, "not measured"))
                return best, len(parts) - place
            self.steps.append(Step(part, _outcome(tried, best), tried))
            best = tried if tried is not None and _improves(tried, best) else best
        return best, 0

    def ablate(self, best: Tried) -> tuple[Tried, list[LeftOut], int]:
        """Leave out each knob of ``best``; continue with what remains where that gains as much."""
        left_out: list[LeftOut] = []
        unknown = 0
        if len(best.changes) < MIN_ABLATED:
            return best, left_out, unknown
        for knob, value in best.changes.items():
            rest = {k: v for k, v in best.changes.items() if k != knob}
            without = self.known.get(frozenset(rest.items()))
            if without is None and self.is_possible(rest):
                unknown += 1
                if self.wanted is None:
                    self.wanted, self.reason = rest, f"ablation: {_name(best)} ({_gain(best)}) without {knob}"
            if without is not None and without.is_keep and (without.gain_frac or 0.0) >= (best.gain_frac or 0.0):
                self.wanted, self.reason = None, ""
                return self.ablate(without)
            left_out.append(LeftOut(knob, value, without))
        return best, left_out, unknown


def plan_stack(tried: Sequence[Tried], is_possible: Callable[[Changes], bool] = lambda _changes: False) -> Stack:
    """The stack of what was tried, and what to try next; without ``is_possible``, what is known alone."""
    parts = keeps_in_order(tried)
    if not parts:
        return Stack(None)
    walk = _Walk({t.key: t for t in tried}, is_possible)
    best, left = walk.add_parts(parts[0], parts[1:])
    if walk.wanted is not None:
        rest = parts[len(parts) - left :]
        knobs = set(best.changes).union(*(part.changes for part in rest))
        adding = sum(not part.changes.keys() <= best.changes.keys() for part in rest)
        ablations = len(knobs) if len(knobs) > MIN_ABLATED else 0
        return Stack(best, tuple(walk.steps), (), walk.wanted, walk.reason, adding + ablations)
    best, ablation, unknown = walk.ablate(best)
    return Stack(best, tuple(walk.steps), tuple(ablation), walk.wanted, walk.reason, unknown)


def parts_of(union: Tried, parts: Iterable[Tried]) -> list[Tried]:
    """The keeps that ``union`` is exactly made of, by order of gain; empty if they do not make it up."""
    found, covered = [], dict[str, Value]()
    for part in parts:
        if part.key < union.key and not part.changes.keys() & covered.keys():
            found.append(part)
            covered |= part.changes
    return found if len(found) > 1 and covered == dict(union.changes) else []


def confirmed_values(tried: Iterable[Tried]) -> Iterator[tuple[str, Value]]:
    """Every change of a keep that was not proposed as a union."""
    for one in tried:
        if one.is_keep and not one.is_union:
            yield from one.changes.items()


def _improves(union: Tried, best: Tried) -> bool:
    return union.is_keep and (union.gain_frac or 0.0) > (best.gain_frac or 0.0)


def _outcome(tried: Tried | None, best: Tried) -> Outcome:
    if tried is None:
        return "not possible"
    return "added" if _improves(tried, best) else "held back"


def _name(tried: Tried) -> str:
    return f"iteration {tried.iter}"


def _gain(tried: Tried) -> str:
    return f"{100 * (tried.gain_frac or 0.0):+.2f}%"
