"""The process against arithmetic that shares no code with it, and what it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autoresearch.proposers.gaussian_process import Hyper, _slope, fit, matern, maximise

RNG = np.random.default_rng(0)
POINTS = RNG.random((25, 3))
VALUES = np.sin(4 * POINTS[:, 0]) + 0.5 * POINTS[:, 1]  # the third coordinate does not matter
ONES = np.ones(25)


def test_the_covariance_is_the_formula():
    hyper = Hyper(np.log([0.5, 1.0, 2.0]), math.log(3.0), -4.0)
    a, b = POINTS[:1], POINTS[1:2]
    r = math.sqrt(sum(((x - y) / length) ** 2 for x, y, length in zip(a[0], b[0], (0.5, 1.0, 2.0), strict=True)))
    expected = 3.0 * (1 + math.sqrt(5) * r + 5 * r * r / 3) * math.exp(-math.sqrt(5) * r)
    assert matern(a, b, hyper)[0, 0] == pytest.approx(expected)
    assert matern(a, a, hyper)[0, 0] == pytest.approx(3.0)


def log_posterior(theta, points, values):
    """By the textbook: log marginal likelihood plus the logarithms of the priors, up to a constant."""
    hyper = Hyper(theta[:-2], theta[-2], theta[-1])
    covariance = matern(points, points, hyper) + np.eye(len(points)) * (math.exp(theta[-1]) + 1e-5)
    fitted = -0.5 * values @ np.linalg.solve(covariance, values) - 0.5 * np.linalg.slogdet(covariance)[1]
    median = math.log(0.5 * math.sqrt(points.shape[1]))
    prior = -0.5 * ((theta[:-2] - median) ** 2).sum() - 0.5 * theta[-2] ** 2
    return fitted + prior - 0.5 * ((theta[-1] - math.log(0.05)) / 1.5) ** 2


def test_the_gradient_is_that_of_the_log_posterior():
    theta = np.array([-0.3, 0.2, 0.5, 0.1, -2.0])
    standard = (VALUES - VALUES.mean()) / VALUES.std()
    squares = ((POINTS[:, None, :] - POINTS[None, :, :]) ** 2).reshape(-1, 3)
    found = _slope(theta, squares, standard, ONES)
    for place in range(5):
        step = np.zeros(5)
        step[place] = 1e-5
        ends = [log_posterior(theta + sign * step, POINTS, standard) for sign in (1, -1)]
        assert found[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-4)


def test_it_predicts_what_it_has_not_seen_and_finds_the_coordinate_that_does_not_matter():
    process = fit(POINTS, VALUES, ONES)
    at = np.random.default_rng(1).random((50, 3))
    truth = np.sin(4 * at[:, 0]) + 0.5 * at[:, 1]
    mean, sd = process.predict(at)
    assert np.abs(mean - truth).mean() < 0.1 * truth.std()
    np.testing.assert_allclose(mean, process.mean_at(at))
    assert (sd > 0).all()
    assert process.relevance[2] < 0.3 * process.relevance[0]


def test_it_is_uncertain_far_from_everything():
    process = fit(POINTS, VALUES, ONES)
    near, far = process.predict(POINTS[:1])[1][0], process.predict(np.full((1, 3), 9.0))[1][0]
    assert far > 5 * near


def test_one_outlier_moves_the_mean_beside_it_little():
    spoiled = VALUES.copy()
    spoiled[7] -= 20 * VALUES.std()
    hyper = maximise(POINTS, (VALUES - VALUES.mean()) / VALUES.std(), ONES, ONES)
    clean = fit(POINTS, VALUES, ONES, hyper).mean_at(POINTS[7:8])[0]
    moved = fit(POINTS, spoiled, ONES, hyper).mean_at(POINTS[7:8])[0]
    assert abs(moved - clean) < 10 * VALUES.std()


def test_a_mean_of_many_trials_counts_more_than_one():
    points, values = np.array([[0.5], [0.5]]), np.array([1.0, 0.0])
    hyper = Hyper(np.zeros(1), 0.0, 0.0)
    assert fit(points, values, np.array([9.0, 1.0]), hyper).mean_at(points[:1])[0] > 0.5


@pytest.mark.parametrize("values", [np.zeros(1), np.zeros(3), np.array([1.0, 1.0, 1.0])])
def test_values_without_a_spread_are_no_problem(values):
    process = fit(POINTS[: len(values)], values, np.ones(len(values)))
    mean, sd = process.predict(POINTS)
    assert np.isfinite(mean).all()
    assert np.isfinite(sd).all()
