"""Killed before every step that the log of exchanges takes on the disk: nothing is lost, nothing doubled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from autoresearch.storage.exchange_log import ExchangeLog, read_exchanges
from autoresearch.storage.run_dir import EXCHANGE_FILES
from autoresearch.testing.fake_exchange import fake_exchange

SAID = 4  # exchanges of a night that is not killed; each but the last becomes a segment

# An audit hook is called at every opening, renaming and removal before it happens, and cannot be taken out again: each
# night is a fork of its own, which ends at its N-th step. Acknowledged numbers go to a file beside the run.
NIGHTS = f"""if True:
    import os, sys
    from pathlib import Path
    from autoresearch.storage.exchange_log import ExchangeLog
    from autoresearch.testing.fake_exchange import fake_exchange

    def night(directory, last_step):
        run_dir, steps = directory / "run", 0
        run_dir.mkdir(parents=True)
        acknowledged = os.open(directory / "acknowledged", os.O_WRONLY | os.O_CREAT)

        def die(event, args):
            nonlocal steps
            if event in ("open", "os.rename", "os.remove") and str(run_dir) in str(args):
                steps += 1
                if steps == last_step:
                    os._exit(9)

        sys.addaudithook(die)
        log = ExchangeLog(run_dir, 1)
        for number in range(1, {SAID} + 1):
            log.append(fake_exchange(number, "proposal"))
            os.write(acknowledged, b"%d\\n" % number)

    for step in range(1, 1000):
        child = os.fork()
        if not child:
            night(Path(sys.argv[1]) / str(step), step)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 9:
            sys.exit(code)
"""


def test_killed_before_every_step(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", NIGHTS, str(tmp_path)], check=True)
    nights = sorted(tmp_path.iterdir(), key=lambda p: int(p.name))
    assert len(nights) > 5 * (SAID - 1), "a segment takes several steps"
    for night in nights:
        run_dir = night / "run"
        acknowledged = [int(line) for line in (night / "acknowledged").read_text().split()]
        if any(run_dir.glob(EXCHANGE_FILES)):
            assert [e.exchange for e in read_exchanges(run_dir)] == acknowledged, night.name
        log = ExchangeLog(run_dir, 1)
        assert log.next_number == len(acknowledged) + 1
        for number in range(log.next_number, SAID + 2):
            log.append(fake_exchange(number, "proposal"))
        log.close()
        assert [e.exchange for e in read_exchanges(run_dir)] == list(range(1, SAID + 2))
        assert {p.name for p in run_dir.iterdir()} == {p.name for p in run_dir.glob(EXCHANGE_FILES)}, (
            "nothing half-made is left"
        )
    assert acknowledged == list(range(1, SAID + 1)), "the last night came to its end"
