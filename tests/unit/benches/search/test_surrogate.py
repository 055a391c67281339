"""The surrogate against the truth that its table was drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from autoresearch.benches.search.surrogate import Scale, fit_surrogate, spearman
from tests.unit.benches.search.conftest import draw, fitted_to, truth


@pytest.fixture(scope="module")
def fitted(measured, tmp_path_factory):
    return fitted_to(measured, tmp_path_factory.mktemp("surrogate"))


def test_it_knows_means_and_crashes_that_it_has_not_seen(fitted):
    surrogate, quality = fitted
    rng = np.random.default_rng(99)
    cfgs = [draw(rng) for _ in range(200)]
    truths = [truth(cfg) for cfg in cfgs]
    right = [surrogate.fails(cfg) == (value is None) for cfg, value in zip(cfgs, truths, strict=True)]
    assert np.mean(right) > 0.9
    ran = [(surrogate.mean(cfg), value) for cfg, value in zip(cfgs, truths, strict=True) if value is not None]
    found, expected = np.array(ran).T
    assert spearman(found, expected) > 0.95
    assert np.abs(found - expected).mean() < 0.02
    assert quality.spearman > 0.9
    assert quality.crash_accuracy > 0.85
    assert 0 < quality.mae < 0.02


def test_the_noise_is_that_of_the_repeats_and_the_same_for_all(fitted):
    surrogate, _ = fitted
    cfg = {"rate": 0.05, "width": 8, "depth": 5, "kind": "b"}
    draws = [surrogate.draw(cfg, seed) for seed in range(200)]
    assert surrogate.are_measured
    assert draws == [surrogate.draw(cfg, seed) for seed in range(200)]
    assert {round(d - surrogate.mean(cfg), 9) for d in draws} <= {round(r, 9) for r in surrogate.residuals}
    assert len(set(draws)) > 20


def test_without_repeats_the_noise_is_the_models_own_and_it_says_so(read, measured):
    once = {str(r["cfg"]): r for r in measured}
    surrogate, _ = fit_surrogate(read(list(once.values())))
    assert not surrogate.are_measured
    assert 0 < surrogate.residuals.std() < 0.05


def test_a_table_without_crashes_has_none(read, measured):
    surrogate, quality = fit_surrogate(read([r for r in measured if r["value"] is not None]))
    assert quality.crash_accuracy == 1.0
    assert not surrogate.fails({"rate": 0.1, "width": 16, "depth": 9, "kind": "a"})


def test_flops_are_learned_where_the_table_has_them(read, measured):
    given = [{**r, "flops": 1e6 * r["cfg"]["width"] * r["cfg"]["depth"]} for r in measured]
    surrogate, _ = fit_surrogate(read(given))
    assert surrogate.flops({"rate": 0.1, "width": 8, "depth": 4, "kind": "a"}) == pytest.approx(32e6, rel=0.15)


def test_the_scale_goes_there_and_back():
    values = np.array([0.97, 0.99, 1.2, 7.0])
    scale = Scale.of(values)
    np.testing.assert_allclose(scale.back(scale.forward(values)), values)
    assert np.diff(scale.forward(values))[-1] < np.diff(values)[-1] / scale.soft


def test_spearman_by_hand():
    assert spearman(np.array([1, 2, 3, 4]), np.array([1, 2, 4, 3])) == pytest.approx(0.8)
    assert spearman(np.array([1, 1, 2]), np.array([5, 5, 9])) == pytest.approx(1.0)
    assert spearman(np.array([1, 1, 1]), np.array([5, 6, 9])) == 0.0
