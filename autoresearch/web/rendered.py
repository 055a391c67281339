"""The morning report and the comparison of two runs, written when they are asked for: one at a time, the last kept."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable

from autoresearch.report import load, summarise
from autoresearch.report.comparison import compare
from autoresearch.report.history import History
from autoresearch.report.html import render_comparison_html, render_html
from autoresearch.storage.run_dir import TRAJECTORY, has_writer
from autoresearch.web.find_runs import RunPlace
from autoresearch.web.live_reader import refuse_file

MAX_KEPT = 4
Key = tuple[object, ...]


class RenderedPages:
    """Pages by the state of the files that they are made of, so that a reload costs nothing."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._kept: OrderedDict[Key, str] = OrderedDict()

    async def report(self, place: RunPlace) -> str:
        """The page of one run. Raises ``JournalError``."""
        return await self._render(("report", *_state(place)), lambda: _report(place))

    async def comparison(self, a: RunPlace, b: RunPlace) -> str:
        """The page of two runs. Raises ``JournalError``."""
        return await self._render(("compare", *_state(a), *_state(b)), lambda: _comparison(a, b))

    async def _render(self, key: Key, render: Callable[[], str]) -> str:
        async with self._lock:
            if key not in self._kept:
                self._kept[key] = await asyncio.to_thread(render)
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return self._kept[key]


def _state(place: RunPlace) -> Key:
    try:
        now = os.stat(place.path / TRAJECTORY, follow_symlinks=False)
    except OSError:
        return (place.id,)
    return (place.id, now.st_ino, now.st_size, now.st_mtime_ns, has_writer(place.path))


def _load(place: RunPlace) -> History:
    """Raises ``JournalError``, also for what the live page refuses: a link, and a file that is too large."""
    refuse_file(place.path / TRAJECTORY)
    return load(place.path / TRAJECTORY)  # the file, not the directory: no cache is written


def _report(place: RunPlace) -> str:
    history = _load(place)
    return render_html(summarise(history), history)


def _comparison(a: RunPlace, b: RunPlace) -> str:
    histories = [_load(place) for place in (a, b)]
    live = (has_writer(a.path), has_writer(b.path))
    return render_comparison_html(compare(histories[0], histories[1], (a.name, b.name), live))
