"""What Muon costs beside the model's own work, by arithmetic (no torch): its steps multiply matrices.

The work per step does not depend on the batch: 43% of the model's own at the baseline of profile tiny, with its 512
tokens, and 19% at the origin's, with 16,384.
"""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.trials.model_shape import ModelShape

NEWTON_SCHULZ_STEPS = 5


def muon_flops(shape: ModelShape) -> int:
    """FLOPs of the orthogonalisation in one optimizer step.

    Per Newton-Schulz step of an ``m x n`` matrix, ``m <= n``: X X^T and its product with X take 2 m^2 n each, the
    square of the ``m x m`` matrix 2 m^3. Work per element, such as momentum, is not counted, as for AdamW.
    """
    return sum(NEWTON_SCHULZ_STEPS * (4 * m * m * n + 2 * m**3) for m, n in _hidden_matrices(shape))


def muon_params(shape: ModelShape) -> int:
    """The parameters that Muon updates: the matrices of the layers."""
    return sum(m * n for m, n in _hidden_matrices(shape))


def muon_elements(shape: ModelShape) -> int:
    """The elements that one orthogonalisation holds at most: four of the matrix's size, two of its Gram matrix's."""
    return max(4 * m * n + 2 * m * m for m, n in _hidden_matrices(shape))


def _hidden_matrices(shape: ModelShape) -> Iterator[tuple[int, int]]:
    """The smaller and the larger dimension of each: q, k, v and the attention's output; the two of the MLP."""
    d, f = shape.d_model, shape.d_ff
    for _ in range(shape.n_layer):
        yield from [(d, d)] * 4 + [(min(d, f), max(d, f))] * 2
