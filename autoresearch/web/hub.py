"""Polls the runs that have viewers, once a second, and sends what changed to all of them. Without viewers it rests.

All files are read in one thread, so that a slow disk delays no answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from autoresearch.web.feed import RunFeed, encode, sse
from autoresearch.web.find_runs import Found, find_runs

TICK_S, IDLE_RUN_S, SEARCH_S, HEARTBEAT_S = 1.0, 5.0, 10.0, 15.0
STOP_POLL_S = 0.5
MAX_VIEWERS = 500
MAX_WAITING = 64  # events of a viewer that does not read them; then it is dropped and connects again
RETRY = b"retry: 2000\n\n"
ALL = ""  # the subject of the list of all runs


class TooManyViewers(Exception):
    """The limit of viewers is reached."""


class Hub:
    """The runs below ``roots`` and the viewers of each."""

    def __init__(self, roots: Iterable[Path], is_stopping: Callable[[], bool] = lambda: False) -> None:
        self.roots = tuple(roots)
        self.feeds: dict[str, RunFeed] = {}
        self.problems: tuple[str, ...] = ()
        self._viewers: dict[str, set[asyncio.Queue[bytes | None]]] = {}
        self._is_stopping = is_stopping
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._next_search_s = 0.0
        self._next_poll_s: dict[str, float] = {}

    @property
    def viewers(self) -> int:
        return sum(map(len, self._viewers.values()))

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            if not self.viewers:
                self._wake.clear()
                await self._wake.wait()
            began = time.monotonic()
            await self.refresh()
            is_loading = any(feed.is_loading and self._is_watched(feed) for feed in self.feeds.values())
            await asyncio.sleep(0 if is_loading else max(0.05, TICK_S - (time.monotonic() - began)))

    async def watch_for_stop(self) -> None:
        """End every stream soon after the server was asked to stop, however long a poll takes."""
        while not self._is_stopping():
            await asyncio.sleep(STOP_POLL_S)
        self.stop()

    def stop(self) -> None:
        """End every stream."""
        for queues in self._viewers.values():
            for queue in list(queues):
                self._end(queue)

    async def refresh(self, *, everything: bool = False) -> None:
        """Poll what is due, or ``everything``, and publish it."""
        async with self._reading:
            await self._search(everything)
            due = [feed for feed in self.feeds.values() if everything or self._is_due(feed)]
            self._publish_lines([feed for feed in due if await self._poll(feed)])

    async def refresh_run(self, feed: RunFeed) -> None:
        """Poll one run now, and publish what changed."""
        async with self._reading:
            self._publish_lines([feed] if await self._poll(feed) else [])

    async def _poll(self, feed: RunFeed) -> bool:
        """Whether its line in the list of runs changed."""
        update = await asyncio.to_thread(feed.poll)
        is_watched = bool(self._viewers.get(feed.place.id))
        alive = feed.snapshot is not None and feed.snapshot.alive
        wait = 0.0 if is_watched or alive or feed.is_loading else IDLE_RUN_S
        self._next_poll_s[feed.place.id] = time.monotonic() + wait
        self._publish(feed.place.id, update.events)
        return update.overview_changed

    def _publish_lines(self, changed: list[RunFeed]) -> None:
        if changed:
            self._publish(ALL, sse("runs", encode([feed.overview for feed in changed])))

    def _is_watched(self, feed: RunFeed) -> bool:
        return bool(self._viewers.get(feed.place.id) or self._viewers.get(ALL))

    def _is_due(self, feed: RunFeed) -> bool:
        if not self._is_watched(feed):
            return False
        return time.monotonic() >= self._next_poll_s.get(feed.place.id, 0.0)

    async def _search(self, now: bool) -> None:
        if not now and time.monotonic() < self._next_search_s:
            return
        self._next_search_s = time.monotonic() + SEARCH_S
        found = await asyncio.to_thread(find_runs, self.roots)
        self._take(found)

    def _take(self, found: Found) -> None:
        """Begin with runs that are new and end those that are gone."""
        places = {place.id: place for place in found.runs}
        gone = [run for run in self.feeds if run not in places]
        for run in gone:
            self.feeds.pop(run).close()
            self._next_poll_s.pop(run, None)
            self._publish(run, sse("gone", b"{}"))
        new = [place for run, place in places.items() if run not in self.feeds]
        for place in new:
            self.feeds[place.id] = RunFeed(place)
        if gone or new or found.problems != self.problems:
            self.problems = found.problems
            self._publish(ALL, self._list())

    def _list(self) -> bytes:
        known = [feed.overview or {"id": feed.place.id, "name": feed.place.name} for feed in self.feeds.values()]
        return sse("list", encode({"runs": known, "problems": self.problems}))

    def _publish(self, subject: str, events: bytes) -> None:
        if not events:
            return
        for queue in list(self._viewers.get(subject, ())):
            try:
                queue.put_nowait(events)
            except asyncio.QueueFull:
                self._end(queue)
                self._leave(subject, queue)  # its stream may wait for as long as the viewer does not read

    @staticmethod
    def _end(queue: asyncio.Queue[bytes | None]) -> None:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)

    async def stream(self, subject: str) -> AsyncIterator[bytes]:
        """The events of a run, or of the list of all, until the viewer leaves. Raises ``TooManyViewers``."""
        if self.viewers >= MAX_VIEWERS:
            raise TooManyViewers
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._viewers.setdefault(subject, set()).add(queue)
        self._wake.set()
        try:
            clock = sse("clock", encode({"now": time.time()}))
            feed = self.feeds.get(subject)
            yield RETRY + clock + (feed.hello() if feed else self._list() if subject == ALL else b"")
            while True:
                try:
                    events = await asyncio.wait_for(queue.get(), HEARTBEAT_S)
                except TimeoutError:
                    events = b": still here\n\n"
                if events is None:
                    return
                yield events
        finally:
            self._leave(subject, queue)

    def _leave(self, subject: str, queue: asyncio.Queue[bytes | None]) -> None:
        queues = self._viewers.get(subject, set())
        queues.discard(queue)
        if not queues:
            self._viewers.pop(subject, None)
