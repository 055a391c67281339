"""What only a CUDA device can show. Skipped, with the reason, where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Measurement, Suspended
from autoresearch.core.ports import SuspendControl
from autoresearch.core.stopped_trial import EarlyStop
from autoresearch.core.values import Cfg
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.data.span import Span
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.training.models.gpt_megatron import MegatronGPT, has_transformer_engine
from autoresearch.training.models.gpt_torch import GPT
from autoresearch.training.models.network import Network
from autoresearch.training.models.weight_mapping import to_megatron
from autoresearch.training.optimizer import MasterAdamW
from autoresearch.training.parallel.ranks import join_megatron
from autoresearch.training.trainer import Trainer, set_up_device
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import Budget, TrialSpec
from autoresearch.trials.trainers import TRAINERS

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
NEEDS_FP8 = pytest.mark.skipif(
    not torch.cuda.is_available() or torch.cuda.get_device_capability() < (8, 9) or not has_transformer_engine(),
    reason="fp8 needs Transformer Engine and compute capability 8.9",
)
TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
SHAPE = ModelShape(n_layer=4, n_head=4, d_model=256, d_ff=1024, seq_len=256, vocab=50257)
CFG = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "grad_clip": 1.0}
Make = Callable[..., TrialBackend]


@pytest.fixture(scope="module")
def make(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """A bench with a small model on the device; ``settings`` by dotted name."""
    made: dict[str, TrialBackend] = {}

    def backend(**changes: Any) -> TrialBackend:
        if str(changes) not in made:
            settings = settings_of(small_corpus, changes)
            folder = tmp_path_factory.mktemp("run")
            made[str(changes)] = real_backend(
                settings, build_policy(settings), folder, lambda: False, RecordingObserver()
            )
        return made[str(changes)]

    yield backend
    for each in made.values():
        each.close()


def settings_of(corpus: Path, changes: dict[str, Any]) -> Settings:
    flags: dict[str, Any] = {"corpus": str(corpus), "device": "cuda", "budget.size": 40, "eval.bytes": 4096}
    flags |= {"baseline.lr_warmup": 5, "menu.knobs.lr_warmup.high": 15, "compile": "off"}
    return resolve({**flags, **{k.replace("__", "."): v for k, v in changes.items()}}, {}).settings


def measured(backend: TrialBackend, cfg: Cfg) -> Measurement:
    outcome = backend.trial.measure(cfg, 0, lambda *_: None)
    assert isinstance(outcome, Measurement), outcome
    return outcome


@pytest.mark.parametrize("trainer", ["torch", "megatron"])
def test_a_trial_is_stopped_early_with_the_losses_of_a_whole_one(make: Make, trainer: str) -> None:
    backend = make(trainer=trainer)
    assert backend.estimator is not None
    cfg = dict(backend.estimator.baseline)
    curve = measured(backend, cfg).train_loss_curve
    stop = backend.trial.measure(cfg, 0, lambda *_: None, limits=(*[None] * 15, 1e-3))
    assert isinstance(stop, EarlyStop), stop
    assert curve is not None
    assert stop.train_loss_curve == curve[:16]


@pytest.mark.parametrize("trainer", ["torch", "megatron"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("fp8", marks=NEEDS_FP8)])
def test_a_trial_trains_on_the_device_and_repeats_to_the_bit(make: Make, trainer: str, precision: str) -> None:
    if (trainer, precision) == ("torch", "fp8"):
        pytest.skip("trainer torch has no fp8")
    backend = make(trainer=trainer)
    assert backend.estimator is not None
    cfg = {**backend.estimator.baseline, "precision": precision}
    one, two = measured(backend, cfg), measured(backend, cfg)
    assert one.val_bpb == two.val_bpb
    assert one.train_loss_last < one.train_loss_first


def test_both_trainers_measure_the_same(make: Make) -> None:
    ours, theirs = (make(trainer=t) for t in ("torch", "megatron"))
    assert ours.estimator is not None
    for precision, tolerance in (("fp32", 1e-4), ("bf16", 5e-3)):
        cfg = {**ours.estimator.baseline, "precision": precision}
        assert measured(theirs, cfg).val_bpb == pytest.approx(measured(ours, cfg).val_bpb, rel=tolerance)


def test_compiled_layers_measure_nearly_the_same_and_repeat_to_the_bit(make: Make) -> None:
    eager, compiled = make(trainer="torch"), make(trainer="torch", compile="on")
    assert eager.estimator is not None
    cfg = {**eager.estimator.baseline, "precision": "bf16"}
    one, two = measured(compiled, cfg), measured(compiled, cfg)
    assert one.val_bpb == two.val_bpb
    assert one.val_bpb == pytest.approx(measured(eager, cfg).val_bpb, rel=5e-3)


@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("fp8", marks=NEEDS_FP8)])
@pytest.mark.parametrize("trainer", ["torch", "megatron"])
def test_put_aside_and_gone_on_with_it_measures_the_same(make: Make, trainer: str, precision: str) -> None:
    """To the bit on the CPU; here what is claimed is that nothing of the model's state is lost."""
    backend = make(trainer=trainer)
    assert backend.estimator is not None
    if trainer == "torch" and precision == "fp8":
        pytest.skip("trainer torch has no fp8")
    cfg = {**backend.estimator.baseline, "precision": precision}
    whole, before = measured(backend, cfg), None
    for _ in range(2):
        trains: list[bool] = []
        suspend = SuspendControl(lambda t=trains: bool(t), before)
        before = backend.trial.measure(cfg, 0, lambda *_, t=trains: t.append(True), suspend)
        assert isinstance(before, Suspended)
        assert before.resumes_at == before.step
    end = backend.trial.measure(cfg, 0, lambda *_: None, SuspendControl(suspended_at=before))
    assert isinstance(end, Measurement)
    assert end.train_steps == whole.train_steps
    assert end.val_bpb == pytest.approx(whole.val_bpb, rel=1e-5)


@pytest.mark.parametrize("trainer", ["torch", "megatron"])
@pytest.mark.parametrize("changes", [{}, {"n_layer": 6, "d_model": 256, "batch_size": 16, "seq_len": 256}], ids=str)
def test_the_memory_estimate_is_not_below_the_measured_peak(make: Make, trainer: str, changes: dict[str, Any]) -> None:
    backend = make(trainer=trainer)
    assert backend.estimator is not None
    for precision in ("fp32", "bf16"):
        cfg = {**backend.estimator.baseline, **changes, "precision": precision}
        assert measured(backend, cfg).peak_bytes <= backend.estimator(cfg).peak_bytes


def test_the_estimate_knows_what_other_processes_hold(make: Make) -> None:
    _free, total = torch.cuda.mem_get_info()
    free = make(trainer="torch").free_accelerator_bytes
    if torch.cuda.get_device_properties(0).is_integrated:
        assert free is None, "unified memory: the host's MemAvailable is the truth"
    else:
        assert free is not None
        assert 0 < free <= total


@TWO_GPUS
@pytest.mark.parametrize(("data", "tensor"), [(2, 1), (1, 2)])
def test_two_gpus_measure_what_one_measures(make: Make, data: int, tensor: int) -> None:
    backend = make(trainer="megatron")
    trial = backend.trial
    assert isinstance(trial, ForkedTrial)
    assert backend.estimator is not None
    spec = trial.spec(backend.estimator.baseline, 0)
    spec = spec.model_copy(update={"data_parallel": data, "tensor_parallel": tensor})
    one = measured(backend, backend.estimator.baseline)
    two = dataclasses.replace(trial, spec=lambda *_: spec).measure(backend.estimator.baseline, 0, lambda *_: None)
    assert isinstance(two, Measurement), two
    assert two.val_bpb == pytest.approx(one.val_bpb, rel=1e-4)


class TestHere:
    """In this process, on the device."""

    @pytest.fixture
    def device(self) -> torch.device:
        return set_up_device(spec())

    def networks(self, device: torch.device, precision: str) -> tuple[GPT, MegatronGPT]:
        ranks = join_megatron(1, 1, 0, device)
        plain, theirs = GPT.drawn(SHAPE, 1, device), MegatronGPT(SHAPE, precision, device, ranks, "tensorwise")
        to_megatron(plain, theirs.gpt)
        return plain, theirs

    def test_copied_weights_give_the_same_logits(self, device: torch.device) -> None:
        plain, theirs = self.networks(device, "fp32")
        ids = torch.randint(SHAPE.vocab, (2, SHAPE.seq_len), device=device)
        with torch.no_grad():
            assert torch.allclose(plain(ids), theirs(ids), atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize(
        ("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.03), pytest.param("fp8", 0.15, marks=NEEDS_FP8)]
    )
    def test_losses_stay_together(self, device: torch.device, precision: str, tolerance: float) -> None:
        dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        ours, theirs = (losses(n, dtype) for n in self.networks(device, precision))
        assert np.abs(np.array(ours) - np.array(theirs)).max() < tolerance

    @NEEDS_FP8
    def test_fp8_multiplies_by_the_weights_as_they_are_now(self, device: torch.device) -> None:
        """Not by those of the first forward pass, which Transformer Engine would keep."""
        plain, theirs = self.networks(device, "fp8")
        theirs.to(torch.bfloat16)
        ids = torch.randint(SHAPE.vocab, (2, SHAPE.seq_len), device=device)
        with torch.no_grad():
            before = theirs(ids)
            for weight in plain.parameters():
                weight.add_(0.05 * torch.randn_like(weight))
            to_megatron(plain, theirs.gpt)
            expected, found = plain.to(torch.bfloat16)(ids).float(), theirs(ids).float()
        assert (found - expected).abs().mean() < 0.2 * (before.float() - expected).abs().mean()

    @pytest.mark.filterwarnings("ignore:Synchronization debug mode")
    @pytest.mark.parametrize("precision", ["fp32", "bf16"])
    def test_a_step_waits_for_nothing(self, device: torch.device, precision: str) -> None:
        trainer = Trainer(spec(precision), GPT.drawn(SHAPE, 0, device), device)
        batch = np.random.default_rng(0).integers(0, SHAPE.vocab, (4, SHAPE.seq_len + 1))
        trainer.warm_up(batch)
        trainer.step(batch, 1e-3)  # the optimizer makes its moments
        trainer.losses(wait_for_all=True)
        torch.cuda.set_sync_debug_mode("error")
        try:
            for _ in range(3):
                trainer.step(batch, 1e-3)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert len(trainer.losses(wait_for_all=True)) == 3

    def test_the_warm_server_has_imported_the_network_and_its_forks_can_use_the_device(self, make: Make) -> None:
        """Not the slower way, in which each trial imports Megatron itself."""
        backend = make(trainer="megatron")
        assert isinstance(backend.trial, ForkedTrial)
        assert backend.estimator is not None
        measured(backend, backend.estimator.baseline)
        assert TRAINERS["megatron"].network_module in backend.trial.runner.server.preloaded


def spec(precision: str = "fp32") -> TrialSpec:
    return TrialSpec(
        cfg={**CFG, "precision": precision},
        seed=0,
        corpus="",
        trainer="torch",
        device="cuda",
        threads=4,
        budget=Budget(kind="steps", size=1),
        span=Span(start=0, tokens=1, bytes=1),
    )


def losses(network: Network, dtype: torch.dtype) -> list[float]:
    device = network.embedding.device
    optimizer = MasterAdamW(network, CFG, dtype, join_megatron(1, 1, 0, device))
    found = []
    for step in range(20):
        generator = torch.Generator().manual_seed(step % 5)
        ids = torch.randint(SHAPE.vocab, (4, SHAPE.seq_len + 1), generator=generator).to(device)
        loss = network.mean_nats(ids)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(2e-4)  # at 1e-3 without a warmup the loss jumps, and differences of 1e-6 grow with it
        found.append(loss.item())
    return found
