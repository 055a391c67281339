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
from autoresearch.llm.async_bridge import GRACE_S, LOOK_S, Waiter

SLACK_S = 0.2  # of a busy machine


@pytest.fixture
def waiter():
    made = Waiter()
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


def test_a_result_is_handed_on(waiter):
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert waiter.run(answer(), 5) == 42


def test_so_is_what_is_raised(waiter):
    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        waiter.run(fail(), 5)


@pytest.mark.parametrize("seconds", [-1, 0, 0.05])
def test_a_deadline_is_a_deadline(waiter, seconds):
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        waiter.run(for_ever(), seconds)
    assert time.monotonic() - began < max(seconds, 0) + SLACK_S


def test_also_for_a_coroutine_that_swallows_its_cancellation():
    waiter = Waiter()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        waiter.run(after_one_cancellation(), 0.05)
    assert time.monotonic() - began < 0.05 + GRACE_S + SLACK_S
    waiter.close()


def test_a_wish_ends_the_wait_soon():
    wish = threading.Event()
    waiter = Waiter(wish.is_set)
    timer = threading.Timer(0.05, wish.set)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        waiter.run(for_ever(), 60)
    assert time.monotonic() - began < 0.05 + LOOK_S + SLACK_S
    timer.join()
    waiter.close()


def test_a_wish_that_was_there_before_lets_nothing_begin():
    began = threading.Event()
    waiter = Waiter(lambda: True)
    for call in (lambda: waiter.run(stubborn(began), 5), lambda: waiter.sleep(5)):
        with pytest.raises(Interrupted):
            call()
    assert not began.is_set()
    waiter.close()


def test_after_an_interruption_it_works_as_before():
    wishes = iter([True, False, False, False])
    waiter = Waiter(lambda: next(wishes))
    with pytest.raises(Interrupted):
        waiter.run(for_ever(), 5)
    assert waiter.run(asyncio.sleep(0, "done"), 5) == "done"
    waiter.close()


def test_ctrl_c_leaves_nothing_behind():
    """A KeyboardInterrupt tears through the loop wherever it is; the request under way is ended all the same."""
    ended = threading.Event()

    async def request() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await for_ever()
        finally:
            ended.set()

    waiter = Waiter()
    with pytest.raises(KeyboardInterrupt):
        waiter.run(request(), 5)
    waiter.close()
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
def test_ctrl_c_comes_out_once_and_asyncio_says_nothing_of_it(request_of, caplog):
    """The waiter is used once more after it, to close the connections: the interrupt must not come out there again."""
    wishes = iter([request_of is for_ever])  # strikes while it is asked for the user's wish
    waiter = Waiter(lambda: strike() if next(wishes, False) else False)
    with pytest.raises(KeyboardInterrupt):
        waiter.run(request_of(), 5)
    assert waiter.run(asyncio.sleep(0, "closed"), 5) == "closed"
    waiter.close()
    del waiter
    gc.collect()
    assert caplog.records == []


def test_a_wish_that_raises_ends_the_request():
    def wish() -> bool:
        raise OSError("the flag cannot be read")

    waiter = Waiter(wish)
    with pytest.raises(OSError, match="the flag"):
        waiter.run(for_ever(), 5)
    waiter.close()


def test_a_thread_that_a_request_needed_does_not_outlive_it(waiter):
    async def in_a_thread() -> threading.Thread:
        return await asyncio.to_thread(threading.current_thread)

    for _ in range(2):  # the second request gets a thread of its own
        helper = waiter.run(in_a_thread(), 5)
        helper.join(5)
        assert not helper.is_alive()


def test_a_thread_that_hangs_does_not_hold_up_the_deadline(waiter):
    """A name server that does not answer, for example."""
    release = threading.Event()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        waiter.run(asyncio.to_thread(release.wait), 0.05)
    assert time.monotonic() - began < 0.05 + GRACE_S + SLACK_S
    release.set()


def test_closing_twice_is_closing_once(waiter):
    waiter.close()
    waiter.close()


def test_it_works_in_a_thread_of_its_own():
    def use() -> str:
        waiter = Waiter()
        try:
            return waiter.run(asyncio.sleep(0, "done"), 5)
        finally:
            waiter.close()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(use).result() == "done"
