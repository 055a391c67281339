"""What a trial will need, before it runs: memory in bytes and time over the baseline's. Arithmetic, no torch.

Memory counts the tensors that plain autograd keeps alive at the end of a forward pass, per token; measured peaks
stay below it (tests/integration/test_estimate.py). R7 refuses by it, so it errs on the high side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autoresearch.training.bpb import TOKENS_PER_FORWARD
from autoresearch.training.shape import Shape
from autoresearch.training.spec import Budget, Device
from rails import Config, Estimate

MARGIN = 1.15
PROCESS_BYTES = 450 << 20  # interpreter, torch and its libraries, the allocator's slack
PARAMETER_BYTES = 16  # fp32 weight and gradient, AdamW's two moments
TRAINER_PRECISIONS = {"torch": ("fp32", "bf16"), "megatron": ("fp32", "bf16", "fp8")}
FP8_MULTIPLE = 16  # cuBLAS multiplies fp8 matrices only of such dimensions

Swept = tuple[int, int, str]  # batch_size, seq_len, precision: what `autoresearch envelope` sweeps


def swept(cfg: Config) -> Swept:
    """Where a configuration lies on the sweep."""
    return int(cfg["batch_size"]), int(cfg["seq_len"]), str(cfg["precision"])


@dataclass(frozen=True, slots=True)
class Estimator:
    """Prices a configuration against the baseline for one trainer, device and budget.

    Time follows the floating-point work, at the speed that was measured where it was: ``speeds`` are seconds per step
    with every other knob at the baseline's value (`autoresearch envelope`).
    """

    baseline: Config
    vocab: int
    trainer: str
    device: Device
    budget: Budget
    span_tokens: int
    parallel: tuple[int, int] = (1, 1)  # data and tensor ranks
    speeds: Mapping[Swept, float] = field(default_factory=dict)

    def __call__(self, cfg: Config) -> Estimate:
        return Estimate(
            peak_bytes=peak_bytes(cfg, self.vocab),
            time_ratio=self._work(cfg) / self._work(self.baseline) / self._relative_speed(cfg),
            unsupported=self.unsupported(cfg),
        )

    def unsupported(self, cfg: Config) -> str:
        """What this trainer cannot do on this device, or an empty string."""
        if why := unsupported(self.trainer, cfg, *self.parallel):
            return why
        precision = str(cfg["precision"])
        if precision not in self.device.precisions:
            able = " and ".join(self.device.precisions)
            why = self.device.without.get(precision, "")
            return f"{self.device.kind} cannot compute in {precision}, only in {able}{why and f' ({why})'}"
        return ""

    def _relative_speed(self, cfg: Config) -> float:
        """FLOP/s at the candidate's batch_size, seq_len and precision over the baseline's; 1 where not measured.

        So a measured step time is scaled by the FLOPs of the other knobs, which the sweep left alone. It holds for the
        validation too, a small part, though that depends on precision more than on batch_size.
        """
        points = swept(cfg), swept(self.baseline)
        if self.budget.kind == "seconds" or not all(point in self.speeds for point in points):
            return 1.0
        here, at_baseline = (self._flops_per_step(point) / self.speeds[point] for point in points)
        return here / at_baseline

    def _flops_per_step(self, point: Swept) -> int:
        batch_size, seq_len, precision = point
        knobs = {"batch_size": batch_size, "seq_len": seq_len, "precision": precision}
        return batch_size * seq_len * Shape.of({**self.baseline, **knobs}, self.vocab).flops_per_token

    def _work(self, cfg: Config) -> float:
        """Floating-point operations of training and validation; a budget in seconds trains equally long for all.

        Validation is a forward pass, a third of a training step's work, over each token of the span twice.
        """
        shape = Shape.of(cfg, self.vocab)
        validation = 2 * self.span_tokens / 3
        if self.budget.kind == "seconds":
            return self.budget.size * Shape.of(self.baseline, self.vocab).flops_per_token
        per_step = int(cfg["batch_size"]) * shape.seq_len
        steps = self.budget.steps(int(cfg["batch_size"]), shape.seq_len) or 0
        return (steps * per_step + validation) * shape.flops_per_token


def unsupported(trainer: str, cfg: Config, data: int, tensor: int) -> str:
    """What a trainer cannot do on any device, split over so many ranks, or an empty string."""
    if cfg["precision"] not in TRAINER_PRECISIONS[trainer]:
        return (
            f"trainer {trainer} cannot train in {cfg['precision']}, only in {' and '.join(TRAINER_PRECISIONS[trainer])}"
        )
    if trainer == "torch" and data * tensor > 1:
        return "trainer torch trains on one rank; take trainer megatron for parallel.data and parallel.tensor"
    parts = [("batch_size", data), ("n_head", tensor), ("d_ff", tensor)]
    if cfg["precision"] == "fp8":
        parts += [("d_model", FP8_MULTIPLE), ("d_ff", FP8_MULTIPLE * tensor)]
    for name, ranks in parts:
        if int(cfg[name]) % ranks:
            return f"{name} = {cfg[name]} is no multiple of {ranks}, as its ranks and precision need"
    return ""


def peak_bytes(cfg: Config, vocab: int) -> int:
    """Most memory that one trial holds at once, in bytes, process included.

    Per token and layer autograd keeps, in elements: two LayerNorm outputs, qkv, attention output and its transpose,
    two residual sums and the two projections' outputs (11 d), and the MLP before and after GELU (2 f). Logits live
    three times (logits, their softmax, their gradient), in fp32.
    """
    shape = Shape.of(cfg, vocab)
    width = 2 if cfg["precision"] in ("bf16", "fp8") else 4
    per_layer = (11 * shape.d_model + 2 * shape.d_ff) * width
    per_token = shape.n_layer * per_layer + 12 * vocab + 4 * shape.d_model * width
    train = int(cfg["batch_size"]) * shape.seq_len * per_token
    windows = max(1, TOKENS_PER_FORWARD // shape.seq_len) * shape.seq_len
    validate = windows * ((12 * shape.d_model + 3 * shape.d_ff) * width + 6 * vocab)
    autocast_copies = 2 * shape.params if cfg["precision"] != "fp32" else 0
    return int(MARGIN * (max(train, validate) + PARAMETER_BYTES * shape.params + autocast_copies)) + PROCESS_BYTES
