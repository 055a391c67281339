"""Every status of the research suite, brought about by a server at the other end of a real socket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.research.trace import STATUSES
from autoresearch.benches.run_directory import read_run
from autoresearch.cli.main import main
from tests.fake_llm import Behaviour, FakeLlm, says, says_no, sends

pytest.importorskip("bm25s")

SEARCH = {"id": "a", "type": "function", "function": {"name": "search", "arguments": '{"query": "token pyramid"}'}}
SEARCHES = says(None, "tool_calls", tool_calls=[SEARCH])
NOMINATES = says("<candidates>0</candidates><answer>Done</answer>")
OVERFLOW = says_no(400, "This model's maximum context length is 10 tokens, and 9000 in the messages")

CASES: dict[str, tuple[Sequence[Behaviour], tuple[str, ...]]] = {
    "finished": ((SEARCHES, NOMINATES), ()),
    "max_turns_reached": ((SEARCHES,), ("--bound", "max_turns=2")),
    "max_tokens_reached": ((SEARCHES,), ("--bound", "max_prompt_tokens=10")),
    "context_length_exceeded": ((SEARCHES, OVERFLOW), ()),
    "api_error": ((SEARCHES, says_no(400, "the template fails on this conversation")), ()),
    "error": ((says(None, tool_calls=[{"function": 7}]),), ()),
}


def bench(tmp_path: Path, server: FakeLlm, *more: str) -> int:
    """One case of the suite, with BM25 over two papers."""
    papers = [{"id": "2204.00001", "title": "On token pyramid"}, {"id": "d4", "title": "On owls"}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, papers)))
    case = {"question": "Which paper has a token pyramid?", "answer": ["On token pyramid"], "arxiv_id": "2204.00001"}
    (tmp_path / "cases.jsonl").write_text(json.dumps(case))
    files = [str(tmp_path / "cases.jsonl"), "--dir", str(tmp_path / "run")]
    where = ["--retriever", f"bm25:{tmp_path / 'corpus.jsonl'}", "--base-url", server.base_url]
    return main(["bench", "run", "research", *files, *where, "--patience", "0", *more])


def test_the_table_has_every_status() -> None:
    assert set(CASES) == set(STATUSES)


@pytest.mark.parametrize("status", list(CASES))
def test_a_server_can_bring_it_about(tmp_path: Path, status: str, capsys: pytest.CaptureFixture[str]) -> None:
    script, flags = CASES[status]
    with FakeLlm(*script) as server:
        assert bench(tmp_path, server, "--json", *flags) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert result["statuses"] == {status: 1}
    (graded,) = read_run(tmp_path / "run").trials.values()
    (grade,) = graded.grades.values()
    assert grade.score == (1 if status == "finished" else grade.score)
    assert grade.score is not None


def test_a_failure_of_the_server_is_none_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeLlm(SEARCHES, sends(b"<html>")) as server:
        assert bench(tmp_path, server, "--json") == 68
        assert json.loads(capsys.readouterr().out)["statuses"] == {}
        server.script[:] = [SEARCHES, NOMINATES]
        assert bench(tmp_path, server, "--json") == 0
    assert json.loads(capsys.readouterr().out)["statuses"] == {"finished": 1}
