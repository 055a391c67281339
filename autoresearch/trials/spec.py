"""What one trial is to do, and on which device: plain values, sent to and from its process as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autoresearch.core.values import Cfg, FrozenModel
from autoresearch.data.span import Span

# Incremented by every change of the initial weights of a seed: it is part of the yardstick.
INITIALISATION = 2
BudgetKind = Literal["flops", "steps", "tokens", "seconds"]


class Budget(FrozenModel):
    """How long a trial trains: a number of optimizer steps, of tokens, or of seconds.

    ``flops`` is the budget of a run alone: the training FLOPs of ``size`` steps of its baseline. ``trial_budget`` makes
    a number of steps of it for each configuration.
    """

    kind: BudgetKind
    size: float
    flops: int | None = None  # of kind flops: instead of those of ``size`` steps of the baseline

    def steps(self, batch_size: int, seq_len: int) -> int | None:
        """Optimizer steps of a configuration under this budget; ``None`` for a budget in seconds.

        Raises ``ValueError`` for a budget in FLOPs, which needs the baseline and the vocabulary (``trial_steps``).
        """
        if self.kind == "flops":
            raise ValueError("the steps of a budget in FLOPs follow from trial_budget()")
        if self.kind == "steps":
            return int(self.size)
        if self.kind == "tokens":
            return max(1, -int(-self.size // (batch_size * seq_len)))  # rounded up: at least that many tokens
        return None


class TrialSpec(FrozenModel):
    """One configuration with one seed, on one corpus, under one budget."""

    cfg: Cfg
    seed: int
    corpus: str
    trainer: str
    device: str  # "cpu" or "cuda"
    threads: int
    budget: Budget
    span: Span
    vault: Span | None = None  # of the test split; scored at the end, for the sealed vault alone
    compiled: bool = False
    data_parallel: int = 1
    tensor_parallel: int = 1
    fp8_recipe: str = "tensorwise"
    memory_limit_bytes: int | None = None  # of the host; limits the device too where the two share memory
    stop_above: tuple[float | None, ...] = ()  # losses by part of the budget: above its limit the trial ends early


class Device(FrozenModel):
    """The device that trials run on, as the yardstick and rail R7 need it."""

    device: str  # "cpu" or "cuda"
    kind: str  # the chip's name: val_bpb is bitwise reproducible only on the same kind
    precisions: tuple[str, ...]  # that the device and the installed packages can compute in
    without: dict[str, str] = Field(default_factory=dict)  # the other precisions, each with the reason
    # Measured time over that of fp32, where that is at least twice as long (emulation); part of no hash: it varies.
    precision_cost: dict[str, float] = Field(default_factory=dict)
    free_bytes: int | None  # on the accelerator, without what other processes (an LLM server) hold
    versions: dict[str, str]
    gpus: tuple[str, ...] = ()  # NVML's UUIDs, in the order of the ranks; empty where torch reports none
