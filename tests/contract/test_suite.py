"""Every suite under the contract of its port."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Graded, Suite
from autoresearch.benches.proposers.suite import ProposerSuite
from autoresearch.benches.proposers.table_file import format_table
from autoresearch.benches.research.suite import ResearchSuite
from autoresearch.benches.samples.suite import SamplesSuite
from autoresearch.testing.contracts.suite import SuiteContract
from autoresearch.testing.fake_chat import FakeChat
from autoresearch.testing.fake_suite import FakeSuite
from tests.unit.benches.proposers.worlds import build_table


class TestFakeSuite(SuiteContract):
    @pytest.fixture
    def suite(self) -> FakeSuite:
        return FakeSuite()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        rows = [{"id": name, "question": f"What is {name}?", "expected": name} for name in ("a", "b/c", "d d")]
        (tmp_path / "cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return tmp_path / "cases.jsonl"

    def good_chat(self, case: Case) -> FakeChat:
        return FakeChat(str(case.payload["expected"]))


class TestResearchSuite(SuiteContract):
    """With BM25 over four papers; the question of each case returns its papers first."""

    @pytest.fixture(autouse=True)
    def corpus(self, tmp_path: Path) -> None:
        papers = {"2204.00001": "token pyramid", "2204.00002": "lane lines", "2204.00003": "lane curves", "d4": "owls"}
        lines = [json.dumps({"id": i, "title": f"On {text}", "text": text}) for i, text in papers.items()]
        (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
        self.args = ("--retriever", f"bm25:{tmp_path / 'corpus.jsonl'}")

    @pytest.fixture
    def suite(self) -> Suite:
        return ResearchSuite()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        rows = [
            {"question": "Which paper has a token pyramid?", "answer": ["On token pyramid"], "arxiv_id": "2204.00001"},
            {"question": "Which are about a lane?", "answer": [], "arxiv_id": ["2204.00002", "2204.00003"]},
        ]
        (tmp_path / "cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return tmp_path / "cases.jsonl"

    def good_chat(self, case: Case) -> FakeChat:
        call = json.dumps({"name": "search", "arguments": {"query": case.payload["question"]}})
        ids = ", ".join(str(i) for i in range(len(case.payload["gold"])))
        return FakeChat(f"<tool_call>{call}</tool_call>", f"<candidates>{ids}</candidates><answer>Done</answer>")


class NoVerifier:
    """For answers that are equal as text: no process is started."""

    def any_equal(self, pairs: list[tuple[str, str]]) -> bool:
        return False


class TestSamplesSuite(SuiteContract):
    @pytest.fixture
    def suite(self) -> SamplesSuite:
        return SamplesSuite(NoVerifier())

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        kinds = {"math": r"\frac{1}{2}", "mcq": "B", "exact": "New York"}
        rows = [
            {"id": f"{kind}/1", "question": "?", "expected_answer": expected, "kind": kind, "family": kind}
            for kind, expected in kinds.items()
        ]
        (tmp_path / "cases.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return tmp_path / "cases.jsonl"

    def good_chat(self, case: Case) -> FakeChat:
        return FakeChat(rf"<think>\boxed{{no}}</think>It is \boxed{{{case.payload['expected_answer']}}}.")


class TestProposerSuite(SuiteContract):
    """On a table where every value is the same, so that every night hands over the best."""

    args = ("--proposers", "random,tpe", "--trials", "3")

    @pytest.fixture
    def suite(self) -> Suite:
        return ProposerSuite()

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        table = build_table(values=3, seeds=2, bpb=lambda _cfg: 2.0, sd_frac=0.0)
        (tmp_path / "table.json").write_text(format_table(table))
        return tmp_path / "table.json"

    def good_chat(self, case: Case) -> FakeChat:
        return FakeChat("")

    def graded(self, suite: Suite, case: Case, attempt: Any, folder: Path, sample: int, seq: int) -> Graded:
        """Without the seconds that the proposers really took, which no two attempts have in common."""
        graded = super().graded(suite, case, attempt, folder, sample, seq)
        grade = graded.grades["proposers"]
        for part in (*grade.detail["checkpoints"], *grade.detail["path"], grade.detail["counts"]):
            part.update({name: 0.0 for name in ("virtual_s", "propose_s", "llm_s") if name in part})
        return graded
