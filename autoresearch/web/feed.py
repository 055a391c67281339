"""One run as its pages receive it: encoded once, whatever the number of viewers, and only what changed."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any

from autoresearch.core.text import describe_error
from autoresearch.report import Row
from autoresearch.report.watch.snapshot import Snapshot
from autoresearch.web.find_runs import RunPlace
from autoresearch.web.live_reader import LiveReader
from autoresearch.web.loss_curves import build_lines
from autoresearch.web.row_json import encode_row
from autoresearch.web.run_log import LogLine
from autoresearch.web.sections import Sections, live_sections, overview, result_sections
from autoresearch.web.telemetry_tail import Reading, read_readings

MAX_PROBLEM_CHARS = 300
MAX_DEVICES = 64  # whose own readings are read
MAX_SENT_ROWS = 200  # with one event; a page asks for the others
PAGE_ROWS = 2000  # of one answer


def encode(value: Any) -> bytes:
    """``value`` as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")


def sse(name: str, data: bytes) -> bytes:
    """A server-sent event; JSON has no line break that could end it."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


@dataclass(frozen=True, slots=True)
class Update:
    """What a poll changed: events for the pages of the run, and whether its line in the list of runs differs."""

    events: bytes
    overview_changed: bool


class RunFeed:
    """Polled by one thread at a time. What it holds is replaced, never changed, except that rows are appended."""

    def __init__(self, place: RunPlace, reader: LiveReader | None = None) -> None:
        self.place = place
        self.snapshot: Snapshot | None = None
        self.readings: tuple[Reading, ...] = ()  # of all devices together
        self.device_readings: dict[str, tuple[Reading, ...]] = {}  # of those that are metered by themselves
        self.overview: Sections = {}
        self.actions: list[LogLine] = []  # of this page's controls, the newest last
        self._reader = reader or LiveReader(place.path)
        self._salt = secrets.token_hex(6)
        self._sections: dict[str, bytes] = {}
        self._rows: list[bytes] = []
        self._sent: list[Row] = []  # those that ``_rows`` are made of
        self._results_of: tuple[object, object] = (None, None)
        self._lines_of: tuple[int, int, bool] | None = None

    @property
    def keeps(self) -> int:
        return self._reader.keeps

    @property
    def epoch(self) -> str:
        """Rows of another epoch are not of this run, or were numbered by another server."""
        return f"{self._salt}-{self._reader.replacements}"

    @property
    def is_loading(self) -> bool:
        return self._reader.loading

    def poll(self) -> Update:
        """Read what is new."""
        epoch = self.epoch
        try:
            self.snapshot = snapshot = self._reader.poll()
        except Exception as e:  # for example a log without its first record: no log may end the page of the others
            self._reader.loading = False
            text = describe_error(e, MAX_PROBLEM_CHARS)
            return self._publish(
                {"state": {"text": f"cannot be read: {text}", "style": "bad"}, "live": "unreadable"}, b""
            )
        self.readings = read_readings(self.place.path) if snapshot.alive else ()
        self.device_readings = self._read_devices(snapshot)
        rows = self._add_rows(is_new=epoch != self.epoch)
        return self._publish(self._build(snapshot), rows)

    def close(self) -> None:
        self._reader.close()

    def _read_devices(self, snapshot: Snapshot) -> dict[str, tuple[Reading, ...]]:
        """Of the devices on which trials run now."""
        trials = snapshot.progress.trials if snapshot.alive and snapshot.progress else ()
        names = sorted({t.where for t in trials if t.where})[:MAX_DEVICES]
        return {name: found for name in names if (found := read_readings(self.place.path, name))}

    def hello(self) -> bytes:
        """The events for a page that was just opened: everything except the rows, which it asks for."""
        whole = b"{%s}" % b",".join(encode(name) + b":" + data for name, data in self._sections.items())
        return self._rows_event(len(self._rows)) + sse("sections", whole)

    def rows_from(self, epoch: str, first: int) -> bytes:
        """At most ``PAGE_ROWS`` rows; from the beginning for another epoch."""
        first = min(max(0, first), len(self._rows)) if epoch == self.epoch else 0
        return self._rows_data(first, PAGE_ROWS)

    def _build(self, snapshot: Snapshot) -> Sections:
        sections = live_sections(snapshot, self.readings, [*self._reader.log], self.device_readings)
        sections["actions"] = [[line.ts, line.kind, line.text] for line in self.actions]
        sections["loading"] = self._reader.loading
        if snapshot.history is None or snapshot.summary is None:
            return sections
        results_of = (snapshot.summary, snapshot.history.baseline)
        if self._results_of[0] is not results_of[0] or self._results_of[1] is not results_of[1]:
            self._results_of = results_of
            sections |= result_sections(snapshot.history, snapshot.summary)
        lines_of = (len(snapshot.history.rows), len(self._reader.open_curves), snapshot.history.baseline is None)
        if lines_of != self._lines_of:
            self._lines_of = lines_of
            sections["curves"] = build_lines(snapshot.history, self._reader.open_curves)
        return sections

    def _add_rows(self, *, is_new: bool) -> bytes:
        """Encode the rows that are new; returns the event of them."""
        if is_new:
            self._rows, self._sent, self._sections = [], [], {}
            self._results_of, self._lines_of = (None, None), None
        rows, sent = self._reader.rows, self._sent
        changed = (n for n, (row, before) in enumerate(zip(rows, sent, strict=False)) if row is not before)
        first = next(
            changed, min(len(rows), len(sent))
        )  # a vault was unsealed: that of the last row, or an earlier one
        if first == len(rows) == len(sent) and not is_new:
            return b""
        self._rows[first:] = [encode_row(row) for row in rows[first:]]
        self._sent[first:] = rows[first:]
        return self._rows_event(first)

    def _rows_event(self, first: int) -> bytes:
        """The rows from ``first``, or, of many, none of them: then the page asks for them."""
        many = len(self._rows) - first > MAX_SENT_ROWS
        return sse("rows", self._rows_data(len(self._rows) if many else first, MAX_SENT_ROWS))

    def _rows_data(self, first: int, limit: int) -> bytes:
        head = encode({"epoch": self.epoch, "from": first, "total": len(self._rows)})
        return head[:-1] + b',"rows":[%s]}' % b",".join(self._rows[first : first + limit])

    def _publish(self, sections: Sections, rows: bytes) -> Update:
        encoded = {name: encode(value) for name, value in sections.items()}
        changed = {name: data for name, data in encoded.items() if self._sections.get(name) != data}
        self._sections = self._sections | changed
        events = rows
        if changed:
            events += sse("sections", b"{%s}" % b",".join(encode(n) + b":" + d for n, d in changed.items()))
        before = self.overview
        if self.snapshot is not None and (changed or rows or not before):
            self.overview = {"id": self.place.id, "name": self.place.name} | overview(
                self.snapshot, len(self._rows), self.keeps
            )
        return Update(events, self.overview != before)
