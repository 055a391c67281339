"""The threads of a bench run: each opens and closes its own chat, and none can keep the process."""

from __future__ import annotations

import threading

import pytest

from autoresearch.benches import workers as workers_module
from autoresearch.benches.ports import RunChat
from autoresearch.benches.workers import Workers
from autoresearch.testing.fake_chat import FakeChat


def results(workers: Workers[int, int], number: int) -> list[int]:
    found = []
    while len(found) < number:
        if (result := workers.result(5.0)) is not None:
            found.append(result)
    return sorted(found)


def test_each_thread_has_one_chat_that_is_closed_in_it() -> None:
    chats: list[FakeChat] = []

    def open_chat() -> FakeChat:
        chats.append(FakeChat())
        return chats[-1]

    def work(task: int, chat: RunChat | None) -> int:
        assert chat is not None
        chat.begin(task)
        return task

    workers: Workers[int, int] = Workers(2, work, open_chat)
    for task in range(2):
        workers.start(task)
    assert (workers.busy, workers.idle) == (2, 0)
    assert results(workers, 2) == [0, 1]
    assert (workers.busy, workers.idle) == (0, 2)
    workers.close()
    assert len(chats) == 2
    assert all(chat.closed for chat in chats)


def test_without_a_result_there_is_none() -> None:
    workers: Workers[int, int] = Workers(1, lambda task, _chat: task, lambda: None)
    assert workers.result(0.0) is None
    workers.close()


def test_an_error_of_a_thread_is_raised_where_results_are_taken() -> None:
    def refuse() -> RunChat:
        raise OSError("no more files")

    workers: Workers[int, int] = Workers(1, lambda task, _chat: task, refuse)
    workers.start(1)
    with pytest.raises(OSError, match="no more files"):
        workers.result(5.0)
    workers.close()


def test_a_thread_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "GRACE_S", 0.01)
    began, may_end = threading.Event(), threading.Event()

    def hang(task: int, _chat: RunChat | None) -> int:
        began.set()
        may_end.wait(20)
        return task

    workers: Workers[int, int] = Workers(1, hang, lambda: None)
    workers.start(1)
    assert began.wait(5)
    workers.close()
    may_end.set()
    assert results(workers, 1) == [1]
