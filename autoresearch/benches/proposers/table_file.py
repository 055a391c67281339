"""The file of a table: measured configurations of one yardstick, with the menu and the baseline that they belong to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from autoresearch.core.measurement import CURVE_POINTS
from autoresearch.core.records import Yardstick
from autoresearch.core.values import Cfg, FrozenModel, NotNegative, Positive, sha256_of
from autoresearch.errors import CorpusError
from rails import Menu, MenuError
from rails.menu import parse_menu

MAX_TABLE_BYTES = 256 << 20
REFUSED = "refused"  # the cause of a configuration that rail R7 refused: it was not trained
HINT = "`autoresearch bench table` makes one; docs/benches.md describes the format"


class TableRow(FrozenModel):
    """One measured trial. ``val_bpb`` is null where the configuration fails, with its cause. Null: not measured."""

    cfg: Cfg
    seed: int
    val_bpb: Positive | None
    trial_wall_s: NotNegative | None = None
    steps: int | None = None
    tokens: int | None = None
    flops: int | None = None
    peak_bytes: int | None = None
    cause: str | None = None  # a Cause of core/measurement.py, or REFUSED
    detail: str = ""
    curve: Annotated[tuple[float, ...], Field(max_length=CURVE_POINTS)] | None = None  # of the training loss


class RefusedChange(FrozenModel):
    """A change of one knob that was planned and that a rail refuses on the machine that measured."""

    knob: str
    value: int | float | str
    rail: str
    reason: str


class TableFile(FrozenModel):
    """A table as read from its file, checked: each configuration is on the menu, no (configuration, seed) occurs twice.

    ``skipped`` counts, by reason, the trials of past runs that are not rows.
    """

    format: Literal["autoresearch-table"] = "autoresearch-table"
    version: Literal[1] = 1
    ts: str
    autoresearch_version: str
    profile: str
    yardstick: Yardstick
    yardstick_sha256: str
    menu: dict[str, Any]
    menu_sha256: str
    baseline_cfg: Cfg
    vocab: int | None = None
    setup: str = ""  # one line on what is trained, for the prompt of an LLM
    planned: int  # trials; fewer rows: it was interrupted, or trials failed by chance
    source: tuple[str, ...] = ()  # identifiers of the past runs that it was made of; empty where it was measured
    refused: tuple[RefusedChange, ...] = ()
    skipped: dict[str, int] = Field(default_factory=dict)
    rows: tuple[TableRow, ...]

    @model_validator(mode="after")
    def _check(self) -> TableFile:
        menu = self.parsed_menu
        if menu.sha256 != self.menu_sha256:
            raise ValueError(f"menu_sha256 is not the hash of the menu, {menu.sha256}")
        if (hashed := sha256_of(self.yardstick)) != self.yardstick_sha256:
            raise ValueError(f"yardstick_sha256 is not the hash of the yardstick, {hashed}")
        canonical_cfg(menu, self.baseline_cfg, self.baseline_cfg, "baseline_cfg")
        seen: dict[tuple[str, int], int] = {}
        for number, row in enumerate(self.rows):
            cfg = canonical_cfg(menu, row.cfg, self.baseline_cfg, f"rows.{number}.cfg")
            key = sha256_of(cfg), row.seed
            if key in seen:
                raise ValueError(f"rows {seen[key]} and {number} are the same configuration with seed {row.seed}")
            seen[key] = number
        return self

    @property
    def parsed_menu(self) -> Menu:
        """The menu as the rails use it. Raises ``ValueError``."""
        try:
            return parse_menu(self.menu)
        except MenuError as e:
            raise ValueError(f"menu: {e}") from e


TABLE: TypeAdapter[TableFile] = TypeAdapter(TableFile)


def canonical_cfg(menu: Menu, cfg: Cfg, baseline: Cfg, where: str) -> Cfg:
    """``cfg`` with each value in its knob's form. Raises ``ValueError`` for one that the menu does not have.

    A knob that is not on the menu keeps its value, whatever it is.
    """
    if differing := sorted(set(cfg) ^ set(baseline) | set(menu.knobs) - set(cfg)):
        raise ValueError(f"{where}: {differing[0]} is {'unknown' if differing[0] in cfg else 'missing'}")
    canonical = dict(cfg)
    for name, knob in menu.knobs.items():
        value, why = knob.accept(cfg[name])
        if value is None:
            raise ValueError(f"{where}: {why}")
        canonical[name] = value
    return canonical


def read_table(path: Path) -> TableFile:
    """Read a table. Raises ``CorpusError`` that names the file and the field, rows counted from 0."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TABLE_BYTES + 1)
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint=HINT) from e
    if len(data) > MAX_TABLE_BYTES:
        raise CorpusError(f"{path} is larger than {MAX_TABLE_BYTES >> 20} MiB", hint=HINT)
    return parse_table(data, str(path))


def parse_table(data: bytes | str, name: str) -> TableFile:
    """A table from its JSON text. Raises ``CorpusError`` that names ``name`` and the field."""
    try:
        table = TABLE.validate_json(data)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        text = f"{where}: {first['msg']}" if where else first["msg"]
        raise CorpusError(f"{name} is not a table of measured configurations: {text}", hint=HINT) from e
    if not table.rows:
        raise CorpusError(f"{name} has no row", hint=HINT)
    return table


def format_table(table: TableFile) -> str:
    """The table as JSON, one row a line."""
    fields = table.model_dump(mode="json")
    rows: Iterable[str] = (json.dumps(row, allow_nan=False, separators=(",", ":")) for row in fields.pop("rows"))
    head = json.dumps(fields, allow_nan=False, indent=1)
    return head[: head.rindex("\n}")] + ',\n "rows": [\n' + ",\n".join(rows) + "\n ]\n}\n"
