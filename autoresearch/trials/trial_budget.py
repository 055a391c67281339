"""From the budget of a run to the budget of one trial: equal FLOPs are another number of steps for each model.

FLOPs are counted as the records count them: ``ModelShape.flops_per_token`` times the tokens that are trained on, and
those of Muon in each step.
"""

from __future__ import annotations

from autoresearch.core.records import Meta, Yardstick
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.muon_cost import muon_flops
from autoresearch.trials.spec import Budget
from rails import Config
from rails.structural import value_of


def flops_per_step(cfg: Config, vocab: int) -> int:
    """Training FLOPs of one optimizer step."""
    shape = ModelShape.of(cfg, vocab)
    return int(cfg["batch_size"]) * shape.seq_len * shape.flops_per_token + optimizer_flops(cfg, shape)


def optimizer_flops(cfg: Config, shape: ModelShape) -> int:
    """FLOPs of the optimizer's matrix products in one step: none with AdamW."""
    return muon_flops(shape) if value_of(cfg, "optimizer") == "muon" else 0


def budget_flops(budget: Budget, baseline: Config, vocab: int) -> int | None:
    """The training FLOPs that no trial exceeds, except by its first step; ``None`` where the budget is not in FLOPs."""
    if budget.kind != "flops":
        return None
    return int(budget.size) * flops_per_step(baseline, vocab) if budget.flops is None else budget.flops


def recorded_budget(yardstick: Yardstick) -> Budget:
    """The budget of a run as its first record has it."""
    return Budget(kind=yardstick.budget_kind, size=yardstick.budget_size, flops=yardstick.budget_flops)


def trial_budget(budget: Budget, cfg: Config, baseline: Config, vocab: int) -> Budget:
    """The budget of one configuration's trial: FLOPs as the number of steps that fit into them, at least one."""
    flops = budget_flops(budget, baseline, vocab)
    return budget if flops is None else Budget(kind="steps", size=max(1, flops // flops_per_step(cfg, vocab)))


def trial_steps(budget: Budget, cfg: Config, baseline: Config, vocab: int) -> int | None:
    """Optimizer steps of one configuration, known before it starts; ``None`` for a budget in seconds."""
    return trial_budget(budget, cfg, baseline, vocab).steps(int(cfg["batch_size"]), int(cfg["seq_len"]))


def warmup_frac(meta: Meta | None, cfg: Config) -> float:
    """The share of its budget that a configuration of this run warms up; 1 where the records do not say.

    It follows from the records alone, so that ``autoresearch verify`` finds what the run found.
    """
    if meta is None or meta.yardstick.command or (meta.vocab is None and meta.yardstick.budget_kind == "flops"):
        return 1.0
    steps = trial_steps(recorded_budget(meta.yardstick), cfg, meta.baseline_cfg, meta.vocab or 0)
    return min(1.0, int(cfg["lr_warmup"]) / steps) if steps else 1.0
