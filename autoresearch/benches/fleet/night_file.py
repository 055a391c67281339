"""The nights of ``bench fleet`` on disk, each durable once it has ended: the same command continues after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from autoresearch.benches.fleet.night import FleetNight, Plan
from autoresearch.benches.fleet.trial_times import TrialTimes
from autoresearch.benches.search.night_file import code_sha256
from autoresearch.benches.search.night_file import conditions_of as conditions_of_table
from autoresearch.benches.search.table import Table
from autoresearch.core.values import FrozenModel, decode_record, sha256_of
from autoresearch.storage.decode import decode_lines
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import hold

NIGHTS = "fleet-nights.jsonl"
CODE = ("benches/fleet", "core", "verdicts")  # beside that of ``bench search``: a change of it is another bench
Key = tuple[str, int, int]  # proposer, workers, seed


class FleetNightRecord(FrozenModel):
    """A night, with the hash of everything that it depends on beside its key."""

    conditions_sha256: str
    night: FleetNight


RECORD: TypeAdapter[FleetNightRecord] = TypeAdapter(FleetNightRecord)


def conditions_of(table: Table, plan: Plan, times: TrialTimes) -> str:
    """The hash of table, code of the proposers, of the loop and of this bench, plan and trial times."""
    measured = [times.typical_s, times.of_configurations, times.of_repeats]
    table_sha256 = conditions_of_table(table, (plan.trials,))
    return sha256_of({"table": table_sha256, "rule": plan.rule, "times": measured, "code": code_sha256(CODE)})


@dataclass(slots=True)
class FleetFile:
    """``others`` counts nights of other conditions, which are left alone."""

    conditions: str
    known: dict[Key, FleetNight]
    others: int
    _journal: Journal

    def keep(self, night: FleetNight) -> None:
        """Make a night durable; one that could not run is tried again."""
        if not night.missing:
            record = {"conditions_sha256": self.conditions, "night": asdict(night)}
            self._journal.append(RECORD.dump_json(RECORD.validate_python(record, strict=False)).decode())


@contextmanager
def open_nights(directory: Path, conditions: str) -> Iterator[FleetFile]:
    """Hold the directory. Raises ``LockHeld``, ``JournalError`` or ``JournalDamaged``."""
    with hold(directory) as run_dir:
        journal = Journal(run_dir / NIGHTS)
        try:
            records = list(
                decode_lines(journal, lambda p: decode_record(RECORD, p), journal.path, hint="another --dir")
            )
            mine = [r.night for r in records if r.conditions_sha256 == conditions]
            known = {(n.proposer, n.workers, n.seed): n for n in mine}
            yield FleetFile(conditions, known, len(records) - len(mine), journal)
        finally:
            journal.close()
