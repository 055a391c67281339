"""A case: a reply, what the run knows when it arrives, and the rail that must judge it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rails.checks import diff_lines
from rails.gate import DEFAULT_STEPS, gate
from rails.menu import Menu, Steps, default_menu
from rails.novelty import Tried
from rails.verdict import Config, Estimate, Limits, Rail

CASES = Path(__file__).with_name("cases.jsonl")


@dataclass(frozen=True, slots=True)
class Context:
    """Where replies are judged: menu, baseline and step budget."""

    menu: Menu
    baseline: Config
    steps: Steps = DEFAULT_STEPS

    @classmethod
    def shipped(cls) -> Context:
        """The shipped menu with its own defaults as the baseline."""
        return cls(default_menu(), default_menu().defaults)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of ``cases.jsonl``. ``rail`` is the rail that must refuse ``text``, or ``passed``; ``why`` says why.

    ``baseline`` changes values of the context's baseline; ``tried`` lists changes of the baseline that the run has
    measured; ``estimate`` has the fields of ``Estimate`` and, as ``memory_bytes``, the limit; ``max_changes`` is how
    many knobs a reply may change. A case with a ``candidate`` asks R5 alone whether these changes of the baseline are
    one line each of ``text``, knob names with a comma between them: the gate builds its candidates so that R5 never has
    to refuse another field than a named one.
    """

    name: str
    text: str
    rail: str
    why: str
    context: str = "shipped"
    steps: int | None = None
    baseline: Mapping[str, Any] = field(default_factory=dict)
    tried: tuple[Mapping[str, Any], ...] = ()
    estimate: Mapping[str, Any] | None = None
    candidate: Mapping[str, Any] | None = None
    max_changes: int = 1

    def judge(self, context: Context) -> tuple[str, str]:
        """The rail that judges the case in ``context``, and its reason."""
        baseline = {**context.baseline, **self.baseline}
        if self.candidate is not None:
            lint = diff_lines(self.text.split(","), baseline, {**baseline, **self.candidate})[1]
            return (Rail.R5_DIFF_LINT, lint) if lint else (Rail.PASSED, "")
        known = Tried(baseline)
        for change in self.tried:
            known.add({**baseline, **change}, "measured")
        cost = dict(self.estimate or {})
        limits = Limits(memory_bytes=cost.pop("memory_bytes", None))
        verdict = gate(
            self.text,
            baseline,
            context.menu,
            steps=context.steps if self.steps is None else self.steps,
            known=known,
            estimate=(lambda _cfg: Estimate(**cost)) if cost else None,
            limits=limits,
            max_changes=self.max_changes,
        )
        return verdict.rail, verdict.reason


def load_cases(path: Path = CASES) -> list[Case]:
    """The named cases of the package. Raises ``ValueError`` naming a line that is not a case."""
    names = {f.name for f in fields(Case)}
    cases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        if extra := sorted(set(row) - names):
            raise ValueError(f"{path.name}, line {number}: unknown field {extra[0]!r}")
        if row["rail"] not in list(Rail):
            raise ValueError(f"{path.name}, line {number}: {row['rail']!r} is not a rail")
        cases.append(Case(**{**row, "tried": tuple(row.get("tried", ()))}))
    return cases
