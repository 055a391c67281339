"""Waiting for a server in this thread, bounded by the clock on the wall, with an eye on the user all the while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from autoresearch.core.ports import Interrupted

POLL_S = 0.1  # how often it looks whether the user wants something else
GRACE_S = 0.5  # what a cancelled request gets to close its connection

T = TypeVar("T")


class AsyncBridge:
    """Runs one coroutine at a time. Whatever it waits for, ``interrupted`` is asked ten times a second.

    A timeout of the HTTP client counts from byte to byte, and a server that drips outlasts it; this one does not.
    """

    def __init__(self, interrupted: Callable[[], bool] = lambda: False) -> None:
        self._interrupted = interrupted
        self._loop = asyncio.new_event_loop()

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        """The coroutine's result. Raises ``TimeoutError`` past ``seconds``, and ``Interrupted`` at the user's wish."""
        if self._loop.is_closed():
            coroutine.close()  # else Python complains that it was never awaited
            raise RuntimeError("the waiter is closed")
        helpers = ThreadPoolExecutor(1, "llm")  # names are looked up in a thread, which shall not outlive the call
        self._loop.set_default_executor(helpers)
        waiting = self._loop.create_task(self._bounded(coroutine, seconds))
        try:
            return self._loop.run_until_complete(waiting)
        except KeyboardInterrupt:
            self._give_up(waiting)
            raise
        finally:
            helpers.shutdown(wait=False, cancel_futures=True)

    def sleep(self, seconds: float) -> None:
        """Let time pass. Raises ``Interrupted`` at the user's wish."""
        self.run(asyncio.sleep(seconds), seconds + GRACE_S)

    def close(self) -> None:
        """End what is still running, and give the loop's descriptors back."""
        if self._loop.is_closed():
            return
        left = asyncio.all_tasks(self._loop)  # after a Ctrl-C
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left, timeout=GRACE_S))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _give_up(self, waiting: asyncio.Task[Any]) -> None:
        """After a Ctrl-C, which may have hit the request itself: it would come out once more when the loop goes on."""
        if waiting.done():  # the interrupt came out of it: asyncio's loop would wait for ever for such a one
            waiting.exception()
            return
        waiting.cancel()
        with suppress(asyncio.CancelledError, Exception, KeyboardInterrupt):
            self._loop.run_until_complete(waiting)

    async def _bounded(self, coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
        task = asyncio.ensure_future(coroutine)
        end = time.monotonic() + seconds
        try:
            while not task.done():
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no answer within {seconds:.0f} s")
                if self._interrupted():
                    raise Interrupted("the proposer was interrupted")
                await asyncio.wait({task}, timeout=min(POLL_S, left))
            return task.result()
        finally:
            await _ended(task)


async def _ended(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_S)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, so that asyncio does not complain of it
