"""The recipe: the best configuration of a run and all that another trainer needs to repeat its trial. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autoresearch.core.records import Baseline, Evaluated, Event, Meta, TrialEnded
from autoresearch.core.trajectory import Totals
from autoresearch.core.values import Cfg
from autoresearch.errors import ConfigError, JournalError
from autoresearch.report.export.warmup import Warmup
from autoresearch.report.verdict_text import describe_verdict
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import Budget
from rails.knob_facts import INTEGER_KNOBS, KNOB_FACTS, NUMBER_KNOBS
from rails.structural import STRUCTURAL_KNOBS, value_of

PRECISIONS = ("fp32", "bf16", "fp8")
FP8_RECIPE = "tensorwise"  # the default of the run's settings


@dataclass(frozen=True, slots=True)
class RecipeSource:
    """The run and the iteration of a recipe; ``iter`` 0 is the baseline, exported if nothing was kept."""

    run_id: str
    profile: str
    trainer: str
    corpus_sha256: str
    budget: Budget
    iter: int
    change: str  # against the baseline, "" for the baseline itself
    val_bpb: float
    baseline_val_bpb: float
    trial_steps: int
    verdict: str = ""  # of rule sequential, in words


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration (every knob except ``precision`` is a number), the size of its training and its parallelism."""

    cfg: Cfg
    vocab: int
    steps: int
    seed: int
    data_parallel: int
    tensor_parallel: int
    fp8_recipe: str
    source: RecipeSource

    @property
    def shape(self) -> ModelShape:
        """The shape of the model: its vocabulary is padded to a multiple of ``tensor_parallel``."""
        rows = -(-self.vocab // self.tensor_parallel) * self.tensor_parallel
        return ModelShape.of(self.cfg, rows)

    @property
    def precision(self) -> str:
        return str(self.cfg["precision"])

    @property
    def warmup(self) -> Warmup:
        """The learning-rate schedule in Megatron's terms."""
        return Warmup.of(int(self.cfg["lr_warmup"]), self.steps)

    @property
    def micro_batch(self) -> int:
        """Sequences per step and data-parallel rank."""
        return int(self.cfg["batch_size"]) // self.data_parallel

    @property
    def world(self) -> int:
        """Processes, one per GPU."""
        return self.data_parallel * self.tensor_parallel

    @property
    def impl(self) -> str:
        """The layer implementation. Not Transformer Engine for fp32: its fp32 matrix products are TF32."""
        return "local" if self.precision == "fp32" else "transformer_engine"


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """The fields of ``export recipe --json``."""
    source = recipe.source
    return {
        "run_id": source.run_id,
        "iter": source.iter,
        "val_bpb": source.val_bpb,
        "baseline_val_bpb": source.baseline_val_bpb,
        "cfg": recipe.cfg,
        "steps": recipe.steps,
        "seed": recipe.seed,
        "vocab": recipe.vocab,
        "params": recipe.shape.params,
    }


def build_recipe(records: Iterable[Event], *, steps: int | None = None, vocab: int | None = None) -> Recipe:
    """The recipe of a run's best keep, or of its baseline if nothing was kept.

    ``steps`` replaces the trial's; ``vocab`` is taken from the trial's parameter count if it is not given. Raises
    ``JournalError`` if nothing has been measured, ``ConfigError`` for a configuration without a
    counterpart in Megatron.
    """
    trajectory, seeds = Totals(), dict[int, int]()
    for record in records:
        trajectory.add(record)
        if isinstance(record, TrialEnded):
            seeds[record.trial] = record.seed
    meta, baseline, best = trajectory.meta, trajectory.baseline, trajectory.best
    if meta is None or baseline is None:
        hint = "wait until the baseline is measured; `autoresearch status` shows it"
        raise JournalError("the run has no measurement yet that can be exported", hint=hint)
    if meta.yardstick.command is not None:
        raise ConfigError("the run trained with a command of its own", hint="its menu and baseline are the recipe")
    cfg = check_cfg(best.candidate_cfg if best else baseline.baseline_cfg)
    measured = (best or baseline).eval_metrics
    yardstick = meta.yardstick
    budget = Budget(kind=yardstick.budget_kind, size=yardstick.budget_size)
    counted = None if budget.kind == "flops" else budget.steps(int(cfg["batch_size"]), int(cfg["seq_len"]))
    trial_steps = counted or measured.train_steps or 1
    if steps is not None and steps < 1:
        raise ConfigError(f"steps = {steps} is not at least 1", hint=f"the best trial made {trial_steps}")
    _check_parallel(cfg, yardstick.data_parallel, yardstick.tensor_parallel)
    return Recipe(
        cfg=cfg,
        vocab=vocab or vocab_of(cfg, measured.params or 0),
        steps=steps or trial_steps,
        seed=_seed(seeds, best or baseline),
        data_parallel=yardstick.data_parallel,
        tensor_parallel=yardstick.tensor_parallel,
        fp8_recipe=yardstick.fp8_recipe or FP8_RECIPE,
        source=_build_source(meta, baseline, best, budget, trial_steps),
    )


def check_cfg(cfg: Cfg) -> Cfg:
    """``cfg`` with exactly the knobs that Megatron needs: without structural knobs, which must have the origin's value.

    Raises ``ConfigError`` naming knob and value.
    """
    for name, knob in STRUCTURAL_KNOBS.items():
        if (value := value_of(cfg, name)) != knob.origin:
            hint = f"the export describes the origin's GPT, {name} = {knob.origin}; train this one with trainer torch"
            raise ConfigError(f"{name} = {value!r} is not exported to Megatron", hint=hint)
    cfg = {name: value for name, value in cfg.items() if name not in STRUCTURAL_KNOBS}
    known = set(KNOB_FACTS)
    hint = "export a run with the knobs of the built-in menu; a menu_file may narrow them, but not add knobs"
    for name in sorted(set(cfg) ^ known):
        what = f"= {cfg[name]!r} has no counterpart in Megatron" if name in cfg else "is missing"
        raise ConfigError(f"knob {name} {what}", hint=hint)
    for name in INTEGER_KNOBS:
        if type(cfg[name]) is not int or int(cfg[name]) < (name != "lr_warmup"):
            raise ConfigError(f"{name} = {cfg[name]!r} is not a positive integer", hint=hint)
    for name in NUMBER_KNOBS:
        value = cfg[name]
        if isinstance(value, str) or not math.isfinite(value) or value < 0:
            raise ConfigError(f"{name} = {value!r} is not a finite number of at least 0", hint=hint)
    if cfg["precision"] not in PRECISIONS:
        raise ConfigError(f"precision = {cfg['precision']!r} is not one of {', '.join(PRECISIONS)}", hint=hint)
    if int(cfg["d_model"]) % int(cfg["n_head"]):
        raise ConfigError(f"d_model = {cfg['d_model']} is not a multiple of n_head = {cfg['n_head']}", hint=hint)
    return {**cfg, **{name: float(cfg[name]) for name in NUMBER_KNOBS}}


def vocab_of(cfg: Cfg, params: int) -> int:
    """The vocabulary with which a model of ``cfg`` has ``params`` parameters. Raises ``ConfigError`` if none has."""
    without = ModelShape.of(cfg, 0)
    vocab, rest = divmod(params - without.params, without.d_model)  # the embedding is tied
    if rest or vocab < 1:
        what = f"no vocabulary size gives the best configuration {params:,} parameters"
        raise ConfigError(what, hint="name the run's corpus with --corpus CORPUS: its manifest has the size")
    return vocab


def _check_parallel(cfg: Cfg, data: int, tensor: int) -> None:
    for name, ranks, what in (
        ("batch_size", data, "data"),
        ("n_head", tensor, "tensor"),
        ("d_ff", tensor, "tensor"),
    ):
        if int(cfg[name]) % ranks:
            what = f"{name} = {cfg[name]} is not divisible among {ranks} {what}-parallel ranks"
            raise ConfigError(
                what, hint="the number of ranks is in the trajectory's yardstick: check whether it was edited"
            )


def _seed(seeds: Mapping[int, int], closing: Baseline | Evaluated) -> int:
    """The seed of the first trial of the record; ``seeds`` of all trials."""
    for trial in closing.trials:
        if trial in seeds:
            return seeds[trial]
    raise JournalError(
        f"trial {closing.trials} of the best record is missing in the trajectory",
        hint="use the complete file of the run",
    )


def _build_source(
    meta: Meta, baseline: Baseline, best: Evaluated | None, budget: Budget, trial_steps: int
) -> RecipeSource:
    return RecipeSource(
        run_id=meta.run_id,
        profile=meta.profile,
        trainer=meta.yardstick.trainer,
        corpus_sha256=meta.yardstick.corpus_sha256 or "",
        budget=budget,
        iter=best.iter if best else 0,
        change=best.proposal.text if best else "",
        val_bpb=(best or baseline).value,
        baseline_val_bpb=baseline.value,
        trial_steps=trial_steps,
        verdict=describe_verdict(best.improvement_frac, best.evidence) if best and best.evidence else "",
    )
