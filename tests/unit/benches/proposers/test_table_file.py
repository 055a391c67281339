"""The file of a table: written and read back; whatever is wrong with one is named."""

from __future__ import annotations

import json

import pytest

from autoresearch.benches.proposers.table_file import MAX_TABLE_BYTES, format_table, parse_table, read_table
from autoresearch.errors import CorpusError


def changed(table, change):
    plain = json.loads(format_table(table))
    change(plain)
    return json.dumps(plain)


def test_a_table_survives_its_file(table, tmp_path):
    (tmp_path / "table.json").write_text(format_table(table))
    assert read_table(tmp_path / "table.json") == table
    assert format_table(table).count("\n") > len(table.rows)  # one row a line


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t["rows"][3].update(val_bpb=float("nan")), "rows.3.val_bpb"),
        (lambda t: t["rows"][3].update(val_bpb=-1.0), "rows.3.val_bpb"),
        (lambda t: t["rows"][3].update(val_bpb="2.0"), "rows.3.val_bpb"),
        (lambda t: t["rows"][3].update(seed=1.5), "rows.3.seed"),
        (lambda t: t["rows"][3].update(surprise=1), "rows.3.surprise"),
        (lambda t: t["rows"][3]["cfg"].update(lr=5.0), "rows.3.cfg: lr = 5.0 is outside"),
        (lambda t: t["rows"][3]["cfg"].update(lr=True), "rows.3.cfg.lr"),
        (lambda t: t["rows"][3]["cfg"].update(colour="red"), "rows.3.cfg: colour is unknown"),
        (lambda t: t["rows"][3]["cfg"].pop("lr"), "rows.3.cfg: lr is missing"),
        (lambda t: t["rows"].append(t["rows"][0]), "rows 0 and 240 are the same configuration with seed 4000"),
        (lambda t: t["rows"].clear(), "has no row"),
        (lambda t: t.update(version=2), "version"),
        (lambda t: t.update(format="parquet"), "format"),
        (lambda t: t["menu"]["knobs"]["lr"].update(low=1e-5), "menu_sha256 is not the hash of the menu"),
        (lambda t: t["menu"].update(knobs={}), "menu: knobs"),
        (lambda t: t["yardstick"].update(threads=99), "yardstick_sha256 is not the hash"),
        (lambda t: t["baseline_cfg"].update(lr=1.0), "baseline_cfg: lr"),
        (lambda t: t.pop("menu"), "menu"),
    ],
)
def test_what_is_wrong_is_named(table, change, named):
    with pytest.raises(CorpusError, match=r"x\.json") as e:
        parse_table(changed(table, change), "x.json")
    assert named in e.value.what


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"[" * 100_000, b"3", b'"text"'])
def test_what_is_not_a_table_is_refused(data):
    with pytest.raises(CorpusError, match=r"x\.json is not a table"):
        parse_table(data, "x.json")


def test_a_file_that_cannot_be_read_or_is_too_large_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(CorpusError, match="cannot read"):
            read_table(path)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_TABLE_BYTES + 1)
    with pytest.raises(CorpusError, match="larger than 256 MiB"):
        read_table(tmp_path / "large")


def test_a_whole_number_for_a_float_knob_is_the_same_configuration(table):
    text = changed(table, lambda t: t["rows"][0]["cfg"].update(grad_clip=1))
    assert parse_table(text, "x.json").rows[0].cfg["grad_clip"] == 1
    twice = changed(table, lambda t: t["rows"].append({**t["rows"][0], "cfg": {**t["rows"][0]["cfg"], "grad_clip": 1}}))
    with pytest.raises(CorpusError, match="the same configuration"):
        parse_table(twice, "x.json")
