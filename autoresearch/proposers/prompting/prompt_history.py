"""The results of a run by knob: the values measured, the failures, and the rails' refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autoresearch.core.measurement import Cause
from autoresearch.core.results import Refused, Result
from autoresearch.core.stopped_trial import describe_point
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.prompting.prompt_format import value_text
from rails import Menu, Rail, Value

NO_KNOB = ""  # key of refusals that do not name a knob of the menu
SEVERAL = "several knobs together"  # key of results of candidates that change more than one


@dataclass(slots=True)
class KnobResults:
    """The values of one knob that were measured, in the order of the iterations; the rails let no value repeat.

    Columns rather than an object per result: ten thousand new objects make the garbage collector scan the whole run,
    which takes longer than building the prompt.
    """

    values: list[Value] = field(default_factory=list)
    effects: list[float] = field(default_factory=list)  # relative improvements: 0.01 is 1% fewer bits per byte
    trials: list[int] = field(default_factory=list)  # of which the effect is the mean
    kept: list[bool] = field(default_factory=list)
    by_value: list[int] = field(default_factory=list)  # indices into the columns; filled in by ``sort``
    best_first: list[int] = field(default_factory=list)

    def add(self, value: Value, effect: float, trials: int, kept: bool) -> None:
        self.values.append(value)
        self.effects.append(effect)
        self.trials.append(trials)
        self.kept.append(kept)

    def sort(self) -> None:
        """Fill in the orders. Call it once, after the last ``add``."""
        self.by_value = sorted(range(len(self)), key=self.values.__getitem__)
        self.best_first = sorted(range(len(self)), key=self.effects.__getitem__, reverse=True)

    def __len__(self) -> int:
        return len(self.values)


@dataclass(slots=True)
class Failures:
    """The values of one knob that failed for one cause, or whose trials were stopped early."""

    values: list[Value] = field(default_factory=list)  # each once, sorted
    count: int = 0
    detail: str = ""  # of the latest failure: untrusted text; or where the latest trial was stopped

    def add(self, value: Value, detail: str) -> None:
        self.values.append(value)
        self.count += 1
        self.detail = detail


@dataclass(slots=True)
class Refusals:
    """How often one rail refused one knob."""

    count: int = 0
    reason: str = ""  # of the latest refusal: untrusted text, it quotes the model


@dataclass(slots=True)
class Results:
    """All results of a run. Knobs without a result are not in ``measured``."""

    measured: dict[str, KnobResults] = field(default_factory=dict)
    failures: dict[tuple[str, Cause], Failures] = field(default_factory=dict)
    stopped: dict[str, Failures] = field(default_factory=dict)  # by knob: trials that were stopped early
    refusals: dict[tuple[str, Rail], Refusals] = field(default_factory=dict)
    iterations: int = 0
    blocked: int = 0  # iterations without a candidate: the rails refused every attempt
    proposer_failed: int = 0  # iterations whose proposer failed

    @property
    def measured_count(self) -> int:
        return sum(len(knob) for knob in self.measured.values())

    @property
    def failed_count(self) -> int:
        return sum(failed.count for failed in self.failures.values())

    @property
    def stopped_count(self) -> int:
        return sum(stopped.count for stopped in self.stopped.values())

    @property
    def tried_knobs(self) -> set[str]:
        """The knobs with a measurement, a failure or an early stop."""
        return {*self.measured, *self.stopped, *(knob for knob, _ in self.failures)}


def summarise_results(trajectory: Trajectory, menu: Menu) -> Results:
    """One pass over every closed iteration."""
    results = Results(iterations=len(trajectory.results))
    measured: dict[str, KnobResults] = {}
    for r in trajectory.results:
        knob, value = _place_of(r)
        if knob is None or value is None:
            results.blocked += r.stage == "blocked"
            results.proposer_failed += r.stage != "blocked"
        elif r.improvement_frac is not None:
            if knob not in measured:
                measured[knob] = KnobResults()
            measured[knob].add(value, r.improvement_frac, r.trials, r.is_keep)
        elif r.cause is not None:
            results.failures.setdefault((knob, r.cause), Failures()).add(value, r.detail)
        elif r.stopped is not None:
            results.stopped.setdefault(knob, Failures()).add(value, describe_point(r.stopped))
        if r.refused:
            _add_refusals(results, r.refused, menu)
    results.measured = {knob: measured[knob] for knob in dict.fromkeys((*menu.knobs, *measured)) if knob in measured}
    for of_knob in measured.values():
        of_knob.sort()
    for failures in (*results.failures.values(), *results.stopped.values()):
        failures.values = sorted(set(failures.values))
    return results


def _place_of(r: Result) -> tuple[str | None, Value | None]:
    """Knob and value; all results of several knobs stand under one name, so that a prompt can summarise them."""
    if not r.several:
        return r.knob, r.new_value
    return SEVERAL, " with ".join(f"{knob} {value_text(value)}" for knob, value in r.several)


def _add_refusals(results: Results, refused: Sequence[Refused], menu: Menu) -> None:
    for one in refused:
        refusals = results.refusals.setdefault((_knob_of(one, menu), one.rail), Refusals())
        refusals.count += 1
        refusals.reason = one.reason


def _knob_of(refused: Refused, menu: Menu) -> str:
    """R3 does not keep the proposal, but its reason begins with the knob; R1 and R2 refuse what has no valid knob."""
    if refused.knob is not None:
        return refused.knob
    first_word = refused.reason.partition(" ")[0]
    return first_word if refused.rail is Rail.R3_RANGE and first_word in menu.knobs else NO_KNOB
