"""Timing without torch: what is alternated, what is left out, and what the figures are made of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from autoresearch.core.speeds import Speed, Timing
from autoresearch.data.batches import batches
from autoresearch.data.corpus import Corpus
from autoresearch.data.span import Span
from autoresearch.training.profiling import step_timing
from autoresearch.training.profiling.step_timing import Stopwatch, measure_speed, random_batches, summarise
from autoresearch.training.train import NonFiniteLossError
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import Budget, TrialSpec

CFG: dict[str, Any] = {
    "n_layer": 1, "n_head": 2, "d_model": 32, "d_ff": 64, "lr": 3e-3, "lr_warmup": 2, "grad_clip": 1.0,
    "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.95, "batch_size": 4, "seq_len": 64, "precision": "fp32",
}  # fmt: skip


class Counting:
    """A model that remembers what it was asked for; its losses arrive two steps late, as a GPU's do."""

    device_name = "fake"

    def __init__(self, loss: Callable[[int], float] = lambda _n: 1.0) -> None:
        self.batches: list[np.ndarray] = []
        self.lrs: list[float] = []
        self.log: list[str] = []
        self.late: list[float] = []
        self.loss = loss

    def warm_up(self, batch: np.ndarray) -> None:
        self.log.append("warm up")

    def step(self, batch: np.ndarray, lr: float) -> None:
        self.batches.append(batch)
        self.lrs.append(lr)
        self.log.append("step")
        self.late.append(self.loss(len(self.batches)))

    def losses(self, wait_for_all: bool = False) -> list[float]:
        if wait_for_all:
            self.log.append("wait")
        n = len(self.late) if wait_for_all else max(0, len(self.late) - 2)
        arrived, self.late = self.late[:n], self.late[n:]
        return arrived

    def peak_bytes(self) -> int:
        return 12345

    def nats(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is scored")


def spec(corpus: Path, **changes: Any) -> TrialSpec:
    return TrialSpec(
        cfg={**CFG, **changes}, seed=3, corpus=str(corpus), trainer="torch", device="cpu", threads=1,
        budget=Budget(kind="steps", size=10), span=Span(start=0, tokens=1, bytes=1),
    )  # fmt: skip


def measured(
    corpus: Path, model: Any, steps: int = 12, energy: Any = lambda: None, min_energy_s: float = 2.0, **changes: Any
) -> Speed:
    how = (Timing(steps=steps), lambda *_: None, energy)
    return measure_speed(spec(corpus, **changes), Corpus.open(corpus), model, *how, min_energy_s=min_energy_s)


def is_text(batch: np.ndarray, real: list[np.ndarray]) -> bool:
    return any(np.array_equal(batch, r) for r in real)


class TestBlocks:
    def test_both_kinds_alternate_and_change_places_each_round(self, small_corpus: Path) -> None:
        model = Counting()
        measured(small_corpus, model, steps=12)
        opened = Corpus.open(small_corpus)
        real = list(itertools.islice(batches(opened.split("train"), 3, 4, 64), 15))
        kinds = ["real" if is_text(b, real) else "random" for b in model.batches]
        warm = ["random"] * 2 + ["real"] * 2
        sizes = [3, 3, 2, 2, 2]
        rounds = [
            [first] * n + [second] * n
            for n, (first, second) in zip(sizes, itertools.cycle([("random", "real"), ("real", "random")]))
        ]
        assert kinds == [*warm, *itertools.chain.from_iterable(rounds)]

    def test_each_block_ends_when_the_device_has_done_it(self, small_corpus: Path) -> None:
        model = Counting()
        measured(small_corpus, model, steps=5)
        blocks = "".join({"warm up": "w", "step": "s", "wait": "|"}[word] for word in model.log)
        assert blocks == "w" + "ss|ss|" + "s|" * 10

    def test_nothing_is_learned(self, small_corpus: Path) -> None:
        model = Counting()
        measured(small_corpus, model)
        assert set(model.lrs) == {0.0}

    def test_the_real_batches_are_the_trials_own_in_its_order(self, small_corpus: Path) -> None:
        """The first one warms up; then they come as in a trial."""
        model = Counting()
        measured(small_corpus, model, steps=2)
        real = list(itertools.islice(batches(Corpus.open(small_corpus).split("train"), 3, 4, 64), 5))
        assert [b.tobytes() for b in model.batches if is_text(b, real)] == [r.tobytes() for r in real[1:]]

    @pytest.mark.parametrize(("steps", "blocks"), [(1, [1]), (3, [1, 1, 1]), (12, [3, 3, 2, 2, 2]), (20, [4] * 5)])
    def test_steps_are_shared_out_over_the_rounds(self, steps: int, blocks: list[int]) -> None:
        assert Timing(steps=steps).blocks == blocks

    @pytest.mark.parametrize("steps", [0, -1, 100_001])
    def test_how_many_steps_is_bounded(self, steps: int) -> None:
        with pytest.raises(ValidationError):
            Timing(steps=steps)


class TestRandomTokens:
    def test_they_have_the_corpus_frequencies_and_no_order(self) -> None:
        tokens = np.repeat(np.array([7, 9], np.uint16), [90_000, 10_000])
        drawn = np.stack(random_batches(tokens, 0, 16, 127))
        assert drawn.shape == (step_timing.RANDOM_BATCHES, 16, 128)
        assert drawn.dtype == np.int64
        assert (drawn == 7).mean() == pytest.approx(0.9, abs=0.02)
        assert 0.1 < (np.diff(drawn.astype(int), axis=-1) != 0).mean() < 0.26

    def test_a_seed_draws_the_same_again(self) -> None:
        tokens = np.arange(1000, dtype=np.uint16)
        one, again, other = (np.stack(random_batches(tokens, seed, 2, 8)) for seed in (1, 1, 2))
        assert (one == again).all()
        assert (one != other).any()


class TestFigures:
    def test_they_come_from_the_medians_and_the_cost_from_each_round(self) -> None:
        watch = Stopwatch(Counting(), lambda *_: None, 1, {})
        watch.step_s = {"random": [1.0, 2.0, 9.0], "real": [2.0, 2.5, 9.0]}
        watch.batch_s = {"random": [0.0] * 3, "real": [0.001, 0.002, 0.009]}
        s = summarise(watch, steps=3, tokens_per_step=100, flops_per_token=7)
        assert (s.random_tokens_per_s, s.real_tokens_per_s) == (50.0, 40.0)
        assert (s.random_step_ms, s.real_step_ms, s.batch_ms) == (2000.0, 2500.0, 2.0)
        assert s.data_path_frac == pytest.approx(0.2)  # of 0.5, 0.2 and 0
        assert s.data_path_spread == pytest.approx(0.25)
        assert (s.random_rounds_ms, s.real_rounds_ms) == ((1000.0, 2000.0, 9000.0), (2000.0, 2500.0, 9000.0))

    def test_they_belong_to_the_configuration(self, small_corpus: Path) -> None:
        s = measured(small_corpus, Counting())
        assert (s.steps, s.peak_bytes, s.device, len(s.real_rounds_ms)) == (12, 12345, "fake", 5)
        assert s.flops_per_token == ModelShape.of(CFG, Corpus.open(small_corpus).vocab).flops_per_token
        assert (s.energy_j, s.watts, s.tokens_per_joule) == (None, None, None)
        assert s.batch_ms <= s.real_step_ms

    def test_a_whole_speed_survives_its_journey(self, small_corpus: Path) -> None:
        s = measured(small_corpus, Counting())
        assert Speed.model_validate_json(s.model_dump_json()) == s


class TestEnergy:
    def test_joules_are_of_the_timed_steps_of_both_kinds(self, small_corpus: Path) -> None:
        readings = iter([1000.0, 1064.0])
        s = measured(small_corpus, Counting(), steps=8, energy=lambda: next(readings), min_energy_s=0.0)
        assert s.energy_j == 64.0
        assert s.tokens_per_joule == 2 * 8 * 4 * 64 / 64
        assert s.watts is not None
        assert s.watts > 64

    def test_in_too_short_a_time_the_counter_says_nothing(self, small_corpus: Path) -> None:
        readings = iter([1000.0, 1064.0])
        assert measured(small_corpus, Counting(), energy=lambda: next(readings)).energy_j is None

    @pytest.mark.parametrize("readings", [(None, 5.0), (5.0, None), (5.0, 5.0), (5.0, 4.0)])
    def test_a_counter_that_is_lost_or_stands_still_gives_no_energy(self, small_corpus: Path, readings: Any) -> None:
        reading = iter(readings)
        s = measured(small_corpus, Counting(), energy=lambda: next(reading), min_energy_s=0.0)
        assert (s.energy_j, s.watts, s.tokens_per_joule) == (None, None, None)


class TestFailures:
    def test_a_loss_that_is_not_finite_ends_it(self, small_corpus: Path) -> None:
        with pytest.raises(NonFiniteLossError, match="step 7"):
            measured(small_corpus, Counting(lambda n: math.nan if n == 7 else 1.0))

    def test_a_sequence_longer_than_the_corpus_is_named(self, small_corpus: Path) -> None:
        with pytest.raises(ValueError, match="fewer than one sequence"):
            measured(small_corpus, Counting(), seq_len=10**7)


def test_progress_ends_at_the_whole(small_corpus: Path) -> None:
    reported: list[tuple[str, float]] = []
    opened = Corpus.open(small_corpus)
    report = lambda phase, fraction, *_: reported.append((phase, fraction))  # noqa: E731
    measure_speed(spec(small_corpus), opened, Counting(), Timing(steps=5), report, lambda: None, report_every_s=0.0)
    fractions = [fraction for _, fraction in reported]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert {phase for phase, _ in reported} == {"random tokens", "real tokens"}
