"""A file is whole or not there, and what others plant in a run directory is never opened."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.errors import JournalError
from autoresearch.storage.files import (
    atomic_write,
    create_file,
    fsync_dir,
    is_plain_file,
    open_append,
    open_regular,
    opened_directory,
)
from autoresearch.storage.journal import Journal
from autoresearch.storage.lock import DirectoryLock, is_locked
from tests.processes import another_process, no_file_above

BLOCK = 1 << 16


class TestAtomicWrite:
    def test_the_new_content_replaces_the_old(self, tmp_path: Path) -> None:
        path = tmp_path / "report.txt"
        atomic_write(path, b"old, and longer")
        atomic_write(path, b"new")
        assert path.read_bytes() == b"new"
        assert os.listdir(tmp_path) == ["report.txt"]

    def test_everyone_may_read_it_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            atomic_write(tmp_path / "report.txt", b"for my colleagues")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "report.txt").stat().st_mode) == 0o644

    def test_a_reader_never_sees_a_mixture(self, tmp_path: Path) -> None:
        path, done = tmp_path / "status", threading.Event()
        atomic_write(path, b"0" * BLOCK)

        def write() -> None:
            try:
                for n in range(100):
                    atomic_write(path, b"%d" % (n % 10) * BLOCK)
            finally:
                done.set()

        writer = threading.Thread(target=write)
        writer.start()
        whole = []
        while not done.is_set():
            content = path.read_bytes()
            whole.append(content == content[:1] * BLOCK)
        writer.join()
        assert whole
        assert all(whole)

    def test_on_a_full_disk_the_old_file_stays_and_nothing_is_left_behind(self, tmp_path: Path) -> None:
        path = tmp_path / "report.txt"
        atomic_write(path, b"yesterday's")
        with no_file_above(1000), pytest.raises(OSError, match="too large"):
            atomic_write(path, b"x" * 1001)
        assert path.read_bytes() == b"yesterday's"
        assert os.listdir(tmp_path) == ["report.txt"]

    def test_a_directory_of_that_name_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "report.txt").mkdir()
        with pytest.raises(IsADirectoryError):
            atomic_write(tmp_path / "report.txt", b"text")
        assert os.listdir(tmp_path) == ["report.txt"]

    def test_a_writer_that_is_killed_leaves_one_version_or_the_other(self, tmp_path: Path) -> None:
        path = tmp_path / "report.txt"
        code = """if True:
            import sys
            from pathlib import Path
            from autoresearch.storage.files import atomic_write
            for letter in b"ab" * 10**6:
                atomic_write(Path(sys.argv[1]), bytes([letter]) * 65536)
                print("written", flush=True)
        """
        with another_process(code, path) as process:
            assert process.stdout is not None
            for _ in range(5):
                process.stdout.readline()
        assert path.read_bytes() in (b"a" * BLOCK, b"b" * BLOCK)


class TestWhatOthersMayPlant:
    """A group member may write in a run directory, and must reach no other file with that, nor make the daemon wait."""

    @pytest.fixture(params=["link", "dangling", "pipe", "pipe with a reader"])
    def planted(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
        path, precious = tmp_path / "planted", tmp_path / "precious"
        if request.param == "link":
            precious.write_text("kept")
        if "pipe" in request.param:
            os.mkfifo(path)
        else:
            path.symlink_to(precious)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK) if "reader" in request.param else None
        yield path
        if reader is not None:
            os.close(reader)
        if request.param == "link":
            assert precious.read_text() == "kept"
        else:
            assert not precious.exists()

    @pytest.mark.parametrize("flags", [os.O_WRONLY | os.O_APPEND, os.O_RDWR, os.O_RDONLY])
    def test_is_not_opened(self, planted: Path, flags: int) -> None:
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(planted, flags | os.O_CREAT)

    def test_is_no_trajectory(self, planted: Path) -> None:
        with pytest.raises(JournalError, match="planted: it is a link, a pipe or a device"):
            Journal(planted)

    def test_is_no_lock(self, planted: Path) -> None:
        with pytest.raises(JournalError, match=r"it is a link, a pipe or a device.*planted"):
            DirectoryLock(planted).acquire({})
        assert not is_locked(planted)

    def test_a_log_is_not_written_through_a_link_in_place_of_its_directory(self, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "logs").symlink_to("elsewhere")
        with pytest.raises(OSError, match="is a link"):
            open_append(tmp_path / "logs" / "hooks.log")
        assert not os.listdir(tmp_path / "elsewhere")


def test_a_cache_is_written_without_waiting_for_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("it waited for the disk"))
    atomic_write(tmp_path / "cache", b"fast", durable=False)
    assert (tmp_path / "cache").read_bytes() == b"fast"
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]


def open_files() -> list[str]:
    return os.listdir("/proc/self/fd")


class TestOpenRegular:
    def test_what_it_creates_has_the_mode_and_is_not_inherited(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            fds = [
                open_regular(tmp_path / "plain", os.O_WRONLY | os.O_CREAT),
                open_regular(tmp_path / "private", os.O_WRONLY | os.O_CREAT, mode=0o600),
            ]
        finally:
            os.umask(before)
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "private")]
        assert modes == [0o644, 0o600]
        for fd in fds:
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            os.close(fd)

    def test_without_the_flag_nothing_is_created(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            open_regular(tmp_path / "new", os.O_WRONLY)

    def test_a_name_is_relative_to_the_handle(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"text")
        with opened_directory(tmp_path) as folder:
            fd = open_regular("a", os.O_RDONLY, dir_fd=folder)
        assert os.read(fd, 10) == b"text"
        os.close(fd)

    @pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
    def test_what_is_not_a_regular_file_is_refused_and_closed(self, kind: str, tmp_path: Path) -> None:
        path, before = tmp_path / "planted", len(open_files())
        {"link": lambda: path.symlink_to("x"), "pipe": lambda: os.mkfifo(path), "directory": path.mkdir}[kind]()
        for flags in (os.O_RDONLY, os.O_WRONLY) if kind != "directory" else (os.O_RDONLY,):
            with pytest.raises(OSError, match="regular file") as refused:
                open_regular(path, flags)
            assert (refused.value.errno, refused.value.strerror) == (
                errno.ELOOP,
                "it is a link, a pipe or a device, not a regular file",
            )
        assert len(open_files()) == before

    def test_a_hard_link_may_be_read_and_not_written(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"text")
        os.link(tmp_path / "a", tmp_path / "b")
        os.close(open_regular(tmp_path / "b", os.O_RDONLY))
        before = len(open_files())
        for flags in (os.O_WRONLY, os.O_RDWR):
            with pytest.raises(OSError, match="hard link") as refused:
                open_regular(tmp_path / "b", flags)
            assert (refused.value.errno, refused.value.strerror) == (
                errno.EMLINK,
                "it is a hard link: the same file has another name, perhaps in another directory",
            )
        assert len(open_files()) == before


class TestDirectories:
    def test_a_missing_one_is_created_with_its_parents_only_where_that_is_asked_for(self, tmp_path: Path) -> None:
        deep = tmp_path / "a" / "b"
        with pytest.raises(FileNotFoundError), opened_directory(deep):
            pass
        for own in (False, True):
            with opened_directory(deep / f"{own}", own=own, create=True) as fd:
                assert os.listdir(fd) == []
            with opened_directory(deep / f"{own}", own=own, create=True):
                pass
        with pytest.raises(FileNotFoundError), opened_directory(deep / "c", own=True):
            pass
        assert sorted(os.listdir(deep)) == ["False", "True"]

    def test_a_link_is_followed_only_where_it_is_not_our_own(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        with opened_directory(tmp_path / "link") as fd:
            assert os.listdir(fd) == []
        for create in (False, True):
            with (
                pytest.raises(OSError, match="link") as refused,
                opened_directory(tmp_path / "link", own=True, create=create),
            ):
                pass
            what = f"{tmp_path / 'link'} is a link, not a directory"
            assert (refused.value.errno, refused.value.strerror) == (errno.ELOOP, what)

    @pytest.mark.parametrize("own", [True, False])
    def test_a_file_in_its_place_is_not_called_a_link(self, own: bool, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(NotADirectoryError), opened_directory(tmp_path / "file", own=own):
            pass

    @pytest.mark.parametrize("own", [True, False])
    def test_the_handle_is_not_inherited_and_is_closed(self, own: bool, tmp_path: Path) -> None:
        (tmp_path / "logs").mkdir()
        before = len(open_files())
        with opened_directory(tmp_path / "logs", own=own) as fd:
            assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        with pytest.raises(OSError, match="within"), opened_directory(tmp_path / "logs", own=own):
            raise OSError("within")
        assert len(open_files()) == before

    def test_a_log_is_appended_to_in_a_directory_that_is_made_for_it(self, tmp_path: Path) -> None:
        for text in (b"one", b"two"):
            fd = open_append(tmp_path / "logs" / "hooks.log")
            os.write(fd, text)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.read(fd, 1)
            os.close(fd)
        assert (tmp_path / "logs" / "hooks.log").read_bytes() == b"onetwo"

    def test_only_a_regular_file_is_plain(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "folder").mkdir()
        (tmp_path / "link").symlink_to("file")
        with opened_directory(tmp_path) as folder:
            names = ("file", "folder", "link", "missing")
            assert [is_plain_file(name, folder) for name in names] == [True, False, False, False]


class TestCreateFile:
    def test_it_is_new_and_has_the_mode(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            with opened_directory(tmp_path) as folder:
                create_file("a", folder, b"text")
                create_file("b", folder, b"", 0o600)
                with pytest.raises(FileExistsError):
                    create_file("a", folder, b"other")
        finally:
            os.umask(before)
        assert (tmp_path / "a").read_bytes() == b"text"
        assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o644, 0o600]

    def test_on_a_full_disk_nothing_is_left_behind(self, tmp_path: Path) -> None:
        before = len(open_files())
        with opened_directory(tmp_path) as folder, no_file_above(100), pytest.raises(OSError, match="too large"):
            create_file("a", folder, b"x" * 101)
        assert (os.listdir(tmp_path), len(open_files())) == ([], before)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is synced, in order."""
    names: list[str] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        names.append(re.sub(r"\.[0-9a-f]{8}$", ".*", name))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", record)
    return names


class TestDurability:
    def test_a_new_file_before_its_directory(self, tmp_path: Path, synced: list[str]) -> None:
        with opened_directory(tmp_path) as folder:
            create_file("a", folder, b"text")
        assert synced == ["a", tmp_path.name]

    def test_a_directory_by_its_path(self, tmp_path: Path, synced: list[str]) -> None:
        fsync_dir(tmp_path)
        assert synced == [tmp_path.name]

    def test_a_replaced_file_before_it_takes_the_name(self, tmp_path: Path, synced: list[str]) -> None:
        atomic_write(tmp_path / "a", b"text")
        assert synced == [".a.*", tmp_path.name]

    def test_the_content_is_in_the_file_when_it_is_synced(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sizes: list[int] = []
        monkeypatch.setattr(os, "fsync", lambda fd: sizes.append(os.fstat(fd).st_size))
        atomic_write(tmp_path / "a", b"text")
        with opened_directory(tmp_path) as folder:
            create_file("b", folder, b"texts")
        assert [sizes[0], sizes[2]] == [4, 5]


def test_a_file_of_our_own_directory_is_not_replaced_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs").symlink_to("elsewhere")
    with pytest.raises(OSError, match="is a link"):
        atomic_write(tmp_path / "logs" / "a", b"text", own_folder=True)
    atomic_write(tmp_path / "logs" / "a", b"text")
    assert (tmp_path / "elsewhere" / "a").read_bytes() == b"text"


def test_a_temporary_file_that_is_gone_does_not_hide_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        for path in tmp_path.iterdir():
            path.unlink()
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"):
        atomic_write(tmp_path / "a", b"text")
    with opened_directory(tmp_path) as folder, pytest.raises(OSError, match="Input/output error"):
        create_file("a", folder, b"text")
