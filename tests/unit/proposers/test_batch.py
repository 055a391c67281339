"""What the trust region's model takes for known of pending candidates."""

from __future__ import annotations

import numpy as np

from autoresearch.proposers.batch import NEAR, believe, is_beside
from autoresearch.proposers.gaussian_process import Hyper, fit


def test_a_believed_candidate_changes_no_mean_and_lowers_the_uncertainty_beside_it() -> None:
    rng = np.random.default_rng(0)
    points, pending, at = rng.random((12, 3)), rng.random((5, 3)), rng.random((40, 3))
    process = fit(points, points.sum(axis=1), np.ones(12), Hyper.start(3))
    believed = believe(process, pending)
    before, after = process.predict(at), believed.predict(at)
    np.testing.assert_allclose(after[0], before[0])
    assert (after[1] <= before[1] + 1e-9).all()
    assert (believed.predict(pending)[1] < 0.9 * process.predict(pending)[1]).all()
    assert believe(process, np.empty((0, 3))) is process


def test_beside_is_close_to_one_or_of_the_knobs_of_most() -> None:
    own = np.zeros(3)
    pending = np.array([[0.1, 0, 0], [0.3, 0, 0], [0, 0.5, 0], [0, 0.2, 0.2]])
    assert is_beside(np.array([0.1 + NEAR / 2, 0, 0]), pending, own)
    assert is_beside(np.array([0.9, 0, 0]), pending, own)
    assert not is_beside(np.array([0, 0, 0.9]), pending, own)
    assert not is_beside(np.array([0.9, 0, 0]), pending[:3], own)
    assert not is_beside(own, np.empty((0, 3)), own)
