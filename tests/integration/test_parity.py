"""Trainer torch and trainer megatron train the same model: the same weights, logits, losses and val_bpb."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from autoresearch.training.models.gpt_megatron import MegatronGPT
from autoresearch.training.models.gpt_torch import GPT
from autoresearch.training.models.network import Network
from autoresearch.training.models.weight_mapping import from_megatron, to_megatron
from autoresearch.training.optimizer import MasterAdamW
from autoresearch.training.parallel.ranks import Ranks, join_megatron
from autoresearch.trials.model_shape import ModelShape

CPU = torch.device("cpu")
BYTES = ModelShape(n_layer=2, n_head=4, d_model=64, d_ff=128, seq_len=32, vocab=257)
BPE = ModelShape(n_layer=3, n_head=2, d_model=48, d_ff=96, seq_len=24, vocab=2048)
ORIGIN = ModelShape(n_layer=24, n_head=16, d_model=1024, d_ff=4096, seq_len=1024, vocab=50257)
CFG = {"lr": 2e-3, "beta1": 0.9, "beta2": 0.95, "weight_decay": 0.1, "grad_clip": 1.0}


@pytest.fixture(autouse=True, scope="module")
def deterministic() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def ranks() -> Ranks:
    return join_megatron(1, 1, 0, CPU)


def megatron(shape: ModelShape, ranks: Ranks, precision: str = "fp32") -> MegatronGPT:
    return MegatronGPT(shape, precision, CPU, ranks, "tensorwise")


def ids_of(shape: ModelShape, seed: int = 0, batch: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(shape.vocab, (batch, shape.seq_len + 1), generator=generator)


def shaken(shape: ModelShape) -> GPT:
    """A GPT whose every weight matters: LayerNorm's gains and biases too are far from one and zero."""
    gpt = GPT.drawn(shape, 5, CPU)
    with torch.no_grad():
        for n, weight in enumerate(gpt.parameters()):
            weight.add_(0.2 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(n)))
    return gpt


def losses(network: Network, dtype: torch.dtype, ranks: Ranks, steps: int) -> NDArray[np.float64]:
    optimizer = MasterAdamW(network, CFG, dtype, ranks)
    found = []
    for step in range(steps):
        loss = network.mean_nats(ids_of(network.shape, seed=step % 5))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(lr=2e-3 * (1 - step / steps))
        found.append(loss.item())
    return np.array(found)


@pytest.mark.parametrize("shape", [BYTES, BPE], ids=["bytes", "bpe"])
class TestCopiedWeights:
    def test_give_the_same_logits(self, shape: ModelShape, ranks: Ranks) -> None:
        plain, theirs = shaken(shape), megatron(shape, ranks)
        to_megatron(plain, theirs.gpt)
        ids = ids_of(shape)[:, :-1]
        with torch.no_grad():
            ours = plain(ids)
            assert torch.allclose(ours, theirs(ids), atol=1e-5, rtol=1e-5)
            assert ours.std() > 0.5, "logits that say something"

    def test_give_the_logits_that_gptmodels_own_forward_pass_gives(self, shape: ModelShape, ranks: Ranks) -> None:
        theirs = megatron(shape, ranks)
        to_megatron(shaken(shape), theirs.gpt)
        ids = ids_of(shape)[:, :-1]
        positions = torch.arange(shape.seq_len).expand_as(ids)
        with torch.no_grad():
            assert torch.allclose(theirs.gpt(ids, positions, None), theirs(ids), atol=1e-5, rtol=1e-5)

    def test_come_back_as_they_were(self, shape: ModelShape, ranks: Ranks) -> None:
        plain, theirs, back = shaken(shape), megatron(shape, ranks), GPT.drawn(shape, 9, CPU)
        to_megatron(plain, theirs.gpt)
        from_megatron(theirs.gpt, back)
        for (name, weight), other in zip(plain.named_parameters(), back.parameters(), strict=True):
            assert torch.equal(weight, other), name

    def test_train_to_the_same_losses(self, shape: ModelShape, ranks: Ranks) -> None:
        ours = losses(GPT.drawn(shape, 1, CPU), torch.float32, ranks, 50)
        theirs = losses(megatron(shape, ranks).initialise(1), torch.float32, ranks, 50)
        assert np.abs(ours - theirs).max() < 1e-5
        assert ours[-1] < ours[0]

    def test_train_to_nearly_the_same_losses_in_bf16(self, shape: ModelShape, ranks: Ranks) -> None:
        ours = losses(GPT.drawn(shape, 1, CPU), torch.bfloat16, ranks, 20)
        theirs = losses(megatron(shape, ranks, "bf16").initialise(1), torch.bfloat16, ranks, 20)
        assert np.abs(ours - theirs).max() < 0.02

    def test_are_cut_into_shares_that_make_up_the_whole(self, shape: ModelShape, ranks: Ranks) -> None:
        """Two tensor ranks' shares, put side by side, are the matrices; what is not split is on both."""
        plain = shaken(shape)
        halves = [half_of(shape, rank, plain) for rank in (0, 1)]
        whole = megatron(shape, ranks)
        to_megatron(plain, whole.gpt)
        for name, weight in whole.gpt.named_parameters():
            one, two = (half[name] for half in halves)
            if one.shape == weight.shape:
                assert torch.equal(one, weight)
                assert torch.equal(two, weight)
                continue
            dim = next(d for d in range(2) if one.shape[d] != weight.shape[d])
            both = torch.cat((one, two), dim)
            assert torch.equal(both.narrow(dim, 0, weight.shape[dim]), weight)
            assert not both.narrow(dim, weight.shape[dim], both.shape[dim] - weight.shape[dim]).any(), (
                "filled with zero"
            )


def half_of(shape: ModelShape, rank: int, plain: GPT) -> dict[str, torch.Tensor]:
    """Tensor rank ``rank`` of two as a bag of weights of Megatron's names and sizes."""
    whole = MegatronGPT(shape, "fp32", CPU, Ranks(), "tensorwise").gpt
    bag = torch.nn.Module()
    dims = {"word_embeddings": 0, "linear_qkv": 0, "linear_fc1": 0, "linear_proj": 1, "linear_fc2": 1}
    weights = {}
    for name, weight in whole.named_parameters():
        dim = next((d for part, d in dims.items() if part in name), None)
        size = list(weight.shape)
        if dim is not None:
            size[dim] = -(-size[dim] // 2)
        weights[name] = torch.nn.Parameter(torch.empty(size))
    bag.named_parameters = lambda: iter(weights.items())  # type: ignore[assignment, return-value, method-assign]
    to_megatron(plain, bag, rank, 2)
    return {name: w.detach() for name, w in weights.items()}


def test_the_origins_baseline_has_its_354_million_parameters(ranks: Ranks) -> None:
    with torch.device("meta"):
        ours, theirs = GPT(ORIGIN), megatron(ORIGIN, ranks)
    for network in (ours, theirs):
        assert sum(p.numel() for p in network.parameters()) == ORIGIN.params == 354_601_984


def test_both_begin_with_the_weights_of_the_seed(ranks: Ranks) -> None:
    plain, back = GPT.drawn(BYTES, 3, CPU), GPT.drawn(BYTES, 4, CPU)
    from_megatron(megatron(BYTES, ranks).initialise(3).gpt, back)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), back.parameters(), strict=True))


def test_a_weight_that_has_no_counterpart_is_named(ranks: Ranks) -> None:
    theirs = megatron(BYTES, ranks).gpt
    theirs.decoder.extra = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"decoder\.extra"):
        to_megatron(shaken(BYTES), theirs)
    with pytest.raises(ValueError, match=r"no weight decoder\.layers\.2"):
        to_megatron(shaken(ModelShape(3, 4, 64, 128, 32, 257)), megatron(BYTES, ranks).gpt)
