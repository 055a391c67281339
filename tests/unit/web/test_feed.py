"""What a page is sent: everything once, then only what changed, whatever the files hold."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.web import feed as module
from autoresearch.web.feed import RunFeed
from autoresearch.web.find_runs import RunPlace
from autoresearch.web.row_json import FIELDS
from tests.live_night import LiveNight


@pytest.fixture
def feed_of() -> Iterator[Callable[[LiveNight], RunFeed]]:
    made: list[RunFeed] = []

    def make(night: LiveNight) -> RunFeed:
        made.append(RunFeed(RunPlace("0" * 16, "night", night.path)))
        return made[-1]

    yield make
    for feed in made:
        feed.close()


def events(data: bytes) -> dict[str, list]:
    """The data of the events, by name."""
    found: dict[str, list] = {}
    for block in data.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if lines:
            found.setdefault(lines["event"], []).append(json.loads(lines["data"]))
    return found


def test_the_first_poll_sends_everything_and_the_second_nothing(feed_of, night):
    night.grow(50)
    feed = feed_of(night)
    sent = events(feed.poll().events)
    (sections,), (rows,) = sent["sections"], sent["rows"]
    assert {"state", "devices", "log", "verdict", "figures", "course", "limits"} <= set(sections)
    assert rows["from"] == 0
    assert rows["total"] == len(rows["rows"]) > 5
    assert all(len(row) == len(FIELDS) for row in rows["rows"])
    again = feed.poll()
    assert (again.events, again.overview_changed) == (b"", False)


def test_a_new_iteration_sends_its_row_alone_and_progress_sends_no_rows(feed_of, night):
    night.grow(50)
    feed = feed_of(night)
    before = events(feed.poll().events)["rows"][0]["total"]
    while not (sent := events(feed.poll().events)).get("rows"):
        night.grow(1)
    assert sent["rows"][0]["from"] == before
    assert len(sent["rows"][0]["rows"]) == 1
    while (open_trial := feed.snapshot.history.open_trial) is None:
        night.grow(1)
        feed.poll()
    night.progress(open_trial.iter, 0.25)
    sent = events(feed.poll().events)
    assert set(sent) == {"sections"}
    assert set(sent["sections"][0]) == {"devices"}
    (device,) = sent["sections"][0]["devices"]
    assert (device["fraction"], device["phase"], device["speed"]) == (0.25, "training", "13,900 tokens/s")
    assert device["readings"] == [["gpu", "62.5 W", "71 \N{DEGREE SIGN}C", "97% busy", "2100 MHz", "24.0 GiB"]]


def test_a_page_that_opens_late_asks_for_many_rows_in_parts(feed_of, night, monkeypatch):
    monkeypatch.setattr(module, "MAX_SENT_ROWS", 5)
    monkeypatch.setattr(module, "PAGE_ROWS", 7)
    night.grow(80)
    feed = feed_of(night)
    feed.poll()
    (hello,) = events(feed.hello())["rows"]
    assert hello["rows"] == []
    rows: list = []
    while len(rows) < hello["total"]:
        part = json.loads(feed.rows_from(hello["epoch"], len(rows)))
        assert part["from"] == len(rows)
        assert 0 < len(part["rows"]) <= 7
        rows += part["rows"]
    assert [row[0] for row in rows] == list(range(1, hello["total"] + 1))
    assert json.loads(feed.rows_from("another", 3))["from"] == 0
    assert json.loads(feed.rows_from(hello["epoch"], 10**8))["rows"] == []


def test_a_run_that_is_replaced_begins_a_new_epoch_without_the_old_rows(feed_of, night, tmp_path):
    night.grow(50)
    feed = feed_of(night)
    feed.poll()
    epoch = feed.epoch
    (night.path / TRAJECTORY).unlink()
    other = LiveNight(night.path, 9)
    other.grow(12)
    (sent,) = events(feed.poll().events)["rows"]
    assert sent["epoch"] != epoch
    assert sent["from"] == 0
    assert sent["total"] == len(sent["rows"]) < 9
    assert feed.keeps == sum(row[5] == 0 for row in sent["rows"])


def test_a_run_that_is_removed_and_comes_back(feed_of, night):
    night.grow(30)
    feed = feed_of(night)
    feed.poll()
    shutil.rmtree(night.path)
    (sections,) = events(feed.poll().events)["sections"]
    assert "No run has started here yet" in sections["state"]["text"]
    night.path.mkdir()
    LiveNight(night.path, 60).grow(30)
    assert events(feed.poll().events)["rows"][0]["total"] > 5


@pytest.mark.parametrize("kind", ["pipe", "link", "directory", "binary", "empty", "other", "middle", "no meta", "huge"])
def test_a_file_of_any_kind_is_said_not_raised(feed_of, night, kind, monkeypatch):
    night.grow(30)
    file = night.path / TRAJECTORY
    whole = file.read_bytes()
    if kind in ("pipe", "link", "directory"):
        file.unlink()
    match kind:
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to("/etc/hostname")
        case "directory":
            file.mkdir()
        case "binary":
            file.write_bytes(os.urandom(5000))
        case "empty":
            file.write_bytes(b"")
        case "other":
            file.write_text('{"a": 1}\n')
        case "middle":
            file.write_bytes(whole[:3000] + b"\n<script>\n" + whole[3000:])
        case "no meta":
            file.write_bytes(whole.partition(b"\n")[2])
        case "huge":
            monkeypatch.setattr("autoresearch.web.live_reader.MAX_BYTES", 1000)
    feed = feed_of(night)
    feed.poll()
    (sections,) = events(feed.hello())["sections"]
    assert sections["state"]["text"]
    assert feed.overview["live"] in ("unreadable", "starting", "empty", "running", "interrupted", "open")
    feed.poll()  # and again


def test_no_text_of_a_run_can_end_an_event(feed_of, night):
    night.grow(30)
    feed = feed_of(night)
    data = feed.poll().events
    assert all(block.count(b"\n") == 1 for block in data.strip().split(b"\n\n"))


def test_the_summary_of_a_long_run_is_not_renewed_with_every_record(night):
    from autoresearch.web.live_reader import SUMMARY_SHARE, LiveReader

    ticks = iter(range(0, 100_000, 5))  # each look at the clock is 5 s later: summarising "takes" 5 s
    reader = LiveReader(night.path, clock=lambda: float(next(ticks)))
    night.grow(30)
    summary = reader.poll().summary
    for _ in range(5):
        night.grow(3)
        snapshot = reader.poll()
    assert snapshot.summary.iterations == summary.iterations
    assert len(snapshot.history.rows) > summary.iterations
    for _ in range(int(1 / SUMMARY_SHARE) + 2):
        snapshot = reader.poll()
    assert snapshot.summary.iterations == len(snapshot.history.rows)  # without a new record
    reader.close()


def test_a_vault_that_is_unsealed_behind_later_rows_is_sent_with_the_rows_from_its_keep(feed_of, night):
    """As in a parallel run."""
    night.grow(50)
    feed = feed_of(night)
    total = events(feed.poll().events)["rows"][0]["total"]
    rows = feed._reader.rows
    rows[1] = replace(rows[1], why="another text")
    (sent,) = events(feed.poll().events)["rows"]
    assert (sent["from"], sent["total"], len(sent["rows"])) == (1, total, total - 1)
    assert "another text" in str(sent["rows"][0])
    assert "another text" in feed.rows_from(feed.epoch, 0).decode()
    assert feed.poll().events == b""
