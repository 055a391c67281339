"""Full loss curves of small trials at equal training FLOPs: the data of ``benchmarks.early_stop``.

A trial is a configuration with one knob changed from the baseline, on one seed. The order is shuffled once, after the
baseline's own seeds, so that any first part of it is a fair sample. The folder keeps ``curves.jsonl``, one line a
trial. A curve is the mean training loss over each 32nd of the budget, and val_bpb at its end.
"""

from __future__ import annotations

import itertools
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

POINTS = 32
SEEDS = (0, 1, 2, 3)
BASE_STEPS = 384
VOCAB = 512
EVAL_BYTES = 16_384
BASELINE = {
    "n_layer": 1,
    "n_head": 4,
    "d_model": 64,
    "d_ff": 128,
    "lr": 6e-3,
    "lr_warmup": 48,
    "grad_clip": 1.0,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.95,
    "batch_size": 4,
    "seq_len": 64,
    "precision": "fp32",
}
# Many values near the baseline's, where the decision is close, and some far from it.
VALUES: dict[str, tuple[float, ...]] = {
    "lr": tuple(6e-3 * x for x in (0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.5)),
    "lr_warmup": (0, 8, 16, 24, 32, 40, 56, 64, 76, 88, 104, 120, 140, 160, 180),
    "grad_clip": (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.2, 1.5, 2.0, 3.0, 5.0),
    "weight_decay": (0.01, 0.03, 0.06, 0.1, 0.14, 0.18, 0.22, 0.26, 0.3, 0.34, 0.38, 0.42, 0.46, 0.5),
    "beta1": (0.5, 0.6, 0.7, 0.75, 0.8, 0.84, 0.87, 0.92, 0.94, 0.96, 0.98),
    "beta2": (0.8, 0.85, 0.88, 0.9, 0.92, 0.935, 0.965, 0.975, 0.985, 0.99, 0.995, 0.999),
    "n_layer": (2, 3),
    "n_head": (1, 2, 8, 16),
    "d_model": (32, 48, 80, 96, 128),
    "d_ff": (32, 64, 80, 96, 112, 144, 160, 192, 256, 384),
    "batch_size": (2, 3, 5, 6, 8, 12),
    "seq_len": (32, 48, 80, 96, 128),
}


def trials() -> list[tuple[str, int]]:
    """(configuration, seed) in the order in which they run: the baseline first, the others shuffled."""
    groups = [f"{knob}={value:g}" for knob, values in VALUES.items() for value in values]
    rest = [(group, seed) for group in groups for seed in SEEDS]
    random.Random(12).shuffle(rest)
    return [("baseline", seed) for seed in SEEDS] + rest


def config(group: str) -> dict:
    """The configuration that ``group`` names."""
    if group == "baseline":
        return dict(BASELINE)
    knob, _, text = group.partition("=")
    return {**BASELINE, knob: type(BASELINE[knob])(float(text))}


def run(corpus_folder: str, group: str, seed: int) -> dict:
    """Train one trial at the baseline's FLOPs; its curve, val_bpb and times."""
    from autoresearch.data.corpus import Corpus
    from autoresearch.data.windows import choose_span
    from autoresearch.training.build import build_model
    from autoresearch.training.train import train_and_measure
    from autoresearch.trials.model_shape import ModelShape
    from autoresearch.trials.spec import Budget, TrialSpec

    corpus = Corpus.open(Path(corpus_folder))
    cfg = config(group)
    flops = ModelShape.of(BASELINE, VOCAB).flops_per_token * BASE_STEPS * 4 * 64
    per_step = ModelShape.of(cfg, VOCAB).flops_per_token * cfg["batch_size"] * cfg["seq_len"]
    steps = round(flops / per_step)
    spec = TrialSpec(
        cfg=cfg,
        seed=seed,
        corpus=corpus_folder,
        trainer="torch",
        device="cpu",
        threads=1,
        budget=Budget(kind="steps", size=steps),
        span=choose_span(corpus.split("val"), corpus.token_bytes, int(max(VALUES["seq_len"])), EVAL_BYTES),
    )
    model = build_model(spec, corpus.vocab)
    losses: list[float] = []
    take = model.losses

    def recorded(wait_for_all: bool = False) -> list[float]:
        new = take(wait_for_all)
        losses.extend(new)
        return new

    model.losses = recorded  # type: ignore[method-assign]
    began = time.process_time()
    m = train_and_measure(spec, corpus, model, lambda *_: None)
    bounds = [round(k * steps / POINTS) for k in range(POINTS + 1)]
    curve = [sum(losses[a:b]) / (b - a) for a, b in itertools.pairwise(bounds) if b > a]
    fractions = [b / steps for a, b in itertools.pairwise(bounds) if b > a]
    return {
        "group": group,
        "seed": seed,
        "steps": steps,
        "warmup_frac": cfg["lr_warmup"] / steps,
        "fractions": fractions,
        "losses": curve,
        "val_bpb": m.val_bpb,
        "train_s": m.train_wall_s,
        "val_s": m.val_wall_s,
        "cpu_s": time.process_time() - began,
    }


def generate(folder: Path, minutes: float, most: int, workers: int) -> None:
    """Make the first ``most`` curves as far as ``folder`` lacks them and ``minutes`` suffice."""
    until = time.monotonic() + 60 * minutes
    folder.mkdir(parents=True, exist_ok=True)
    corpus, log = folder / "corpus", folder / "curves.jsonl"
    if not (corpus / "manifest.json").exists():
        prepare_corpus(corpus)
    log.touch()
    whole = log.read_bytes()[: log.read_bytes().rfind(b"\n") + 1]  # without a line that a killed process left
    log.write_bytes(whole)
    done = {(d["group"], d["seed"]) for d in map(json.loads, whole.splitlines())}
    left = [t for t in trials()[:most] if t not in done]
    with ProcessPoolExecutor(workers) as pool, log.open("a") as file:
        while left and time.monotonic() < until:
            batch, left = left[: 4 * workers], left[4 * workers :]
            for future in as_completed([pool.submit(run, str(corpus), *trial) for trial in batch]):
                print(json.dumps(future.result()), file=file, flush=True)


def prepare_corpus(out: Path) -> None:
    """This Python's standard library with a vocabulary of ``VOCAB``."""
    from autoresearch.data.prepare import prepare
    from autoresearch.data.sources import Sources
    from autoresearch.data.tokenizer import TokenizerSpec

    sources = Sources((), True, None)
    tokenizer = TokenizerSpec("bpe", VOCAB, None)
    prepare(sources.documents(), out, names=sources.names, tokenizer=tokenizer, fractions=(0.9, 0.05, 0.05))
