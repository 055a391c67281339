"""Two bench runs compared: whether they can be, what else differs between them, and their scores case by case. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import fsum
from typing import Any

from autoresearch.benches.analysis import NOT_SAMPLED
from autoresearch.benches.comparison import Comparison, compare_scores
from autoresearch.benches.headline import Headline, build_headline, check_scores
from autoresearch.benches.ports import BenchRun, Suite
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.missing import Scores
from autoresearch.core.text import plural
from autoresearch.errors import YardstickMismatch

NAMED = 5  # cases in an error
COSTS = ("wall_s", "tokens_in", "tokens_out", "energy_j", "turns")
DIRECT = ("model", "base_url", "samples", "prompt_sha256", "imported")
NOT_CONDITIONS = {"import_notes", "majority"}  # options that describe the files, and what a table shows
GROUPS = ("sampling", "limits", "options", "versions")


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case on both sides; a mean is ``None`` where a sample of it has no score, or does not report it."""

    case: str
    family: str
    a: float | None
    b: float | None
    a_wall_s: float | None
    b_wall_s: float | None
    a_turns: float | None
    b_turns: float | None


@dataclass(frozen=True, slots=True)
class CostRow:
    """What an attempt takes, over the cases that report it on both sides: means over cases. Described, not tested."""

    name: str
    cases: int
    a: float
    b: float
    interval: tuple[float, float] | None  # 95%, of B minus A: bootstrap over cases


@dataclass(frozen=True, slots=True)
class FamilyRow:
    """The complete cases of one family. Described, not tested."""

    family: str
    cases: int
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class RunComparison:
    """``differs``: by field, its values in A and in B. ``left_out``: cases that are not the same on both sides."""

    suite: str
    names: tuple[str, str]
    models: tuple[str | None, str | None]
    headlines: tuple[Headline, Headline]
    differs: tuple[tuple[str, str, str], ...]
    left_out: int
    comparison: Comparison
    costs: tuple[CostRow, ...]
    families: tuple[FamilyRow, ...]
    rows: tuple[CaseRow, ...]  # in the order of A's cases

    def as_json(self) -> dict[str, Any]:
        """As plain JSON. ``difference`` is B minus A everywhere."""
        return asdict(self)


def compare_runs(
    a: BenchRun, b: BenchRun, suite: Suite, *, common: bool = False, bounds: bool = False
) -> RunComparison:
    """Compare two runs of one suite by case id.

    With ``common`` the cases that are the same on both sides, else all must be. Raises ``YardstickMismatch`` for
    another suite, other cases or another version of a grader, and for missing samples without ``bounds``.
    """
    for side, run in (("A", a), ("B", b)):
        if run.meta.imported and not run.trials:
            what = f"{side} was imported from published figures, without a sample"
            raise YardstickMismatch(what, hint="import the samples themselves, to compare case by case")
    _check_same_yardstick(a, b)
    ids, left_out = _common_cases(a, b, allowed=common)
    all_a, all_b = (check_scores(run, suite.case_scores(run)) for run in (a, b))
    scores_a, scores_b = ({case: scores[case] for case in ids} for scores in (all_a, all_b))
    name = suite.headline(a)
    comparison = compare_scores(name, scores_a, scores_b)
    if comparison.bounds and not bounds:
        lost = f"{comparison.missing_a:,} samples of A and {comparison.missing_b:,} of B have no score"
        hint = "complete the runs (`autoresearch bench run` continues them), or compare their bounds with --bounds"
        raise YardstickMismatch(f"the runs are incomplete: {lost}", hint=hint)
    rows = tuple(_rows(a, b, ids, scores_a, scores_b))
    return RunComparison(
        suite=a.meta.suite,
        names=(str(a.path), str(b.path)),
        models=(a.meta.model, b.meta.model),
        headlines=(
            build_headline(name, scores_a, is_rate=suite.is_rate(a)),
            build_headline(name, scores_b, is_rate=suite.is_rate(b)),
        ),
        differs=tuple(differences(a, b)),
        left_out=left_out,
        comparison=comparison,
        costs=tuple(_costs(a, b, ids)),
        families=tuple(_families(rows)),
        rows=rows,
    )


def _check_same_yardstick(a: BenchRun, b: BenchRun) -> None:
    if a.meta.suite != b.meta.suite:
        what = f"A is a run of the suite {a.meta.suite}, B of {b.meta.suite}"
        raise YardstickMismatch(what, hint="compare two runs of the same suite")
    if a.meta.suite in NOT_SAMPLED:
        what = f"the cases of suite {a.meta.suite} are the things that it compares, so there is no case to pair"
        raise YardstickMismatch(what, hint="`autoresearch bench tonight A B` compares proposers, seed by seed")
    versions = graders(a), graders(b)
    for name in sorted(set(versions[0]) & set(versions[1])):
        if versions[0][name] != versions[1][name] or len(versions[0][name]) > 1:
            one, other = (", ".join(sorted(v[name])) for v in versions)
            what = f"the grader {name} has other versions: {one} in A, {other} in B"
            raise YardstickMismatch(what, hint="`autoresearch bench regrade RUN` grades a run again, without the model")


def graders(run: BenchRun) -> dict[str, set[str]]:
    """By name of a grader, the versions that graded this run, as ``name@version``."""
    found: dict[str, set[str]] = {}
    for graded in run.trials.values():
        for name, grade in graded.grades.items():
            found.setdefault(name, set()).add(grade.grader)
    return found


def _common_cases(a: BenchRun, b: BenchRun, *, allowed: bool) -> tuple[list[str], int]:
    """The ids of the cases that are the same on both sides, and how many others there are."""
    if a.cases.sha256 == b.cases.sha256:
        return [case.id for case in a.cases.cases], 0
    of_b = {case.id: case for case in b.cases.cases}
    of_a = {case.id: case for case in a.cases.cases}
    common = [case.id for case in a.cases.cases if of_b.get(case.id) == case]
    groups = {
        "only in A": [i for i in of_a if i not in of_b],
        "only in B": [i for i in of_b if i not in of_a],
        "changed": [i for i in of_a if i in of_b and of_a[i] != of_b[i]],
    }
    text = "; ".join(f"{len(ids):,} {what}: {_named(ids)}" for what, ids in groups.items() if ids)
    if not allowed or not common:
        also = "no case is the same on both sides" if not common else f"{plural(len(common), 'case')} are the same"
        hint = "compare only these with --common" if common else "run both on the same cases"
        raise YardstickMismatch(f"the runs have other cases: {text}; {also}", hint=hint)
    return common, sum(map(len, groups.values()))


def _named(ids: list[str]) -> str:
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return ", ".join(repr(i)[:60] for i in ids[:NAMED]) + more


def differences(a: BenchRun, b: BenchRun) -> list[tuple[str, str, str]]:
    """What is not the same in the two runs' conditions: field, value in A, value in B; a dash for none."""
    fields: dict[str, tuple[Any, Any]] = {name: (getattr(a.meta, name), getattr(b.meta, name)) for name in DIRECT}
    for group in GROUPS:
        one, other = getattr(a.meta, group), getattr(b.meta, group)
        keys = sorted({*one, *other} - NOT_CONDITIONS)
        fields |= {f"{group}.{key}": (one.get(key), other.get(key)) for key in keys}
    names = [", ".join(sorted(set().union(*graders(run).values()))) or None for run in (a, b)]
    fields["graders"] = (names[0], names[1])
    return [(name, _shown(x), _shown(y)) for name, (x, y) in fields.items() if x != y]


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _rows(a: BenchRun, b: BenchRun, ids: list[str], scores_a: Scores, scores_b: Scores) -> list[CaseRow]:
    family = {case.id: case.family for case in a.cases.cases}
    costs = [{name: _cost(run, name, ids) for name in ("wall_s", "turns")} for run in (a, b)]
    return [
        CaseRow(
            case=case,
            family=family[case],
            a=_mean(scores_a[case]),
            b=_mean(scores_b[case]),
            a_wall_s=costs[0]["wall_s"].get(case),
            b_wall_s=costs[1]["wall_s"].get(case),
            a_turns=costs[0]["turns"].get(case),
            b_turns=costs[1]["turns"].get(case),
        )
        for case in ids
    ]


def _mean(samples: Sequence[float | None]) -> float | None:
    known = [score for score in samples if score is not None]
    return fsum(known) / len(known) if len(known) == len(samples) else None


def _cost(run: BenchRun, name: str, ids: list[str]) -> dict[str, float]:
    """The mean over the samples of each case that report it: seconds, tokens, or the number of turns."""
    found = {}
    for case in ids:
        trials = [run.trials[case, n].trial for n in range(run.meta.samples) if (case, n) in run.trials]
        values = [len(t.turns) or None if name == "turns" else getattr(t, name) for t in trials]
        known = [float(value) for value in values if value is not None]
        if known:
            found[case] = fsum(known) / len(known)
    return found


def _costs(a: BenchRun, b: BenchRun, ids: list[str]) -> list[CostRow]:
    rows = []
    for name in COSTS:
        of_a, of_b = _cost(a, name, ids), _cost(b, name, ids)
        both = sorted(set(of_a) & set(of_b))
        if both:
            mean_a, mean_b = (fsum(side[case] for case in both) / len(both) for side in (of_a, of_b))
            interval = bootstrap_interval([of_b[case] - of_a[case] for case in both])
            rows.append(CostRow(name, len(both), mean_a, mean_b, interval))
    return rows


def _families(rows: tuple[CaseRow, ...]) -> list[FamilyRow]:
    by_family: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.a is not None and row.b is not None:
            by_family.setdefault(row.family, []).append((row.a, row.b))
    if len(by_family) < 2:
        return []
    return [
        FamilyRow(name or "(none)", len(pairs), *(fsum(side) / len(pairs) for side in zip(*pairs, strict=True)))
        for name, pairs in sorted(by_family.items())
    ]
