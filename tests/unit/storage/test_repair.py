"""A repair keeps the longest gapless history and the original, whenever it is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage import repair as module
from autoresearch.storage.journal import read, seal
from autoresearch.storage.repair import plan_repair, repair
from autoresearch.storage.run_dir import TRAJECTORY, run_files

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
    copy = repair(plan)
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
    assert repair(plan_repair(file)).name.endswith("-2")
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
