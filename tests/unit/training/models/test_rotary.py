"""The rotary embedding against complex multiplication, and its law: scores depend on the distance alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.training.models.rotary import rotary_tables, rotate

widths = st.integers(1, 32).map(lambda half: 2 * half)


@given(widths, st.integers(1, 40), st.integers(0, 2**32))
def test_it_multiplies_pairs_by_complex_phases(width: int, seq: int, seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(2, 3, seq, width))
    frequencies = 10000.0 ** -(np.arange(width // 2) * 2 / width)
    phases = np.exp(1j * np.arange(seq)[:, None] * frequencies[None])
    expected = (x[..., : width // 2] + 1j * x[..., width // 2 :]) * phases
    got = rotate(torch.from_numpy(x), rotary_tables(seq, width, torch.empty(0, dtype=torch.float64))).numpy()
    np.testing.assert_allclose(got[..., : width // 2], expected.real, atol=1e-4)
    np.testing.assert_allclose(got[..., width // 2 :], expected.imag, atol=1e-4)


@given(widths, st.integers(0, 2**32))
def test_lengths_stay_and_scores_depend_on_the_distance(width: int, seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    q, k = (torch.randn(width, generator=draw, dtype=torch.float64).expand(1, 1, 9, width) for _ in range(2))
    tables = rotary_tables(9, width, q)
    q, k = rotate(q, tables), rotate(k, tables)
    norms = q.norm(dim=-1)
    torch.testing.assert_close(norms, norms[..., :1].expand_as(norms), rtol=1e-5, atol=1e-6)
    scores = (q @ k.mT)[0, 0]
    for distance in range(-8, 9):
        along = scores.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_tables_are_those_of_fp32_rounded(dtype: torch.dtype) -> None:
    """At position 2,047 an angle in bf16 would be off by more than a turn."""
    cos, sin = rotary_tables(2048, 64, torch.empty(0, dtype=dtype))
    angle = 2047 * 10000.0 ** -(2 * 3 / 64)
    assert cos.dtype == sin.dtype == dtype
    assert (float(cos[2047, 3]), float(sin[2047, 3])) == pytest.approx((np.cos(angle), np.sin(angle)), abs=5e-3)
