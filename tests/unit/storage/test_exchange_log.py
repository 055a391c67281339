"""The log of exchanges: whatever was acknowledged is read back once and in order, over segments and crashes."""

from __future__ import annotations

import contextlib
import errno
import gzip
import resource
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from autoresearch.core.llm_calls import Exchange
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage import journal
from autoresearch.storage.exchange_log import SEGMENT_BYTES, ExchangeLog, read_exchanges
from autoresearch.storage.files import atomic_write
from autoresearch.storage.run_dir import EXCHANGE_FILES, EXCHANGES
from autoresearch.testing.fake_exchange import fake_exchange
from tests.examples import examples

FIRST = "exchanges-0001.jsonl.gz"
ONE_EACH = 1  # bytes: every exchange but the last is compressed by itself
SURROGATES = st.text(st.characters(min_codepoint=1, max_codepoint=0x1FFFF, exclude_categories=["Cs"]), max_size=400)


class Killed(BaseException):
    """SIGKILL: it cannot be caught."""


def killed_before(path: Path, data: bytes) -> None:
    raise Killed


def killed_after(path: Path, data: bytes) -> None:
    atomic_write(path, data)
    raise Killed


def full(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def filled(run_dir: Path, count: int, segment_bytes: int = SEGMENT_BYTES) -> list[Exchange]:
    """One session that appends ``count`` exchanges after those that are there."""
    log = ExchangeLog(run_dir, segment_bytes)
    new = [fake_exchange(log.next_number + n, f"proposal {log.next_number + n}") for n in range(count)]
    for exchange in new:
        log.append(exchange)
    log.close()
    return new


def names(run_dir: Path) -> list[str]:
    return sorted(p.name for p in run_dir.iterdir())


class TestAppend:
    def test_what_goes_in_comes_out_and_is_one_line_of_ascii(self, tmp_path: Path) -> None:
        log = ExchangeLog(tmp_path)
        exchange = fake_exchange(1, '{"knob": "lr"}', raw="\x1b[2J\u202e über\n", thinking="hm\u2028", detail="\0")
        log.append(exchange)
        assert read_exchanges(tmp_path) == [exchange], "before it is closed"
        log.close()
        (line,) = (tmp_path / EXCHANGES).read_bytes().splitlines(keepends=True)
        assert line.isascii()
        assert b"\x1b" not in line

    def test_half_a_surrogate_pair_of_a_model_can_be_read_back(self, tmp_path: Path) -> None:
        log = ExchangeLog(tmp_path)
        log.append(Exchange.model_construct(**dict(fake_exchange(1)) | {"raw": "la\ud800la"}))
        log.close()
        assert [e.raw for e in read_exchanges(tmp_path)] == ["la?la"]

    def test_numbers_go_on_after_a_restart_and_in_the_next_segment(self, tmp_path: Path) -> None:
        written = filled(tmp_path, 3) + filled(tmp_path, 2, ONE_EACH)
        log = ExchangeLog(tmp_path)
        assert log.next_number == 6
        log.close()
        assert [e.exchange for e in written] == [1, 2, 3, 4, 5]
        assert read_exchanges(tmp_path) == written

    @pytest.mark.parametrize("number", [0, 1, 3])
    def test_another_number_is_refused_before_it_is_written(self, number: int, tmp_path: Path) -> None:
        written = filled(tmp_path, 1)
        log = ExchangeLog(tmp_path)
        with pytest.raises(ValueError, match=f"exchange {number} where 2 comes next"):
            log.append(fake_exchange(number))
        log.append(fake_exchange(2))
        log.close()
        assert read_exchanges(tmp_path) == [*written, fake_exchange(2)]

    def test_a_torn_tail_is_cut_off_and_kept_and_its_number_given_again(self, tmp_path: Path) -> None:
        filled(tmp_path, 2)
        live = tmp_path / EXCHANGES
        whole = live.read_bytes()
        cut = whole.rindex(b"\n", 0, -1) + 20
        live.write_bytes(whole[:cut])
        assert [e.exchange for e in read_exchanges(tmp_path)] == [1], "a reader passes over it"
        assert live.read_bytes() == whole[:cut]
        filled(tmp_path, 1)
        assert [e.exchange for e in read_exchanges(tmp_path)] == [1, 2]
        (aside,) = tmp_path.glob(f"{EXCHANGES}.torn-*")
        assert aside.read_bytes() == whole[cut - 19 : cut]

    def test_the_first_line_of_a_segment_torn(self, tmp_path: Path) -> None:
        """It begins as the first line of the segment before it does, and is something else all the same."""
        filled(tmp_path, 2, ONE_EACH)
        live = tmp_path / EXCHANGES
        torn = live.read_bytes()[:12]
        live.write_bytes(torn)
        filled(tmp_path, 1)
        assert [e.exchange for e in read_exchanges(tmp_path)] == [1, 2]
        (aside,) = tmp_path.glob(f"{EXCHANGES}.torn-*")
        assert aside.read_bytes() == torn

    def test_a_place_that_cannot_be_written_is_named(self) -> None:
        with pytest.raises(JournalError, match=r"cannot write /proc/exchanges\.jsonl"):
            ExchangeLog(Path("/proc"))


class TestSegments:
    def test_a_full_one_is_compressed_before_the_next_exchange(self, tmp_path: Path) -> None:
        filled(tmp_path, 2)
        before = (tmp_path / EXCHANGES).read_bytes()
        filled(tmp_path, 1, len(before) + 1)
        assert names(tmp_path) == [EXCHANGES]
        whole = (tmp_path / EXCHANGES).read_bytes()
        written = filled(tmp_path, 1, len(whole))
        assert names(tmp_path) == [FIRST, EXCHANGES]
        assert gzip.decompress((tmp_path / FIRST).read_bytes()) == whole
        assert journal.read(tmp_path / EXCHANGES).payloads, "numbered from 0 again, as every journal"
        assert read_exchanges(tmp_path)[3:] == written

    def test_the_same_exchanges_make_the_same_file(self, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            filled(tmp_path / name, 2, ONE_EACH)
        packed = (tmp_path / "a" / FIRST).read_bytes()
        assert packed == (tmp_path / "b" / FIRST).read_bytes()
        assert packed[4:8] == b"\0" * 4, "no time in it"


class TestKilledWhileCompressing:
    """The states that a kill can leave; ``tests/fault/test_exchange_log.py`` kills at every step for real."""

    def check(self, run_dir: Path, written: list[Exchange]) -> None:
        """A reader and the next daemon find everything, and the daemon continues."""
        before = names(run_dir)
        assert read_exchanges(run_dir) == written
        assert names(run_dir) == before
        assert filled(run_dir, 2, ONE_EACH)[0].exchange == len(written) + 1
        assert [e.exchange for e in read_exchanges(run_dir)] == list(range(1, len(written) + 3))
        assert not list(run_dir.glob(".*"))

    def killed(self, run_dir: Path, write) -> None:
        log = ExchangeLog(run_dir, ONE_EACH, write)
        with pytest.raises(Killed):
            log.append(fake_exchange(log.next_number))
        log.close()

    @pytest.mark.parametrize("earlier", [0, 2], ids=["the first segment", "a later one"])
    def test_before_the_segment_is_in_place(self, earlier: int, tmp_path: Path) -> None:
        written = filled(tmp_path, earlier, ONE_EACH) + filled(tmp_path, 3)
        (tmp_path / f".{FIRST}.abcdefgh").write_bytes(b"half of it")
        self.killed(tmp_path, killed_before)
        self.check(tmp_path, written)

    @pytest.mark.parametrize("earlier", [0, 2], ids=["the first segment", "a later one"])
    def test_between_the_segment_and_the_removal_of_the_live_file(self, earlier: int, tmp_path: Path) -> None:
        written = filled(tmp_path, earlier, ONE_EACH) + filled(tmp_path, 3)
        live = (tmp_path / EXCHANGES).read_bytes()
        self.killed(tmp_path, killed_after)
        assert (tmp_path / EXCHANGES).read_bytes() == live, "both are there"
        self.check(tmp_path, written)

    def test_between_the_removal_and_the_new_live_file(self, tmp_path: Path) -> None:
        written = filled(tmp_path, 3)
        self.killed(tmp_path, killed_after)
        (tmp_path / EXCHANGES).unlink()
        assert read_exchanges(tmp_path / EXCHANGES) == written, "named as it is known"
        self.check(tmp_path, written)

    def test_before_the_first_line_of_the_new_one(self, tmp_path: Path) -> None:
        written = filled(tmp_path, 3)
        self.killed(tmp_path, killed_after)
        (tmp_path / EXCHANGES).write_bytes(b"")
        self.check(tmp_path, written)

    def test_a_copy_made_of_a_living_run_with_an_older_live_file(self, tmp_path: Path) -> None:
        written = filled(tmp_path, 3)
        older = (tmp_path / EXCHANGES).read_bytes()
        written += filled(tmp_path, 1)
        self.killed(tmp_path, killed_after)
        (tmp_path / EXCHANGES).write_bytes(older[:-30])
        self.check(tmp_path, written)


class TestFullDisk:
    def test_where_the_segment_does_not_fit_the_live_file_goes_on(self, tmp_path: Path) -> None:
        """Losing nothing, and without trying again at each exchange: every try fills the disk for a moment."""
        filled(tmp_path, 1)
        size = (tmp_path / EXCHANGES).stat().st_size
        tries = []

        def no_space(path: Path, data: bytes) -> None:
            """As the kernel refuses it: in the middle of the temporary file."""
            tries.append(path.name)
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
            try:
                atomic_write(path, data)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

        log = ExchangeLog(tmp_path, size, no_space)
        for _ in range(4):
            log.append(fake_exchange(log.next_number, f"proposal {log.next_number}"))
        log.close()
        assert tries == [FIRST] * 4
        log = ExchangeLog(tmp_path, 2 * size, no_space)
        for _ in range(4):
            log.append(fake_exchange(log.next_number, f"proposal {log.next_number}"))
        log.close()
        assert len(tries) == 4 + 2
        assert names(tmp_path) == [EXCHANGES]
        filled(tmp_path, 1, size)
        assert names(tmp_path) == [FIRST, EXCHANGES], "after the next start it is done"
        assert [e.exchange for e in read_exchanges(tmp_path)] == list(range(1, 11))

    def test_once_there_is_space_again_segments_are_as_long_as_ever(self, tmp_path: Path) -> None:
        filled(tmp_path, 1)
        disk = [full, full]
        log = ExchangeLog(
            tmp_path, (tmp_path / EXCHANGES).stat().st_size, lambda *file: (disk.pop() if disk else atomic_write)(*file)
        )
        for _ in range(5):
            log.append(fake_exchange(log.next_number, f"proposal {log.next_number}"))
        log.close()
        lines = [len(gzip.decompress(p.read_bytes()).splitlines()) for p in sorted(tmp_path.glob("*.gz"))]
        assert lines == [3, 1, 1]

    def test_a_segment_that_may_not_last_ends_it(self, tmp_path: Path) -> None:
        """The rename is done, and making it durable fails: going on in the old file would tell two stories."""

        def not_durable(path: Path, data: bytes) -> None:
            atomic_write(path, data)
            raise OSError(errno.EIO, "Input/output error")

        written = filled(tmp_path, 2)
        log = ExchangeLog(tmp_path, ONE_EACH, not_durable)
        with pytest.raises(JournalError, match=rf"cannot make .*{FIRST} durable: Input/output error"):
            log.append(fake_exchange(3))
        with pytest.raises(JournalError, match="accepts no more exchanges: cannot make"):
            log.append(fake_exchange(3))
        log.close()
        assert read_exchanges(tmp_path) == written
        written += filled(tmp_path, 1, ONE_EACH)
        assert read_exchanges(tmp_path) == written

    def test_where_no_line_fits_it_says_so_for_good(self, tmp_path: Path) -> None:
        written = filled(tmp_path, 2)
        log = ExchangeLog(tmp_path, ONE_EACH, full)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / EXCHANGES).stat().st_size + 100, hard))
        try:
            with pytest.raises(JournalError, match="cannot write"):
                log.append(fake_exchange(3))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(JournalError, match="accepts no more exchanges"):
            log.append(fake_exchange(3))
        log.close()
        assert read_exchanges(tmp_path) == written


class TestRead:
    def test_every_name_of_the_log_means_the_whole_of_it(self, tmp_path: Path) -> None:
        written = filled(tmp_path, 3, ONE_EACH)
        for path in (tmp_path, tmp_path / EXCHANGES, tmp_path / FIRST, tmp_path / "exchanges-0002.jsonl.gz"):
            assert read_exchanges(path) == written

    def test_a_log_without_calls_is_empty(self, tmp_path: Path) -> None:
        filled(tmp_path, 0)
        assert read_exchanges(tmp_path) == []

    def test_what_is_missing_or_something_else_is_named(self, tmp_path: Path) -> None:
        refused = {
            tmp_path: "no LLM was called in this run",
            tmp_path / EXCHANGES: "there is no ",
            tmp_path / FIRST: "there is no ",
            tmp_path / "nowhere" / EXCHANGES: "there is no ",
            tmp_path / "exchanges-monday.txt": "is not a log of exchanges",
            tmp_path / ("x" * 5000): "cannot read",
        }
        for path, match in refused.items():
            with pytest.raises(JournalError, match=match) as refusal:
                read_exchanges(path)
            assert refusal.value.hint

    def damaged(self, run_dir: Path, match: str, *, opens: bool = False) -> None:
        """Refused by a reader, and by the next daemon (which looks at the newest two files only), without a change."""
        before = {p.name: p.read_bytes() for p in run_dir.iterdir()}
        with pytest.raises(JournalDamaged, match=match) as refusal:
            read_exchanges(run_dir)
        assert refusal.value.hint
        if not opens:
            with pytest.raises(JournalDamaged, match=match):
                ExchangeLog(run_dir)
            assert {p.name: p.read_bytes() for p in run_dir.iterdir()} == before

    def test_a_line_of_the_live_file(self, tmp_path: Path) -> None:
        filled(tmp_path, 3)
        live = tmp_path / EXCHANGES
        live.write_bytes(live.read_bytes().replace(b"proposal 2", b"proposal 4"))
        self.damaged(tmp_path, rf"{EXCHANGES}: line 2 is damaged")

    @pytest.mark.parametrize("number", [1, 2])
    def test_a_line_of_a_segment(self, number: int, tmp_path: Path) -> None:
        filled(tmp_path, 2)
        filled(tmp_path, 1, ONE_EACH)
        filled(tmp_path, 1)
        filled(tmp_path, 1, ONE_EACH)
        segment = tmp_path / f"exchanges-000{number}.jsonl.gz"
        whole = gzip.decompress(segment.read_bytes())
        proposal = b"proposal %d" % (2 * number)
        segment.write_bytes(gzip.compress(whole.replace(proposal, b"proposal X", 1)))
        self.damaged(tmp_path, rf"exchanges-000{number}.jsonl.gz: line 2 is (damaged|not whole)", opens=number == 1)

    def test_a_segment_that_breaks_off(self, tmp_path: Path) -> None:
        filled(tmp_path, 2, ONE_EACH)
        packed = (tmp_path / FIRST).read_bytes()
        for data in (packed[:-1], packed[:40], b"", packed[:12] + b"\xff" * 40, b"\0" * 100, b"{}"):
            (tmp_path / FIRST).write_bytes(data)
            self.damaged(tmp_path, rf"{FIRST}(: line 1 is not whole| is damaged: )")

    def test_a_missing_segment(self, tmp_path: Path) -> None:
        filled(tmp_path, 4, ONE_EACH)
        (tmp_path / "exchanges-0002.jsonl.gz").unlink()
        self.damaged(tmp_path, r"exchanges-0002\.jsonl\.gz is missing")

    def test_the_newest_segment_missing(self, tmp_path: Path) -> None:
        filled(tmp_path, 3, ONE_EACH)
        (tmp_path / "exchanges-0002.jsonl.gz").unlink()
        self.damaged(tmp_path, rf"{EXCHANGES}: line 1 is exchange 3 where 2 comes next")

    def test_two_segments_of_the_same_exchanges(self, tmp_path: Path) -> None:
        filled(tmp_path, 2, ONE_EACH)
        shutil.copy(tmp_path / FIRST, tmp_path / "exchanges-0002.jsonl.gz")
        self.damaged(tmp_path, r"exchanges-0002\.jsonl\.gz: line 1 is exchange 1 where 2 comes next", opens=True)

    def test_a_line_of_another_version(self, tmp_path: Path) -> None:
        filled(tmp_path, 1)
        live = tmp_path / EXCHANGES
        live.write_bytes(live.read_bytes() + journal.seal(1, '{"exchange":2,"mood":"good"}'))
        self.damaged(tmp_path, rf"{EXCHANGES}: line 2: ")


@given(st.lists(st.tuples(st.integers(0, 3000), st.lists(SURROGATES, max_size=6)), max_size=6))
@settings(max_examples=examples(40))
def test_whatever_is_appended_in_any_sessions_is_read_back_in_order(sessions: list[tuple[int, list[str]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run_dir, written = Path(directory), []
        for segment_bytes, texts in sessions:
            log = ExchangeLog(run_dir, segment_bytes)
            for text in texts:
                written.append(fake_exchange(len(written) + 1, text, thinking=text))
                log.append(written[-1])
            assert log.next_number == len(written) + 1
            log.close()
            assert read_exchanges(run_dir) == written


# The beginning of a line, and zeros where a power cut lost its data.
TORN = st.builds(
    lambda size, zeros: journal.seal(0, '{"exchange":1}')[:size] + b"\0" * zeros, st.integers(0, 20), st.integers(0, 9)
)


class Crashes(RuleBasedStateMachine):
    """Sessions, kills, torn lines and full disks in any order: what was acknowledged is there once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.run_dir = Path(self.directory.name)
        self.messages: list[Exchange] = []

    @initialize()
    def begin(self) -> None:
        self.log = ExchangeLog(self.run_dir, 2000)

    @rule(text=SURROGATES)
    def append(self, text: str) -> None:
        new = fake_exchange(self.log.next_number, text)
        self.log.append(new)
        self.messages.append(new)

    @rule(segment_bytes=st.integers(1, 3000), torn=TORN)
    def start_again(self, segment_bytes: int, torn: bytes) -> None:
        self.log.close()
        with (self.run_dir / EXCHANGES).open("ab") as file:
            file.write(torn)
        self.log = ExchangeLog(self.run_dir, segment_bytes)

    @rule(write=st.sampled_from([killed_before, killed_after, full]))
    def crash(self, write) -> None:
        self.log.close()
        self.log = ExchangeLog(self.run_dir, ONE_EACH, write)
        with contextlib.suppress(Killed):  # nothing to compress, or a full disk: then it is reported
            self.append("another")
        self.start_again(2000, b"")

    @invariant()
    def everything_is_there(self) -> None:
        assert read_exchanges(self.run_dir) == self.messages
        assert {p.name for p in self.run_dir.iterdir()} == {p.name for p in self.run_dir.glob(EXCHANGE_FILES)}

    def teardown(self) -> None:
        self.log.close()
        self.directory.cleanup()


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=examples(25), stateful_step_count=20)
