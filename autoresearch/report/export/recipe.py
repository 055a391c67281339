"""What is exported: the best configuration of a run and all that another trainer needs to know of its trial. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.core.records import Baseline, Evaluated, Event, Meta, TrialEnded
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.errors import ConfigError, JournalError
from autoresearch.report.export.warmup import Warmup
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import Budget
from rails.knob_facts import INTEGER_KNOBS, KNOB_FACTS, NUMBER_KNOBS

PRECISIONS = ("fp32", "bf16", "fp8")
FP8_RECIPE = "tensorwise"  # what the run's settings say where nobody chose


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe comes from; ``iter`` 0 is the baseline, exported where nothing was kept."""

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


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration (every knob a number but ``precision``) with the size and course of its training."""

    cfg: Cfg
    vocab: int
    steps: int
    seed: int
    data_parallel: int
    tensor_parallel: int
    fp8_recipe: str
    origin: Origin

    @property
    def shape(self) -> ModelShape:
        """The shape of the model that is built: its vocabulary is filled up to a multiple of ``tensor_parallel``."""
        rows = -(-self.vocab // self.tensor_parallel) * self.tensor_parallel
        return ModelShape.of(self.cfg, rows)

    @property
    def precision(self) -> str:
        return str(self.cfg["precision"])

    @property
    def warmup(self) -> Warmup:
        """The learning rate's course in Megatron's terms."""
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
        """Whose layers to build of. Not Transformer Engine's for fp32: its fp32 matrix products are TF32."""
        return "local" if self.precision == "fp32" else "transformer_engine"


def facts(recipe: Recipe) -> dict[str, Any]:
    """What a script that reads JSON wants to know of it."""
    origin = recipe.origin
    return {
        "run_id": origin.run_id,
        "iter": origin.iter,
        "val_bpb": origin.val_bpb,
        "baseline_val_bpb": origin.baseline_val_bpb,
        "cfg": recipe.cfg,
        "steps": recipe.steps,
        "seed": recipe.seed,
        "vocab": recipe.vocab,
        "params": recipe.shape.params,
    }


def build_recipe(records: Sequence[Event], *, steps: int | None = None, vocab: int | None = None) -> Recipe:
    """The recipe of a run's best keep, or of its baseline where nothing was kept.

    ``steps`` replaces the trial's; ``vocab`` is taken from the trial's parameter count if it is not given. Raises
    ``JournalError`` if nothing has been measured, ``ConfigError`` for what Megatron has no words for.
    """
    trajectory = Trajectory.fold(records)
    meta, baseline, best = trajectory.meta, trajectory.baseline, trajectory.best
    if meta is None or baseline is None:
        hint = "wait until the baseline is measured; `autoresearch status` shows it"
        raise JournalError("the run has measured nothing yet that could be exported", hint=hint)
    cfg = checked(best.candidate_cfg if best else baseline.baseline_cfg)
    measured = (best or baseline).eval_metrics
    yardstick = meta.yardstick
    budget = Budget(kind=yardstick.budget_kind, size=yardstick.budget_size)
    trial_steps = budget.steps(int(cfg["batch_size"]), int(cfg["seq_len"])) or measured.train_steps
    if steps is not None and steps < 1:
        raise ConfigError(f"steps = {steps}: at least one is needed", hint=f"the best trial made {trial_steps}")
    _check_parallel(cfg, yardstick.data_parallel, yardstick.tensor_parallel)
    return Recipe(
        cfg=cfg,
        vocab=vocab or vocab_of(cfg, measured.params),
        steps=steps or trial_steps,
        seed=_seed(records, best or baseline),
        data_parallel=yardstick.data_parallel,
        tensor_parallel=yardstick.tensor_parallel,
        fp8_recipe=yardstick.fp8_recipe or FP8_RECIPE,
        origin=_origin(meta, baseline, best, budget, trial_steps),
    )


def checked(cfg: Cfg) -> Cfg:
    """``cfg`` with every knob that Megatron needs and no other. Raises ``ConfigError`` naming knob and value."""
    known = set(KNOB_FACTS)
    hint = "export a run with the package's own knobs; a menu_file of yours may narrow them, not add to them"
    for name in sorted(set(cfg) ^ known):
        what = f"= {cfg[name]!r} has no counterpart in Megatron" if name in cfg else "is missing"
        raise ConfigError(f"knob {name} {what}", hint=hint)
    for name in INTEGER_KNOBS:
        if type(cfg[name]) is not int or int(cfg[name]) < (name != "lr_warmup"):
            raise ConfigError(f"{name} = {cfg[name]!r} is no positive whole number", hint=hint)
    for name in NUMBER_KNOBS:
        value = cfg[name]
        if isinstance(value, str) or not math.isfinite(value) or value < 0:
            raise ConfigError(f"{name} = {value!r} is no finite number of at least 0", hint=hint)
    if cfg["precision"] not in PRECISIONS:
        raise ConfigError(f"precision = {cfg['precision']!r} is none of {', '.join(PRECISIONS)}", hint=hint)
    if int(cfg["d_model"]) % int(cfg["n_head"]):
        raise ConfigError(f"d_model = {cfg['d_model']} is no multiple of n_head = {cfg['n_head']}", hint=hint)
    return {**cfg, **{name: float(cfg[name]) for name in NUMBER_KNOBS}}


def vocab_of(cfg: Cfg, params: int) -> int:
    """The vocabulary with which a model of ``cfg`` has ``params`` parameters. Raises ``ConfigError`` if none does."""
    without = ModelShape.of(cfg, 0)
    vocab, rest = divmod(params - without.params, without.d_model)
    if rest or vocab < 1:
        what = f"no vocabulary size makes {params:,} parameters of the best configuration"
        raise ConfigError(what, hint="name the run's corpus with --corpus CORPUS: its manifest knows the size")
    return vocab


def _check_parallel(cfg: Cfg, data: int, tensor: int) -> None:
    for name, ranks, what in (
        ("batch_size", data, "data"),
        ("n_head", tensor, "tensor"),
        ("d_ff", tensor, "tensor"),
    ):
        if int(cfg[name]) % ranks:
            what = f"{name} = {cfg[name]} cannot be shared out over {ranks} {what}-parallel ranks"
            raise ConfigError(what, hint="the trajectory's yardstick says how many there were: was it edited?")


def _seed(records: Sequence[Event], closing: Baseline | Evaluated) -> int:
    """The seed of the first trial that the record rests on."""
    seeds = {r.trial: r.seed for r in records if isinstance(r, TrialEnded)}
    for trial in closing.trials:
        if trial in seeds:
            return seeds[trial]
    raise JournalError(
        f"the trajectory has no trial {closing.trials} of its best record", hint="take the whole file of the run"
    )


def _origin(meta: Meta, baseline: Baseline, best: Evaluated | None, budget: Budget, trial_steps: int) -> Origin:
    return Origin(
        run_id=meta.run_id,
        profile=meta.profile,
        trainer=meta.yardstick.trainer,
        corpus_sha256=meta.yardstick.corpus_sha256,
        budget=budget,
        iter=best.iter if best else 0,
        change=f"{best.proposal.knob} = {best.proposal.new_value}" if best else "",
        val_bpb=best.val_bpb if best else baseline.baseline_val_bpb,
        baseline_val_bpb=baseline.baseline_val_bpb,
        trial_steps=trial_steps,
    )
