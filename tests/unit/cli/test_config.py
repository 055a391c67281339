"""``autoresearch config``."""

from __future__ import annotations

import json

from autoresearch.config.resolve import setting_names


def test_config_is_valid_json_with_value_and_origin_of_every_setting(cli, monkeypatch):
    monkeypatch.setenv("AUTORESEARCH_SEED", "7")
    code, out, _ = cli("config", "--json", "--iters", "12", "--set", "budget.size=300")
    shown = json.loads(out)
    assert code == 0
    assert shown["iters"] == {"value": 12, "from": "flag"}
    assert shown["budget.size"] == {"value": 300, "from": "flag"}
    assert shown["seed"] == {"value": 7, "from": "environment AUTORESEARCH_SEED"}
    assert shown["corpus"] == {"value": "stdlib", "from": "profile tiny"}
    assert shown["max_hours"] == {"value": None, "from": "default"}


def test_config_reads_the_users_file(cli, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[baseline]\nlr = 0.001\n")
    _, out, _ = cli("config", "--json", "--config", str(file))
    assert json.loads(out)["baseline.lr"] == {"value": 0.001, "from": f"file {file}"}


def test_config_for_people_says_what_each_setting_is(cli):
    code, out, _ = cli("config", "--profile", "gb10-354m")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("limits.deadline_s = "))
    assert line.split("# ")[1] == "profile gb10-354m: seconds after which a trial is killed"
    assert [name for name in setting_names() if f"\n{name} = " not in f"\n{out}"] == ["baseline"]
    assert "\nbaseline.d_model = 1024 " in out
