"""Each check passes where it should and fails where it should, through the real services."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.workflow.bounded_regex import RegexTooSlow, search
from autoresearch.benches.workflow.grading import CheckResult, Ungradable, score_of
from autoresearch.errors import CorpusError
from tests.unit.benches.workflow.tasks import grade, make_case, outcome, using

Calls = list[tuple[str, dict[str, Any]]]
NOTE: Calls = [("set_note", {"id": 1, "note": "called"})]
WRITE: Calls = [("write_file", {"path": "out/r.txt", "content": "total: 12\nrows: 3\n"})]
PASSES: list[tuple[dict[str, Any], Calls, str]] = [
    ({"type": "file_exists", "path": "out/r.txt"}, WRITE, ""),
    ({"type": "file_not_exists", "path": "out/r.txt"}, [], ""),
    ({"type": "file_contents_contain", "path": "out/r.txt", "text": "total: 12"}, WRITE, ""),
    ({"type": "file_contents_contain", "path": "out/r.txt", "text": "13", "absent": True}, WRITE, ""),
    ({"type": "file_contents_match_regex", "path": "out/r.txt", "pattern": r"^rows: \d$"}, WRITE, ""),
    ({"type": "file_unchanged", "path": "a.txt"}, WRITE, ""),
    ({"type": "file_unchanged", "path": "a.txt"}, [("write_file", {"path": "a.txt", "content": "alpha\n"})], ""),
    ({"type": "row", "sql": "SELECT note FROM people WHERE id = 1", "equals": "called"}, NOTE, ""),
    ({"type": "row", "sql": "SELECT id, note FROM people WHERE id = 1", "equals": [1, "called"]}, NOTE, ""),
    ({"type": "row", "sql": "SELECT id, note FROM people", "equals": [[1, "called"], [2, None]]}, NOTE, ""),
    ({"type": "row", "sql": "SELECT id FROM people WHERE id > 9", "equals": []}, [], ""),
    ({"type": "row", "sql": "SELECT note FROM people WHERE id = 2", "equals": None}, [], ""),
    ({"type": "row", "sql": "SELECT 0.1 + 0.2", "equals": 0.3}, [], ""),
    ({"type": "row", "service": "crm", "sql": "SELECT count(*) FROM people", "equals": 2}, [], ""),
    ({"type": "called", "endpoint": "set_note"}, NOTE, ""),
    ({"type": "called", "endpoint": "set_note", "body": {"id": 1}}, NOTE, ""),
    ({"type": "called", "endpoint": "set_note", "body": {"id": "1", "note": "called"}}, NOTE, ""),
    ({"type": "called", "endpoint": "set_note", "min": 0, "max": 0}, [], ""),
    ({"type": "called", "endpoint": "set_note", "min": 2, "max": 2}, NOTE * 2, ""),
    ({"type": "not_called", "endpoint": "drop_person"}, NOTE, ""),
    ({"type": "not_called", "endpoint": "set_note", "body": {"id": 2}}, NOTE, ""),
    ({"type": "says", "pattern": r"\bdone\b"}, [], "All DONE."),
    ({"type": "says", "pattern": "sorry", "absent": True}, [], "done"),
]
FAILS: list[tuple[dict[str, Any], Calls, str, str]] = [
    ({"type": "file_exists", "path": "out/r.txt"}, [], "", "out/r.txt is missing"),
    ({"type": "file_exists", "path": "out"}, WRITE, "", "out is a directory"),
    ({"type": "file_not_exists", "path": "out/r.txt"}, WRITE, "", "out/r.txt is there"),
    ({"type": "file_not_exists", "path": "out"}, WRITE, "", "out is a directory"),
    ({"type": "file_contents_contain", "path": "out/r.txt", "text": "13"}, WRITE, "", "does not contain '13'"),
    ({"type": "file_contents_contain", "path": "x", "text": "13", "absent": True}, WRITE, "", "no such file"),
    ({"type": "file_contents_match_regex", "path": "out/r.txt", "pattern": r"^rows: 4$"}, WRITE, "", "does not match"),
    ({"type": "file_contents_match_regex", "path": "x", "pattern": "x"}, WRITE, "", "no such file"),
    ({"type": "file_unchanged", "path": "a.txt"}, [("write_file", {"path": "a.txt", "content": "x"})], "", "changed"),
    ({"type": "row", "sql": "SELECT note FROM people WHERE id = 1", "equals": "x"}, [], "", "gives [(None,)], not"),
    ({"type": "row", "sql": "SELECT note FROM people", "equals": "called"}, NOTE, "", "[('called',), (None,)]"),
    ({"type": "row", "sql": "SELECT id FROM people ORDER BY id DESC", "equals": [[1], [2]]}, [], "", "[(2,), (1,)]"),
    ({"type": "row", "sql": "SELECT id FROM people WHERE id > 9", "equals": None}, [], "", "gives []"),
    ({"type": "row", "sql": "SELECT '1'", "equals": 1}, [], "", "gives [('1',)]"),
    ({"type": "called", "endpoint": "set_note"}, [], "", "set_note succeeded 0 times"),
    ({"type": "called", "endpoint": "set_note", "max": 1}, NOTE * 2, "", "succeeded 2 times"),
    ({"type": "called", "endpoint": "set_note", "body": {"note": "other"}}, NOTE, "", "succeeded 0 times with"),
    ({"type": "called", "endpoint": "set_note"}, [("set_note", {"id": "x", "note": "n"})], "", "succeeded 0 times"),
    ({"type": "not_called", "endpoint": "set_note"}, NOTE, "", "set_note was called 1 times"),
    ({"type": "not_called", "endpoint": "add_person"}, [("add_person", {"name": None, "age": 1})], "", "called 1"),
    ({"type": "says", "pattern": r"\bdone\b"}, [], "undone", "is not in the final answer"),
    ({"type": "says", "pattern": "sorry", "absent": True}, [], "Sorry", "is in the final answer"),
    ({"type": "says", "pattern": "."}, NOTE, "", "is not in the final answer"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "calls", "answer"), PASSES, ids=[f"{i}-{c[0]['type']}" for i, c in enumerate(PASSES)]
)
def test_a_check_passes(tmp_path: Path, check: dict[str, Any], calls: Calls, answer: str) -> None:
    assert outcome(tmp_path, check, calls, answer) == ""


@pytest.mark.parametrize(
    ("check", "calls", "answer", "reason"), FAILS, ids=[f"{i}-{c[0]['type']}" for i, c in enumerate(FAILS)]
)
def test_a_check_fails_and_says_why(
    tmp_path: Path, check: dict[str, Any], calls: Calls, answer: str, reason: str
) -> None:
    assert reason in outcome(tmp_path, check, calls, answer)


@pytest.mark.parametrize(
    "kind", ["file_exists", "file_contents_contain", "file_contents_match_regex", "file_unchanged"]
)
def test_a_file_check_does_not_follow_a_link(tmp_path: Path, kind: str) -> None:
    more = {"file_contents_contain": {"text": "root"}, "file_contents_match_regex": {"pattern": "root"}}.get(kind, {})
    case = make_case(tmp_path / "task", checks=[{"type": kind, "path": "a.txt", **more}])
    with using(case, tmp_path / "attempt") as tools:
        (tools.root / "a.txt").unlink()
        (tools.root / "a.txt").symlink_to("/etc/passwd")
    (result,) = grade(case, tmp_path / "attempt")
    assert not result.passed


def test_what_an_attempt_left_must_be_whole(tmp_path: Path) -> None:
    case = make_case(tmp_path / "task", checks=[{"type": "row", "sql": "SELECT id FROM people", "equals": 1}])
    with pytest.raises(Ungradable):
        grade(case, tmp_path / "missing")
    with using(case, tmp_path / "attempt"):
        pass
    (tmp_path / "attempt/service-crm.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(Ungradable, match="not a database"):
        grade(case, tmp_path / "attempt")
    (tmp_path / "attempt/service-crm.sqlite").unlink()
    with pytest.raises(Ungradable, match=r"service-crm\.sqlite.*missing"):
        grade(case, tmp_path / "attempt")
    (tmp_path / "attempt/audit.jsonl").write_text("{}\n")
    with pytest.raises(Ungradable, match=r"audit\.jsonl, line 1"):
        grade(case, tmp_path / "attempt")


def test_a_check_cannot_change_the_database(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="it is not a query: it writes"):
        make_case(tmp_path / "task", checks=[{"type": "row", "sql": "DELETE FROM people", "equals": []}])


def test_the_score_is_the_weighted_share() -> None:
    def results(*passed: tuple[bool, float]) -> list[CheckResult]:
        return [CheckResult(str(i), "says", ok, weight) for i, (ok, weight) in enumerate(passed)]

    assert score_of(results((True, 3), (False, 1))) == 0.75
    assert score_of(results((True, 0.1), (True, 0.2), (True, 0.3))) == 1.0
    assert score_of(results((False, 2))) == 0.0


class TestRegex:
    @pytest.mark.parametrize(("pattern", "text"), [("b+c", "abbc"), ("b", "abc"), ("(?i)B", "abc"), ("^c$", "b\nc")])
    def test_found(self, pattern: str, text: str) -> None:
        assert search(pattern, text, 8)
        assert not search(pattern, "zzz", 8)

    def test_a_catastrophic_pattern_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("autoresearch.benches.workflow.bounded_regex.CPU_S", 1)
        with pytest.raises(RegexTooSlow, match="CPU time"):
            search(r"(a+)+$", "a" * 40 + "b")

    def test_a_text_that_is_too_long_is_not_searched(self) -> None:
        with pytest.raises(RegexTooSlow, match="characters"):
            search("a", "a" * ((1 << 20) + 1))

    def test_any_text_reaches_the_pattern_whole(self) -> None:
        text = "\ud800\x00\u2028" + json.dumps({"a": "ü"})
        assert search("\x00.+a", text)
