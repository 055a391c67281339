"""What each refusal of a journal says word by word, and in which order it reaches the disk."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import command
from autoresearch.storage.journal import Contents, Journal, parse, read
from autoresearch.storage.run_dir import ENVELOPE, EXCHANGES, TRAJECTORY
from autoresearch.storage.sealed_line import Prefix, WholeLines, seal

FIRST, SECOND = '{"stage":"meta"}', '{"stage":"started"}'
LINES = [seal(0, FIRST), seal(1, SECOND)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j"


def journal_of(path: Path, *payloads: str, **more: Any) -> Journal:
    journal = Journal(path, **more)
    for payload in payloads:
        journal.append(payload)
    return journal


def fail(patch: pytest.MonkeyPatch, call: str, number: int) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    patch.setattr(os, call, failing)


def refusal(act: Callable[[], object]) -> JournalError:
    with pytest.raises(JournalError) as error:
        act()
    return error.value


class TestRead:
    def test_whole_lines_their_bytes_and_the_tail(self, path: Path) -> None:
        path.write_bytes(b"".join(LINES) + b'{"seq":2')
        contents = Contents([FIRST.encode(), SECOND.encode()], len(b"".join(LINES)), b'{"seq":2')
        assert read(path) == contents
        assert parse(path.read_bytes(), path) == contents

    def test_an_absent_file_is_empty(self, path: Path) -> None:
        assert read(path) == Contents([], 0, b"")
        assert parse(b"", path) == Contents([], 0, b"")
        assert parse(b"{", path) == Contents([], 0, b"{")

    def test_zeros_over_several_records_are_measured_by_the_lines_before_them(self, path: Path) -> None:
        whole = b"".join(seal(n, FIRST) for n in range(5))
        assert parse(whole + b"\0" * 40, path).torn == b"\0" * 40
        assert "more than one torn record" in refusal(lambda: parse(whole + b"\0" * 4000, path)).what

    def test_a_file_that_cannot_be_read_is_named(self, tmp_path: Path) -> None:
        assert refusal(lambda: read(tmp_path)).what == f"cannot read {tmp_path}: Is a directory"

    def test_a_wrong_number_is_named_with_the_line(self, path: Path) -> None:
        damaged = refusal(lambda: parse(LINES[0] + seal(7, SECOND), path))
        assert damaged.what == f"{path}: line 2 has number 7 where 1 comes next"

    @pytest.mark.parametrize("name", [TRAJECTORY, EXCHANGES, ENVELOPE])
    def test_damage_of_a_log_of_the_run_names_the_command_that_repairs_it(self, name: str, tmp_path: Path) -> None:
        damaged = refusal(lambda: parse(LINES[0] + b"noise\n" + LINES[1], tmp_path / name))
        assert isinstance(damaged, JournalDamaged)
        assert damaged.what == f"{tmp_path / name}: line 2 is damaged and is not the last"
        repair = command("repair", tmp_path)
        assert damaged.hint == f"`{repair}` shows what is whole and how to continue; --fresh starts over"

    def test_damage_of_another_log_is_for_a_person(self, path: Path) -> None:
        damaged = refusal(lambda: parse(b"noise\n" + LINES[1], path))
        assert damaged.what == f"{path}: line 1 is damaged and is not the last"
        copy = "keep a copy of j; then delete that line and all later ones to continue from there, "
        copy += "or start in another directory"
        assert damaged.hint == copy


class TestOpen:
    def test_a_place_that_cannot_be_written_is_named_with_advice(self, tmp_path: Path) -> None:
        error = refusal(lambda: Journal(tmp_path))
        assert (error.what, error.no_space) == (f"cannot write {tmp_path}: Is a directory", False)
        assert error.hint == f"see what is there and whether the disk works: ls -ld {tmp_path}"

    def test_a_full_disk_is_reported_as_that(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fail(monkeypatch, "fsync", errno.ENOSPC)
        error = refusal(lambda: Journal(path))
        assert (error.what, error.no_space) == (f"cannot write {path}: No space left on device", True)
        assert error.hint == f"make room on the file system of {path} (df -h)"

    def test_a_place_that_the_user_may_not_write_is_named_with_its_owner(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.touch()
        fail(monkeypatch, "fsync", errno.EACCES)
        assert refusal(lambda: Journal(path)).hint.startswith(f"{path} belongs to ")

    def test_another_failure_while_it_is_opened_is_not_a_full_disk(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = os.listdir("/proc/self/fd")
        fail(monkeypatch, "fsync", errno.EIO)
        error = refusal(lambda: Journal(path))
        assert (error.what, error.no_space) == (f"cannot write {path}: Input/output error", False)
        monkeypatch.undo()
        assert os.listdir("/proc/self/fd") == before, "it was closed again"
        Journal(path).close()

    @pytest.mark.parametrize("mode", [0o600, 0o640])
    def test_a_new_file_and_what_is_kept_beside_it_have_the_mode(self, mode: int, path: Path) -> None:
        Journal(path, mode=mode).close()
        path.write_bytes(b'{"seq":0')
        Journal(path, mode=mode).close()
        (aside,) = path.parent.glob("j.torn-*")
        assert [stat.S_IMODE(p.stat().st_mode) for p in (path, aside)] == [mode, mode]

    def test_others_may_read_a_journal_where_no_mode_is_given(self, path: Path) -> None:
        before = os.umask(0)
        try:
            Journal(path).close()
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o644

    def test_a_foreign_file_is_refused_with_advice(self, path: Path) -> None:
        path.write_bytes(b"notes")
        error = refusal(lambda: Journal(path))
        assert error.what == f"{path}: line 1 is not a record of autoresearch; nothing was cut"
        assert error.hint == "another program's file? move it away, or choose another --dir"

    def test_a_torn_tail_is_counted_and_nothing_else_removed(self, path: Path) -> None:
        path.write_bytes(LINES[0] + b"\0" * 9)
        journal = Journal(path)
        assert (journal.torn_bytes, journal.describe_removed()) == (9, "")
        journal.close()
        journal = Journal(path)
        assert (journal.torn_bytes, journal.describe_removed(), journal.size) == (0, "", len(LINES[0]))
        assert journal.append(SECOND) == 1
        journal.close()

    def test_a_torn_first_record_is_cut_only_where_it_begins_like_one(self, path: Path) -> None:
        for torn in (b'{"seq":0,', b'{"seq":0,"stage":"meta","host', b'{"seq":0,"sta\0\0', b"{"):
            path.write_bytes(torn)
            Journal(path, first=b'"stage":"meta"').close()
            assert path.read_bytes() == b""
        for other in (b'{"seq":0,"stage":"started"', b'{"seq":1', b'{"seq":0,X', b"\0{"):
            path.write_bytes(other)
            assert "line 1 is not a record" in refusal(lambda: Journal(path, first=b'"stage":"meta"')).what

    def test_a_torn_tail_longer_than_a_block_is_kept_byte_by_byte(self, path: Path) -> None:
        torn = b"x" * (2 << 20) + b"\n"
        path.write_bytes(LINES[0] + torn)
        Journal(path).close()
        (aside,) = path.parent.glob("j.torn-*")
        assert aside.read_bytes() == torn

    def test_no_space_is_reserved_where_none_is_asked_for(self, path: Path) -> None:
        journal = Journal(path)
        assert path.stat().st_blocks == 0
        journal.close()

    def test_the_hash_of_a_known_beginning_stands_for_its_lines(self, path: Path) -> None:
        journal_of(path, FIRST, SECOND, SECOND).close()
        before = WholeLines([b"".join(LINES)])
        assert len(list(before)) == 2
        prefix = Prefix(before.size, before.count, before.sha256)
        journal = Journal(path, verified=prefix)
        assert journal.verified == prefix
        assert [p.decode() for p in journal] == [FIRST, SECOND, SECOND]
        assert list(journal.lines_after(prefix)) == [SECOND.encode()]
        assert journal.append(FIRST) == 3
        journal.close()

    def test_a_beginning_that_it_does_not_have_stands_for_nothing(self, path: Path) -> None:
        journal_of(path, FIRST).close()
        journal = Journal(path, verified=Prefix(len(LINES[0]), 1, "0" * 64))
        assert journal.verified is None
        assert list(journal.lines_after(Prefix(3, 1, "0" * 64))) == [FIRST.encode()]
        assert journal.append(SECOND) == 1
        journal.close()
        journal = Journal(path)
        assert journal.verified is None
        journal.close()


class TestOrder:
    """What the kernel is asked for, in order; tests/fault/test_power_loss.py sees it from outside."""

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        calls: list[str] = []

        def watch(call: str) -> None:
            real = getattr(os, call)

            def record(fd: int, *args: Any) -> Any:
                calls.append(
                    f"{call} {re.sub('[0-9]{12,}', '*', os.readlink(f'/proc/self/fd/{fd}').rpartition('/')[2])}"
                )
                return real(fd, *args)

            monkeypatch.setattr(os, call, record)

        for call in ("write", "fsync", "ftruncate"):
            watch(call)
        return calls

    def test_of_an_append(self, path: Path, calls: list[str]) -> None:
        journal = Journal(path)
        assert calls == [f"fsync {path.parent.name}"]
        calls.clear()
        journal.append(FIRST)
        assert calls == ["write j", "fsync j"]
        journal.close()

    def test_of_a_torn_tail(self, path: Path, calls: list[str]) -> None:
        path.write_bytes(b'{"seq":0')
        Journal(path).close()
        folder = f"fsync {path.parent.name}"
        assert calls == ["fsync j.torn-*", folder, "ftruncate j", "fsync j", folder]

    def test_a_half_line_on_a_full_disk_is_cut_without_a_sync(
        self, path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = journal_of(path, FIRST)
        calls.clear()
        monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space")))
        refusal(lambda: journal.append(SECOND))
        assert calls == ["ftruncate j"]

    def test_after_another_failure_it_is_cut_with_one(
        self, path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = journal_of(path, FIRST)
        calls.clear()
        monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        refusal(lambda: journal.append(SECOND))
        assert calls == ["ftruncate j", "fsync j"]
        assert path.read_bytes() == LINES[0]

    def test_space_is_reserved_ahead_at_the_start_and_again_as_it_is_used(self, path: Path) -> None:
        journal = Journal(path, reserve_bytes=1 << 16)
        if path.stat().st_blocks == 0:
            pytest.skip("this file system allocates nothing ahead")
        assert path.stat().st_blocks * 512 >= 1 << 16
        journal.append('{"text":"' + "x" * 40_000 + '"}')
        assert path.stat().st_blocks * 512 >= 40_000 + (1 << 16)
        assert path.stat().st_size == journal.size
        journal.close()


class TestAppend:
    @pytest.mark.parametrize(
        ("call", "what", "why"),
        [("write", "cannot write {path}", "writing failed"), ("fsync", "cannot make {path} durable", "fsync failed")],
    )
    def test_a_failure_is_named_and_final(
        self, call: str, what: str, why: str, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = journal_of(path, FIRST)
        with monkeypatch.context() as patch:
            fail(patch, call, errno.EIO)
            error = refusal(lambda: journal.append(SECOND))
        assert error.what == what.format(path=path) + ": Input/output error"
        assert (error.hint, error.no_space) == ("see the system log (journalctl -k)", False)
        again = refusal(lambda: journal.append(SECOND))
        assert (again.what, again.no_space) == (
            f"{path} accepts no more records: {why}: Input/output error",
            False,
        )

    @pytest.mark.parametrize(
        ("call", "what"), [("write", "cannot write {path}"), ("fsync", "cannot make {path} durable")]
    )
    def test_a_full_disk_is_named_and_not_final(
        self, call: str, what: str, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = journal_of(path, FIRST)
        with monkeypatch.context() as patch:
            fail(patch, call, errno.ENOSPC)
            error = refusal(lambda: journal.append(SECOND))
        assert error.what == what.format(path=path) + ": No space left on device"
        assert (error.hint, error.no_space) == (f"make room on the file system of {path} (df -h)", True)
        assert journal.append(SECOND) == 1
        assert path.read_bytes() == b"".join(LINES)

    def test_where_a_full_disk_lets_nothing_be_cut_the_advice_is_still_to_make_room(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = journal_of(path, FIRST)
        for call in ("write", "ftruncate"):
            fail(monkeypatch, call, errno.ENOSPC)
        error = refusal(lambda: journal.append(SECOND))
        assert (error.hint, error.no_space) == (f"make room on the file system of {path} (df -h)", False)


class TestChangedByOthers:
    HINT = "stop the program that changed it; restore the file from a copy if records are missing; then start again"

    def test_the_record_is_kept_aside_and_named(self, path: Path) -> None:
        journal = journal_of(path, FIRST)
        path.unlink()
        error = refusal(lambda: journal.append(SECOND))
        (aside,) = path.parent.glob("j.unplaced-*")
        kept = f"the record to be written is kept in {aside.name}"
        assert (error.what, error.hint) == (f"{path} was removed or moved away; {kept}", self.HINT)
        assert aside.read_bytes() == LINES[1]
        again = refusal(lambda: journal.append(SECOND))
        assert again.what == f"{path} accepts no more records: it was removed or moved away"

    def test_it_is_kept_and_named_where_older_ones_cannot_be_removed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = journal_of(path, FIRST)
        path.unlink()
        fail(monkeypatch, "listdir", errno.EIO)
        what = refusal(lambda: journal.append(SECOND)).what
        (aside,) = path.parent.glob("j.unplaced-*")
        assert what == f"{path} was removed or moved away; the record to be written is kept in {aside.name}"

    def test_a_check_between_two_records_keeps_none(self, path: Path) -> None:
        journal = journal_of(path, FIRST)
        journal.check()
        path.unlink()
        error = refusal(journal.check)
        assert error.what == f"{path} was removed or moved away; nothing more is written to it"
        assert not list(path.parent.iterdir())

    def test_where_it_cannot_be_kept_that_is_reported(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        journal = journal_of(path, FIRST)
        path.unlink()
        fail(monkeypatch, "fsync", errno.EIO)
        what = refusal(lambda: journal.append(SECOND)).what
        lost = r"the record to be written is lost: j\.unplaced-\d+: Input/output error"
        assert re.fullmatch(rf"{re.escape(str(path))} was removed or moved away; {lost}", what)


class TestPayloads:
    def test_the_line_at_a_place(self, path: Path) -> None:
        long = '{"text":"' + "x" * 20_000 + '"}'
        journal = journal_of(path, FIRST, long, SECOND)
        place = len(LINES[0])
        assert journal.payload_at(0) == FIRST.encode()
        assert journal.payload_at(place) == long.encode()
        assert journal.payload_at(place + len(seal(1, long))) == SECOND.encode()
        journal.close()

    def test_a_place_where_no_line_begins_is_refused(self, path: Path) -> None:
        journal = journal_of(path, FIRST)
        error = refusal(lambda: journal.payload_at(3))
        assert error.what == f"{path} changed while it was read"
        assert error.hint == "stop the program that changed it"
        journal.close()

    @pytest.mark.parametrize("deed", [list, lambda journal: journal.payload_at(0)])
    def test_a_failing_disk_is_named(self, deed: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        journal_of(path, FIRST).close()
        journal = Journal(path)
        fail(monkeypatch, "pread", errno.EIO)
        assert refusal(lambda: deed(journal)).what == f"cannot read {path}: Input/output error"

    def test_only_what_was_there_when_it_was_opened_is_iterated(self, path: Path) -> None:
        journal_of(path, FIRST).close()
        journal = journal_of(path, SECOND)
        assert list(journal) == [FIRST.encode()]
        journal.close()
