"""A judge grades a run: each grade is a record, nonsense is ungraded, a failing server leaves the rest for later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.judging import GRADER, Judge, Judging, describe_judging
from autoresearch.benches.ports import ContextOverflow, Infrastructure
from autoresearch.benches.run_directory import open_directory, read_run
from autoresearch.errors import ConfigError
from autoresearch.testing.fake_chat import FakeChat
from tests.bench_world import write_bench


def judged(path: Path, chat: Callable[[], FakeChat] | FakeChat, *, model: str = "judge-x", **options: Any) -> Judging:
    run = read_run(path)
    open_chat = chat if callable(chat) else lambda: chat
    judge = Judge(model, open_chat, options.pop("stopped", lambda: False), **options)
    with open_directory(path) as directory:
        return judge.grade(directory, run.cases)


def agrees(messages: Any) -> str:
    text = messages[1]["content"]
    answer = text.split("=" * 20)[1].strip()
    return "Judgement: Yes" if text.split("The expected answer:\n")[1].split("\n")[0] == answer else "Judgement: No"


def test_its_grades_stand_beside_the_others(tmp_path):
    write_bench(tmp_path, {"a": [1.0, 0.0], "b": [1.0, None]})
    found = judged(tmp_path, FakeChat(agrees))
    assert (found.correct, found.wrong, found.ungraded, found.failed) == (2, 1, 0, 0)
    run = read_run(tmp_path)
    for graded in run.trials.values():
        own, judge = graded.grades["fake"], graded.grades["judge"]
        assert (judge.grader, judge.correct, judge.score) == (GRADER, own.correct, own.score)
        assert judge.detail["model"] == "judge-x"
        assert judge.detail["reply"].startswith("Judgement: ")


def test_nonsense_is_ungraded(tmp_path):
    write_bench(tmp_path, {"a": [1.0], "b": [1.0], "c": [1.0], "d": [1.0]})
    chat = FakeChat("it is true", "{}", ContextOverflow("too long", 8192), '{"score": 0.5}')
    found = judged(tmp_path, chat)
    assert (found.ungraded, found.scored, found.correct) == (3, 1, 0)
    grades = [graded.grades["judge"] for graded in read_run(tmp_path).trials.values()]
    assert [(g.score, g.correct) for g in grades] == [(None, None)] * 3 + [(0.5, None)]
    assert "3 replies did not follow the form: ungraded" in describe_judging(found)


def test_what_was_judged_is_not_asked_again(tmp_path):
    write_bench(tmp_path, {"a": [1.0], "b": [0.0]})
    judged(tmp_path, FakeChat(agrees))
    chat = FakeChat(agrees)
    assert (judged(tmp_path, chat).kept, chat.requests) == (2, [])
    with pytest.raises(ConfigError, match="grades of another judge") as error:
        judged(tmp_path, chat, model="judge-y")
    assert "--again" in error.value.hint
    assert judged(tmp_path, chat, model="judge-y", again=True).done == 2
    assert {g.grades["judge"].detail["model"] for g in read_run(tmp_path).trials.values()} == {"judge-y"}


def test_a_failing_server_ends_it_and_the_same_command_continues(tmp_path):
    write_bench(tmp_path, {i: [1.0] for i in "abcdefghij"})
    chat = FakeChat(agrees, agrees, Infrastructure("unreachable", "refused"))
    found = judged(tmp_path, chat)
    assert (found.correct, found.failed) == (2, 8)
    assert "unreachable: refused" in describe_judging(found)
    assert len(chat.requests) == 7  # five failures in a row end it
    found = judged(tmp_path, FakeChat(agrees))
    assert (found.correct, found.kept, found.failed) == (8, 2, 0)


def test_a_stop_ends_it(tmp_path):
    write_bench(tmp_path, {i: [1.0] for i in "abcd"})
    chat = FakeChat(agrees)
    found = judged(tmp_path, chat, stopped=lambda: len(chat.requests) >= 2)
    assert (found.correct, found.failed) == (2, 2)


def test_several_threads_have_a_chat_each(tmp_path):
    write_bench(tmp_path, {f"c{n}": [1.0] for n in range(12)})
    chats: list[FakeChat] = []

    def open_chat() -> FakeChat:
        chats.append(FakeChat(agrees))
        return chats[-1]

    found = judged(tmp_path, open_chat, parallel=3)
    assert (found.correct, found.done, found.planned) == (12, 12, 12)
    assert len(chats) == 3
    assert all(chat.closed for chat in chats)


def test_a_trial_without_an_answer_is_wrong_without_asking(tmp_path):
    run = write_bench(tmp_path / "a", {"a": [1.0], "b": [0.0]})
    path = tmp_path / "a" / "trials.jsonl"
    assert run.trials["b", 0].trial.answer == "wrong"
    _rewrite_answer(path)
    chat = FakeChat(agrees)
    found = judged(tmp_path / "a", chat)
    assert (found.not_asked, found.correct, len(chat.requests)) == (1, 1, 1)
    grade = read_run(tmp_path / "a").trials["b", 0].grades["judge"]
    assert (grade.score, grade.correct) == (0.0, False)


def _rewrite_answer(path: Path) -> None:
    """Replace the answer `wrong` by null, with right checksums."""
    from autoresearch.storage.journal import read
    from autoresearch.storage.sealed_line import seal

    payloads = [p.replace(b'"answer":"wrong"', b'"answer":null') for p in read(path).payloads]
    path.write_bytes(b"".join(seal(n, payload.decode()) for n, payload in enumerate(payloads)))


def test_a_kill_at_any_record_gives_the_same_grades(tmp_path):
    write_bench(tmp_path / "whole", {"a": [1.0, 0.0], "b": [0.0, 1.0]})
    before = (tmp_path / "whole/trials.jsonl").read_bytes()
    chat = FakeChat(agrees)
    judged(tmp_path / "whole", chat)
    after = (tmp_path / "whole/trials.jsonl").read_bytes()
    expected = {pair: g.grades["judge"].correct for pair, g in read_run(tmp_path / "whole").trials.items()}
    ends = [len(before), *(n + 1 for n, byte in enumerate(after) if byte == 10 and n + 1 > len(before))]
    for end in ends:
        for cut in (end, end + 9):
            folder = tmp_path / f"cut-{cut}"
            folder.mkdir()
            (folder / "trials.jsonl").write_bytes(after[:cut])
            (folder / "cases.jsonl").write_bytes((tmp_path / "whole/cases.jsonl").read_bytes())
            judged(folder, FakeChat(agrees))
            found = {pair: g.grades["judge"].correct for pair, g in read_run(folder).trials.items()}
            assert found == expected
