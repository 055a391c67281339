"""The trials of a finished or running run as those of ``benchmarks.seed_correlation``, which trains the rest."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Event, Meta, TrialEnded, TrialStarted
from autoresearch.core.values import Cfg
from autoresearch.daemon.policy import build_policy
from autoresearch.data.corpus import Corpus
from autoresearch.trials.spec import INITIALISATION
from benchmarks.seed_correlation_trials import BASELINE, Key


def trials_of_run(records: Iterable[Event], corpus: str) -> dict[Key, float]:
    """val_bpb of every measured trial of the run. Raises ``ValueError`` for a run that others cannot be added to."""
    configs: dict[int, Cfg] = {}
    trials: dict[Key, float] = {}
    baseline: Cfg = {}
    for record in records:
        match record:
            case Meta():
                refuse_another_yardstick(record, corpus)
                baseline = record.baseline_cfg
            case TrialStarted(trial=number, cfg=cfg):
                configs[number] = cfg
            case TrialEnded(trial=number, seed=seed, void=False, outcome=Measurement(val_bpb=bpb)):
                trials[Key.own(describe_change(configs[number], baseline), seed)] = bpb
    return trials


def describe_change(cfg: Cfg, baseline: Cfg) -> str:
    """``baseline``, or KNOB=VALUE."""
    return ", ".join(f"{name}={value}" for name, value in cfg.items() if value != baseline[name]) or BASELINE


def refuse_another_yardstick(meta: Meta, corpus: str) -> None:
    """Raise ``ValueError`` where a new trial of profile tiny on ``corpus`` would not be comparable with the run's."""
    settings = resolve({"profile": "tiny", "corpus": corpus}, {}).settings
    policy = build_policy(settings)
    found = (
        meta.baseline_cfg,
        meta.yardstick.budget_kind,
        meta.yardstick.budget_size,
        meta.yardstick.initialisation,
        meta.yardstick.corpus_sha256,
    )
    wanted = (
        policy.baseline,
        policy.budget.kind,
        policy.budget.size,
        INITIALISATION,
        Corpus.open(Path(corpus)).sha256,
    )
    if found != wanted:
        raise ValueError(f"the run has another yardstick: {found}, where a trial would have {wanted}")
