"""Who may import whom: docs/architecture.md as a test. A new edge is a decision, and is made here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Room -> the rooms it may import. Every room but rails may import errors; __init__ (the version) is open to all.
ALLOWED = {
    "errors": set(),
    "environment": set(),
    "config": {"environment", "window"},
    "window": set(),
    "files": set(),
    "plain": set(),
    "exchange": {"plain"},
    "records": {"exchange", "plain", "power", "rails"},
    "credit": {"records"},
    "llm": {"environment", "exchange", "ports"},
    "proposing": {
        "config", "exchange", "exchange_log", "llm", "ports", "proposers", "trajectory", "rails",
    },
    "doctor": {
        "bench", "compiled", "config", "control", "energy", "exchange", "exchange_log", "files", "journal", "llm",
        "plain", "policy", "ports", "proposers", "proposing", "records", "replaying", "service", "training",
        "trajectory", "trial", "trial_server", "rails",
    },
    "trajectory": {"power", "records", "rails"},
    "decide": {"records"},
    "closing": {"credit", "decide", "exchange", "records", "trajectory", "rails"},
    "ports": {"exchange", "power", "records", "trajectory"},
    "marking": {"power", "records"},
    "accounting": {"marking", "ports", "power", "records", "trajectory"},
    "metering": {"bench", "config", "energy", "power", "trajectory"},
    "journal": {"files"},
    "exchange_log": {"exchange", "files", "journal", "records"},
    "control": {"files", "window"},
    "night": {"control", "records"},
    "notify": set(),
    "supervised": {"config", "notify", "ports", "records", "trajectory"},
    "unit": set(),
    "installation": {"files", "unit"},
    "brake": set(),
    "parts": {"brake", "records"},
    "memory": set(),
    "energy": {"files", "memory", "power"},
    "power": {"plain"},
    "proposers": {"credit", "exchange", "llm", "ports", "records", "trajectory", "rails"},
    "training": {"rails", "records", "files", "config"},
    "trial_server": {"environment", "files", "ports"},
    "compiled": {"files", "records", "training", "trial", "trial_server"},
    "trial": {"brake", "files", "parts", "ports", "records", "training", "memory", "trial_server"},
    "loop": {"accounting", "ports", "power", "records", "trajectory", "decide", "closing", "rails"},
    "points": {"journal", "records", "training"},
    "policy": {"config", "records", "trajectory", "training", "rails"},
    "bench": {
        "compiled", "config", "energy", "memory", "points", "policy", "ports", "records", "trajectory", "training",
        "trial", "trial_server", "rails",
    },
    "envelope": {
        "bench", "config", "control", "journal", "points", "policy", "ports", "records", "service", "training", "rails",
    },
    "report": {
        "exchange", "files", "journal", "plain", "points", "power", "records", "training", "trajectory", "rails",
    },
    "replaying": {"exchange", "exchange_log", "proposers", "report"},
    "export": {"records", "report", "trajectory", "training"},
    "console": {"exchange", "ports", "records", "trajectory"},
    "watchers": {"bench", "ports", "records", "trajectory"},
    "progress": {"files", "ports", "records", "trajectory"},
    "hooks": {"config", "environment", "files", "journal", "loop", "ports", "records", "report", "trajectory"},
    "watch": {"control", "files", "journal", "progress", "records", "report"},
    "testing": {
        "bench", "config", "exchange", "llm", "loop", "parts", "policy", "ports", "power", "records", "service",
        "training", "trajectory",
    },
    "service": {
        "bench", "closing", "config", "control", "energy", "environment", "exchange_log", "files", "journal", "loop",
        "memory", "metering", "night", "points", "policy", "ports", "power", "proposers", "proposing", "records",
        "trajectory", "training", "window", "rails",
    },
    "cli": {
        "bench", "config", "console", "control", "doctor", "energy", "envelope", "export", "files", "hooks",
        "installation", "journal", "notify", "progress", "records", "replaying", "report", "service", "supervised",
        "training", "unit", "watch", "watchers",
    },
    "__main__": {"cli"},
    "__init__": set(),
    "profiles": set(),
}  # fmt: skip


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT / "autoresearch")
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported_modules(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            is_package = (ROOT / module.replace(".", "/")).is_dir()
            found |= {f"{module}.{alias.name}" for alias in node.names} if is_package else {module}
    return found


def rooms_imported(path: Path) -> set[str]:
    rooms = set()
    for module in imported_modules(path):
        top, _, rest = module.partition(".")
        if top == "rails":
            rooms.add("rails")
        elif top == "autoresearch":
            room = rest.partition(".")[0]
            if (ROOT / "autoresearch" / room).is_dir() or (ROOT / "autoresearch" / f"{room}.py").exists():
                rooms.add(room)
    return rooms


SOURCES = sorted((ROOT / "autoresearch").rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_room_imports_only_what_the_map_allows(path: Path) -> None:
    room = room_of(path)
    assert room in ALLOWED, f"{room} is not on the map: draw it in first"
    unexpected = rooms_imported(path) - ALLOWED[room] - {room, "errors"}
    assert not unexpected, f"{path.name} ({room}) imports {sorted(unexpected)}"


@pytest.mark.parametrize("path", sorted((ROOT / "rails").glob("*.py")), ids=lambda p: p.name)
def test_the_rails_know_nothing_of_the_service(path: Path) -> None:
    assert not {m for m in imported_modules(path) if m.partition(".")[0] == "autoresearch"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_torch_lives_in_training_alone(path: Path) -> None:
    uses = any(m.partition(".")[0] in ("torch", "megatron") for m in imported_modules(path))
    assert not uses or room_of(path) == "training"


def test_the_map_names_no_room_that_is_gone() -> None:
    assert set(ALLOWED) <= {room_of(p) for p in SOURCES} | {"profiles"}
