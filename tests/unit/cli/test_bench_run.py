"""``autoresearch bench run`` as typed: its output, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches import suites
from autoresearch.benches.run_directory import read_run
from autoresearch.cli.bench_run import ABOUT
from autoresearch.cli.main import build_parser, main
from autoresearch.config.secrets import KEY_VARIABLE
from tests.engine_world import CASES, oracle
from tests.fake_llm import FakeLlm, Wire, refusing, says, sends

KEY = "sk-local/0123456789abcdef+Zz"


def knows(wire: Wire) -> None:
    says(oracle(wire.request.body["messages"]))(wire)


@pytest.fixture(autouse=True)
def small_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite ``samples`` is the small one of the tests; the key is set."""
    monkeypatch.setitem(suites.SUITES, "samples", ("autoresearch.testing.fake_suite", "FakeSuite"))
    monkeypatch.setenv(KEY_VARIABLE, KEY)


@pytest.fixture
def server() -> Iterator[FakeLlm]:
    with FakeLlm(knows) as started:
        yield started


@pytest.fixture
def cases(tmp_path: Path) -> str:
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(f"{json.dumps(case.payload | {'id': case.id})}\n" for case in CASES.cases))
    return str(path)


@pytest.fixture
def run(tmp_path: Path, cases: str, server: FakeLlm, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command; its code, what it printed, and what it printed to stderr."""

    def command(*more: str, url: str = "", source: str = cases) -> tuple[int, str, str]:
        where = ["--dir", str(tmp_path / "run"), "--base-url", url or server.base_url]
        code = main(["bench", "run", "samples", source, *where, *more])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


class TestRun:
    def test_a_complete_run_prints_its_figures(self, run: Any, tmp_path: Path) -> None:
        code, out, err = run("-k", "2")
        assert code == 0
        assert out.startswith("6 of 6 right\n")
        assert f"fake: 6 of 6 attempts, 120 tokens written, in {tmp_path / 'run'}" in out
        assert "6 of 6 attempts, 6 correct" in err

    def test_json_has_counts_and_figures_and_nothing_else_is_on_stdout(self, run: Any, tmp_path: Path) -> None:
        code, out, _ = run("-k", "2", "--json")
        result = json.loads(out)
        assert code == 0
        assert result["analysis"] == {"planned": 6, "trials": 6, "right": 6, "accuracy": 1.0}
        expected = {
            "dir": str(tmp_path / "run"),
            "suite": "fake",
            "model": "fake-model",
            "ended": "complete",
            "complete": True,
            "cases": 3,
            "samples": 2,
            "planned": 6,
            "recorded": 6,
            "missing": 0,
            "ungraded": 0,
            "statuses": {"finished": 6},
            "unavailable": {},
            "tokens_in": 18000,
            "tokens_out": 120,
        }
        assert {name: result[name] for name in expected} == expected

    def test_the_conditions_are_recorded(self, run: Any, tmp_path: Path, server: FakeLlm) -> None:
        run(
            "--temperature",
            "0.3",
            "--top-p",
            "0.9",
            "--max-tokens",
            "50",
            "--seed",
            "7",
            "--loud",
            "--bound",
            "max_turns=4",
        )
        meta = read_run(tmp_path / "run").meta
        sampling = {"temperature": 0.3, "top_p": 0.9, "max_tokens": 50, "seed": 7}
        assert meta.sampling == {**sampling, "refused": {}}
        assert (meta.model, meta.base_url, meta.limits) == ("fake-model", server.base_url, {"max_turns": 4.0})
        assert meta.options == {"loud": True}
        assert {name: server.chats[0].body[name] for name in sampling} == sampling
        assert server.chats[0].prompt == "WHAT IS A?"

    def test_the_temperature_is_the_settings_unless_given(self, run: Any, tmp_path: Path) -> None:
        run("--set", "llm.temperature=0.1")
        assert read_run(tmp_path / "run").meta.sampling["temperature"] == 0.1

    def test_a_limit_takes_the_first_cases(self, run: Any, tmp_path: Path) -> None:
        run("--limit", "2")
        assert [case.id for case in read_run(tmp_path / "run").cases.cases] == ["a", "b/c"]

    def test_the_key_is_sent_and_written_nowhere(self, run: Any, tmp_path: Path, server: FakeLlm) -> None:
        _, out, err = run("--json")
        assert server.chats[0].headers["authorization"] == f"Bearer {KEY}"
        written = "".join(path.read_text() for path in (tmp_path / "run").rglob("*") if path.is_file())
        assert KEY not in written + out + err


class TestContinuing:
    def test_more_samples_are_added(self, run: Any, server: FakeLlm) -> None:
        run()
        assert run("-k", "2")[0] == 0
        assert len(server.chats) == 6

    def test_a_complete_run_needs_no_server(self, run: Any, server: FakeLlm) -> None:
        run()
        with refusing() as url:
            code, out, _ = run(url=url)
        assert (code, out.splitlines()[0]) == (0, "3 of 3 right")

    @pytest.mark.parametrize(
        ("flags", "named"),
        [
            (("--temperature", "0.1"), "sampling.temperature: 0.7, now 0.1"),
            (("--seed", "1"), "sampling.seed: none, now 1"),
            (("--model", "other"), "model: fake-model, now other"),
            (("--bound", "max_turns=3"), "limits.max_turns: 1.0, now 3.0"),
            (("--loud",), "options.loud: False, now True"),
            (("--limit", "1"), "the cases: 3 with sha256"),
        ],
    )
    def test_other_conditions_are_refused_also_for_a_complete_run(
        self, run: Any, flags: tuple[str, ...], named: str
    ) -> None:
        run()
        code, out, err = run(*flags)
        assert (code, out) == (76, "")
        assert named in err
        assert "another --dir" in err

    def test_the_server_of_another_model_is_refused(self, run: Any, server: FakeLlm) -> None:
        run()
        server.models = ["other"]
        code, _, err = run("-k", "2")
        assert code == 76
        assert "this run asks fake-model" in err

    def test_a_part_of_the_models_name_is_enough(self, run: Any) -> None:
        assert run("--model", "fake")[0] == 0
        assert run("--model", "fake")[0] == 0


class TestIncomplete:
    def test_a_server_that_fails_ends_it_with_its_own_code(self, run: Any, server: FakeLlm) -> None:
        server.script[:] = [knows, sends(b"<html>")]
        code, out, err = run("--patience", "0")
        assert code == 68
        assert out.startswith("1 of 3 right\n")
        assert "autoresearch: 2 planned attempts missing (malformed_response" in err
        assert "the same command continues" in err
        server.script[:] = [knows]
        assert run("--patience", "0")[0] == 0

    def test_its_json_says_so(self, run: Any, server: FakeLlm) -> None:
        server.script[:] = [knows, sends(b"<html>")]
        code, out, _ = run("--patience", "0", "--json")
        result = json.loads(out)
        assert code == 68
        assert (result["ended"], result["complete"], result["missing"]) == ("incomplete", False, 2)
        assert result["unavailable"] == {"malformed_response": 3}

    def test_no_server_at_all(self, run: Any) -> None:
        with refusing() as url:
            code, out, err = run(url=url)
        assert (code, out) == (68, "")
        assert f"the LLM server {url} does not answer (unreachable" in err


class TestRefusals:
    @pytest.mark.parametrize(
        ("flags", "named"),
        [
            (("--bound", "turns=3"), "its limits: max_turns"),
            (("--bound", "max_turns"), "--bound max_turns"),
            (("--bound", "max_turns=many"), "'many' is not a number"),
            (("--set", "llm.temperature=9"), "temperature"),
            (("--model", "other"), "no model other; the server has: fake-model"),
        ],
    )
    def test_a_wrong_setting_is_named(self, run: Any, flags: tuple[str, ...], named: str) -> None:
        code, _, err = run(*flags)
        assert code == 78
        assert named in err

    @pytest.mark.parametrize(
        "flags", [("-k", "0"), ("--parallel", "0"), ("--temperature", "hot"), ("--top-p", "2"), ("--nonsense",)]
    )
    def test_a_wrong_flag_is_a_matter_of_usage(self, run: Any, flags: tuple[str, ...]) -> None:
        with pytest.raises(SystemExit) as ended:
            run(*flags)
        assert ended.value.code == 2

    def test_missing_cases(self, run: Any, tmp_path: Path) -> None:
        code, _, err = run(source=str(tmp_path / "missing.jsonl"))
        assert code == 66
        assert "missing.jsonl" in err

    def test_a_training_run(self, run: Any, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/trajectory.jsonl").touch()
        assert run()[0] == 78


class TestHelp:
    def test_every_suite_of_the_table_has_its_words(self) -> None:
        assert set(ABOUT) == set(suites.SUITES)

    def test_no_suite_is_imported_until_it_is_named(self) -> None:
        code = "from autoresearch.cli.main import build_parser; import sys; build_parser();"
        code += "print([m for m in sys.modules if m.startswith('autoresearch.benches')])"
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"

    def test_the_flags_of_a_suite_are_in_its_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            build_parser().parse_args(["bench", "run", "samples", "--help"])
        assert ended.value.code == 0
        printed = capsys.readouterr().out
        assert "--loud" in printed
        assert "limits for --bound: max_turns=1" in printed

    def test_a_suite_that_cannot_be_imported_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(suites.SUITES, "samples", ("no_such_package.suite", "Suite"))
        with pytest.raises(SystemExit) as ended:
            main(["bench", "run", "samples", "x"])
        assert ended.value.code == 69
        assert "no_such_package" in capsys.readouterr().err
