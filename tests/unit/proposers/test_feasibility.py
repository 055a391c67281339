"""Where configurations fail."""

from __future__ import annotations

import numpy as np

from autoresearch.proposers.feasibility import learn_feasibility

CENTRE = np.full(6, 0.5)


def test_without_a_failure_the_doubt_grows_with_the_distance():
    model = learn_feasibility(CENTRE, CENTRE[None], np.zeros(1))
    near, far = CENTRE + 0.02, CENTRE + 0.5
    chance = model.failure(np.array([CENTRE, near, far]))
    assert chance[0] < 0.08
    assert chance[0] < chance[1] < chance[2] < 0.55


def test_it_learns_a_threshold_of_two_knobs_and_which_they_are():
    rng = np.random.default_rng(0)
    points = rng.random((120, 6))
    failed = (points[:, 0] + points[:, 1] > 1.2).astype(float)
    model = learn_feasibility(CENTRE, points, failed)
    at = rng.random((500, 6))
    truth = at[:, 0] + at[:, 1] > 1.2
    assert ((model.failure(at) > 0.5) == truth).mean() > 0.9
    other = CENTRE + np.array([0, 0, 0.4, 0.4, 0, 0])
    along = CENTRE + np.array([0.4, 0.4, 0, 0, 0, 0])
    assert model.failure(along[None])[0] > 3 * model.failure(other[None])[0]


def test_it_is_finite_where_every_trial_failed():
    points = np.random.default_rng(0).random((30, 6))
    assert np.isfinite(learn_feasibility(CENTRE, points, np.ones(30)).failure(points)).all()
