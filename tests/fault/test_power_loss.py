"""Against a power cut: what is acknowledged has reached the disk, in an order that leaves no gap.

A killed process loses nothing that the kernel has, so killing cannot test this; strace shows what the kernel was asked.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def traced(code: str, directory: Path) -> list[tuple[str, str]]:
    """The calls that concern ``directory``, as (name, file); ``code`` finds the directory in ``sys.argv[1]``."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here")
    log = directory.parent / "calls"
    which = "trace=write,fsync,fdatasync,ftruncate,rename,renameat,renameat2,unlink,unlinkat"
    command = ["strace", "-y", "-e", which, "-o", str(log), sys.executable, "-c", code, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.skip(f"this process may not trace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    calls = []
    for line in log.read_text().splitlines():
        if str(directory) in line:
            assert not line.endswith("= -1"), line
            name = line.partition("(")[0]
            relative = re.search(re.escape(str(directory)) + r"(?:>, \"|/)([^>\", ]*)", line)
            file = relative or re.search(re.escape(str(directory)) + r"()>", line)
            assert file is not None
            calls.append((name, re.sub(r"\.[a-z0-9_]{8}$|\d{12,}$", "*", file[1].lstrip("/")) or "."))
    return calls


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    return path


def test_every_record_is_synced_before_it_is_acknowledged(directory: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from autoresearch.storage.journal import Journal
        directory = Path(sys.argv[1])
        journal = Journal(directory / "log")
        for n in range(2):
            journal.append('{"iter":%d}' % n)
            (directory / "acknowledged").write_text("yes")
    """
    one_record = [("write", "log"), ("fsync", "log"), ("write", "acknowledged")]
    assert traced(code, directory) == [("fsync", "."), *one_record, *one_record]


def test_a_torn_tail_is_safe_elsewhere_before_it_is_cut_off(directory: Path) -> None:
    (directory / "log").write_bytes(b'{"seq":0,"st')
    code = """if True:
        import sys
        from pathlib import Path
        from autoresearch.storage.journal import Journal
        Journal(Path(sys.argv[1]) / "log")
    """
    calls = traced(code, directory)
    (aside,) = {file for name, file in calls if name == "write"}
    assert aside.startswith("log.torn-")
    assert [name for name, _ in calls] == ["write", "fsync", "fsync", "ftruncate", "fsync", "fsync"]
    assert [file for _, file in calls] == [aside, aside, ".", "log", "log", "."]


def test_a_file_is_whole_on_the_disk_before_it_takes_the_name(directory: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from autoresearch.storage.files import atomic_write
        atomic_write(Path(sys.argv[1]) / "report", b"text")
    """
    assert traced(code, directory) == [
        ("write", ".report*"),
        ("fsync", ".report*"),
        ("renameat", ".report*"),
        ("fsync", "."),
    ]


def test_a_segment_is_on_the_disk_before_the_live_file_goes_and_that_before_the_next_begins(
    directory: Path,
) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from autoresearch.storage.exchange_log import ExchangeLog
        from autoresearch.testing.fake_exchange import fake_exchange
        log = ExchangeLog(Path(sys.argv[1]), 1)
        for number in (1, 2):
            log.append(fake_exchange(number))
    """
    live, packed = "exchanges.jsonl", ".exchanges-0001.jsonl.gz*"
    assert traced(code, directory) == [
        ("fsync", "."),
        ("write", live),
        ("fsync", live),
        ("write", packed),
        ("fsync", packed),
        ("renameat", packed),
        ("fsync", "."),
        ("unlinkat", live),
        ("fsync", "."),
        ("fsync", "."),
        ("write", live),
        ("fsync", live),
    ]
