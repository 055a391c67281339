from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from autoresearch.core.ports import Interrupted
from autoresearch.llm.async_bridge import GRACE_S, POLL_S, AsyncBridge

SLACK_S = 5.0  # of a busy machine; what these tests call would otherwise last for ever


@pytest.fixture
def bridge():
    made = AsyncBridge()
    yield made
    made.close()


async def for_ever() -> None:
    await asyncio.Event().wait()


async def stubborn(began: threading.Event | None = None) -> None:
    """Swallows every cancellation."""
    while True:
        try:
            if began:
                began.set()
            await for_ever()
        except asyncio.CancelledError:
            pass


async def after_one_cancellation() -> None:
    try:
        await for_ever()
    except asyncio.CancelledError:
        await for_ever()


def test_a_result_is_returned(bridge):
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert bridge.run(answer(), 5) == 42


def test_an_exception_is_raised(bridge):
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        bridge.run(fail(), 5)


@pytest.mark.parametrize("seconds", [-1, 0, 0.05])
def test_a_coroutine_ends_at_its_deadline(bridge, seconds):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        bridge.run(for_ever(), seconds)
    assert time.monotonic() - began < max(seconds, 0) + SLACK_S


def test_also_for_a_coroutine_that_swallows_its_cancellation():
    bridge = AsyncBridge()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        bridge.run(after_one_cancellation(), 0.05)
    assert time.monotonic() - began < 0.05 + GRACE_S + SLACK_S
    bridge.close()


def test_an_interruption_ends_the_wait_soon():
    requested = threading.Event()
    bridge = AsyncBridge(requested.is_set)
    timer = threading.Timer(0.05, requested.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        bridge.run(for_ever(), 60)
    assert time.monotonic() - began < 0.05 + POLL_S + SLACK_S
    timer.join()
    bridge.close()


def test_an_interruption_requested_before_lets_nothing_begin():
    began = threading.Event()
    bridge = AsyncBridge(lambda: True)
    for call in (lambda: bridge.run(stubborn(began), 5), lambda: bridge.sleep(5)):
        with pytest.raises(Interrupted):
            call()
    assert not began.is_set()
    bridge.close()


def test_after_an_interruption_it_works_as_before():
    requests = iter([True, False, False, False])
    bridge = AsyncBridge(lambda: next(requests))
    with pytest.raises(Interrupted):
        bridge.run(for_ever(), 5)
    assert bridge.run(asyncio.sleep(0, "done"), 5) == "done"
    bridge.close()


def test_ctrl_c_leaves_nothing_behind():
    """A KeyboardInterrupt leaves the loop at any point; the running request is ended all the same."""
    ended = threading.Event()

    async def request() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await for_ever()
        finally:
            ended.set()

    bridge = AsyncBridge()
    with pytest.raises(KeyboardInterrupt):
        bridge.run(request(), 5)
    bridge.close()
    assert ended.is_set()


def strike() -> bool:
    os.kill(os.getpid(), signal.SIGINT)
    return False


async def strike_at_once() -> None:
    strike()
    await for_ever()


async def strike_later() -> None:
    await asyncio.sleep(0)
    strike()
    await for_ever()


async def strike_while_nothing_happens() -> None:
    asyncio.get_running_loop().call_later(0, strike)
    await for_ever()


@pytest.mark.parametrize("request_of", [strike_at_once, strike_later, strike_while_nothing_happens, for_ever])
def test_ctrl_c_is_raised_once_and_asyncio_logs_nothing(request_of, caplog):
    """The bridge runs once more after it, to close the connections: the interrupt must not be raised there again."""
    requests = iter([request_of is for_ever])  # strikes in the ``interrupted`` callback
    bridge = AsyncBridge(lambda: strike() if next(requests, False) else False)
    with pytest.raises(KeyboardInterrupt):
        bridge.run(request_of(), 5)
    assert bridge.run(asyncio.sleep(0, "closed"), 5) == "closed"
    bridge.close()
    del bridge
    gc.collect()
    assert caplog.records == []


def test_an_interrupted_callback_that_raises_ends_the_request():
    def requested() -> bool:
        raise OSError("the flag cannot be read")

    bridge = AsyncBridge(requested)
    with pytest.raises(OSError, match="the flag"):
        bridge.run(for_ever(), 5)
    bridge.close()


def test_a_thread_that_a_request_needed_does_not_outlive_it(bridge):
    async def in_a_thread() -> threading.Thread:
        return await asyncio.to_thread(threading.current_thread)

    for _ in range(2):  # the second request gets a thread of its own
        helper = bridge.run(in_a_thread(), 5)
        helper.join(5)
        assert not helper.is_alive()


def test_a_thread_that_hangs_does_not_hold_up_the_deadline(bridge):
    """A name server that does not answer, for example."""
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        bridge.run(asyncio.to_thread(release.wait), 0.05)
    assert time.monotonic() - began < 0.05 + GRACE_S + SLACK_S
    release.set()


def test_closing_twice_closes_once_and_a_closed_bridge_runs_nothing():
    open_before = len(os.listdir("/proc/self/fd"))
    bridge = AsyncBridge()
    assert len(os.listdir("/proc/self/fd")) > open_before
    bridge.close()
    bridge.close()
    assert len(os.listdir("/proc/self/fd")) == open_before
    with pytest.raises(RuntimeError, match="closed"):
        bridge.run(asyncio.sleep(0), 5)


def test_it_works_in_a_thread_of_its_own():
    def use() -> str:
        bridge = AsyncBridge()
        try:
            return bridge.run(asyncio.sleep(0, "done"), 5)
        finally:
            bridge.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(use).result() == "done"
