"""A small task with a known truth, and a table of it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autoresearch.benches.search.surrogate import fit_surrogate
from autoresearch.benches.search.table import read_table
from autoresearch.benches.search.table_menu import read_menu

MENU = {
    "version": 1,
    "knobs": {
        "rate": {"type": "float", "low": 1e-4, "high": 1.0, "default": 0.01, "log": True},
        "width": {"type": "choice", "choices": [1, 2, 4, 8, 16], "default": 4},
        "depth": {"type": "int", "low": 1, "high": 9, "default": 3},
        "kind": {"type": "choice", "choices": ["a", "b"], "default": "a"},
    },
    "constraints": [],
}


def truth(cfg):
    """The best is rate 0.1, width 8, depth 5, kind b; more than 64 for width times depth crashes."""
    if cfg["width"] * cfg["depth"] > 64:
        return None
    off = 0.02 * (np.log10(cfg["rate"]) + 1) ** 2 + 0.002 * (np.log2(cfg["width"]) - 3) ** 2
    return 1.0 + off + 0.001 * (cfg["depth"] - 5) ** 2 + (0.0 if cfg["kind"] == "b" else 0.01)


def draw(rng):
    return {
        "rate": float(f"{10 ** rng.uniform(-4, 0):.4g}"),
        "width": int(rng.choice([1, 2, 4, 8, 16])),
        "depth": int(rng.integers(1, 10)),
        "kind": str(rng.choice(["a", "b"])),
    }


def rows(count=160, repeats=12, noise=0.001):
    rng = np.random.default_rng(0)
    cfgs = [draw(rng) for _ in range(count)]
    cfgs += [{"rate": 0.05, "width": 8, "depth": d, "kind": "b"} for d in (4, 5, 6) for _ in range(repeats)]
    found = []
    for cfg in cfgs:
        value = truth(cfg)
        found.append({"cfg": cfg, "value": None if value is None else value + noise * float(rng.standard_t(3))})
    return found


@pytest.fixture
def write(tmp_path):
    """Writes a table and the menu; returns both paths."""

    def call(entries, menu=MENU, name="table.json"):
        table, file = tmp_path / name, tmp_path / "menu.json"
        table.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        file.write_text(json.dumps(menu))
        return table, file

    return call


@pytest.fixture
def read(write):
    def call(entries, name="table.json"):
        table, menu = write(entries, name=name)
        return read_table(table, read_menu(menu))

    return call


@pytest.fixture(scope="session")
def surrogate(measured, tmp_path_factory):
    """Fitted once: it takes a second."""
    return fitted_to(measured, tmp_path_factory.mktemp("search"))[0]


def fitted_to(entries, directory):
    """The surrogate of these rows and its quality."""
    table, menu = directory / "table.json", directory / "menu.json"
    table.write_text(json.dumps(entries))
    menu.write_text(json.dumps(MENU))
    return fit_surrogate(read_table(table, read_menu(menu)))


@pytest.fixture(scope="session")
def measured():
    """The rows, once."""
    return rows()
