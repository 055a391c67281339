"""The shipped settings for other people's scripts, each run end to end with a script of the same shape."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.core.ports import Observer
from autoresearch.core.records import Baseline, Evaluated, Meta
from autoresearch.daemon import service
from autoresearch.daemon.run_reader import decode_trajectory
from autoresearch.errors import ConfigError, CorpusError, YardstickMismatch
from autoresearch.report import load, render_report, summarise, summary_json
from autoresearch.report.verify import verify
from autoresearch.storage.journal import read

ROOT = Path(__file__).parents[2]
SHAPES = {  # example -> its script here, what it is called there, the metric
    "constants": ("constants.py", "train.py", "val_bpb"),
    "flags": ("flags.py", "train.py", "val_loss"),
    "other-metric": ("fit.py", "fit.py", "accuracy"),
}
PYTHON = [sys.executable, "-S"]


def prepared(example: str, folder: Path) -> None:
    """A folder with the example's files and a script of the shape that it is for."""
    script, name, _ = SHAPES[example]
    shutil.copy(ROOT / "tests/shapes" / script, folder / name)
    shutil.copy(ROOT / "tests/shapes/beside.py", folder / "beside.py")
    for file in ("autoresearch.toml", "menu.json"):
        shutil.copy(ROOT / "docs" / "examples" / example / file, folder / file)


def settings_of(folder: Path, **flags: Any) -> Any:
    """The example's own settings, with this Python instead of the one that it names, and few iterations."""
    file = folder / "autoresearch.toml"
    argv = list(resolve({}, {}, file).settings.command.argv or ())
    argv = [*PYTHON, *argv[argv.index(next(word for word in argv if word.endswith(".py"))) :]]
    fixed = {"command.argv": argv, "command.cwd": str(folder), "menu_file": str(folder / "menu.json")}
    fixed |= {"dir": str(folder / "run"), "energy.meter": "off", "budget.disturbed_baseline": "repeat"}
    return resolve(fixed | {"reports": ["text"], **flags}, {}, file).settings


def records_of(folder: Path) -> list[Any]:
    path = folder / "run/trajectory.jsonl"
    return list(decode_trajectory(read(path).payloads, path))


@pytest.mark.slow
@pytest.mark.parametrize("example", SHAPES)
def test_a_shipped_example_runs_to_its_report(example: str, tmp_path: Path) -> None:
    prepared(example, tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    settings = settings_of(tmp_path, iters=6)
    assert service.run(settings, Observer(), config=tmp_path / "autoresearch.toml") == "complete"
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before, "nothing else was written"

    records, metric = records_of(tmp_path), SHAPES[example][2]
    baseline = next(r for r in records if isinstance(r, Baseline))
    judged = [r for r in records if isinstance(r, Evaluated)]
    assert len(judged) == 6
    assert verify(records).difference is None
    for record in (baseline.eval_metrics, *judged):
        named = record.val_bpb is not None if metric == "val_bpb" else record.metric and record.metric.name == metric
        assert named
        assert (record.val_bpb is None) == (metric != "val_bpb")
    history = load(tmp_path / "run")
    summary = summarise(history)
    text, plain = render_report(summary, history), json.loads(summary_json(summary))
    assert metric in text
    assert metric == "val_bpb" or "val_bpb" not in text
    assert (plain["metric"] or {"name": "val_bpb"})["name"] == metric
    assert (plain["baseline_val_bpb"] is None) == (metric != "val_bpb")
    best = max(judged, key=lambda r: r.improvement_frac)
    higher = example == "other-metric"
    assert (best.value > baseline.value) == higher or best.improvement_frac <= 0


def quick(folder: Path, **flags: Any) -> Any:
    """Settings of a run of one trial: the baseline, whose second iteration is never reached."""
    prepared("other-metric", folder)
    return settings_of(folder, iters=1, **{"decision.rule": "threshold", "proposer": "random", **flags})


def test_a_script_that_changes_itself_ends_the_run_and_is_named(tmp_path: Path) -> None:
    settings = quick(tmp_path)
    with (tmp_path / "fit.py").open("a") as file:
        file.write("open(__file__, 'a').write('# more\\n')\n")
    with pytest.raises(CorpusError, match=r"fit\.py has changed since the run read it") as refused:
        service.run(settings, Observer())
    assert refused.value.exit_code == 66


def test_a_run_is_not_continued_with_another_script(tmp_path: Path) -> None:
    settings = quick(tmp_path)
    service.run(settings, Observer())
    meta = next(r for r in records_of(tmp_path) if isinstance(r, Meta))
    assert meta.yardstick.command is not None
    assert meta.yardstick.command.files == 2, "the script and the program"
    with (tmp_path / "fit.py").open("a") as file:
        file.write("# another\n")
    with pytest.raises(YardstickMismatch, match=r"command\.files_sha256\): fit\.py changed"):
        service.run(settings.model_copy(update={"iters": 2}), Observer())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"command.argv": ["./nothing", "{config}"]}, r"command\.argv: \./nothing is not found"),
        ({"command.argv": ["./fit.py", "{config}"]}, r"is not executable by this user"),
        ({"command.cwd": "/nowhere"}, r"command\.cwd = /nowhere is not a directory"),
        ({"command.files": ["*.cu"]}, r"command\.files: \*\.cu matches no file"),
        (
            {"command.config": "constants", "command.argv": [*PYTHON, "fit.py"]},
            r"N_ESTIMATORS: the script has no such constant",
        ),
        (
            {"budget.kind": "seconds", "command.progress_pattern": r"iter (?P<step>\d+)"},
            r"progress_pattern counts steps, and budget\.kind = 'seconds'",
        ),
        ({"budget.kind": "flops"}, r"budget\.kind = 'flops' with trainer = 'command'"),
        ({"command.versions": [*PYTHON, "-c", "print(1)"]}, r"command\.versions printed '1'"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_trial(tmp_path: Path, flags: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        service.run(quick(tmp_path, **flags), Observer())
