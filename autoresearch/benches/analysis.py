"""The analysis of a run: what every suite reports of it, and the suite's own figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from autoresearch.benches.headline import Headline, build_headline, check_scores, describe_headline
from autoresearch.benches.ports import BenchRun, Suite
from autoresearch.core.text import escape_control, plural
from autoresearch.core.values import FrozenModel

NOT_SAMPLED = {"proposer"}  # its cases are the proposers themselves, not a sample of any others
PUBLISHED_ONLY = "Published figures only: the imported files have no sample, so nothing here is computed or compared."
NOT_ATTEMPTED, NOT_IMPORTED = "not attempted", "not in the imported files"


class Analysis(FrozenModel):
    """Plain JSON: the same for every suite, but for ``figures``, which are the suite's own."""

    run: str
    suite: str
    model: str | None
    base_url: str | None
    imported: str | None
    cases: int
    samples: int
    planned: int
    done: int
    complete: bool  # every planned sample has a score
    missing: dict[str, int]  # planned samples without a trial, by cause
    ungraded: int  # trials without a headline score
    statuses: dict[str, int]
    graders: dict[str, int]  # grades by grader and version
    headline: dict[str, Any]
    totals: dict[str, float | None]  # of the trials; null where no trial reports it
    figures: dict[str, Any]

    @property
    def published_only(self) -> bool:
        """Whether it was imported from figures alone, without a sample."""
        return self.imported is not None and not self.done

    @property
    def headline_value(self) -> Headline:
        interval = self.headline["interval"]
        return Headline(**self.headline | {"interval": tuple(interval) if interval else None})


def analyse(suite: Suite, run: BenchRun) -> Analysis:
    """Analyse a run. Every planned sample is in every denominator; ``headline`` has the bounds of missing ones."""
    scores = check_scores(run, suite.case_scores(run))
    headline = build_headline(suite.headline(run), scores, is_rate=suite.is_rate(run))
    if run.meta.suite in NOT_SAMPLED:
        headline = replace(headline, se=None, interval=None)
    missing = missing_by_cause(run)
    trials = [graded.trial for graded in run.trials.values()]
    return Analysis(
        run=str(run.path),
        suite=run.meta.suite,
        model=run.meta.model,
        base_url=run.meta.base_url,
        imported=run.meta.imported,
        cases=len(run.cases.cases),
        samples=run.meta.samples,
        planned=run.planned,
        done=len(run.trials),
        complete=not headline.missing,
        missing=missing,
        ungraded=headline.missing - sum(missing.values()),
        statuses=dict(Counter(t.status for t in trials).most_common()),
        graders=dict(Counter(g.grader for graded in run.trials.values() for g in graded.grades.values()).most_common()),
        headline=asdict(headline),
        totals={name: _total(trials, name) for name in ("tokens_in", "tokens_out", "wall_s", "energy_j")},
        figures=suite.analyze(run),
    )


def missing_by_cause(run: BenchRun) -> dict[str, int]:
    """The planned samples without a trial, by the cause that was recorded last."""
    unknown = NOT_IMPORTED if run.meta.imported else NOT_ATTEMPTED
    found = Counter(run.unavailable[pair].cause if pair in run.unavailable else unknown for pair in run.missing)
    return dict(found.most_common())


def _total(trials: list[Any], name: str) -> float | None:
    values = [value for trial in trials if (value := getattr(trial, name)) is not None]
    return sum(values) if values else None


def describe_incomplete(a: Analysis) -> str:
    """What is missing, and what that means; empty for a complete run."""
    if a.complete:
        return ""
    if a.published_only:
        return PUBLISHED_ONLY
    causes = ", ".join(f"{escape_control(cause)} {n:,}" for cause, n in a.missing.items())
    parts = []
    if a.missing:
        parts.append(f"{sum(a.missing.values()):,} of {plural(a.planned, 'planned sample')} have no trial ({causes})")
    if a.ungraded:
        parts.append(f"{plural(a.ungraded, 'trial')} {'has' if a.ungraded == 1 else 'have'} no grade")
    what = "figures are" if a.suite in NOT_SAMPLED else "headline is"
    return f"INCOMPLETE: {'; '.join(parts)}. The {what} bounded with them as 0 and as 1."


def describe_analysis(suite: Suite, a: Analysis) -> str:
    """The analysis as text for a terminal."""
    of = f"{plural(a.cases, 'case')} x {plural(a.samples, 'sample')}"
    source = f", imported from {a.imported}" if a.imported else ""
    model = f", model {escape_control(a.model)}" if a.model else ""
    lines = [f"{a.suite}: {escape_control(a.run)}, {of}{model}{source}", describe_incomplete(a)]
    has_headline = a.suite not in NOT_SAMPLED and not a.published_only
    lines += [describe_headline(a.headline_value) if has_headline else ""]
    lines += [describe_statuses(a.statuses), describe_totals(a.totals)]
    return "\n".join([line for line in lines if line] + ["", suite.describe(a.figures)]).rstrip()


def describe_statuses(statuses: Mapping[str, int]) -> str:
    """``status: finished 38, max_turns_reached 2``."""
    return "status: " + ", ".join(f"{escape_control(s)} {n:,}" for s, n in statuses.items()) if statuses else ""


def describe_totals(totals: Mapping[str, float | None]) -> str:
    """Tokens, time and energy of all trials together; what no trial reports is left out."""
    words = {"tokens_in": "tokens in", "tokens_out": "tokens out", "wall_s": "s of attempts", "energy_j": "J"}
    parts = [f"{totals[name]:,.0f} {word}" for name, word in words.items() if totals.get(name) is not None]
    return "used: " + ", ".join(parts) if parts else ""
