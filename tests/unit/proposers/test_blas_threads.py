"""One BLAS thread for a proposal, and the number before it afterwards."""

from __future__ import annotations

import pytest

from autoresearch.proposers import blas_threads
from autoresearch.proposers.blas_threads import one_blas_thread


class FakeLibrary:
    """The two functions of a loaded OpenBLAS."""

    def __init__(self, threads):
        self.threads = threads

    def read(self):
        return self.threads

    def write(self, threads):
        self.threads = threads


@pytest.fixture
def library(monkeypatch):
    fake = FakeLibrary(8)
    monkeypatch.setattr(blas_threads, "_libraries", lambda: ((fake.read, fake.write),))
    return fake


def test_one_thread_inside_and_the_old_number_afterwards_also_after_an_error(library):
    with one_blas_thread():
        assert library.threads == 1
    assert library.threads == 8
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert library.threads == 8


def test_numpys_own_openblas_is_found_and_obeys():
    libraries = blas_threads._libraries()
    if not libraries:
        pytest.skip("numpy does not use OpenBLAS here")
    before = [read() for read, _ in libraries]
    with one_blas_thread():
        assert [read() for read, _ in libraries] == [1] * len(libraries)
    assert [read() for read, _ in libraries] == before


def test_without_a_list_of_loaded_libraries_nothing_changes(monkeypatch, tmp_path):
    monkeypatch.setattr(blas_threads, "MAPS", tmp_path / "none")
    blas_threads._libraries.cache_clear()
    with one_blas_thread():
        pass
    blas_threads._libraries.cache_clear()
