"""What an optional package that cannot be imported is called: absent, or installed and broken."""

from __future__ import annotations

import pytest

from autoresearch.errors import MissingPackage, missing_extra


def failed(cause: ImportError) -> MissingPackage:
    with pytest.raises(MissingPackage) as error:
        raise missing_extra("--plot", "matplotlib", "plot") from cause
    return error.value


def test_a_package_that_is_absent_is_to_be_installed() -> None:
    text = str(failed(ModuleNotFoundError("No module named 'matplotlib'")))
    assert "needs the package matplotlib\n  try: pip install 'autoresearch[plot]'" in text


def test_a_package_that_is_installed_and_broken_is_called_that() -> None:
    text = str(failed(ImportError("libfreetype.so.6: cannot open shared object file")))
    assert "needs the package matplotlib, which is installed and cannot be loaded: libfreetype.so.6: cannot" in text
    assert "\n  try: repair that, or install the package again with --force-reinstall" in text
    assert "pip install 'autoresearch[plot]'" not in text
