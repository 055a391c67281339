"""What a node must have in common with the daemon's machine. Pure."""

from __future__ import annotations

from autoresearch.trials.remote.ports import Greeting, NodeFacts

HASH_CHARS = 12


def find_difference(greeting: Greeting, expected: NodeFacts) -> str:
    """Why trials of this node cannot be compared with the others, or an empty string."""
    facts = greeting.facts
    if facts is None:
        return greeting.problem or "it gave no reason"
    if facts.device_kind != expected.device_kind:
        return f"its device is {facts.device_kind}, not {expected.device_kind}"
    names = sorted(facts.versions.keys() | expected.versions.keys())
    for name in names:
        here, there = facts.versions.get(name, "not installed"), expected.versions.get(name, "not installed")
        if here != there:
            return f"{name} is {here} there, not {there}"
    if facts.code_sha256 != expected.code_sha256:
        return f"its autoresearch has other code ({_short(facts.code_sha256)}, not {_short(expected.code_sha256)})"
    if facts.corpus_sha256 != expected.corpus_sha256:
        return f"its corpus is {_short(facts.corpus_sha256)}, not {_short(expected.corpus_sha256)}"
    return ""


def _short(sha256: str) -> str:
    return sha256[:HASH_CHARS]
