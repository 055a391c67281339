"""What a trial will need, before it runs: memory in bytes, and its time relative to the baseline's. No torch.

Memory counts the tensors that autograd keeps alive at the end of a forward pass, per token; measured peaks stay
below the estimate (tests/integration/test_estimate.py). Rail R7 refuses by it, so it errs on the high side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from autoresearch.core.speeds import Swept, swept
from autoresearch.data.span import TOKENS_PER_FORWARD
from autoresearch.trials.model_shape import CHUNK_ELEMENTS, MIN_CHUNK_TOKENS, ModelShape
from autoresearch.trials.muon_cost import muon_elements, muon_params
from autoresearch.trials.spec import Budget, Device
from autoresearch.trials.trainers import TRAINERS
from autoresearch.trials.trial_budget import flops_per_step, optimizer_flops, trial_steps
from rails import Config, Estimate
from rails.structural import STRUCTURAL_KNOBS, unknown_structure, value_of

MARGIN = 1.15
# The context and cuBLAS's workspaces; what a process takes on the CPU is in the table of trainers.
CUDA_PROCESS_BYTES = 700 << 20
COMPILER_BYTES = 120 << 20
# What torch built for CUDA takes more than torch built for the CPU, in a process that trains on the CPU: at most 80 MB
# measured (2.13.0+cu130 beside 2.13.0+cpu).
CUDA_BUILD_BYTES = 96 << 20
PARAMETER_BYTES = 16  # fp32 weight and gradient, AdamW's two moments
MIXED_PARAMETER_BYTES = 22  # and a bf16 weight with its gradient, in fp8 that weight's copy too
FP8_MULTIPLE = 16  # cuBLAS multiplies fp8 matrices only of such dimensions


@cache
def torch_build_bytes() -> int:
    """What the installed torch takes more than a build for the CPU alone, whose version says ``+cpu``."""
    try:
        return 0 if "+cpu" in version("torch") else CUDA_BUILD_BYTES
    except PackageNotFoundError:
        return 0


@dataclass(frozen=True, slots=True)
class Estimator:
    """Estimates the cost of a configuration for one trainer, device and budget.

    Time is the floating-point work over the speed, which is the measured one where there is one: ``speeds`` are seconds
    per step with every other knob at the baseline's value (`autoresearch envelope`). Without them, a precision counts
    with what the device probe measured for it, also under a budget in seconds: there it computes that much less.
    """

    baseline: Config
    vocab: int
    trainer: str
    device: Device
    budget: Budget
    span_tokens: int
    parallel: tuple[int, int] = (1, 1)  # data and tensor ranks
    compiled: bool = False
    speeds: Mapping[Swept, float] = field(default_factory=dict)

    def __call__(self, cfg: Config) -> Estimate:
        return Estimate(
            peak_bytes=self._peak_bytes(cfg),
            time_ratio=self._work(cfg) / self._work(self.baseline) / self._relative_speed(cfg) * self._slowdown(cfg),
            unsupported=self.unsupported(cfg),
            slow_because=self.slow_because(cfg),
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

    def slow_because(self, cfg: Config) -> str:
        """By how much the precision of ``cfg`` slows it down, or an empty string."""
        if (slowdown := self._slowdown(cfg)) <= 1:
            return ""
        return describe_precision_cost(str(cfg["precision"]), slowdown, str(self.baseline["precision"]))

    def _slowdown(self, cfg: Config) -> float:
        """The measured cost of the precision over that of the baseline's; 1 where the envelope measured both."""
        if self._is_measured(cfg):
            return 1.0
        here, at_baseline = (self.device.precision_cost.get(str(c["precision"]), 1.0) for c in (cfg, self.baseline))
        return here / at_baseline

    def _is_measured(self, cfg: Config) -> bool:
        return self.budget.kind != "seconds" and all(swept(c) in self.speeds for c in (cfg, self.baseline))

    def _relative_speed(self, cfg: Config) -> float:
        """FLOP/s at the candidate's batch_size, seq_len and precision over the baseline's; 1 without measurements.

        So a measured step time is scaled by the FLOPs of the other knobs, which the sweep did not vary. The validation,
        a small part, is scaled alike, although its speed depends on precision more than on batch_size.
        """
        if not self._is_measured(cfg):
            return 1.0
        points = swept(cfg), swept(self.baseline)
        here, at_baseline = (self._flops_per_step(point) / self.speeds[point] for point in points)
        return here / at_baseline

    def _flops_per_step(self, point: Swept) -> int:
        batch_size, seq_len, precision = point
        cfg = {**self.baseline, "batch_size": batch_size, "seq_len": seq_len, "precision": precision}
        return flops_per_step(cfg, self.vocab)

    def _peak_bytes(self, cfg: Config) -> int:
        """Of all ranks together on the CPU, of one rank's GPU on CUDA. Ignores what tensor ranks save."""
        data, tensor = self.parallel
        share = {**cfg, "batch_size": max(1, int(cfg["batch_size"]) // data)}
        rank = peak_bytes(share, self.vocab, self.trainer, self.device.device, self.compiled)
        return rank * (data * tensor if self.device.device == "cpu" else 1)

    def _work(self, cfg: Config) -> float:
        """Floating-point operations of training and validation; under a budget in seconds, the same for all.

        Validation is a forward pass, a third of a training step's work, over each token of the span twice.
        """
        shape = ModelShape.of(cfg, self.vocab)
        validation = 2 * self.span_tokens / 3
        if self.budget.kind == "seconds":
            return self.budget.size * ModelShape.of(self.baseline, self.vocab).flops_per_token
        per_step = int(cfg["batch_size"]) * shape.seq_len
        steps = trial_steps(self.budget, cfg, self.baseline, self.vocab) or 0
        return (steps * per_step + validation) * shape.flops_per_token + steps * optimizer_flops(cfg, shape)


def describe_precision_cost(precision: str, cost: float, reference: str = "fp32") -> str:
    """The measured cost of a precision in words."""
    times = f"{cost:.0f}" if cost >= 10 else f"{cost:.1f}"
    return f"{precision} takes about {times} times as long as {reference} on this device"


def unsupported(trainer: str, cfg: Config, data: int, tensor: int) -> str:
    """What a trainer cannot do on any device with that many data and tensor ranks, or an empty string."""
    known = TRAINERS[trainer]
    if cfg["precision"] not in known.precisions:
        return f"trainer {trainer} cannot train in {cfg['precision']}, only in {' and '.join(known.precisions)}"
    if why := unknown_structure(cfg):
        return why
    if value_of(cfg, "position") == "rope" and (width := int(cfg["d_model"]) // int(cfg["n_head"])) % 2:
        return f"position = rope rotates pairs, and the head width d_model / n_head = {width} is odd"
    for name, knob in STRUCTURAL_KNOBS.items():
        if not known.structural and (value := value_of(cfg, name)) != knob.origin:
            able = " or ".join(other for other, spec in TRAINERS.items() if spec.structural)
            return f"trainer {trainer} cannot train with {name} = {value}, only with {knob.origin}; take trainer {able}"
    if data * tensor > 1 and not known.splits_over_ranks:
        able = " or ".join(name for name, other in TRAINERS.items() if other.splits_over_ranks)
        return f"trainer {trainer} trains on one rank; take trainer {able} for parallel.data and parallel.tensor"
    divisors = [("batch_size", data), ("n_head", tensor), ("d_ff", tensor)]
    if cfg["precision"] == "fp8":
        divisors += [("d_model", FP8_MULTIPLE), ("d_ff", FP8_MULTIPLE * tensor)]
    for name, divisor in divisors:
        if int(cfg[name]) % divisor:
            return f"{name} = {cfg[name]} is not a multiple of {divisor}, which its ranks and precision require"
    return ""


def peak_bytes(cfg: Config, vocab: int, trainer: str = "torch", device: str = "cpu", compiled: bool = False) -> int:
    """The most memory that one rank of a trial holds at once, in bytes: of the process on a CPU, of the device on CUDA.

    Per token and layer autograd keeps, in elements: the inputs and outputs of two LayerNorms, qkv, the attention's
    output and its transpose (9 d), and the MLP before and after GELU (2 f). On top come the temporaries of one layer
    and of one chunk of the cross-entropy (on CUDA with a padded copy of the vocabulary's weights).
    """
    shape = ModelShape.of(cfg, vocab)
    d, f, mixed = shape.d_model, shape.d_ff, cfg["precision"] != "fp32"
    width = 2 if mixed else 4
    tokens = int(cfg["batch_size"]) * shape.seq_len
    chunk = max(MIN_CHUNK_TOKENS, CHUNK_ELEMENTS[device] // vocab)
    rope, qk_norm = shape.structure.position == "rope", shape.structure.qk_norm == "on"
    # Beside qkv, whose values the attention keeps: rotated queries and keys, and normalised ones.
    kept = 9 * d + 2 * f + 2 * d * (rope + qk_norm)
    if mixed and qk_norm:  # torch normalises in fp32 and keeps that copy of both
        kept += 4 * d
    # With both, the peak of one configuration differed by 100 MB between machines: as much as two layers' temporaries.
    temporaries = (6 * d + 3 * f) * (2 if rope or qk_norm else 1)
    train = tokens * (shape.n_layer * kept + temporaries) * width
    train += min(tokens, chunk) * vocab * (12 if mixed else 8) + (4 + (width if device == "cuda" else 0)) * vocab * d
    windows = max(1, TOKENS_PER_FORWARD // shape.seq_len) * shape.seq_len
    validate = windows * (12 * d + 3 * f) * width + min(windows, chunk) * vocab * 8
    weights = shape.params * (MIXED_PARAMETER_BYTES if mixed else PARAMETER_BYTES)
    process = CUDA_PROCESS_BYTES if device == "cuda" else TRAINERS[trainer].process_bytes + torch_build_bytes()
    update = 0
    if value_of(cfg, "optimizer") == "muon":  # one moment instead of two; its temporaries come after the backward pass
        weights -= 4 * muon_params(shape)
        update = muon_elements(shape) * 4
    return int(MARGIN * (max(train, validate, update) + weights)) + process + (COMPILER_BYTES if compiled else 0)
