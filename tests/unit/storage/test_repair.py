"""A repair keeps the longest gapless history and the original, whenever it is killed."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch.core.records import encode
from autoresearch.errors import JournalDamaged, JournalError, LockHeld
from autoresearch.storage import repair as module
from autoresearch.storage.exchange_log import ExchangeLog, read_exchanges
from autoresearch.storage.held_file import HeldFile
from autoresearch.storage.journal import Journal, read, seal
from autoresearch.storage.repair import plan_repair, repair
from autoresearch.storage.run_dir import ENVELOPE, EXCHANGES, TRAJECTORY, run_files
from autoresearch.storage.speed_log import decode_speeds
from autoresearch.testing.fake_exchange import fake_exchange

ASSET = Path(__file__).parents[2] / "assets" / "trajectory_v1.jsonl"
LINES = ASSET.read_bytes().splitlines(keepends=True)[:12]
WHOLE = b"".join(LINES)


def zeros(line: bytes) -> bytes:
    return b"\0" * (len(line) - 1) + b"\n"


@pytest.mark.parametrize(
    ("data", "repaired"),
    [
        (WHOLE.replace(b"\n", b"\r\n"), WHOLE),
        (b"\xef\xbb\xbf" + WHOLE, WHOLE),
        (WHOLE.decode().encode("utf-16"), WHOLE),
        (WHOLE + b"\n\n", WHOLE),
        (WHOLE.replace(b"\n", b"\n\n"), WHOLE),
        (WHOLE + LINES[0], WHOLE),
        (WHOLE + WHOLE, WHOLE),
        (b"".join([LINES[0], LINES[2], LINES[1], *LINES[3:]]), WHOLE),
        (WHOLE.replace(b"\n", b"", 1), WHOLE),
        (WHOLE + b'{"seq":12,"sta', WHOLE),
        (b"".join([*LINES[:5], zeros(LINES[5]), *LINES[6:]]), b"".join(LINES[:5])),
        (b"".join([*LINES[:5], *LINES[6:]]), b"".join(LINES[:5])),
        (b"".join(LINES[:8]) + b"\0" * 9999, b"".join(LINES[:8])),
        (WHOLE + seal(5, '{"stage":"other"}') + seal(12, '{"stage":"other"}'), WHOLE),
    ],
    ids=[
        *("CRLF", "BOM", "UTF-16", "blank end", "blank between", "a line twice", "all twice", "swapped"),
        *("newline lost", "torn", "zeros", "missing", "zeros at the end", "two writers"),
    ],
)
def test_the_least_that_makes_it_continue(data, repaired, tmp_path):
    file = tmp_path / TRAJECTORY
    file.write_bytes(data)
    plan = plan_repair(file)
    assert plan.steps
    assert file.read_bytes() == data, "a plan changes nothing"
    copy, _ = repair(plan)
    assert file.read_bytes() == repaired
    assert copy.read_bytes() == data
    assert copy in run_files(tmp_path), "--fresh archives it"
    assert read(file).torn == b""
    assert plan_repair(file).steps == ()


@pytest.mark.parametrize("call", ["fsync", "replace", "unlink"])
@pytest.mark.parametrize("nth", range(1, 4))
def test_killed_at_any_moment_it_can_be_repeated(call, nth, tmp_path, monkeypatch):
    """What the kill leaves is the old file or the repaired one, and one copy of the original."""
    file = tmp_path / TRAJECTORY
    damaged = b"".join([*LINES[:5], zeros(LINES[5]), *LINES[6:]])
    file.write_bytes(damaged)
    calls = 0

    def dies(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    place = Path if call == "unlink" else os
    real = getattr(place, call)
    with monkeypatch.context() as patch:
        patch.setattr(place, call, dies)
        try:
            repair(plan_repair(file))
        except KeyboardInterrupt:
            assert file.read_bytes() in (damaged, b"".join(LINES[:5]))
    if (plan := plan_repair(file)).steps:
        repair(plan)
    assert file.read_bytes() == b"".join(LINES[:5])
    assert sorted(p.name for p in tmp_path.iterdir()) == [TRAJECTORY, f"{TRAJECTORY}.before-repair-1"]
    assert (tmp_path / f"{TRAJECTORY}.before-repair-1").read_bytes() == damaged


def test_a_copy_of_an_earlier_repair_is_not_overwritten(tmp_path):
    file = tmp_path / TRAJECTORY
    for extra in (b"first", b"second"):
        file.write_bytes(WHOLE + extra)
        repair(plan_repair(file))
    copies = sorted(tmp_path.glob("*.before-repair-*"))
    assert [copy.read_bytes() for copy in copies] == [WHOLE + b"first", WHOLE + b"second"]


def test_copies_of_earlier_repairs_are_bounded_and_their_removal_is_reported(tmp_path):
    file = tmp_path / TRAJECTORY
    foreign = [file.with_name(f"{TRAJECTORY}.before-repair-{end}") for end in ("mine", "1.gz")]
    for path in foreign:
        path.touch()
    said = []
    for number in range(module.KEPT_ORIGINALS + 2):
        file.write_bytes(WHOLE + b"torn %d" % number)
        copy, removed = repair(plan_repair(file))
        assert copy.read_bytes() == WHOLE + b"torn %d" % number
        said.append(removed)
    sentence = f"removed 1 old file {TRAJECTORY}.before-repair-*; the newest {module.KEPT_ORIGINALS} stay"
    assert said == [""] * module.KEPT_ORIGINALS + [sentence] * 2
    kept = {int(p.name.rpartition("-")[2]) for p in tmp_path.glob("*.before-repair-*") if p not in foreign}
    assert kept == set(range(3, module.KEPT_ORIGINALS + 3))
    assert all(path.exists() for path in foreign)


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_bytes(WHOLE + b"torn")
    (tmp_path / TRAJECTORY).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError, match="link"):
        plan_repair(tmp_path / TRAJECTORY)
    target = tmp_path / "foreign"
    target.write_bytes(b"foreign")
    file = tmp_path / "run" / TRAJECTORY
    file.parent.mkdir()
    file.write_bytes(WHOLE + b"torn")
    file.with_name(f"{TRAJECTORY}.{module.WORK}").symlink_to(target)
    file.with_name(f"{TRAJECTORY}.before-repair-1").symlink_to(target)
    assert repair(plan_repair(file))[0].name.endswith("-2")
    assert target.read_bytes() == b"foreign"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it has no record"),
        (b"hello\n", "nothing can be continued"),
        (zeros(LINES[0]) + b"".join(LINES[1:]), "line 1 is damaged"),
        (WHOLE + seal(12, '{"stage":"dreamt"}') + b"torn", "line 13 is left out: .*dreamt"),
        (seal(0, '{"stage":"resumed","ts":"now","paused_s":1.0}') + b"torn", "line 1 is not a meta record"),
    ],
)
def test_what_cannot_be_continued_is_refused(data, words, tmp_path):
    file = tmp_path / TRAJECTORY
    file.write_bytes(data)
    with pytest.raises(JournalDamaged, match=words) as refusal:
        plan_repair(file)
    assert refusal.value.hint
    assert file.read_bytes() == data


EXCHANGED = [seal(n, encode(fake_exchange(n + 1))) for n in range(6)]


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        (b"".join([*EXCHANGED[:3], zeros(EXCHANGED[3]), *EXCHANGED[4:]]), 3),
        (b"".join([*EXCHANGED[:2], *EXCHANGED[3:]]), 2),
        (b"".join(EXCHANGED).replace(b"\n", b"\r\n"), 6),
        (b"".join(EXCHANGED).decode().encode("utf-16"), 6),
        (b"".join([*EXCHANGED[:4], seal(4, encode(fake_exchange(9)))]), 4),
        (b"".join([zeros(EXCHANGED[0]), *EXCHANGED[1:]]), 0),
    ],
    ids=["zeros", "missing", "CRLF", "UTF-16", "a gap in its own numbers", "the first"],
)
def test_exchanges_continue_after_the_longest_history(data, kept, tmp_path):
    file = tmp_path / EXCHANGES
    file.write_bytes(data)
    with pytest.raises(JournalDamaged) as refusal:
        ExchangeLog(tmp_path)
    assert f"autoresearch repair {tmp_path}" in refusal.value.hint
    copy, _ = repair(plan_repair(file))
    assert copy.read_bytes() == data
    assert copy in run_files(tmp_path), "--fresh archives it"
    log = ExchangeLog(tmp_path)
    assert log.next_number == kept + 1
    log.append(fake_exchange(kept + 1))
    log.close()
    assert len(read_exchanges(tmp_path)) == kept + 1
    assert plan_repair(file).steps == ()


def test_exchanges_continue_the_compressed_ones(tmp_path):
    log = ExchangeLog(tmp_path, segment_bytes=1)
    for number in range(1, 4):
        log.append(fake_exchange(number))
    log.close()
    file = tmp_path / EXCHANGES
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    repair(plan_repair(file))
    assert [e.exchange for e in read_exchanges(tmp_path)] == [1, 2, 3]


SPEEDS = [
    seal(n, json.dumps({"kind": "conditions", "ts": "t", "conditions_sha256": str(n), "conditions": {"n": n}}))
    for n in range(5)
]


@pytest.mark.parametrize(
    ("data", "left"),
    [
        (b"".join([*SPEEDS[:2], zeros(SPEEDS[2]), *SPEEDS[3:]]), [0, 1, 3, 4]),
        (b"".join([zeros(SPEEDS[0]), *SPEEDS[1:]]), [1, 2, 3, 4]),
        (b"\xef\xbb\xbf" + b"".join(SPEEDS), [0, 1, 2, 3, 4]),
    ],
    ids=["zeros", "the first", "BOM"],
)
def test_of_measured_speeds_every_whole_record_is_kept(data, left, tmp_path):
    file = tmp_path / ENVELOPE
    file.write_bytes(data)
    with pytest.raises(JournalDamaged, match="line") as refusal:
        Journal(file)
    assert f"autoresearch repair {tmp_path}" in refusal.value.hint
    plan = plan_repair(file)
    assert (plan.kept, bool(plan.steps)) == (len(left), True)
    assert repair(plan)[0].read_bytes() == data
    records = decode_speeds(file, read(file).payloads)
    assert [r.conditions["n"] for r in records] == left
    assert plan_repair(file).steps == ()


@pytest.mark.parametrize("name", [TRAJECTORY, EXCHANGES, ENVELOPE])
def test_a_log_that_another_process_holds_is_not_repaired(name, tmp_path):
    """Also where its run.lock was removed."""
    file = tmp_path / name
    lines = {TRAJECTORY: LINES, EXCHANGES: EXCHANGED, ENVELOPE: SPEEDS}[name]
    file.write_bytes(b"".join(lines))
    with closing(HeldFile(file)):
        plan = plan_repair(file)
        with pytest.raises(LockHeld):
            repair(plan)
    file.write_bytes(b"".join(lines[:-1]))
    with pytest.raises(JournalError, match="changed meanwhile"):
        repair(plan)
