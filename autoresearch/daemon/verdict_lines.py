"""The lines of a run by rule ``sequential``: each trial of several, the noise, and the verdict. Pure."""

from __future__ import annotations

import textwrap
from statistics import fmean

from autoresearch.core.decision import next_trial, paired_gains, pairs_of
from autoresearch.core.measurement import Measurement
from autoresearch.core.metric import Metric, MetricWords
from autoresearch.core.records import Baseline, Evaluated, Evidence, StoppedEarly, TrialEnded
from autoresearch.core.stopped_trial import StopPoint, describe_point
from autoresearch.core.text import plural
from autoresearch.core.trajectory import Trajectory, measurements
from autoresearch.report.format import format_bpb
from autoresearch.report.verdict_text import describe_noise, format_interval

INDENT = f"{'':>8}  "
NUMBER_CELLS, CHANGE_CELLS, LABEL_CELLS = 8, 28, 12
WRAP_CELLS = 100


def baseline_line(record: Baseline, run: Trajectory | None = None) -> str:
    """The baseline is measured: its value, the mean where it has several seeds, and its seconds."""
    mean = f"mean of {len(record.trials)} seeds" if len(record.trials) > 1 else ""
    value = f"{format_bpb(record.value)} {metric_unit(record.metric, run)}"
    figures = f"{value:<30} {record.wall_s:6.1f} s"
    return f"{'baseline':>{NUMBER_CELLS}}  {mean:<{CHANGE_CELLS}} {figures}"


def metric_unit(metric: Metric | None, run: Trajectory | None) -> str:
    """What a value is: ``bits per byte``, or the name of the metric with its unit, if it has one."""
    if metric is None:
        return MetricWords(None).named_unit
    command = run.meta.yardstick.command if run and run.meta else None
    return MetricWords(command.metric).named_unit if command else metric.name


def noise_lines(run: Trajectory) -> list[str]:
    """What the baseline's spread means for the threshold, a sentence in lines; empty by rule threshold."""
    if run.meta is None or run.meta.decision_rule.kind == "threshold":
        return []
    baseline = [m.loss for m in measurements(run.baseline_outcomes)]
    sentence = describe_noise(baseline, run.meta.decision_rule, run.meta.earlier_runs)
    return textwrap.wrap(sentence, WRAP_CELLS, initial_indent=INDENT, subsequent_indent=INDENT)


def baseline_trial_line(trial: TrialEnded, run: Trajectory) -> str:
    """One of the baseline's several trials, or one more that a candidate needs; empty for its only trial."""
    rule = run.meta.decision_rule if run.meta else None
    if rule is None or rule.kind == "threshold" or not isinstance(trial.outcome, Measurement):
        return ""
    if run.proposed:
        p = run.proposed.proposal
        what = f"baseline, seed {trial.seed}"
        return f"{INDENT}{what:<{CHANGE_CELLS}} {format_bpb(trial.outcome.value)}   needed for {p.text}"
    if rule.baseline_seeds == 1:
        return ""
    start = f"{'baseline':>{NUMBER_CELLS}}  {f'seed {trial.seed}':<{CHANGE_CELLS}}"
    return f"{start} {format_bpb(trial.outcome.value)} {metric_unit(trial.outcome.metric, run)}"


def candidate_trial_line(trial: TrialEnded, run: Trajectory, number: str) -> str:
    """A trial of a candidate, with the gain so far; empty for a first one that closes the iteration."""
    rule = run.meta.decision_rule if run.meta else None
    if rule is None or rule.kind == "threshold" or run.proposed is None or not isinstance(trial.outcome, Measurement):
        return ""
    gains = paired_gains(pairs_of(run.outcomes, run.baseline_outcomes))
    if not gains or (len(run.outcomes) == 1 and next_trial(run.comparison, rule) is None):
        return ""
    p = run.proposed.proposal
    change = f"{p.text}, seed {trial.seed}"
    so_far = (
        "promising: more seeds follow" if len(gains) == 1 else f"{100 * fmean(gains):+.2f} % over {len(gains)} seeds"
    )
    start = f"{number if len(gains) == 1 else '':>{NUMBER_CELLS}}  {change:<{CHANGE_CELLS}}"
    return f"{start} {format_bpb(trial.outcome.value)} {100 * gains[-1]:+7.2f} %  {so_far}"


def stopped_line(record: StoppedEarly, change: str, number: str) -> str:
    """A candidate whose trial was stopped early: where, and its seconds."""
    where = record.eval_metrics.stopped_early.describe()
    return f"{number:>{NUMBER_CELLS}}  {change:<{CHANGE_CELLS}} {where}  {record.iter_wall_s:6.1f} s"


def audited_line(where: StopPoint) -> str:
    """A trial that ran on for the audit of early stopping."""
    return f"{INDENT}ran on for the audit: it would have been stopped at {describe_point(where)}"


def judged_line(record: Evaluated, number: str) -> str:
    """The verdict on a candidate; where it has several seeds, their number and the interval of the gain."""
    p, evidence = record.proposal, record.evidence
    label = evidence.label if evidence else record.decision
    start = f"{number:>{NUMBER_CELLS}}  {p.text:<{CHANGE_CELLS}} {format_bpb(record.value)}"
    figures = f"{100 * record.improvement_frac:+7.2f} %  {label:<{LABEL_CELLS}} {record.iter_wall_s:6.1f} s"
    return f"{start} {figures}{_basis(evidence)}"


def _basis(evidence: Evidence | None) -> str:
    if evidence is None or len(evidence.seeds) < 2:
        return ""
    interval = format_interval(evidence)
    return f"  {plural(len(evidence.seeds), 'seed')}{f', {interval}' if interval else ''}"
