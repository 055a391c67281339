"""Tables of trials as a ``Log``: results.tsv of karpathy's autoresearch, and any CSV with a mapping of its columns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autoresearch.errors import CorpusError
from autoresearch.report.audit.log import Direction, Entry, Log, Loop, best_so_far, bounded, shortened
from autoresearch.report.audit.values import Cell, read_values

TSV_COLUMNS = ("val_bpb", "status")
KEPT = frozenset({"keep", "kept", "accept", "accepted", "true", "yes", "1"})
NOT_KEPT = frozenset(
    {"baseline", "discard", "discarded", "revert", "reverted", "reject", "rejected", "false", "no", "0", ""}
)
FAILED = frozenset({"crash", "crashed", "fail", "failed", "error", "oom", "timeout", "checks_failed"})
MAX_BYTES = 64 << 20


def read_text(path: Path) -> str:
    """The text of a file as UTF-8. Raises ``CorpusError`` that names it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint="name the log of a loop") from e
    if len(data) > MAX_BYTES:
        raise CorpusError(f"{path} is larger than {MAX_BYTES >> 20} MiB", hint="cut the log into nights")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path}: byte {e.start} is not UTF-8", hint="convert the file to UTF-8") from e


def read_tsv(path: Path) -> Log:
    """results.tsv: a line per experiment, the first one the baseline; each is compared with the last keep.

    A crash has val_bpb 0.000000 there, and is not a measurement.
    """
    rows = list(_rows(read_text(path), "\t", path, by_hand=True))
    if missing := [name for name in TSV_COLUMNS if name not in rows[0][1]]:
        hint = "its first line should be: commit, val_bpb, memory_gb, status, description, separated by tabs"
        raise CorpusError(f"{path}: no column {missing[0]}", hint=hint)
    statuses = [row["status"].strip().lower() for _, row in rows]
    cells = [Cell(f"line {n}", row["val_bpb"], s not in FAILED) for (n, row), s in zip(rows, statuses, strict=True)]
    values, notes = read_values(cells, "val_bpb", str(path))
    entries = []
    for (line, row), value, status in zip(rows, values, statuses, strict=True):
        usable = value if value and status not in FAILED else None
        kept = _is_kept(status, path, line) and usable is not None
        name = row.get("description") or row.get("commit", "")
        entries.append(Entry(f"line {line}", shortened(name), usable, kept))
    return _ratchet(path, "results.tsv", "val_bpb", "lower", entries, notes)


def _completed(cells: list[str], header: Sequence[str]) -> list[str]:
    """The cells of a row that ends early, or whose description, the last column, contains tabs."""
    full = [*cells, *[""] * (len(header) - len(cells))]
    last = len(header) - 1
    return [*full[:last], " ".join(full[last:])] if header[last] == "description" else full


def read_csv(path: Path, columns: Mapping[str, str], direction: Direction, loop: Loop) -> Log:
    """Any table with a header. ``columns`` maps value, and where there are such columns status, name and config.

    ``config`` may name several columns joined by ``+``. Without a status, a keep is a value better than all before it.
    """
    text = read_text(path)
    separator = _separator(text)
    rows = list(_rows(text, separator, path))
    header = rows[0][1]
    wanted = [c for part in columns.values() for c in part.split("+")]
    if unknown := [c for c in wanted if c not in header]:
        raise CorpusError(f"{path}: no column {unknown[0]!r}", hint=f"it has {', '.join(header)}")
    statuses = [row[columns["status"]].strip().lower() if "status" in columns else None for _, row in rows]
    of = columns["value"]
    cells = [Cell(f"line {n}", row[of], s not in FAILED) for (n, row), s in zip(rows, statuses, strict=True)]
    values, notes = read_values(cells, of, str(path), comma_is_point=separator == ";")
    bests = list(best_so_far(values, direction))
    entries = []
    for (line, row), value, better, status in zip(rows, values, bests, statuses, strict=True):
        usable = None if status in FAILED else value
        kept = (better if status is None else _is_kept(status, path, line)) and usable is not None
        config = _config(row, columns["config"]) if "config" in columns else None
        name = shortened(row[columns["name"]]) if "name" in columns else config or ""
        entries.append(Entry(f"line {line}", name, usable, kept, config))
    log = _ratchet(path, "csv", of, direction, entries, notes)
    first = next(e for e in entries if e.value is not None)
    baseline = tuple(e.value for e in entries if e.value is not None and e.config == first.config and e.config)
    rest = tuple(e for e in log.entries if not (first.config and e.config == first.config))
    if loop == "fixed" and baseline:
        log = replace(log, baseline=baseline, entries=rest)
    return replace(log, loop=loop, baseline_config=first.config)


def _separator(text: str) -> str:
    """The separator of a table: a tab where its header has one, else the more frequent of comma and semicolon."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    return "\t" if "\t" in header else max(",;", key=header.count)


def _config(row: Mapping[str, str], columns: str) -> str:
    return " ".join(f"{c}={row[c].strip()}" for c in columns.split("+"))


def _ratchet(
    path: Path, form: str, metric: str, direction: Direction, entries: Sequence[Entry], notes: tuple[str, ...]
) -> Log:
    """A log whose first measured entry is the baseline. Raises ``CorpusError`` where too little is measured."""
    first = next((n for n, entry in enumerate(entries) if entry.value is not None), None)
    why = f": {notes[0]}" if notes else ""
    if first is None:
        raise CorpusError(f"{path}: no row has a measurement{why}", hint=f"is {metric} the column of the metric?")
    if notes and not any(entry.value is not None for entry in entries[first + 1 :]):
        raise CorpusError(f"{path}: no trial after the first one was measured{why}", hint="write it as a plain number")
    value = entries[first].value
    baseline = () if value is None else (value,)
    rest = bounded(entries[first + 1 :], str(path))
    return Log(str(path), form, metric, direction, "ratchet", baseline, rest, notes=notes)


def _is_kept(status: str, path: Path, line: int) -> bool:
    if status in KEPT:
        return True
    if status in NOT_KEPT or status in FAILED:
        return False
    raise CorpusError(f"{path}: line {line}: {shortened(status)!r} is not a status", hint="keep, discard or crash")


def _rows(text: str, separator: str, path: Path, *, by_hand: bool = False) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells of each row. Raises ``CorpusError`` for one that does not match the header.

    ``by_hand``: the names of columns are in any case, and rows may have a cell more or less (``_completed``).
    """
    lines = io.StringIO(text, newline="")  # a text may contain other separators of lines, for example U+2028
    reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL)
    header: list[str] = []
    found = False
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                header = [name.lower() for name in header] if by_hand else header
                if twice := [name for name, count in Counter(header).items() if name and count > 1]:
                    raise CorpusError(f"{path}: two columns are named {twice[0]!r}", hint="rename one of them")
                continue
            cells = _completed(cells, header) if by_hand else cells
            if len(cells) != len(header):
                what = f"{path}: line {reader.line_num} has {len(cells)} cells, the header has {len(header)}"
                raise CorpusError(what, hint="are there more separators in it, or fewer?")
            found = True
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as e:
        raise CorpusError(f"{path}: line {reader.line_num}: {e}", hint="is it a table?") from e
    if not found:
        raise CorpusError(f"{path} has no row below a header", hint="name the log of a loop")
