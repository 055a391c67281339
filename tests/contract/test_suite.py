"""Every suite under the contract of its port."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoresearch.benches.cases import Case
from autoresearch.benches.samples.suite import SamplesSuite
from autoresearch.testing.contracts.suite import SuiteContract
from autoresearch.testing.fake_chat import FakeChat
from autoresearch.testing.fake_suite import FakeSuite


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
