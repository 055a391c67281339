"""The chunked cross-entropy is torch's own, value and gradients, however it is cut."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from autoresearch.training.models import cross_entropy
from autoresearch.training.models.cross_entropy import mean_nats, token_nats


@pytest.fixture(params=[1, 64], ids=lambda n: f"rows-padded-to-multiples-of-{n}", autouse=True)
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on the CPU, and as on CUDA."""
    monkeypatch.setattr(cross_entropy, "row_multiple", lambda _device: request.param)


@pytest.fixture(params=[1, 7, 64, 1000], ids=lambda n: f"chunks-of-{n}")
def chunk(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def tensors(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(65, 24, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(101, 24, generator=generator).to(dtype).requires_grad_()
    return hidden, weight, torch.randint(101, (65,), generator=generator)


class TestChunks:
    def test_the_loss_and_its_gradients_are_those_of_plain_torch(self, chunk: int) -> None:
        hidden, weight, targets = tensors()
        expected = F.cross_entropy(F.linear(hidden, weight), targets)
        gradients = torch.autograd.grad(3 * expected, (hidden, weight))
        found = mean_nats(hidden, weight, targets, chunk)
        assert torch.allclose(found, expected, atol=1e-6)
        for mine, theirs in zip(torch.autograd.grad(3 * found, (hidden, weight)), gradients, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-6)

    def test_a_target_whose_probability_underflows_keeps_its_loss_and_gradients(self, chunk: int) -> None:
        hidden, weight, targets = tensors()
        with torch.no_grad():
            hidden *= 40
        expected = F.cross_entropy(F.linear(hidden, weight), targets)
        assert torch.softmax(F.linear(hidden, weight), -1).gather(1, targets[:, None]).min() == 0
        gradients = torch.autograd.grad(expected, (hidden, weight))
        found = mean_nats(hidden, weight, targets, chunk)
        assert torch.allclose(found, expected, rtol=1e-6)
        for mine, theirs in zip(torch.autograd.grad(found, (hidden, weight)), gradients, strict=True):
            assert torch.allclose(mine, theirs, atol=1e-5)

    def test_each_tokens_nats_are_those_of_plain_torch(self, chunk: int) -> None:
        hidden, weight, targets = tensors()
        expected = F.cross_entropy(F.linear(hidden, weight), targets, reduction="none")
        assert torch.allclose(token_nats(hidden, weight, targets, chunk), expected, atol=1e-5)

    def test_in_bf16_the_loss_is_summed_in_fp32(self, chunk: int) -> None:
        hidden, weight, targets = tensors(torch.bfloat16)
        expected = F.cross_entropy(F.linear(hidden, weight).float(), targets)
        found = mean_nats(hidden, weight, targets, chunk)
        assert found.dtype == torch.float32
        assert torch.allclose(found, expected, atol=1e-5)
        d_hidden, d_weight = torch.autograd.grad(found, (hidden, weight))
        theirs = torch.autograd.grad(expected, (hidden, weight))
        assert torch.allclose(d_hidden.float(), theirs[0].float(), atol=2e-3)
        assert torch.allclose(d_weight.float(), theirs[1].float(), atol=2e-3)


def test_a_target_of_minus_one_does_not_change_the_others() -> None:
    hidden, weight, targets = tensors()
    some = targets.clone()
    some[::2] = -1
    assert torch.equal(token_nats(hidden, weight, some)[1::2], token_nats(hidden, weight, targets)[1::2])


def test_an_infinite_logit_gives_a_loss_that_is_not_finite() -> None:
    hidden, weight, targets = tensors()
    with torch.no_grad():
        hidden[3] = torch.inf
    assert not torch.isfinite(mean_nats(hidden, weight, targets))
