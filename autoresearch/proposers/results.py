"""What a run knows, knob by knob: every value measured, everything that failed, everything the rails refused."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.records import Attempt, Blocked, Cause, Closer, EvalFailed, Evaluated
from autoresearch.trajectory import Trajectory
from rails import Menu, Rail, Value

NO_KNOB = ""  # of refusals that name no knob of the menu


@dataclass(slots=True)
class Tested:
    """One value of a knob. Effects are relative improvements over the baseline: 0.01 is 1% fewer bits per byte."""

    value: Value
    results: int = 0
    keeps: int = 0
    total_effect: float = 0.0
    best_effect: float = float("-inf")
    last_iter: int = 0

    @property
    def mean_effect(self) -> float:
        return self.total_effect / self.results


@dataclass(slots=True)
class KnobResults:
    """The values of one knob that were measured, in their order, and which of them to show first."""

    tested: list[Tested]
    best_first: list[int] = field(default_factory=list)  # places in ``tested``
    newest_first: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tested.sort(key=lambda t: value_order(t.value))
        places = range(len(self.tested))
        self.best_first = sorted(places, key=lambda i: -self.tested[i].best_effect)
        self.newest_first = sorted(places, key=lambda i: -self.tested[i].last_iter)

    @property
    def results(self) -> int:
        return sum(t.results for t in self.tested)

    @property
    def keeps(self) -> int:
        return sum(t.keeps for t in self.tested)


@dataclass(slots=True)
class Failures:
    """The values of one knob that failed for one cause."""

    values: list[Value] = field(default_factory=list)  # each once, in their order
    count: int = 0
    detail: str = ""  # the latest: untrusted text


@dataclass(slots=True)
class Refusals:
    """How often one rail refused one knob."""

    count: int = 0
    reason: str = ""  # the latest: untrusted text, it quotes what a model wrote


@dataclass(slots=True)
class Results:
    """The whole memory of a run. Knobs without a result are not in ``measured``."""

    measured: dict[str, KnobResults] = field(default_factory=dict)
    failures: dict[tuple[str, Cause], Failures] = field(default_factory=dict)
    refusals: dict[tuple[str, Rail], Refusals] = field(default_factory=dict)
    iterations: int = 0
    blocked: int = 0  # iterations that ended without a candidate because the rails refused every attempt
    silent: int = 0  # and those whose proposer failed

    @property
    def measured_count(self) -> int:
        return sum(knob.results for knob in self.measured.values())

    @property
    def failed_count(self) -> int:
        return sum(failed.count for failed in self.failures.values())

    @property
    def touched(self) -> set[str]:
        """The knobs that have a result or a failure."""
        return {*self.measured, *(knob for knob, _ in self.failures)}


def results_of(trajectory: Trajectory, menu: Menu) -> Results:
    """One pass over every closed iteration."""
    results = Results(iterations=len(trajectory.iterations))
    tested: dict[str, dict[Value, Tested]] = {}
    for record in trajectory.iterations:
        if isinstance(record, Evaluated):
            _add_measured(tested, record)
        elif isinstance(record, EvalFailed):
            key = (record.proposal.knob, record.cause)
            failures = results.failures.setdefault(key, Failures())
            failures.values.append(record.proposal.new_value)
            failures.count += 1
            failures.detail = record.eval_metrics.detail
        else:
            results.blocked += isinstance(record, Blocked)
            results.silent += not isinstance(record, Blocked)
        _add_refusals(results.refusals, record, menu)
    in_menu_order = [knob for knob in dict.fromkeys((*menu.knobs, *tested)) if knob in tested]
    results.measured = {knob: KnobResults(list(tested[knob].values())) for knob in in_menu_order}
    for failures in results.failures.values():
        failures.values = sorted(set(failures.values), key=value_order)
    return results


def value_order(value: Value) -> tuple[int, float, str]:
    """Sorts numbers by size, and words behind them."""
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


def _add_measured(tested: dict[str, dict[Value, Tested]], record: Evaluated) -> None:
    value = record.proposal.new_value
    of_knob = tested.setdefault(record.proposal.knob, {})
    if (one := of_knob.get(value)) is None:
        one = of_knob[value] = Tested(value)
    one.results += 1
    one.keeps += record.decision == "keep"
    one.total_effect += record.improvement_frac
    one.best_effect = max(one.best_effect, record.improvement_frac)
    one.last_iter = record.iter


def _add_refusals(refusals: dict[tuple[str, Rail], Refusals], record: Closer, menu: Menu) -> None:
    for attempt in record.attempts:
        if not attempt.verdict_ok:
            one = refusals.setdefault((_knob_of(attempt, menu), attempt.rail), Refusals())
            one.count += 1
            one.reason = attempt.reason


def _knob_of(attempt: Attempt, menu: Menu) -> str:
    """R3 keeps no proposal, but its reason begins with the knob; what R1 and R2 refuse has no knob of the menu."""
    if attempt.proposal is not None:
        return attempt.proposal.knob
    first_word = attempt.reason.partition(" ")[0]
    return first_word if attempt.rail is Rail.R3_RANGE and first_word in menu.knobs else NO_KNOB
