"""Run a coroutine from synchronous code: bounded by wall-clock time, and interrupted when the user requests it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

from autoresearch.core.ports import Interrupted

POLL_S = 0.1  # interval between two calls of ``interrupted``
GRACE_S = 0.5  # time for a cancelled request to close its connection

T = TypeVar("T")


class AsyncBridge:
    """Runs one coroutine at a time and calls ``interrupted`` ten times a second while it runs.

    An HTTP client's timeout counts from byte to byte, so a server that sends one byte now and then outlasts it. The
    deadline here counts from the start.
    """

    def __init__(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        self._interrupted = interrupted
        self._loop = asyncio.new_event_loop()

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        """The coroutine's result. Raises ``TimeoutError`` after ``seconds``, ``Interrupted`` on the user's request."""
        if self._loop.is_closed():
            coroutine.close()  # else Python warns that it was never awaited
            raise RuntimeError("the AsyncBridge is closed")
        executor = ThreadPoolExecutor(1, "llm")  # resolves host names; must not outlive the call
        self._loop.set_default_executor(executor)
        task = self._loop.create_task(self._bounded(coroutine, seconds))
        try:
            with self._ctrl_c_cancels(task):
                return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            self._end_after_interrupt(task)
            raise
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    def sleep(self, seconds: float) -> None:
        """Sleep. Raises ``Interrupted`` on the user's request."""
        self.run(asyncio.sleep(seconds), seconds + GRACE_S)

    def close(self) -> None:
        """Cancel what still runs and close the loop's file descriptors."""
        if self._loop.is_closed():
            return
        pending = asyncio.all_tasks(self._loop)  # after a Ctrl-C
        for task in pending:
            task.cancel()
        if pending:
            self._loop.run_until_complete(asyncio.wait(pending, timeout=GRACE_S))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    @contextmanager
    def _ctrl_c_cancels(self, task: asyncio.Task[Any]) -> Iterator[None]:
        """Let a Ctrl-C cancel the task, as ``asyncio.Runner`` does, and raise ``KeyboardInterrupt`` after it.

        Raised where it strikes, within a library, it leaves coroutines that were never awaited. A second one is raised
        at once. Where the program has a handler of its own, or in another thread, nothing changes.
        """
        in_main = threading.current_thread() is threading.main_thread()
        if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        interrupted = False

        def on_sigint(_signal: int, _frame: FrameType | None) -> None:
            nonlocal interrupted
            if interrupted or task.done():
                raise KeyboardInterrupt
            interrupted = True
            task.cancel()
            self._loop.call_soon_threadsafe(lambda: None)  # the loop wakes up

        signal.signal(signal.SIGINT, on_sigint)
        try:
            yield
        except asyncio.CancelledError:
            if not interrupted:
                raise
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupted:
            raise KeyboardInterrupt

    def _end_after_interrupt(self, task: asyncio.Task[Any]) -> None:
        """End the task after a Ctrl-C. If the interrupt hit the task, the loop's next run would raise it again."""
        if task.done():  # it ended with the interrupt: running the loop until such a task completes never returns
            if not task.cancelled():
                task.exception()
            return
        task.cancel()
        with suppress(asyncio.CancelledError, Exception, KeyboardInterrupt):
            self._loop.run_until_complete(task)

    async def _bounded(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        task = asyncio.ensure_future(coroutine)
        deadline = time.monotonic() + seconds
        try:
            while not task.done():
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    raise TimeoutError(f"no answer within {seconds:.0f} s")
                if self._interrupted():
                    raise Interrupted("the proposer was interrupted")
                await asyncio.wait({task}, timeout=min(POLL_S, left_s))
            return task.result()
        finally:
            await _cancel(task)


async def _cancel(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_S)
    if task.done() and not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it as never retrieved
