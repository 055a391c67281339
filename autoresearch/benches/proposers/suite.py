"""Suite P: a case is a proposer, a sample is a seed, and an attempt is one night in virtual time on a table."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import Attempt, Bench, BenchRun, Infrastructure
from autoresearch.benches.proposers.analysis import analyze_nights
from autoresearch.benches.proposers.checkpoints import TRIALS, read_night
from autoresearch.benches.proposers.counts import count_night
from autoresearch.benches.proposers.describe import describe_nights
from autoresearch.benches.proposers.loaded_tables import LoadedTables
from autoresearch.benches.proposers.problem import Night
from autoresearch.benches.proposers.table_file import read_table
from autoresearch.benches.proposers.virtual_parts import BUDGET_SPENT
from autoresearch.benches.proposers.virtual_run import run_night
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.config.resolve import parse_assignment, resolve
from autoresearch.core.records import Event
from autoresearch.errors import ConfigError, JournalDamaged
from autoresearch.machine import utc
from autoresearch.proposers.factory import LLM_PROPOSERS, PROPOSERS
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY

SEEDS_APART = 1000  # of the seeds of two samples: no trial of one meets the noise of the other
BENCHED = tuple(name for name in PROPOSERS if name not in ("auto", "replay"))  # a run says which it benches
DEFAULT_PROPOSERS = ("random", "tpe")
NOT_A_CONDITION = ("base_url", "model")  # settings of section llm that are in the run's own record


class ProposerSuite:
    """See ``ports.Suite``."""

    name = "proposer"
    grader = "proposers@1"

    def __init__(self) -> None:
        self._proposers: tuple[str, ...] = DEFAULT_PROPOSERS
        self._llm: dict[str, Any] = {}
        self._tables = LoadedTables()

    @property
    def needs_model(self) -> bool:
        """Whether one of the proposers asks a model."""
        return bool(LLM_PROPOSERS & set(self._proposers))

    @property
    def default_limits(self) -> Mapping[str, float]:
        """None: the budget of trials bounds a night."""
        return {}

    @property
    def prompt_text(self) -> str:
        """The prompt of the LLM proposers, without the results."""
        from importlib import resources

        return (resources.files("autoresearch.proposers.prompting") / "prompt.md").read_text(encoding="utf-8")

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """Which proposers, how many trials, which rule."""
        group = parser.add_argument_group("proposers", "each sample (-k) is a seed: 20 or more tell proposers apart")
        text = f"what is benched, of {', '.join(BENCHED)} (default: {','.join(DEFAULT_PROPOSERS)})"
        group.add_argument("--proposers", default=",".join(DEFAULT_PROPOSERS), metavar="NAME,...", help=text)
        text = "trials of a night, those with which the baseline is measured first not counted (default 100)"
        group.add_argument("--trials", type=_trials, default=100, metavar="N", help=text)
        text = "sequential, in which each confirmation costs a trial, or threshold (default: sequential)"
        group.add_argument("--decision", choices=("sequential", "threshold"), default="sequential", help=text)

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        """The options of the run. Raises ``ConfigError``."""
        self._proposers = _names(args.proposers)
        if getattr(args, "top_p", None) is not None or getattr(args, "seed", None) is not None:
            what = "--top-p and --seed are not sent by suite proposer: its proposers send what they send in a night"
            raise ConfigError(what, hint="leave them out; --temperature and --max-tokens are sent")
        settings = _llm_settings(args)
        self._llm = settings
        options: dict[str, Any] = {"proposers": list(self._proposers), "trials": args.trials, "decision": args.decision}
        if self.needs_model:
            options["llm"] = {name: value for name, value in settings.items() if name not in NOT_A_CONDITION}
        return options

    def load(self, source: Path) -> CaseSet:
        """One case per proposer; each has the whole table. Raises ``CorpusError``."""
        table = read_table(source)
        plain = table.model_dump(mode="json")
        self._tables.of(plain)  # refuses a table without a baseline or without its noise
        cases = tuple(
            Case(id=name, suite=self.name, family=_family(name), payload={"proposer": name, "table": plain})
            for name in self._proposers
        )
        return CaseSet(self.name, cases)

    def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
        """One night. Its trajectory and exchanges stay in the folder of the attempt."""
        problem, _ = self._tables.of(case.payload["table"])
        options = bench.options
        night = Night(
            proposer=case.payload["proposer"],
            seed=problem.first_seed + SEEDS_APART * sample,
            trials=options["trials"],
            decision=options["decision"],
        )
        llm = self._llm if night.proposer in LLM_PROPOSERS else {}
        ending, watch = run_night(problem, night, bench.folder, llm=llm, aborted=bench.stopped)
        if watch.infrastructure is not None:
            raise Infrastructure(watch.infrastructure.classification, ending)
        counts = count_night(_records(bench.folder))
        return Attempt(
            status="finished" if ending == BUDGET_SPENT else "ended_early",
            answer=None,
            tokens_in=counts.tokens_in,
            tokens_out=counts.tokens_out,
            evidence={"ending": ending, "trials": watch.spent, "seed": night.seed},
        )

    def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
        """What the night would have handed over, from its trajectory. ``score``: the share of the table's best gain."""
        _, surface = self._tables.of(case.payload["table"])
        records = _records(folder)
        budget = _budget(records, trial)
        try:
            checkpoints, path = read_night(records, surface.true_mean, [*(n for n in TRIALS if n < budget), budget])
        except ValueError as e:  # not even the baseline was measured
            lost = {"error": str(e), "counts": count_night(records).model_dump(mode="json")}
            return Grade(ts=utc(), trial=0, grader=self.grader, score=None, correct=None, detail=lost)
        last = checkpoints[-1]
        detail = {
            "checkpoints": [c.model_dump(mode="json") for c in checkpoints],
            "path": [s.model_dump(mode="json") for s in path],
            "counts": count_night(records).model_dump(mode="json"),
        }
        return Grade(
            ts=utc(),
            trial=0,
            grader=self.grader,
            score=share_of_best(last.true, surface.baseline_mean, surface.optimum_mean),
            correct=None,
            answer=json.dumps(last.chosen),
            detail=detail,
        )

    def analyze(self, run: BenchRun) -> dict[str, Any]:
        """Regret, its paired intervals, and the counts; see docs/benches.md."""
        _, surface = self._tables.of(run.cases.cases[0].payload["table"])
        return analyze_nights(run, surface)

    def describe(self, analysis: Mapping[str, Any]) -> str:
        """The figures as text for a terminal."""
        return describe_nights(analysis)

    def case_scores(self, run: BenchRun) -> dict[str, tuple[float | None, ...]]:
        """The share of the table's best gain that each night would have handed over."""
        return {
            case.id: tuple(_score(run, case.id, sample) for sample in range(run.meta.samples))
            for case in run.cases.cases
        }

    def headline(self, run: BenchRun) -> str:
        """The name of that share."""
        return f"share of the best gain after {run.meta.options.get('trials')} trials"

    def is_rate(self, run: BenchRun) -> bool:
        """See ``ports.Suite``: a share of a gain."""
        return False


def share_of_best(true: float, baseline: float, optimum: float) -> float:
    """The gain over the baseline as a share of the table's largest, 0 to 1; 1 where there is nothing to gain."""
    if optimum >= baseline:
        return 1.0 if true <= baseline else 0.0
    return min(1.0, max(0.0, (baseline - true) / (baseline - optimum)))


def _budget(records: list[Event], trial: BenchTrial) -> int:
    """The planned trials of a night: what it asked for, half of its iterations at most."""
    requested = next((getattr(r, "iters_requested", 0) for r in records if r.stage == "started"), 0)  # type: ignore[attr-defined]
    return max(1, requested // 2, int(trial.evidence.get("trials", 0)))


def _records(folder: Path) -> list[Event]:
    """The records of a night. Raises ``JournalDamaged``, without the advice for a run: a night cannot be repaired."""
    path = folder / TRAJECTORY
    try:
        return list(decode_trajectory(read(path).payloads, path))
    except JournalDamaged as e:
        hint = "restore the file from a copy of the bench run, or begin another: `bench run proposer` with a new --dir"
        raise JournalDamaged(e.what, hint=hint) from e


def _score(run: BenchRun, case: str, sample: int) -> float | None:
    graded = run.trials.get((case, sample))
    grade = graded.grades.get("proposers") if graded else None
    return grade.score if grade else None


def _family(name: str) -> str:
    return "model" if name in LLM_PROPOSERS else "optimizer"


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in BENCHED:
            raise ConfigError(f"--proposers: {name!r} is not a proposer to bench", hint=f"of {', '.join(BENCHED)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"--proposers {text}: a name occurs twice", hint="name each proposer once")
    return names


def _trials(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 10,000")
    return int(text)


def _llm_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The section ``llm`` of the settings, with the run's flags above it. Raises ``ConfigError``."""
    given: dict[str, Any] = dict(parse_assignment(text) for text in getattr(args, "assignments", None) or [])
    for flag, name in (
        ("flag_llm.base_url", "llm.base_url"),
        ("flag_llm.model", "llm.model"),
        ("temperature", "llm.temperature"),
        ("max_tokens", "llm.max_tokens"),
    ):
        if (value := getattr(args, flag, None)) is not None:
            given[name] = value
    file = getattr(args, "config", None)
    llm = resolve(given, os.environ, Path(file) if file else None).settings.llm
    return llm.model_dump(mode="json", exclude_none=True)
