"""What a node must have in common with the daemon's machine."""

from __future__ import annotations

import pytest

from autoresearch.trials.remote.handshake import find_difference
from autoresearch.trials.remote.ports import Greeting, NodeFacts

HERE = NodeFacts(device_kind="cuda H100", versions={"torch": "2.13.0"}, code_sha256="c" * 64, corpus_sha256="d" * 64)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"device_kind": "cuda GB10"}, "its device is cuda GB10, not cuda H100"),
        ({"versions": {"torch": "2.12.0"}}, "torch is 2.12.0 there and 2.13.0 here"),
        ({"versions": {}}, "torch is not installed there and 2.13.0 here"),
        ({"versions": {"torch": "2.13.0", "megatron": "0.16"}}, "megatron is 0.16 there and not installed here"),
        ({"code_sha256": "e" * 64}, "its autoresearch has other code (eeeeeeeeeeee, not cccccccccccc)"),
        ({"corpus_sha256": "f" * 64}, "its corpus is ffffffffffff, not dddddddddddd"),
    ],
)
def test_the_first_difference_is_named(changed: dict[str, object], why: str) -> None:
    assert find_difference(Greeting(facts=HERE.model_copy(update=changed)), HERE) == why


def test_a_node_that_cannot_look_at_itself_says_why() -> None:
    assert find_difference(Greeting(facts=None, problem="no corpus at /data"), HERE) == "no corpus at /data"
