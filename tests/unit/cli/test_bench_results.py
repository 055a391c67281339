"""The commands of `bench` that read runs: their output as text and as JSON, their pages, errors and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoresearch.benches.run_directory import read_run
from autoresearch.benches.suites import SUITES
from autoresearch.cli import main
from tests.bench_world import write_bench
from tests.fake_llm import FakeLlm, says


@pytest.fixture(autouse=True)
def _fake_suite(monkeypatch):
    monkeypatch.setitem(SUITES, "fake", ("autoresearch.testing.fake_suite", "FakeSuite"))


def run(capsys, *argv: object) -> tuple[int, str, str]:
    code = main(["bench", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err


def test_analyze_prints_and_writes_the_page(tmp_path, capsys):
    write_bench(tmp_path, {"a": [1.0], "b": [0.0]})
    code, out, _ = run(capsys, "analyze", tmp_path)
    assert code == 0
    assert "accuracy 50.0%" in out
    assert f"page  {tmp_path}/bench.html" in out
    assert "accuracy 50.0%" in (tmp_path / "bench.html").read_text()


def test_analyze_as_json(tmp_path, capsys):
    write_bench(tmp_path, {"a": [1.0, None]})
    code, out, _ = run(capsys, "analyze", tmp_path / "trials.jsonl", "--json", "--no-html")
    found = json.loads(out)
    assert (code, found["complete"], found["missing"]) == (0, False, {"not attempted": 1})
    assert (found["headline"]["low"], found["headline"]["high"]) == (0.5, 1.0)
    assert not (tmp_path / "bench.html").exists()


def test_the_page_goes_to_the_named_file_or_the_error_says_why(tmp_path, capsys):
    write_bench(tmp_path / "r", {"a": [1.0]})
    assert run(capsys, "analyze", tmp_path / "r", "--html", tmp_path / "p.html")[0] == 0
    assert (tmp_path / "p.html").exists()
    assert not (tmp_path / "r/bench.html").exists()
    code, _, err = run(capsys, "analyze", tmp_path / "r", "--html", tmp_path / "no/such/p.html")
    assert code != 0
    assert "cannot write" in err
    (tmp_path / "r/bench.html").mkdir()
    code, out, err = run(capsys, "analyze", tmp_path / "r")
    assert (code, "accuracy" in out, "no page" in err) == (0, True, True)
    assert run(capsys, "analyze", tmp_path / "r", "--html", "x", "--no-html")[0] == 78


def test_compare(tmp_path, capsys):
    write_bench(tmp_path / "a", {i: [0.0] for i in "abcdefgh"})
    write_bench(tmp_path / "b", {i: [1.0] for i in "abcdefgh"})
    code, out, _ = run(capsys, "compare", tmp_path / "a", tmp_path / "b", "--html", tmp_path / "c.html")
    assert (code, out.startswith("B scores higher")) == (0, True)
    assert "B scores higher" in (tmp_path / "c.html").read_text()
    code, out, _ = run(capsys, "compare", tmp_path / "a", tmp_path / "b", "--json")
    assert json.loads(out)["comparison"]["paired"]["p"] == 2 / 2**8


def test_compare_refuses(tmp_path, capsys):
    write_bench(tmp_path / "a", {"a": [0.0], "b": [None]})
    write_bench(tmp_path / "b", {"a": [1.0], "c": [1.0]})
    code, _, err = run(capsys, "compare", tmp_path / "a", tmp_path / "b")
    assert (code, "1 only in A: 'b'; 1 only in B: 'c'" in err) == (76, True)
    assert run(capsys, "compare", tmp_path / "a", tmp_path / "b", "--common")[0] == 0
    code, _, err = run(capsys, "compare", tmp_path / "a", tmp_path / "a")
    assert (code, "--bounds" in err) == (76, True)
    assert run(capsys, "compare", tmp_path / "a", tmp_path / "a", "--bounds")[0] == 0


def test_regrade(tmp_path, capsys):
    write_bench(tmp_path, {"a": [1.0]}, grader="fake@0")
    (tmp_path / "attempts/a-0").mkdir(parents=True)
    (tmp_path / "attempts/a-0/reply.txt").write_text("a")
    code, out, _ = run(capsys, "regrade", tmp_path)
    assert (code, out) == (0, "1 trial graded by fake@1: 1 new record, 0 scores changed\n")
    code, out, _ = run(capsys, "regrade", tmp_path, "--json")
    assert json.loads(out) == {"grader": "fake@1", "trials": 1, "written": 0, "ungraded": 0, "kept": 0, "changed": []}


class TestJudge:
    """`bench judge` with a real socket."""

    def test_its_grades_are_recorded(self, tmp_path, capsys):
        write_bench(tmp_path, {"a": [1.0], "b": [0.0]}, model="meta/llama-3.1-8b")
        with FakeLlm(says("They agree.\nJudgement: Yes"), says("perhaps"), models=["qwen3-8b"]) as server:
            code, out, _ = run(capsys, "judge", tmp_path, "--base-url", server.base_url)
        assert (code, out.splitlines()[0]) == (0, "judge qwen3-8b")
        assert "judged 2 trials: 1 correct, 0 wrong" in out
        assert "1 reply did not follow the form: ungraded" in out
        assert server.chats[-1].body["temperature"] == 0
        found = [graded.grades["judge"] for graded in read_run(tmp_path).trials.values()]
        assert [(g.score, g.detail["model"]) for g in found] == [(1.0, "qwen3-8b"), (None, "qwen3-8b")]

    def test_a_judge_of_the_same_family_is_refused(self, tmp_path, capsys):
        write_bench(tmp_path, {"a": [1.0]}, model="meta/llama-3.1-8b")
        with FakeLlm(says('{"correct": true}'), models=["nvidia/llama-3.3-nemotron-super-49b"]) as server:
            code, _, err = run(capsys, "judge", tmp_path, "--base-url", server.base_url)
            assert (code, "same family" in err, "--force" in err) == (78, True, True)
            code, out, _ = run(capsys, "judge", tmp_path, "--base-url", server.base_url, "--force", "--json")
        assert (code, json.loads(out)["correct"]) == (0, 1)

    def test_a_run_without_a_model_needs_force(self, tmp_path, capsys):
        write_bench(tmp_path, {"a": [1.0]}, model=None)
        code, _, err = run(capsys, "judge", tmp_path, "--base-url", "http://127.0.0.1:9/v1")
        assert (code, "does not name its model" in err) == (78, True)

    def test_a_server_that_does_not_answer_ends_it(self, tmp_path, capsys):
        write_bench(tmp_path, {"a": [1.0]})
        code, _, err = run(capsys, "judge", tmp_path, "--base-url", "http://127.0.0.1:9/v1")
        assert (code, "does not answer" in err) == (68, True)


def test_diagnose_and_export_name_the_suite_that_they_need(tmp_path, capsys):
    write_bench(tmp_path, {"a": [1.0]})
    code, _, err = run(capsys, "diagnose", tmp_path)
    assert (code, "diagnose a run of: research" in err) == (78, True)
    code, _, err = run(capsys, "export", tmp_path, "--out", tmp_path / "x")
    assert (code, "export a run of: research" in err) == (78, True)


@pytest.mark.parametrize("command", ["analyze", "diagnose", "regrade", "judge", "tonight"])
def test_what_is_not_a_run_is_an_error_with_advice(command, tmp_path, capsys):
    (tmp_path / "trials.jsonl").write_bytes(b"hello\nworld\n")
    for path in (tmp_path / "absent", tmp_path):
        code, _, err = run(capsys, command, path)
        assert code in (65, 66, 74), err
        assert str(tmp_path) in err
        assert "try:" in err


def test_a_run_of_a_suite_that_does_not_exist(tmp_path, capsys, monkeypatch):
    write_bench(tmp_path, {"a": [1.0]})
    monkeypatch.delitem(SUITES, "fake")
    code, _, err = run(capsys, "analyze", tmp_path)
    assert (code, "'fake' is not a suite" in err) == (78, True)


def test_import_needs_files_that_exist(tmp_path, capsys):
    code, _, err = run(capsys, "import", "samples", tmp_path / "absent", "--dir", tmp_path / "d")
    assert (code, "absent does not exist" in err) == (66, True)
    assert run(capsys, "import", "samples", "--dir", tmp_path / "d")[0] == 78
    assert not Path(tmp_path / "d").exists()


def test_tonight_without_runs_of_proposers(tmp_path, capsys):
    write_bench(tmp_path / "a", {"a": [1.0, None]})
    code, out, _ = run(capsys, "tonight", tmp_path / "a", "--html", tmp_path / "t.html")
    assert code == 0
    assert out.startswith("Cannot tell: no run of the suite proposer was given")
    assert "accuracy between 50.0% and 100.0%" in out
    assert "1 of 2 planned samples have no trial" in out
    assert "Cannot tell" in (tmp_path / "t.html").read_text()
    assert json.loads(run(capsys, "tonight", tmp_path / "a", "--json")[1])["tonight"]["decision"] == "cannot tell"
