"""The bash script: its flags can be read back, and bash runs the intended command."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import ConfigError
from autoresearch.report.export.mapping import KNOBS, Code, flags_of
from autoresearch.report.export.megatron_lm import model_arguments, parse_flags, render_script
from rails.menu import default_menu

LOCAL_ONLY = {"--no-persist-layer-norm", "--no-masked-softmax-fusion", "--no-gradient-accumulation-fusion"}

positive = st.floats(min_value=1e-9, max_value=1e9)
configurations = st.fixed_dictionaries(
    {
        "n_layer": st.integers(1, 200),
        "n_head": st.just(4),
        "d_model": st.integers(1, 4096).map(lambda n: 4 * n),
        "d_ff": st.integers(1, 1 << 16).map(lambda n: 2 * n),
        "lr": positive,
        "lr_warmup": st.integers(0, 100),
        "grad_clip": positive,
        "weight_decay": st.one_of(st.just(0.0), positive),
        "beta1": st.floats(0, 0.9999999),
        "beta2": st.floats(0, 0.9999999),
        "batch_size": st.integers(1, 512).map(lambda n: 2 * n),
        "seq_len": st.integers(1, 1 << 17),
        "precision": st.sampled_from(["fp32", "bf16", "fp8"]),
    }
)


def test_the_mapping_has_one_entry_for_each_knob_of_the_menu():
    assert sorted(entry.knob for entry in KNOBS) == sorted(default_menu().knobs)


def test_no_flag_and_no_field_is_written_by_two_entries(make_recipe):
    from autoresearch.report.export.mapping import MAPPING

    recipe = make_recipe(cfg={"precision": "fp8"})
    for words in (
        [flag for entry in MAPPING for flag in entry.flags(recipe)],
        [field for entry in MAPPING for field in entry.fields(recipe)],
    ):
        assert len(words) == len(set(words))


@given(configurations, st.integers(2, 1 << 20), st.integers(1, 10**6), st.sampled_from([1, 2]))
def test_every_flag_comes_back_out_of_the_script(make_recipe, cfg, vocab, steps, ranks):
    recipe = make_recipe(cfg=cfg, vocab=vocab, steps=steps, tensor_parallel=ranks, data_parallel=ranks)
    text = render_script(recipe)
    expected = {
        flag: True if value is True else [str(v) for v in value] if isinstance(value, tuple) else str(value)
        for flag, value in flags_of(recipe).items()
    }
    assert parse_flags(text) == expected
    assert float(str(parse_flags(text)["lr"])) == cfg["lr"], "not one bit is lost"
    model = model_arguments(text)
    assert (model["num_layers"], model["hidden_size"]) == (cfg["n_layer"], cfg["d_model"])
    assert model["vocab_size"] == recipe.shape.vocab


def test_a_text_that_is_no_such_script_is_refused(make_recipe):
    with pytest.raises(ConfigError, match="no FLAGS"):
        parse_flags("#!/bin/sh\necho hello\n")
    with pytest.raises(ConfigError, match="no VOCAB"):
        model_arguments(render_script(make_recipe()).replace("VOCAB=50257", "VOCAB=many"))
    text = render_script(make_recipe()).replace("--hidden-size", "--hiden-size")
    with pytest.raises(ConfigError, match="hidden-size"):
        model_arguments(text)


# Run by bash.


class Desk:
    """A machine with bash, a torchrun that records its arguments, a checkout and a data set."""

    def __init__(self, path: Path, minor: int = 16) -> None:
        self.path = path
        self.megatron, self.data, self.bin = path / "Mega tron", path / "da$ta", path / "bin"
        (self.megatron / "megatron/core").mkdir(parents=True)
        self.data.mkdir()
        self.bin.mkdir()
        (self.megatron / "pretrain_gpt.py").touch()
        (self.megatron / "megatron/core/package_info.py").write_text(
            f"MAJOR = 0\nMINOR = {minor}\nPATCH = 1\nPRE_RELEASE = ''\nVERSION = (MAJOR, MINOR, PATCH, PRE_RELEASE)\n"
        )
        for name in ("train", "val"):
            (self.data / f"{name}.idx").touch()
        torchrun = self.bin / "torchrun"
        torchrun.write_text(
            f'#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done > "{path}/argv"\nenv > "{path}/env"\n'
        )
        torchrun.chmod(0o755)

    def run(self, text: str, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
        file = self.path / "recipe.sh"
        file.write_text(text)
        given = {"PATH": f"{self.bin}:{os.environ['PATH']}", "MEGATRON_LM": str(self.megatron), "DATA": str(self.data)}
        kept = {name: value for name, value in {**given, **env}.items() if value}
        return subprocess.run(["bash", str(file), *more], env=kept, capture_output=True, text=True, check=False)

    @property
    def argv(self) -> list[str]:
        return (self.path / "argv").read_text().splitlines()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_bash_runs_torchrun_with_every_flag(desk, make_recipe):
    recipe = make_recipe()
    done = desk.run(render_script(recipe), "--save", "a b")
    assert (done.returncode, done.stderr) == (0, "")
    launcher, ranks, program, *rest = desk.argv
    assert (launcher, ranks, program) == ("--nproc-per-node", "1", f"{desk.megatron}/pretrain_gpt.py")
    expected: list[str] = []
    for flag, value in flags_of(recipe).items():
        values = () if value is True else value if isinstance(value, tuple) else (value,)
        words = [v.replace("$DATA", str(desk.data)) if isinstance(v, Code) else str(v) for v in values]
        expected += [f"--{flag}", *(w.replace("$NULL_VOCAB", "50256") for w in words)]
    assert rest == [*expected, "--transformer-impl", "transformer_engine", "--save", "a b"]


@pytest.mark.parametrize(("minor", "passed"), [(16, "50256"), (17, "50256"), (18, "50257"), (20, "50257")])
def test_the_vocabulary_is_counted_as_that_megatron_counts(minor, passed, tmp_path, make_recipe):
    desk = Desk(tmp_path, minor)
    assert desk.run(render_script(make_recipe())).returncode == 0
    assert desk.argv[desk.argv.index("--vocab-size") + 1] == passed


def test_the_layers_can_be_chosen(desk, make_recipe):
    assert desk.run(render_script(make_recipe()), IMPL="local").returncode == 0
    assert desk.argv[-2:] == ["--transformer-impl", "local"]
    assert set(desk.argv) >= LOCAL_ONLY
    assert desk.run(render_script(make_recipe(cfg={"precision": "fp32"}))).returncode == 0
    assert desk.argv[-1] == "local"
    assert "--bf16" not in desk.argv
    wrong = desk.run(render_script(make_recipe()), IMPL="apex")
    assert (wrong.returncode, wrong.stderr) == (2, "IMPL=apex is neither transformer_engine nor local\n")


def test_fp8_needs_transformer_engine(desk, make_recipe):
    text = render_script(make_recipe(cfg={"precision": "fp8"}, fp8_recipe="delayed"))
    assert desk.run(text).returncode == 0
    at = desk.argv.index("--fp8-format")
    assert desk.argv[at - 1 : at + 4] == ["--bf16", "--fp8-format", "hybrid", "--fp8-recipe", "delayed"]
    refused = desk.run(text, IMPL="local")
    assert (refused.returncode, refused.stderr) == (2, "fp8 needs IMPL=transformer_engine\n")


@pytest.mark.parametrize("name", ["MEGATRON_LM", "DATA"])
def test_a_missing_variable_is_named(name, desk, make_recipe):
    done = desk.run(render_script(make_recipe()), **{name: ""})
    assert done.returncode != 0
    assert f"{name}: the directory" in done.stderr


def test_what_is_not_there_is_named(desk, make_recipe):
    (desk.data / "val.idx").unlink()
    done = desk.run(render_script(make_recipe()))
    assert (done.returncode, done.stderr) == (2, f"{desk.data}/val.idx does not exist\n")


def test_a_checkout_without_a_version_is_refused(desk, make_recipe):
    (desk.megatron / "megatron/core/package_info.py").write_text("VERSION = 'tomorrow'\n")
    done = desk.run(render_script(make_recipe()))
    assert done.returncode != 0
    assert "not found in" in done.stderr


def test_ranks_are_started(desk, make_recipe):
    assert desk.run(render_script(make_recipe(data_parallel=4, tensor_parallel=2))).returncode == 0
    assert desk.argv[:2] == ["--nproc-per-node", "8"]
    assert desk.argv[desk.argv.index("--micro-batch-size") + 1] == "4"
    assert desk.argv[desk.argv.index("--global-batch-size") + 1] == "16"
    assert "CUDA_DEVICE_MAX_CONNECTIONS=1\n" in (desk.path / "env").read_text()


# The header.


@pytest.mark.parametrize("evil", ["x\nreboot", "x\r\nreboot", "\u2028reboot", "\x1b[2J", "`reboot` $(reboot)"])
def test_text_of_a_trajectory_stays_a_comment(evil, desk, make_recipe):
    source = {"run_id": evil, "profile": evil, "trainer": evil, "change": evil, "corpus_sha256": evil}
    text = render_script(make_recipe(source=source))
    head = text.split("set -euo pipefail")[0].splitlines()
    assert all(line.startswith("#") or not line for line in head)
    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}
    assert desk.run(text).returncode == 0


def header_of(text: str) -> str:
    return re.sub(r"\n#\s+", " ", text.split("set -euo pipefail")[0])


def test_the_header_names_the_source_and_the_differences(make_recipe):
    text = header_of(render_script(make_recipe()))
    for words in (
        "run 0869a21ceb02",
        "iteration 7, lr = 0.0003, val_bpb 1.2000 (baseline 1.3000)",
        "354,601,984 parameters",
        "Data order",
        "Validation",
        "at most 1.64% of the peak",
        "This training has not been tested on a GPU",
    ):
        assert words in text
    for words in ("Steps:", "Vocabulary:", "seconds"):
        assert words not in text


def test_the_header_names_special_cases(make_recipe):
    from autoresearch.trials.spec import Budget

    baseline = header_of(render_script(make_recipe(source={"iter": 0, "change": "", "val_bpb": 1.3})))
    assert "the baseline, because nothing was kept: val_bpb 1.3000" in baseline
    longer = header_of(render_script(make_recipe(steps=6000)))
    assert "Steps: 6000 instead of the trial's 60;" in longer
    assert "Learning rate" not in header_of(render_script(make_recipe(cfg={"lr_warmup": 0})))
    by_clock = header_of(render_script(make_recipe(source={"budget": Budget(kind="seconds", size=90.5)})))
    assert "90.5 seconds" in by_clock
    assert "Vocabulary: 1 row more, to divide it among 2 ranks" in header_of(
        render_script(make_recipe(tensor_parallel=2))
    )
    many = header_of(render_script(make_recipe(steps=10**9, source={"trial_steps": 10**9})))
    assert "Learning rate" not in many, "a billion steps are not walked through"
