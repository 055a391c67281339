"""Threads that make attempts, each with a chat of its own. They write nothing: results go to the main thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from autoresearch.benches.ports import RunChat

GRACE_S = 5.0  # for the threads to end after a stop at once; none may keep the process

Task = TypeVar("Task")
Result = TypeVar("Result")
OpenChat = Callable[[], RunChat | None]


@dataclass(frozen=True, slots=True)
class Died:
    """A thread ended with an exception of our own code; it is raised in the main thread."""

    error: BaseException


class Workers(Generic[Task, Result]):
    """``number`` threads. ``work`` is called in them with a task and the thread's chat, and must not raise."""

    def __init__(self, number: int, work: Callable[[Task, RunChat | None], Result], open_chat: OpenChat) -> None:
        self._inbox: SimpleQueue[Task | None] = SimpleQueue()
        self._results: SimpleQueue[Result | Died] = SimpleQueue()
        self._work, self._open_chat = work, open_chat
        self.busy = 0
        self._threads = [threading.Thread(target=self._loop, name=f"bench {n}", daemon=True) for n in range(number)]
        for thread in self._threads:
            thread.start()

    @property
    def idle(self) -> int:
        return len(self._threads) - self.busy

    def start(self, task: Task) -> None:
        """Hand a task to an idle thread."""
        self.busy += 1
        self._inbox.put(task)

    def result(self, timeout_s: float) -> Result | None:
        """The next result, or ``None`` where none came in time. Raises what ended a thread."""
        try:
            result = self._results.get(timeout=timeout_s)
        except Empty:
            return None
        if isinstance(result, Died):
            raise result.error
        self.busy -= 1
        return result

    def close(self) -> None:
        """End the threads; one that does not end in time is left behind."""
        for _ in self._threads:
            self._inbox.put(None)
        end = time.monotonic() + GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _loop(self) -> None:
        chat: RunChat | None = None
        try:
            chat = self._open_chat()
            while (task := self._inbox.get()) is not None:
                self._results.put(self._work(task, chat))
        except BaseException as e:
            self._results.put(Died(e))
        finally:
            if chat is not None:
                with suppress(Exception):
                    chat.close()
