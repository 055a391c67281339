"""The built wheel, installed where the checkout cannot be seen, without any extra."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
PROPOSAL = '{"knob": "lr", "new_value": 0.001, "reason": "a test"}'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by pip, which needs hatchling: installed, or from the package index."""
    out = tmp_path_factory.mktemp("wheel")
    built = _call([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", str(ROOT), "-w", str(out)], out)
    if built.returncode:
        pytest.skip(f"pip cannot build a wheel here: {built.stdout[-300:]}")
    (found,) = out.glob("autoresearch-*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A command of a fresh environment that has the wheel and what it depends on, run outside of the checkout."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home / "venv", with_pip=True)
    python = home / "venv/bin/python"
    done = _call([str(python), "-m", "pip", "install", "-q", str(wheel)], home)
    if done.returncode:
        pytest.skip(f"pip cannot install what the wheel depends on here: {done.stdout[-300:]}")

    def call(*argv: str) -> subprocess.CompletedProcess[str]:
        return _call(list(argv), home, path=f"{home / 'venv/bin'}:{os.defpath}")

    return call


def _call(argv: list[str], cwd: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    hidden = ("PYTHONPATH", "AUTORESEARCH_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    env |= {"PATH": path} if path else {}
    return subprocess.run(
        argv, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    )


def test_the_wheel_has_menu_profiles_units_and_docs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for end in (
        "rails/perturbation_menu.json",
        "autoresearch/config/profiles/tiny.toml",
        *(f"autoresearch/web/static/{file.name}" for file in (ROOT / "autoresearch/web/static").iterdir()),
        "autoresearch-web.service",
        "autoresearch/daemon/systemd/units/autoresearch.service",
        "share/doc/autoresearch/usage.md",
        "share/doc/autoresearch/examples/flags/autoresearch.toml",
        "licenses/LICENSE",
    ):
        assert any(name.endswith(end) for name in names), end
    assert not any(name.startswith(("tests/", "evidence/", "benchmarks/")) for name in names)


def test_it_works_without_the_checkout_and_without_extras(installed: Callable[..., object]) -> None:
    call: Callable[..., subprocess.CompletedProcess[str]] = installed  # type: ignore[assignment]
    where = call("python", "-c", "import autoresearch, rails; print(autoresearch.__file__, rails.__file__)")
    assert str(ROOT) not in where.stdout
    assert call("autoresearch", "--help").stdout.startswith("usage: autoresearch")
    checked = call("autoresearch", "rails", "check", PROPOSAL)
    assert (checked.returncode, "passed: lr = 0.001" in checked.stdout) == (0, True), checked.stdout
    doctor = call("autoresearch", "doctor")
    assert (doctor.returncode, "pip install 'autoresearch[run]'" in doctor.stdout) == (69, True), doctor.stdout
    assert "Traceback" not in doctor.stdout
    started = call("autoresearch", "run", "--proposer", "random", "--iters", "1")
    assert (started.returncode, "torch" in started.stdout) == (69, True), started.stdout
    assert "Traceback" not in started.stdout
