"""The trials of ``benchmarks.seed_correlation``: profile tiny with one knob changed, its two seeds set apart.

A trial has a seed of its data order and one of its initialisation. In the product they are the same number; here the
baseline is also trained with one of the two from elsewhere. The folder keeps ``trials.jsonl``, one line a trial.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from autoresearch.config.resolve import parse_assignment, resolve
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.run_corpus import open_corpus, prepare_corpus
from autoresearch.machine import die_with_parent
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.spec import TrialSpec

TRIALS = "trials.jsonl"
BASELINE = "baseline"
ELSEWHERE = 1000  # added to the seed of what a trial does not share
CHANGES = (
    *("n_layer=1", "n_layer=3", "d_model=96", "d_model=192", "d_ff=256"),
    *("n_head=2", "lr=0.003", "beta1=0.85", "batch_size=4"),
)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A trial: ``baseline`` or KNOB=VALUE, the seed of its data order and that of its initialisation."""

    change: str
    data_seed: int
    init_seed: int

    @classmethod
    def own(cls, change: str, seed: int) -> Key:
        """The trial as the product trains it: one seed for both."""
        return cls(change, seed, seed)


def planned(seeds: int) -> Iterator[Key]:
    """All trials, seed by seed, so that any first part of them compares all knobs on the same seeds."""
    for seed in range(seeds):
        yield from (Key.own(change, seed) for change in (BASELINE, *CHANGES))
        yield from foreign_baselines([seed])


def foreign_baselines(seeds: Iterable[int]) -> Iterator[Key]:
    """Baselines that share only the data order with each seed, and those that share only the initialisation."""
    seeds = list(seeds)
    yield from (Key(BASELINE, seed, seed + ELSEWHERE) for seed in seeds)
    yield from (Key(BASELINE, seed + ELSEWHERE, seed) for seed in seeds)


def measure(folder: Path, keys: Iterable[Key], workers: int, corpus: str = "stdlib") -> dict[Key, float]:
    """val_bpb of every trial; ``folder`` keeps each as soon as it is measured, and none is trained twice."""
    done = read_trials(folder / TRIALS)
    if left := [key for key in keys if key not in done]:
        specs = build_specs(folder, left, corpus)
        pool = ProcessPoolExecutor(workers, initializer=die_with_parent, initargs=(os.getpid(),))
        with pool, (folder / TRIALS).open("a") as file:
            futures = {pool.submit(train, spec, key.init_seed): key for key, spec in specs.items()}
            for future in as_completed(futures):
                key, result = futures[future], future.result()
                fields = {"change": key.change, "data_seed": key.data_seed, "init_seed": key.init_seed}
                print(json.dumps(fields | result), file=file, flush=True)
                done[key] = result["val_bpb"]
    return done


def read_trials(file: Path) -> dict[Key, float]:
    """The trials of an earlier call; a line that a killed process left unfinished is removed."""
    if not file.exists():
        return {}
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        file.write_bytes(whole)
    lines = [json.loads(line) for line in whole.splitlines()]
    return {Key(d["change"], d["data_seed"], d["init_seed"]): d["val_bpb"] for d in lines}


def build_specs(folder: Path, keys: list[Key], corpus: str) -> dict[Key, TrialSpec]:
    """What each trial trains, with the seed of its data order. ``stdlib`` is prepared once, inside ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = resolve({"profile": "tiny", "corpus": corpus}, {}).settings
    policy = build_policy(settings)
    path = prepare_corpus(settings, folder, RecordingObserver())
    opened, span = open_corpus(settings, policy, path)
    policy = policy.with_vocab(opened.vocab)
    specs = {}
    for key in keys:
        change = {} if key.change == BASELINE else dict([parse_assignment(key.change)])
        cfg = {**policy.baseline, **change}
        if why := policy.menu.check_config(cfg, policy.steps):
            raise ValueError(f"{key.change}: {why}")
        specs[key] = TrialSpec(
            cfg=cfg,
            seed=key.data_seed,
            corpus=str(path.resolve()),
            trainer="torch",
            device="cpu",
            threads=1,
            budget=policy.trial_budget(cfg),
            span=span,
        )
    return specs


def train(spec: TrialSpec, init_seed: int) -> dict[str, float]:
    """Train with the data order of the spec's seed, from the initial weights of ``init_seed``."""
    from autoresearch.data.corpus import Corpus  # here, because the first import of torch belongs to the worker
    from autoresearch.training.build import build_model
    from autoresearch.training.train import train_and_measure

    began = time.process_time()
    corpus = Corpus.open(Path(spec.corpus))
    model = build_model(spec.model_copy(update={"seed": init_seed}), corpus.vocab)
    m = train_and_measure(spec, corpus, model, lambda *_: None)
    return {"val_bpb": m.val_bpb, "steps": m.train_steps, "cpu_s": round(time.process_time() - began, 1)}
