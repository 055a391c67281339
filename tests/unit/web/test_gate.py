"""The cookie of the live page among those of other servers on the same machine, which share it across ports."""

from __future__ import annotations

import pytest

from autoresearch.web.gate import COOKIE, _cookie


@pytest.mark.parametrize("others", ["", 'prefs={"a":1}; ', "flag; ", "=; ", "a=1; b=2; ", f"{COOKIE}2=wrong; "])
def test_it_is_found_behind_any_other_cookie(others: str) -> None:
    assert _cookie(f"{others}{COOKIE}=abc; last=1") == "abc"
    assert _cookie(others) == ""
