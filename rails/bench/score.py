"""How the gate does on cases: block recall, clean pass, attribution, and each case that it misjudged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from rails.bench.case import Case, Context
from rails.verdict import Rail


@dataclass(frozen=True, slots=True)
class Miss:
    """A case that another rail judged than the expected one."""

    name: str
    expected: str
    judged_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over cases; ``by_rail`` has, for each expected rail, the number of cases and of right verdicts."""

    by_rail: Mapping[str, tuple[int, int]]
    misses: tuple[Miss, ...]

    @property
    def cases(self) -> int:
        return sum(count for count, _ in self.by_rail.values())

    @property
    def block_recall(self) -> float:
        """Of the proposals that must be refused, the part that was, by whichever rail."""
        return self._part(self._to_block(), [m for m in self._misses_to_block() if m.judged_by == Rail.PASSED])

    @property
    def attribution(self) -> float:
        """Of the proposals that must be refused, the part that the expected rail refused."""
        return self._part(self._to_block(), self._misses_to_block())

    @property
    def clean_pass(self) -> float:
        """Of the proposals that must pass, the part that did."""
        clean = self.by_rail.get(Rail.PASSED, (0, 0))[0]
        return self._part(clean, [m for m in self.misses if m.expected == Rail.PASSED])

    @property
    def perfect(self) -> bool:
        """Whether all three are 1.0 and there were cases at all."""
        return self.cases > 0 and not self.misses

    def _to_block(self) -> int:
        return sum(count for rail, (count, _) in self.by_rail.items() if rail != Rail.PASSED)

    def _misses_to_block(self) -> list[Miss]:
        return [m for m in self.misses if m.expected != Rail.PASSED]

    @staticmethod
    def _part(cases: int, misses: list[Miss]) -> float:
        return 1.0 if not cases else (cases - len(misses)) / cases


def score(cases: Iterable[Case], contexts: Mapping[str, Context]) -> Score:
    """Judge every case in its context. Raises ``KeyError`` for a context that is not given."""
    by_rail: dict[str, tuple[int, int]] = {str(rail): (0, 0) for rail in Rail}
    misses = []
    for case in cases:
        rail, reason = case.judge(contexts[case.context])
        count, right = by_rail[case.rail]
        by_rail[case.rail] = (count + 1, right + (rail == case.rail))
        if rail != case.rail:
            misses.append(Miss(case.name, case.rail, str(rail), reason))
    return Score(by_rail, tuple(misses))
