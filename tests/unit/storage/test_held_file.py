"""A journal's file cannot be swapped, cut, grown or shared unnoticed, and a foreign file is never changed."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.errors import JournalDamaged, JournalError, LockHeld
from autoresearch.storage.held_file import LINE_BYTES, HeldFile
from autoresearch.storage.journal import KEPT_FILES, Journal, read, seal, unseal
from autoresearch.storage.lock import is_locked

RECORD = '{"stage":"meta","ts":"now"}'


def remove(path: Path) -> None:
    path.unlink()


def move_away(path: Path) -> None:
    path.rename(path.with_name("other"))


def move_directory(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def edit(path: Path) -> None:
    """As `sed -i` and most editors do."""
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").rename(path)


def rotate(path: Path) -> None:
    path.rename(path.with_name("j.1"))
    path.touch()


def link_instead(path: Path) -> None:
    path.rename(path.with_name("target"))
    path.symlink_to("target")


def hard_link(path: Path) -> None:
    os.link(path, path.with_name("copy"))


def cut(path: Path) -> None:
    os.truncate(path, 5)


def empty(path: Path) -> None:
    os.truncate(path, 0)


GROWTH = seal(1, '{"by":"another"}')


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(GROWTH)


CHANGES: dict[Callable[[Path], None], str] = {
    remove: "was removed or moved away",
    move_away: "was removed or moved away",
    move_directory: "was removed or moved away",
    edit: "was replaced by another file",
    rotate: "was replaced by another file",
    link_instead: "was replaced by another file",
    hard_link: "has 2 hard links",
    cut: r"was cut from \d+ to 5 bytes",
    empty: r"was cut from \d+ to 0 bytes",
    grow: "another process writes to it",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "j"


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
class TestChangesByOthers:
    def test_the_next_append_says_what_happened_and_keeps_its_record(self, change, path: Path) -> None:
        journal = Journal(path)
        journal.append(RECORD)
        change(path)
        with pytest.raises(JournalError, match=CHANGES[change]) as error:
            journal.append('{"stage":"started"}')
        assert error.value.exit_code == 74
        (aside,) = path.parent.parent.glob("*/j.unplaced-*")
        assert aside.name in str(error.value)
        assert unseal(aside.read_bytes()[:-1]) == (1, b'{"stage":"started"}')
        with pytest.raises(JournalError, match="accepts no more records"):
            journal.append('{"stage":"started"}')
        journal.close()

    def test_a_change_during_the_write_is_seen_after_the_fsync(self, change, path: Path, monkeypatch) -> None:
        journal = Journal(path)
        journal.append(RECORD)
        fsync = os.fsync

        def change_meanwhile(fd: int) -> None:
            fsync(fd)
            monkeypatch.undo()
            change(path)

        monkeypatch.setattr(os, "fsync", change_meanwhile)
        with pytest.raises(JournalError, match=CHANGES[change]):
            journal.append('{"stage":"started"}')
        assert list(path.parent.parent.glob("*/j.unplaced-*"))
        journal.close()


class TestLock:
    def test_a_second_writer_is_refused_and_readers_are_not(self, path: Path) -> None:
        journal = Journal(path)
        journal.append(RECORD)
        with pytest.raises(LockHeld, match="another running autoresearch appends to"):
            Journal(path)
        assert is_locked(path)
        assert len(read(path).payloads) == 1
        journal.append('{"stage":"started"}')
        journal.close()
        assert not is_locked(path)
        Journal(path).close()

    def test_refusals_leak_no_file_descriptor(self, path: Path) -> None:
        journal, before = Journal(path), len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(LockHeld):
                Journal(path)
        assert len(os.listdir("/proc/self/fd")) == before
        journal.close()


class TestForeignFiles:
    FIRST = b'"stage":"meta",'

    @pytest.mark.parametrize(
        "content",
        [b"notes", b"notes\n", b"\n", b"{}\n", b'{"stage":"meta"}\n', b'{"seq":0,"stage":"started"'],
    )
    def test_a_file_that_does_not_begin_like_our_log_is_refused_by_name_and_not_cut(
        self, content: bytes, path: Path
    ) -> None:
        path.write_bytes(content)
        with pytest.raises(JournalDamaged, match="j: line 1 is not a record of autoresearch"):
            Journal(path, first=self.FIRST)
        assert path.read_bytes() == content
        assert os.listdir(path.parent) == ["j"]

    def test_a_byte_order_mark_is_named_and_not_cut(self, path: Path) -> None:
        path.write_bytes(b"\xef\xbb\xbf{")
        with pytest.raises(JournalDamaged, match=r"line 1 begins with a byte-order mark \(BOM\)"):
            Journal(path, first=self.FIRST)
        assert path.read_bytes() == b"\xef\xbb\xbf{"

    def test_a_first_record_that_a_crash_tore_is_cut_and_kept_aside(self, path: Path) -> None:
        line = seal(0, RECORD)
        for torn in [*(line[:size] for size in range(1, len(line))), line[:12] + b"\0" * 99, b"\0" * 99]:
            path.write_bytes(torn)
            journal = Journal(path, first=self.FIRST)
            assert journal.torn_bytes == len(torn)
            journal.close()
            assert path.read_bytes() == b""
            (aside,) = path.parent.glob("j.torn-*")
            assert aside.read_bytes() == torn
            aside.unlink()

    @pytest.mark.parametrize("content", [b"my notes", seal(0, RECORD) + b'{"seq":1,"torn'])
    def test_a_hard_link_is_refused_and_its_target_unchanged(self, content: bytes, path: Path) -> None:
        target = path.with_name("target")
        target.write_bytes(content)
        os.link(target, path)
        with pytest.raises(JournalError, match="j: it is a hard link"):
            Journal(path)
        assert target.read_bytes() == content

    def test_a_link_given_as_the_run_directory_works(self, path: Path) -> None:
        link = path.parent.with_name("link")
        link.symlink_to("run")
        journal = Journal(link / "j")
        journal.append(RECORD)
        journal.close()
        assert len(read(path).payloads) == 1


def test_torn_files_are_bounded_and_no_other_file_is_removed(path: Path) -> None:
    Journal(path).close()
    foreign = ["j.torn-notes", "j.torn-1.txt", "other.torn-1"]
    for name in foreign:
        path.with_name(name).touch()
    path.with_name("j.torn-1").symlink_to("j.torn-notes")
    removed = []
    for _ in range(KEPT_FILES + 5):
        path.write_bytes(b'{"seq":0')
        journal = Journal(path)
        removed.append(journal.describe_removed())
        journal.close()
    assert removed == [""] * KEPT_FILES + [f"removed 1 old file j.torn-*; the newest {KEPT_FILES} stay"] * 5
    assert len(list(path.parent.glob("j.torn-*"))) == KEPT_FILES + 3
    assert all(path.with_name(name).exists() for name in [*foreign, "j.torn-1"])


def test_records_without_a_place_are_bounded_and_their_removal_is_reported(path: Path) -> None:
    journal = Journal(path)
    old = [path.with_name(f"j.unplaced-{n}") for n in range(KEPT_FILES + 1)]
    for file in [*old, path.with_name("j.unplaced-notes")]:
        file.touch()
    edit(path)
    with pytest.raises(JournalError, match=rf"kept in j.unplaced-\d+ \(removed 2 old files .*newest {KEPT_FILES} stay"):
        journal.append('{"stage":"started"}')
    journal.close()
    assert len(list(path.parent.glob("j.unplaced-[0-9]*"))) == KEPT_FILES
    assert not old[1].exists()
    assert old[2].exists()
    assert path.with_name("j.unplaced-notes").exists()


class TestContent:
    def test_others_may_read_it_where_no_mode_is_given(self, path: Path) -> None:
        before = os.umask(0)
        try:
            file = HeldFile(path)
            file.keep_aside("aside", b"text")
        finally:
            os.umask(before)
        file.close()
        assert [p.stat().st_mode & 0o777 for p in (path, path.with_name("aside"))] == [0o644, 0o644]

    def test_writes_are_appended_and_counted_and_read_back(self, path: Path) -> None:
        path.write_bytes(b"old ")
        file = HeldFile(path)
        assert (file.size, file.read()) == (4, b"old ")
        file.write(b"new")
        file.write(b"")
        assert (file.size, file.read(), path.read_bytes()) == (7, b"old new", b"old new")
        file.cut(5)
        assert (file.size, file.read(), path.read_bytes()) == (5, b"old n", b"old n")
        file.close()

    def test_a_write_in_parts_is_whole(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        file = HeldFile(path)
        file.write(b"0123456789")
        assert (file.size, path.read_bytes()) == (10, b"0123456789")
        file.close()

    def test_a_read_in_parts_is_whole_and_ends_with_what_was_written(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda fd, size, start: pread(fd, min(size, 3), start))
        file = HeldFile(path)
        file.write(b"0123456789")
        with path.open("ab") as other:
            other.write(b"more")
        assert file.read() == b"0123456789"
        os.truncate(path, 4)
        assert file.read() == b"0123", "it is shorter by now"
        file.close()

    def test_blocks_are_of_the_file_as_it_was_written(self, path: Path) -> None:
        file = HeldFile(path)
        file.write(b"0123456789")
        assert [b"".join(file.blocks(*part)) for part in ((), (4,), (4, 6), (0, 3))] == [
            b"0123456789",
            b"456789",
            b"45",
            b"012",
        ]
        file.close()

    def test_lines_of_any_length_end_at_their_newline(self, path: Path) -> None:
        long, longer = b"x" * LINE_BYTES, b"y" * (3 * LINE_BYTES + 5)
        path.write_bytes(b"\n".join([b"short", long, longer, b"", b"torn"]))
        file = HeldFile(path)
        places = [0, 6, 7 + len(long), 8 + len(long) + len(longer), 9 + len(long) + len(longer)]
        assert [file.line_at(place) for place in places] == [b"short", long, longer, b"", b"torn"]
        assert file.line_at(9 + len(long) + len(longer) + 100) == b""
        file.close()

    def test_after_it_is_closed_its_numbers_are_gone(self, path: Path) -> None:
        file = HeldFile(path)
        fd, folder = file.fd, file.folder
        file.close()
        assert (file.fd, file.folder) == (-1, -1)
        for number in (fd, folder):
            with pytest.raises(OSError, match="Bad file descriptor"):
                fcntl.fcntl(number, fcntl.F_GETFD)

    def test_space_is_reserved_once_half_of_the_last_is_used(self, path: Path) -> None:
        file = HeldFile(path)
        file.reserve(1 << 16)
        if path.stat().st_blocks == 0:
            pytest.skip("this file system allocates nothing ahead")

        def after(size: int) -> int:
            """Bytes that are allocated once the file has ``size``."""
            file.write(b"x" * (size - file.size))
            file.reserve(1 << 16)
            return path.stat().st_blocks * 512

        assert after(0) == after(100) == after(1 << 15) == 1 << 16
        assert after((1 << 15) + 4096) == (1 << 15) + 4096 + (1 << 16)
        file.cut(0)
        assert path.stat().st_blocks == 0
        assert after(0) == 1 << 16
        file.close()


class TestDisplacement:
    """Every word of what another program did."""

    def displaced(self, path: Path, change: Callable[[Path], None]) -> str:
        file = HeldFile(path)
        file.write(b"0123456789")
        assert file.displacement() == ""
        change(path)
        found = file.displacement()
        file.close()
        return found

    @pytest.mark.parametrize(
        ("change", "what"),
        [
            (remove, "was removed or moved away"),
            (rotate, "was replaced by another file, for example by an editor, sed -i or logrotate"),
            (hard_link, "has 2 hard links, and it must have one"),
            (cut, "was cut from 10 to 5 bytes by another process"),
            (grow, f"was 10 bytes long and is {10 + len(GROWTH)}: another process writes to it"),
        ],
    )
    def test_it_is_named(self, change: Callable[[Path], None], what: str, path: Path) -> None:
        assert self.displaced(path, change) == what


def test_a_refused_second_writer_is_told_what_to_do(path: Path) -> None:
    file = HeldFile(path)
    with pytest.raises(LockHeld) as refused:
        HeldFile(path)
    assert refused.value.what == f"another running autoresearch appends to {path}"
    assert refused.value.hint == "stop that process first, or use another --dir; `fuser` or `lsof` names it"
    file.close()


def test_of_files_kept_aside_the_newest_by_number_stay(path: Path) -> None:
    file = HeldFile(path)
    names = ["j.torn-9", "j.torn-10", "j.torn-100", "j.torn-8"]
    for name in names:
        file.keep_aside(name, name.encode())
    path.with_name("j.other-1").touch()
    path.with_name("jxtorn-1").touch()
    path.with_name("j.torn-7").mkdir()
    assert file.remove_old("torn", 2) == "removed 2 old files j.torn-*; the newest 2 stay"
    assert sorted(os.listdir(path.parent)) == ["j", "j.other-1", "j.torn-10", "j.torn-100", "j.torn-7", "jxtorn-1"]
    assert path.with_name("j.torn-100").read_bytes() == b"j.torn-100"
    assert file.remove_old("torn", 2) == ""
    with pytest.raises(FileExistsError):
        file.keep_aside("j.torn-10", b"other")
    file.close()
