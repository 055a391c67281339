"""A candidate of a parallel run: what its trials say in the order of their seeds, whichever of them ended first. Pure.

Seeds may be measured ahead of need. The rule looks at them one after the other, as in a serial run, and stops at the
first look that decides, or at the first seed that is missing: what was measured beyond it is recorded and not used.
A look rests on the noise as it was known when the candidate was proposed, and on the baseline's trials of its seeds. So
neither the order in which trials end nor another candidate's end can change a verdict or add a look.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from autoresearch.core.decision import Comparison, Needed, judgement_of, usable_seeds
from autoresearch.core.measurement import Measurement
from autoresearch.core.records import DecisionRule, TrialEnded

AHEAD = 2  # times as many seeds as were looked at may be measured before the next look decides whether they are needed


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a candidate stands: ``rests_on`` is what a verdict would rest on now.

    ``needed`` is the trial without which the rule cannot look again, ``None`` once the candidate can be closed.
    ``ahead`` are those of the following looks, in the order of their seeds, some of which may be at work.
    """

    rests_on: Comparison
    needed: Needed | None
    ahead: tuple[Needed, ...] = ()


def standing_of(compared: Comparison, rule: DecisionRule) -> Standing:
    """Look at the seeds in their order."""
    own = {t.seed: t for t in compared.candidate}
    if rule.kind == "threshold":
        first = own.get(rule.seed)
        rests_on = replace(compared, candidate=() if first is None else (first,))
        return Standing(rests_on, Needed(rule.seed) if first is None else None)
    baseline = {t.seed for t in compared.baseline if isinstance(t.outcome, Measurement)}
    used: list[TrialEnded] = []
    for seed in usable_seeds(compared.baseline, rule):
        if seed not in own or seed not in baseline:
            needed, *ahead = _missing(compared, rule, own.keys(), baseline, len(used))
            return Standing(_restricted(compared, used), needed, tuple(ahead))
        used.append(own[seed])
        is_measured = isinstance(own[seed].outcome, Measurement)  # else its failure or early stop closes the candidate
        if not is_measured or judgement_of(_restricted(compared, used), rule).decision:
            break
    return Standing(_restricted(compared, used), None)


def _restricted(compared: Comparison, used: Sequence[TrialEnded]) -> Comparison:
    """What a look at ``used`` may rest on; in the order of the seeds, so that sums do not depend on the arrival."""
    seeds, known = {t.seed for t in used}, compared.baseline_then
    baseline = [t for at, t in enumerate(compared.baseline) if known is None or at < known or t.seed in seeds]
    return replace(compared, candidate=tuple(used), baseline=sorted(baseline, key=lambda t: (t.seed, t.trial)))


def _missing(
    compared: Comparison, rule: DecisionRule, own: Collection[int], baseline: Collection[int], looks: int
) -> list[Needed]:
    """The missing trials of the next look, then those of the looks after it; of a seed the baseline's first."""
    missing: list[Needed] = []
    for seed in islice(usable_seeds(compared.baseline, rule), looks, horizon(rule, looks)):
        missing += [Needed(seed, of_baseline=True)] * (seed not in baseline) + [Needed(seed)] * (seed not in own)
    return missing


def horizon(rule: DecisionRule, looks: int) -> int:
    """How many seeds may be measured after so many looks: to the first look at which a keep is possible, then twice.

    Before its first look a candidate has one: most are screened out by it. What turns out not to be needed is at most
    as much as what was.
    """
    return 1 if not looks else min(rule.max_seeds or 1, max(rule.min_seeds or 1, AHEAD * looks))
