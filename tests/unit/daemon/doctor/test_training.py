"""Corpus, trainer, memory and yardstick: the training side of a night."""

from __future__ import annotations

import random
import shutil
import string
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Event, Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.backend import baseline_spec, build_estimator, build_yardstick
from autoresearch.daemon.doctor import training
from autoresearch.daemon.doctor.check import ok
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.service import build_meta
from autoresearch.data.corpus import Corpus
from autoresearch.data.document import Document
from autoresearch.data.prepare import prepare
from autoresearch.data.span import Span
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.trials.spec import Device
from tests.unit.daemon.doctor.conftest import HERE


class TestCorpus:
    def poll(self, settings: Settings) -> Any:
        return training.corpus(settings, build_policy(settings))

    def test_a_prepared_one_is_read_to_its_last_byte(self, healthy) -> None:
        check, corpus, span = self.poll(healthy())
        assert (check.state, check.facts["vocab"]) == ("ok", 257)
        assert check.facts["sha256"] == corpus.sha256
        assert span.tokens > 0

    @pytest.mark.parametrize(("copied", "state"), [(0, "ok"), (40, "ok"), (400, "warn")])
    def test_validation_text_in_train_is_reported_with_its_share(
        self, make_settings, tmp_path: Path, copied: int, state: str
    ) -> None:
        rng = random.Random(0)
        texts = ["".join(rng.choices(string.ascii_lowercase, k=900)) for _ in range(800)]
        texts += [text.replace("e", "e ") for text in texts[:copied]]
        documents = [Document(str(i), text) for i, text in enumerate(texts)]
        prepare(documents, tmp_path / "c", names=["x"], tokenizer=TokenizerSpec("byte"))
        check, corpus, _ = self.poll(make_settings({"eval.bytes": 2048}, corpus=str(tmp_path / "c")))
        assert check.state == state
        assert check.facts["val_overlap"] == corpus.val_overlap
        assert f"{corpus.val_overlap:.1%} of validation occurs verbatim in train" in check.found
        assert bool(copied) == bool(corpus.val_overlap)

    def test_a_corpus_of_an_earlier_version_has_no_share(self, make_settings, small_corpus, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(small_corpus, tmp_path / "corpus"))
        older = Corpus.open(copy).manifest.model_copy(update={"preparation": None}).sealed()
        (copy / "manifest.json").write_bytes(older.to_json())
        assert b"preparation" not in older.to_json()
        check, _, _ = self.poll(make_settings({"eval.bytes": 2048}, corpus=str(copy)))
        assert (check.state, check.facts["val_overlap"]) == ("ok", None)
        assert "an earlier version prepared it" in check.found

    def test_the_standard_library_is_prepared_when_the_run_begins(self, make_settings) -> None:
        check, corpus, span = self.poll(make_settings(corpus="stdlib"))
        assert (check.state, corpus, span) == ("ok", None, None)
        assert "prepared when the run begins" in check.found

    def test_the_standard_library_once_it_is_prepared(self, make_settings, small_corpus: Path) -> None:
        settings = make_settings({"tokenizer.kind": "byte"}, corpus="stdlib")
        shutil.copytree(small_corpus, settings.run_dir / "corpus")
        check, corpus, _ = self.poll(settings)
        assert (check.state, corpus.path) == ("ok", settings.run_dir / "corpus")

    def test_the_standard_library_with_another_tokenizer_than_now_is_78(self, make_settings, small_corpus) -> None:
        settings = make_settings({"tokenizer.kind": "bpe"}, corpus="stdlib")
        shutil.copytree(small_corpus, settings.run_dir / "corpus")
        check, corpus, _ = self.poll(settings)
        assert (check.state, check.exit_code, corpus) == ("fail", 78, None)
        assert "was tokenized with byte of 257 ids" in check.found

    def test_none_at_all_is_78(self, make_settings) -> None:
        check, _, _ = self.poll(make_settings(profile="h100-354m"))
        assert (check.state, check.exit_code) == ("fail", 78)
        assert "autoresearch prepare" in check.hint

    def test_one_that_is_not_there_is_66(self, make_settings, tmp_path: Path) -> None:
        check, _, _ = self.poll(make_settings(corpus=str(tmp_path / "nowhere")))
        assert (check.state, check.exit_code) == ("fail", 66)
        assert "nowhere" in check.found

    def test_one_whose_bytes_have_changed_is_66(self, make_settings, small_corpus: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(small_corpus, tmp_path / "corpus"))
        content = bytearray((copy / "train.bin").read_bytes())
        content[100] ^= 1
        (copy / "train.bin").write_bytes(content)
        check, _, _ = self.poll(make_settings(corpus=str(copy)))
        assert (check.state, check.exit_code) == ("fail", 66)
        assert "train.bin" in check.found

    def test_one_too_small_to_be_scored_is_66(self, healthy) -> None:
        check, _, _ = self.poll(healthy({"eval.bytes": 1 << 30}))
        assert (check.state, check.exit_code) == ("fail", 66)


class TestDevice:
    """What is refused before anything is started; the rest is in ``test_real.py``."""

    def test_seconds_with_several_ranks_are_78(self, make_settings) -> None:
        check, device = training.device(make_settings({"parallel.data": 2, "budget.kind": "seconds"}))
        assert (check.state, check.exit_code, device) == ("fail", 78, None)

    def test_compiled_layers_of_a_trainer_that_has_none_are_78(self, make_settings) -> None:
        check, device = training.device(make_settings(trainer="megatron", compile="on"))
        assert (check.state, check.exit_code, device) == ("fail", 78, None)
        assert "auto" in check.hint


class TestMemory:
    def poll(self, settings: Settings, device: Device = HERE) -> Any:
        policy = build_policy(settings)
        _, corpus, span = training.corpus(settings, policy)
        return training.memory(settings, policy, device, build_estimator(settings, policy, device, corpus, span))

    def test_a_baseline_that_fits(self, healthy) -> None:
        check = self.poll(healthy())
        assert check.state == "ok"
        assert 0 < check.facts["needed_bytes"] < check.facts["free_bytes"]

    def test_the_size_is_known_before_the_corpus_is_prepared(self, make_settings) -> None:
        """With the vocabulary that it is to have: a larger one needs more."""
        sizes = [
            self.poll(make_settings(kind, corpus="stdlib")).facts["needed_bytes"]
            for kind in (
                {"tokenizer.kind": "byte"},
                {"tokenizer.kind": "bpe", "tokenizer.vocab_size": 4096},
                {"tokenizer.kind": "gpt2"},
            )
        ]
        assert sizes == sorted(set(sizes))

    def test_one_that_is_too_big_is_70(self, healthy) -> None:
        check = self.poll(healthy({"limits.memory_gib": 0.01}))
        assert (check.state, check.exit_code) == ("fail", 70)
        assert "batch_size" in check.hint

    def test_one_that_hardly_fits_is_worth_a_word(self, healthy) -> None:
        needed = self.poll(healthy()).facts["needed_bytes"]
        check = self.poll(healthy({"limits.memory_gib": needed / 2**30 * 1.1}))
        assert check.state == "warn"
        assert "R7" in check.hint

    def test_the_accelerators_memory_is_the_one_that_counts(self, healthy) -> None:
        """What an LLM server beside it holds is taken off already."""
        full = HERE.model_copy(update={"free_bytes": 1 << 20})
        assert self.poll(healthy(), full).exit_code == 70

    def test_a_precision_that_is_not_there_is_78(self, healthy) -> None:
        only_fp32 = HERE.model_copy(update={"precisions": ("fp32",)})
        check = self.poll(healthy({"baseline.precision": "bf16"}), only_fp32)
        assert (check.state, check.exit_code) == ("fail", 78)
        assert "baseline" in check.found


class TestYardstick:
    @pytest.fixture
    def corpus(self, small_corpus: Path) -> Corpus:
        return Corpus.open(small_corpus)

    def begun(self, settings: Settings, corpus: Corpus, span: Span, *, compiled: bool = False) -> list[Event]:
        """The first record of a run that was begun with these settings, compiled or not."""
        policy = build_policy(settings)
        spec = baseline_spec(settings, policy, str(corpus.path), span, HERE).model_copy(update={"compiled": compiled})
        yardstick = build_yardstick(spec, policy, corpus, HERE)
        assert isinstance(yardstick, Yardstick)
        return [build_meta(settings, policy, yardstick)]

    def poll(self, settings: Settings, corpus: Corpus, span: Span, records: list[Event], device: Device = HERE) -> Any:
        trajectory = Trajectory.fold(records)
        return training.yardstick(settings, build_policy(settings), corpus, span, device, trajectory)

    SPAN = Span(start=300, tokens=2000, bytes=2000)

    def test_a_new_run_has_none_yet(self, healthy, corpus: Corpus) -> None:
        assert self.poll(healthy(), corpus, self.SPAN, []).found == "fixed when the run begins"

    def test_the_same_machine_and_corpus_go_on(self, healthy, corpus: Corpus) -> None:
        begun = self.begun(healthy(), corpus, self.SPAN)
        check = self.poll(healthy({"limits.deadline_s": 7}), corpus, self.SPAN, begun)
        assert (check.state, check.found) == ("ok", "the run's own")

    def test_another_version_of_the_trainer_is_76(self, healthy, corpus: Corpus) -> None:
        updated = HERE.model_copy(update={"versions": {"fake": "2"}})
        check = self.poll(healthy(), corpus, self.SPAN, self.begun(healthy(), corpus, self.SPAN), updated)
        assert (check.state, check.exit_code) == ("fail", 76)
        assert "versions.fake: '1' then, '2' now" in check.found
        assert "--fresh" in check.hint

    def test_another_budget_is_76(self, healthy, corpus: Corpus) -> None:
        begun = self.begun(healthy(), corpus, self.SPAN)
        assert self.poll(healthy({"budget.size": 221}), corpus, self.SPAN, begun).exit_code == 76

    @pytest.mark.parametrize("compiled", [False, True])
    @pytest.mark.parametrize(("wanted", "goes_on"), [("auto", {False, True}), ("on", {True}), ("off", {False})])
    def test_whether_layers_are_compiled_was_decided_when_the_run_began(
        self, healthy, corpus: Corpus, wanted: str, goes_on: set[bool], compiled: bool
    ) -> None:
        settings = healthy(compile=wanted)
        check = self.poll(settings, corpus, self.SPAN, self.begun(settings, corpus, self.SPAN, compiled=compiled))
        assert check.exit_code == (0 if compiled in goes_on else 76)


class TestPrecision:
    def poll(self, settings: Settings, **cost: float) -> Any:
        policy, device = build_policy(settings), HERE.model_copy(update={"precision_cost": cost})
        estimator = build_estimator(settings, policy, device, None, None)
        check = ok("trainer", "torch on fake", kind="fake")
        return training.add_precision_costs(check, settings, policy, device, estimator)

    def test_one_that_is_emulated_is_named_with_its_cost(self, make_settings) -> None:
        check = self.poll(make_settings(), bf16=19.0)
        assert check.state == "ok"
        assert "R7 refuses bf16: bf16 takes about 19 times as long as fp32 on this device; at most 3.0" in check.found
        assert check.facts == {"kind": "fake", "cost": {"bf16": 19.0}}

    def test_one_that_is_slower_but_allowed(self, make_settings) -> None:
        check = self.poll(make_settings({"limits.max_time_ratio": 30}), bf16=19.0)
        assert check.found == "torch on fake; bf16 takes about 19 times as long as fp32 on this device"

    def test_none_is_emulated(self, make_settings) -> None:
        check = self.poll(make_settings())
        assert (check.state, check.found) == ("ok", "torch on fake")

    def test_the_baselines_own_is_emulated(self, make_settings) -> None:
        check = self.poll(make_settings({"baseline.precision": "bf16"}), bf16=19.0)
        assert check.state == "warn"
        assert "baseline: bf16 takes about 19 times" in check.found
        assert "baseline.precision=fp32" in check.hint
