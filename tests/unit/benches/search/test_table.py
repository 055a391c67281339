"""Tables from others: JSON and CSV, and what is refused with its row."""

from __future__ import annotations

import json

import pytest

from autoresearch.benches.search.table_menu import read_menu
from autoresearch.errors import ConfigError, CorpusError


def test_values_crashes_and_repeats_are_read(read, measured):
    table = read(measured)
    assert len(table.rows) == len(measured)
    assert table.crashes == sum(r["value"] is None for r in measured) > 0
    assert table.rows[0].cfg == measured[0]["cfg"]


def test_a_default_that_has_no_value_is_known(read, measured):
    default = {"rate": 0.01, "width": 4, "depth": 3, "kind": "a"}
    without = [row for row in measured if row["cfg"] != default]
    assert not read(without).default_only_crashed
    assert read([*without, {"cfg": default, "value": None}]).default_only_crashed
    assert not read([*without, {"cfg": default, "value": None}, {"cfg": default, "value": 1.0}]).default_only_crashed


def test_csv_says_the_same(read, measured):
    lines = ["rate,width,depth,kind,value"]
    for row in measured:
        value = "" if row["value"] is None else repr(float(row["value"]))
        lines.append(",".join(map(str, row["cfg"].values())) + f",{value}")
    assert read("\n".join(lines), "table.csv").rows == read(measured).rows


def test_whole_numbers_may_be_written_as_floats_and_flops_are_read(read, measured):
    given = [{**r, "cfg": {**r["cfg"], "depth": float(r["cfg"]["depth"])}, "flops": 1e9} for r in measured]
    table = read(given)
    assert type(table.rows[0].cfg["depth"]) is int
    assert table.rows[0].flops == 1e9


def test_rows_off_the_menu_are_counted_and_fields_that_never_vary_ignored(read, measured):
    outside = [{"cfg": {**measured[0]["cfg"], "depth": 99}, "value": 1.0}]
    table = read([{**r, "cfg": {**r["cfg"], "gpu": "H200"}} for r in measured + outside])
    assert (table.outside, len(table.rows)) == (1, len(measured))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": "x"}, "row 2: value = 'x'"),
        ({"value": True}, "row 2: value = True"),
        ({"value": 10**400}, "row 2: value"),
        ({"flops": 0}, "row 2: flops = 0"),
        ({"cfg": []}, "row 2: an object with cfg and value"),
        ({"cfg": {"rate": 0.1}}, "row 2: cfg has no width"),
        ({"cfg": {"rate": "fast", "width": 8, "depth": 5, "kind": "b"}}, "row 2: rate takes a number, not 'fast'"),
        ({"cfg": {"rate": 0.1, "width": 8, "depth": True, "kind": "b"}}, "row 2: depth takes a whole number"),
        ({"cfg": {"rate": 0.1, "width": 8, "depth": 4.5, "kind": 7}}, "row 2: kind takes a string"),
    ],
)
def test_a_bad_row_is_named(read, measured, change, says):
    bad = [measured[0], {**measured[1], **change}, *measured[2:]]
    with pytest.raises(CorpusError) as failure:
        read(bad)
    assert says in str(failure.value)
    assert "table.json" in str(failure.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{}", "a list is expected"),
        ("[]", "fewer than 20"),
        ("[" * 100_000, "not JSON"),
        ('[{"cfg": {}}]', "row 1: an object with cfg and value"),
    ],
)
def test_a_file_that_is_no_table_is_refused(read, text, says):
    with pytest.raises(CorpusError) as failure:
        read(text)
    assert says in str(failure.value)


def test_nan_is_not_a_crash(read, measured):
    text = json.dumps([*measured, {**measured[0], "value": float("nan")}])
    with pytest.raises(CorpusError, match="not a finite number or null"):
        read(text)


def test_a_field_that_varies_and_is_on_no_menu_is_refused(read, measured):
    given = [{**r, "cfg": {**r["cfg"], "gpu": n % 2}} for n, r in enumerate(measured)]
    with pytest.raises(CorpusError, match="'gpu' is not a knob of the menu"):
        read(given)


def test_binary_and_missing_files_are_named(write, tmp_path, read):
    table, menu = write("[]")
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match="not UTF-8"):
        read_again(table, menu)
    with pytest.raises(CorpusError, match="cannot read"):
        read_again(tmp_path / "none.json", menu)
    with pytest.raises(ConfigError, match="menu"):
        read_menu(table)


def read_again(table, menu):
    from autoresearch.benches.search.table import read_table

    return read_table(table, read_menu(menu))


def test_a_table_of_bench_table_has_its_menu_and_its_baseline_as_the_default(tmp_path):
    from autoresearch.benches.proposers.table_file import format_table
    from autoresearch.benches.search.table import read_table
    from tests.unit.benches.proposers.worlds import build_table

    path = tmp_path / "joint.json"
    file = build_table()
    path.write_text(format_table(file))
    table = read_table(path, None)
    assert table.menu.defaults == {name: file.baseline_cfg[name] for name in table.menu.knobs}
    assert len(table.rows) == len(file.rows)
    assert table.crashes == sum(row.val_bpb is None for row in file.rows)
    with pytest.raises(ConfigError, match="has its own menu"):
        read_table(path, table.menu)


def test_a_list_without_a_menu_names_the_flag(write, measured):
    from autoresearch.benches.search.table import read_table

    path, _ = write(measured)
    with pytest.raises(ConfigError, match="has no menu") as caught:
        read_table(path, None)
    assert "--menu" in (caught.value.hint or "")
