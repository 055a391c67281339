"""The process that compares: it ends hostile comparisons, and is replaced."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from autoresearch.benches.samples import math_verifier
from autoresearch.benches.samples.math_verifier import MODULE, MathVerifier, Undecided, check_installed
from autoresearch.errors import AutoresearchError, MissingPackage

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(cpu_s=0.5) as made:
        yield made


def test_it_works_in_a_thread(verifier: MathVerifier) -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(verifier.any_equal([("x+1", "1+x")])))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_comparison_that_does_not_end_is_ended_by_its_cpu_time_and_the_next_one_has_a_new_process(
    verifier: MathVerifier,
) -> None:
    with pytest.raises(Undecided, match="cpu_time"):
        verifier.any_equal([("7", "9^{9^{9^{9}}}")])
    assert verifier.any_equal([("7", "8"), ("x+1", "1+x")])
    assert not verifier.any_equal([("7", "8")])


def test_a_process_that_was_killed_is_replaced_and_close_ends_the_new_one(verifier: MathVerifier) -> None:
    verifier.any_equal([("x+1", "1+x")])
    first = verifier._process
    assert first is not None
    first.kill()
    first.wait()
    assert verifier.any_equal([("x+1", "1+x")])
    second = verifier._process
    assert second is not None
    assert second is not first
    verifier.close()
    verifier.close()
    assert second.returncode is not None


def test_a_process_that_never_starts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_verifier, "MODULE", "autoresearch.no_such_module")
    with pytest.raises(AutoresearchError, match="does not start"), MathVerifier() as verifier:
        verifier.any_equal([("1", "2")])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(math_verifier, "find_spec", lambda _name: None)
    with pytest.raises(MissingPackage, match="math-verify"):
        check_installed()


@pytest.mark.slow
def test_the_process_ends_with_its_stdin() -> None:
    command = [sys.executable, "-P", "-m", MODULE]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, b"ready\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile",
    [
        "9**9**9",
        "9^{9^{9}}",
        "10^{10^{10}}!",
        "100000!!!",
        "2^{1000000000}",
        "(" * 900 + "1" + ")" * 900,
        r"\sqrt{" * 400 + "2" + "}" * 400,
        r"\sum_{n=1}^{10^{9}} \frac{1}{n^2}",
        r"\prod_{n=1}^{10^7} n",
        r"\begin{matrix}" * 100,
        r"\int_0^1 x^{x^x} dx",
        "(x+1)^{10000}",
        "x" * 2_000,
        "9" * 1_900 + "^{99999}",
        "\x00\ud800".encode(errors="replace").decode(),
    ],
)
def test_hostile_answers_are_not_equal_to_seven(verifier: MathVerifier, hostile: str) -> None:
    with contextlib.suppress(Undecided):
        assert not verifier.any_equal([("7", hostile)])
    assert verifier.any_equal([("x+1", "1+x")])
