"""What a node must have in common with the daemon's machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from autoresearch.trials.remote.ports import Greeting, NodeFacts

HASH_CHARS = 12


def find_difference(greeting: Greeting, expected: NodeFacts) -> str:
    """Why trials of this node cannot be compared with the others, or an empty string."""
    facts = greeting.facts
    if facts is None:
        return greeting.problem or "it gave no reason"
    found = facts.device_kind, facts.versions
    if why := find_device_difference(found, (expected.device_kind, expected.versions)):
        return why
    if facts.code_sha256 != expected.code_sha256:
        return f"its autoresearch has other code ({_short(facts.code_sha256)}, not {_short(expected.code_sha256)})"
    if facts.corpus_sha256 != expected.corpus_sha256:
        return f"its corpus is {_short(facts.corpus_sha256)}, not {_short(expected.corpus_sha256)}"
    return ""


def find_device_difference(found: tuple[str, Mapping[str, str]], expected: tuple[str, Mapping[str, str]]) -> str:
    """In what a device's kind and versions differ from the expected ones, or an empty string."""
    (kind, versions), (expected_kind, expected_versions) = found, expected
    if kind != expected_kind:
        return f"its device is {kind}, not {expected_kind}"
    for name in sorted(versions.keys() | expected_versions.keys()):
        there, here = versions.get(name, "not installed"), expected_versions.get(name, "not installed")
        if there != here:
            return f"{name} is {there} there and {here} here"
    return ""


def _short(sha256: str) -> str:
    return sha256[:HASH_CHARS]
