"""The command line: help, exit codes, and what each command says, in and out of JSON."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch import __version__, errors
from autoresearch.cli import main
from autoresearch.config.resolve import setting_names
from autoresearch.core.ports import Interrupted
from autoresearch.core.records import Baseline, Evaluated, Meta, decode, encode
from autoresearch.daemon import envelope, service
from autoresearch.data.corpus import Corpus
from autoresearch.errors import AutoresearchError
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK, PAGE, PAUSE_FLAG, REPORT, TRAJECTORY
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_timer import FakeTimer, fake_speed
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.model_shape import ModelShape

COMMANDS = (
    *("run", "prepare", "status", "report", "watch", "pause", "resume", "doctor", "envelope", "energy", "export"),
    *("service", "config"),
)
HEAVY = ("torch", "numpy", "optuna", "tokenizers", "pyarrow", "datasets", "matplotlib", "openai")


def kinds_of_error(kind: type[AutoresearchError] = AutoresearchError) -> Iterator[type[AutoresearchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds_of_error(child)


@pytest.fixture(autouse=True)
def empty_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without runs, and no setting in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.startswith("AUTORESEARCH_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]):
    """Runs a command in this process; its exit code, output and error output."""

    def call(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(argv)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def finished(make_settings) -> Path:
    """The directory of a finished run of three iterations, measured by a fake."""
    settings = make_settings()
    assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"
    return settings.run_dir


def run_flags(run_dir: Path, iters: int = 3) -> list[str]:
    return ["run", "--dir", str(run_dir), "--proposer", "random", "--iters", str(iters)]


# Help.


def test_help_lists_every_command_and_every_exit_code(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert tuple(re.findall(r"^    (\w+)  +\S", text, re.MULTILINE)) == COMMANDS
    for kind in kinds_of_error():
        assert re.search(rf"\b{kind.exit_code} ", text), kind.__name__


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert text.startswith(f"usage: autoresearch {command}")
    flags = re.findall(r"^  (--?\w[\w-]*)(.*(?:\n {10,}.*)*)", text, re.MULTILINE)
    assert flags
    assert all(re.search(r"  +\S|\n +\S", rest) for _, rest in flags), "a flag without a word of help"


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out.strip()) == (0, __version__)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["fly"],
        ["run", "--iters", "many"],
        ["run", "--no-such-flag"],
        ["prepare"],
        ["prepare", "x", "--out", "y", "--fractions", "0.9,0.1"],
        ["prepare", "x", "--out", "y", "--tokenizer", "words"],
        ["envelope", "--batch-size", "4,many"],
        ["envelope", "--steps", "0"],
        ["envelope", "--iters", "3"],
        ["export"],
        ["export", "wisdom"],
        ["export", "recipe", "--format", "nemo"],
        ["export", "dataset", "corpus"],
    ],
)
def test_wrong_usage_is_exit_code_2(argv, capsys):
    with pytest.raises(SystemExit) as end:
        main(argv)
    assert end.value.code == 2
    assert "usage: autoresearch" in capsys.readouterr().err


# Exit codes.


def test_every_kind_of_error_has_an_exit_code_of_its_own_and_a_line_in_the_tree():
    kinds = list(kinds_of_error())
    codes = [kind.exit_code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {0, 2, 130}
    for kind in kinds:
        assert re.search(rf"^ +{kind.__name__} +{kind.exit_code}\b", errors.__doc__, re.MULTILINE)


def test_an_error_says_what_happened_and_what_to_try(cli):
    code, out, err = cli("config", "--set", "budget.sise=3")
    assert (code, out) == (78, "")
    assert err == "autoresearch: unknown setting budget.sise (flag)\n  try: did you mean budget.size?\n"


def test_a_wrong_setting_is_78(cli):
    assert cli("run", "--iters", "0")[0] == 78
    assert cli("run", "--set", "baseline.lr=7")[0] == 78
    assert cli("run", "--set", "iters")[0] == 78
    assert cli("run", "--config", "nowhere.toml")[0] == 78


def test_a_corpus_that_is_not_there_is_66(cli, tmp_path):
    code, _, err = cli("run", "--corpus", str(tmp_path / "nowhere"))
    assert code == 66
    assert "nowhere" in err


def test_a_source_that_is_not_there_is_66(cli, tmp_path):
    code, _, err = cli("prepare", str(tmp_path / "nowhere.txt"), "--out", str(tmp_path / "corpus"))
    assert code == 66
    assert "nowhere.txt" in err


def test_a_run_that_belongs_to_another_daemon_is_75(cli, finished):
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711, "host": "desk"})
    try:
        code, _, err = cli(*run_flags(finished, iters=9))
    finally:
        lock.release()
    assert code == 75
    assert "pid 4711" in err


def test_status_knows_a_run_that_goes_on_from_one_that_was_lost(cli, finished):
    """The log of both ends alike, in the middle of a trial; only one of them has a daemon."""
    file = finished / TRAJECTORY
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:7]))
    lost = cli("status", str(finished))[1].splitlines()[0]
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711})
    try:
        at_work = cli("status", str(finished))[1].splitlines()[0]
    finally:
        lock.release()
    assert at_work.startswith("Running")
    assert lost.startswith("Interrupted")


def test_a_run_that_was_begun_differently_is_76(cli, finished):
    code, _, err = cli(*run_flags(finished, iters=9), "--set", "baseline.lr=1e-3")
    assert code == 76
    assert "baseline_cfg.lr: 0.002 then, 0.001 now" in err
    assert "--fresh" in err


@pytest.mark.parametrize("command", [["status"], ["report"], ["status", "--json"]])
def test_a_damaged_trajectory_is_65(command, cli, finished):
    file = finished / TRAJECTORY
    lines = file.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b"2", b"3")
    file.write_bytes(b"\n".join(lines))
    code, out, err = cli(*command, str(finished))
    assert (code, out) == (65, "")
    assert "line 4" in err
    assert cli(*run_flags(finished, iters=9))[0] == 65


@pytest.mark.parametrize("command", ["status", "report"])
def test_looking_at_a_run_that_is_not_there_says_what_to_do(command, cli):
    code, out, err = cli(command)
    assert (code, out) == (74, "")
    assert "there is no runs/tiny" in err
    assert "`autoresearch run` makes one" in err


def test_a_place_that_cannot_be_written_is_74(cli, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = cli("run", "--dir", str(tmp_path / "file" / "run"))
    assert code == 74
    assert "choose another --dir" in err


def test_a_package_that_is_missing_is_69(cli, tmp_path):
    if importlib.util.find_spec("datasets"):
        pytest.skip("the datasets library is installed here")
    code, _, err = cli("prepare", "--hf", "no-such-data-set", "--out", str(tmp_path / "corpus"))
    assert code == 69
    assert "datasets" in err


# config.


def test_config_is_valid_json_with_value_and_origin_of_every_setting(cli, monkeypatch):
    monkeypatch.setenv("AUTORESEARCH_SEED", "7")
    code, out, _ = cli("config", "--json", "--iters", "12", "--set", "budget.size=300")
    shown = json.loads(out)
    assert code == 0
    assert shown["iters"] == {"value": 12, "from": "flag"}
    assert shown["budget.size"] == {"value": 300, "from": "flag"}
    assert shown["seed"] == {"value": 7, "from": "environment AUTORESEARCH_SEED"}
    assert shown["corpus"] == {"value": "stdlib", "from": "profile tiny"}
    assert shown["max_hours"] == {"value": None, "from": "default"}


def test_config_reads_the_users_file(cli, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[baseline]\nlr = 0.001\n")
    _, out, _ = cli("config", "--json", "--config", str(file))
    assert json.loads(out)["baseline.lr"] == {"value": 0.001, "from": f"file {file}"}


def test_config_for_people_says_what_each_setting_is(cli):
    code, out, _ = cli("config", "--profile", "gb10-354m")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("limits.deadline_s = "))
    assert line.split("# ")[1] == "profile gb10-354m: seconds after which a trial is killed"
    assert [name for name in setting_names() if f"\n{name} = " not in f"\n{out}"] == ["baseline"]
    assert "\nbaseline.d_model = 1024 " in out


# A run, and looking at it.


def test_status_and_report_of_a_finished_run_as_json(cli, finished):
    for command in ("status", "report"):
        code, out, err = cli(command, str(finished), "--json")
        summary = json.loads(out)
        assert (code, err) == (0, "")
        assert summary["iterations"] == 3
        assert summary["evaluated"] == summary["keeps"] + summary["reverts"] == 3
        assert summary["knobs_total"] == 13


def test_a_bare_trajectory_file_can_be_looked_at_too(cli, finished, tmp_path):
    copy = tmp_path / "elsewhere.jsonl"
    copy.write_bytes((finished / TRAJECTORY).read_bytes())
    assert cli("status", str(copy), "--json")[1] == cli("status", str(finished), "--json")[1]


def test_a_report_for_people_names_every_iteration_and_can_go_to_a_file(cli, finished, tmp_path):
    code, out, _ = cli("report", str(finished))
    assert code == 0
    proposals = [
        (fields["proposal"]["knob"], fields["iter"])
        for fields in map(json.loads, read(finished / TRAJECTORY).payloads)
        if fields["stage"] == "evaluated"
    ]
    assert len(proposals) == 3
    for knob, number in proposals:
        assert re.search(rf"^ *{number} .*{knob}", out, re.MULTILINE)

    file = tmp_path / "report.txt"
    assert cli("report", str(finished), "--out", str(file))[:2] == (0, "")
    assert file.read_text() == out
    code, _, err = cli("report", str(finished), "--out", str(tmp_path / "nowhere" / "report.txt"))
    assert code == 1
    assert "cannot write" in err


def test_the_run_leaves_a_report_beside_its_trajectory(cli, finished):
    assert (finished / REPORT).read_text() == cli("report", str(finished))[1]


@pytest.mark.page
def test_the_page_is_left_beside_it_and_is_written_again_with_the_same_bytes(cli, finished, tmp_path):
    page = (finished / PAGE).read_bytes()
    assert cli("report", str(finished), "--html") == (0, f"{finished / PAGE}\n", "")
    assert (finished / PAGE).read_bytes() == page
    elsewhere = tmp_path / "for my colleagues.html"
    assert cli("report", str(finished / TRAJECTORY), "--html", "--out", str(elsewhere))[0] == 0
    assert elsewhere.read_bytes() == page


@pytest.mark.page
def test_a_report_that_was_not_written_is_when_the_finished_run_is_opened_again(cli, finished):
    (finished / PAGE).unlink()
    text = (finished / REPORT).stat().st_mtime_ns
    assert cli(*run_flags(finished))[0] == 0
    assert (finished / PAGE).exists()
    assert (finished / REPORT).stat().st_mtime_ns == text


def test_without_its_extra_the_page_is_refused_with_the_way_to_get_it(cli, finished, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("autoresearch.report.html")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    code, _, err = cli("report", str(finished), "--html")
    assert code == errors.MissingPackage.exit_code
    assert "pip install 'autoresearch[report]'" in err


@pytest.mark.parametrize("price", ["nan", "-1", "much"])
def test_a_price_is_a_number_that_can_be_paid(cli, finished, capsys, price):
    with pytest.raises(SystemExit):
        cli("report", str(finished), "--html", f"--price-per-kwh={price}")
    assert price in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--price-per-kwh=0.3", "--currency=EUR"])
def test_a_price_that_would_not_be_shown_is_refused(cli, finished, flag):
    code, out, err = cli("report", str(finished), flag)
    assert (code, out) == (errors.ConfigError.exit_code, "")
    assert "--html is not given" in err


def test_running_a_finished_run_again_shows_it_and_how_to_go_further(cli, finished):
    before = (finished / TRAJECTORY).read_bytes()
    code, out, err = cli(*run_flags(finished))
    assert (code, err) == (0, "")
    assert str(finished / TRAJECTORY) in out
    assert str(finished / REPORT) in out
    again = out.splitlines()[-1]
    assert again.startswith("to go further: ")
    assert f"--dir {finished}" in again
    assert again.endswith("--iters 6")
    assert (finished / TRAJECTORY).read_bytes() == before

    code, out, _ = cli(*run_flags(finished), "--json")
    assert (code, json.loads(out)["iterations"]) == (0, 3)


def test_replaying_a_trajectory_that_is_not_there_is_refused(cli, tmp_path):
    code, _, err = cli("run", "--proposer", "replay", "--replay-from", str(tmp_path / "nowhere"))
    assert code == 74
    assert "nowhere" in err
    assert not (tmp_path / "runs").exists()  # nothing was begun


# pause and resume.


def test_pause_and_resume_are_said_twice_without_harm(cli, finished):
    said = [cli(command, str(finished))[:2] for command in ("pause", "pause", "resume", "resume")]
    assert said == [
        (0, f"{finished} pauses after its running trial\n"),
        (0, f"{finished} is pausing already\n"),
        (0, f"{finished} goes on\n"),
        (0, f"{finished} was not paused\n"),
    ]


def test_pause_now_says_that_it_does_not_wait_and_makes_of_a_pause_that_waits_one_that_does_not(cli, finished):
    flag = finished / PAUSE_FLAG
    said = [cli("pause", *words, str(finished))[:2] for words in ([], ["--now"], ["--now"], [])]
    assert said == [
        (0, f"{finished} pauses after its running trial\n"),
        (0, f"{finished} pauses inside its running trial\n"),
        (0, f"{finished} is pausing already\n"),
        (0, f"{finished} is pausing already\n"),
    ]
    assert flag.read_text() == "now\n"
    cli("resume", str(finished))


def test_the_trajectory_names_its_run_too(cli, finished):
    assert cli("pause", str(finished / TRAJECTORY))[0] == 0
    assert (finished / PAUSE_FLAG).exists()
    assert "pause.flag is there: `autoresearch resume` removes it" in cli("status", str(finished))[1]


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_misspelt_run_is_not_taken_for_its_parent(command, cli, finished):
    code, _, err = cli(command, str(finished.parent / "rnu"))
    assert code == 1
    assert "rnu is no run directory" in err
    assert not (finished.parent / PAUSE_FLAG).exists()


# envelope.


@pytest.fixture
def measure(cli, monkeypatch, tmp_path):
    """``autoresearch envelope`` on two points, measured by a fake."""
    monkeypatch.setattr(envelope, "real_backend", fake_backend)

    def call(*argv: str, to: Path = tmp_path / "run") -> tuple[int, str, str]:
        return cli("envelope", "--dir", str(to), "--batch-size", "4,8", "--seq-len", "128", *argv)

    return call


def test_an_envelope_is_a_line_as_each_point_comes_then_a_table_and_where_it_is(measure, tmp_path):
    code, out, err = measure("--precision", "fp32")
    assert (code, err) == (0, "")
    assert re.search(r"^  1/2 +4 +128  fp32 ", out, re.MULTILINE)
    table = out[out.index("batch") :]
    assert re.search(r"^ +8 +128 +fp32 +990,000 +1,000,000 ", table, re.MULTILINE)
    assert str(tmp_path / "run" / "envelope.jsonl") in out
    assert "R7 prices time by these speeds" in out
    assert measure("--precision", "fp32")[1].count("2 of 2 points are measured already") == 1
    other = measure("--precision", "bf16", to=tmp_path / "other")[1]
    assert "R7 prices time by FLOPs alone: the baseline's 8 x 128 fp32 is not measured" in other


def test_an_envelope_as_json_keeps_stdout_for_it(measure):
    code, out, err = measure("--json", "--steps", "7")
    shown = json.loads(out)
    assert code == 0
    assert [row["steps"] for row in shown["points"]] == [7] * 4
    assert "1/4" in err


def test_the_picture_goes_where_it_is_asked_to(measure, tmp_path):
    pytest.importorskip("matplotlib")
    assert str(tmp_path / "mine.svg") in measure("--plot", str(tmp_path / "mine.svg"))[1]
    assert (tmp_path / "mine.svg").read_text().lstrip().startswith("<?xml")
    assert str(tmp_path / "run" / "envelope.png") in measure()[1]


def test_without_matplotlib_there_is_a_table_and_no_picture_unless_it_was_asked_for(measure, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, _ = measure()
    assert (code, "plot " in out) == (0, False)
    code, _, err = measure("--plot", "mine.png", to=tmp_path / "other")
    assert code == 69
    assert "autoresearch[plot]" in err
    assert not (tmp_path / "other").exists(), "before anything is measured"


def test_an_envelope_with_wrong_values_is_78(measure):
    assert measure("--precision", "fp64")[0] == 78
    assert measure("--plot", "mine.pdf")[0] == 78


def test_an_envelope_beside_a_daemon_is_75(measure, finished):
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711})
    try:
        assert measure(to=finished)[0] == 75
    finally:
        lock.release()


def test_an_interrupted_envelope_shows_what_there_is_and_is_130(measure, monkeypatch):
    def struck(_timer, cfg, *_how):
        if cfg["batch_size"] == 8:
            os.kill(os.getpid(), signal.SIGINT)
            raise Interrupted("stopped at once")
        return fake_speed(512)

    monkeypatch.setattr(FakeTimer, "speed", struck)
    code, out, _ = measure("--precision", "fp32")
    assert code == 130
    assert "990,000" in out
    assert "ended by SIGINT, 1 of 2 points to go: the same command goes on" in out


# export.


@pytest.fixture
def measured(finished, small_corpus) -> Path:
    """The finished run as if it had been measured on the small corpus, by a trainer that counts parameters."""
    file = finished / TRAJECTORY
    corpus = Corpus.open(small_corpus)
    records = [decode(payload) for payload in read(file).payloads]
    file.unlink()
    with contextlib.closing(Journal(file)) as journal:
        for record in records:
            if isinstance(record, Meta):
                yardstick = record.yardstick.model_copy(update={"corpus_sha256": corpus.sha256})
                record = record.model_copy(update={"yardstick": yardstick})
            if isinstance(record, Evaluated | Baseline):
                cfg = record.candidate_cfg if isinstance(record, Evaluated) else record.baseline_cfg
                params = ModelShape.of(cfg, corpus.vocab).params
                metrics = record.eval_metrics.model_copy(update={"params": params})
                record = record.model_copy(update={"eval_metrics": metrics})
            journal.append(encode(record))
    return finished


@pytest.mark.parametrize("kind", ["recipe", "dataset"])
def test_every_kind_of_export_explains_itself(kind, capsys):
    with pytest.raises(SystemExit) as end:
        main(["export", kind, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: autoresearch export {kind}")


@pytest.mark.parametrize(("form", "executable"), [("megatron-lm", True), ("megatron-bridge", False)])
def test_a_recipe_is_written_and_its_model_was_built(form, executable, cli, measured, tmp_path):
    file = tmp_path / "recipe"
    code, out, err = cli("export", "recipe", str(measured), "--format", form, "--out", str(file))
    assert (code, err) == (0, "")
    assert re.match(rf"{file}: {form}, (iteration|the baseline)", out)
    assert "\nchecked: Megatron-core builds GPTModel of it" in out
    assert os.access(file, os.X_OK) == executable
    assert cli("export", "recipe", str(measured), "--format", form, "--no-check")[1] == file.read_text()


def test_a_recipe_as_json_says_what_it_is(cli, measured, small_corpus):
    code, out, _ = cli("export", "recipe", str(measured / TRAJECTORY), "--json", "--steps", "500")
    shown = json.loads(out)
    assert (code, shown["steps"], shown["checked"], shown["vocab"]) == (0, 500, True, 257)
    assert "--train-iters 500" in shown["script"]
    named = cli("export", "recipe", str(measured), "--json", "--steps", "500", "--corpus", str(small_corpus))[1]
    assert json.loads(named) == shown


def test_a_recipe_of_another_corpus_is_66(cli, finished, small_corpus):
    code, out, err = cli("export", "recipe", str(finished), "--corpus", str(small_corpus))
    assert (code, out) == (66, "")
    assert "the run was measured on 0000000000000000" in err


def test_a_vocabulary_that_nobody_knows_is_asked_for(cli, finished):
    code, _, err = cli("export", "recipe", str(finished))
    assert code == 78
    assert "--corpus CORPUS" in err


def test_without_megatron_a_recipe_is_written_unchecked(cli, measured, monkeypatch, tmp_path):
    for name in [n for n in sys.modules if n.partition(".")[0] == "megatron"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "megatron", None)
    code, out, err = cli("export", "recipe", str(measured))
    assert code == 0
    assert out.startswith("#!/usr/bin/env bash\n")
    assert err.startswith("not checked: the check needs Megatron-core")
    assert json.loads(cli("export", "recipe", str(measured), "--json")[1])["checked"] is False
    code, _, err = cli("export", "dataset", str(tmp_path), "--out", str(tmp_path / "set"))
    assert code == 66


def test_a_script_that_describes_another_model_is_refused(cli, measured, monkeypatch, tmp_path):
    monkeypatch.setattr("autoresearch.training.models.exported_model.parameter_shapes", lambda _: {"a weight": (2, 3)})
    code, out, err = cli("export", "recipe", str(measured), "--out", str(tmp_path / "recipe"))
    assert (code, out) == (1, "")
    assert "a model of 6 parameters" in err
    assert not (tmp_path / "recipe").exists()

    def refuse(_: object) -> None:
        raise ValueError("no such layer")

    monkeypatch.setattr("autoresearch.training.models.exported_model.parameter_shapes", refuse)
    code, out, err = cli("export", "recipe", str(measured))
    assert (code, out) == (1, "")
    assert "builds no model of the script: no such layer\n  try: --no-check" in err


def test_an_origins_log_is_no_run_to_export(cli):
    origin = Path(__file__).parents[2] / "assets" / "origin_trajectory.jsonl"
    code, _, err = cli("export", "recipe", str(origin))
    assert code == 74
    assert "no trajectory of this program" in err


def test_a_corpus_becomes_megatrons_data_set(cli, small_corpus, tmp_path):
    out = tmp_path / "set"
    code, said, _ = cli("export", "dataset", str(small_corpus), "--out", str(out))
    assert code == 0
    assert re.search(rf"^{out}/train: \d+ documents, [\d,]+ tokens$", said, re.MULTILINE)
    about = json.loads(cli("export", "dataset", str(small_corpus), "--out", str(out), "--json")[1])
    assert (about["vocab"], sorted(about["splits"])) == (257, ["train", "val"])
    code, _, err = cli("export", "dataset", str(tmp_path / "nowhere"), "--out", str(out))
    assert code == 66
    assert "is not a prepared corpus" in err


# In a process of its own.


def fresh_python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=True)


def test_help_and_looking_need_neither_torch_nor_numpy_nor_optuna(measured):
    """They answer at once, and where the heavy packages are not installed."""
    program = f"""
import contextlib, io, sys
from autoresearch.cli import main
from autoresearch.config.resolve import setting_names

with contextlib.redirect_stdout(io.StringIO()):
    export = ["export", "recipe", ".", "--no-check"]
    for argv in (
        ["status", "."], ["report", "."], ["status", "--json", "."], ["config"], ["pause", "."], ["--help"], export
    ):
        with contextlib.suppress(SystemExit):
            assert main(argv) == 0
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert fresh_python(program, measured).stdout.strip() == "[]"


def test_a_reader_who_leaves_early_is_no_error(finished):
    """As in ``autoresearch report | head -1``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "autoresearch", "report", str(finished)]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")
