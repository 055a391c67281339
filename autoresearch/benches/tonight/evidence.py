"""What the page of the morning says: the verdict, the other runs, the bottleneck, what is incomplete. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autoresearch.benches.tonight.candidate import NO_DATA, Candidate
from autoresearch.benches.tonight.verdict import Tonight
from autoresearch.core.text import plural
from autoresearch.hints import command

MIN_LOSS = 0.05  # of the proposals: a smaller class of failures is not called a bottleneck


@dataclass(frozen=True, slots=True)
class OtherRun:
    """A run of suite research, samples or workflow, in a line; ``diagnosis`` is the sentence of `bench diagnose`."""

    run: str
    suite: str
    model: str | None
    headline: str
    diagnosis: str = ""
    incomplete: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The page, in its order."""

    tonight: Tonight
    command: str
    bottleneck: str
    others: tuple[OtherRun, ...]
    incomplete: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return asdict(self)


def build_evidence(tonight: Tonight, others: Sequence[OtherRun]) -> Evidence:
    """Put the page together."""
    return Evidence(
        tonight=tonight,
        command=command_of(tonight.choice),
        bottleneck=find_bottleneck([row.candidate for row in tonight.rows], others),
        others=tuple(others),
        incomplete=tuple(_incomplete([row.candidate for row in tonight.rows], others)),
    )


def command_of(choice: Candidate | None) -> str:
    """The command that runs tonight's loop, or the one that measures what is missing."""
    if choice is None:
        return command("bench", "run", "proposer", "TABLE")
    words = ["run", "--proposer", choice.proposer]
    if choice.model:
        words += ["--model", choice.model]
    if choice.base_url:
        words += ["--base-url", choice.base_url]
    return command(*words)


def find_bottleneck(candidates: Sequence[Candidate], others: Sequence[OtherRun]) -> str:
    """One sentence with its numbers: a diagnosis of the suite research, else the largest class of lost proposals."""
    diagnosed = [run for run in others if run.diagnosis]
    if diagnosed:
        sentences = [f"{run.model or run.run}: {run.diagnosis}" for run in diagnosed]
        return "; ".join(sentences)
    losses = [
        (count / c.proposals, name, count, c)
        for c in candidates
        if c.model and c.proposals
        for name, count in c.failures.items()
        if name != NO_DATA
    ]
    if not losses:
        return "Not known: no run of the suite research, and no model's proposals, were given."
    share, name, count, c = max(losses, key=lambda loss: (loss[0], loss[1]))
    if share < MIN_LOSS:
        return (
            f"The model: of {c.name}'s proposals at most {share:.0%} are lost to one cause, "
            "so that what it proposes decides, not whether it arrives."
        )
    return f"{name}: {count:,} of {plural(c.proposals, 'proposal')} of {c.name} ({share:.0%}) are lost to it."


def _incomplete(candidates: Sequence[Candidate], others: Sequence[OtherRun]) -> list[str]:
    found = [
        f"{c.name}: {plural(c.missing, 'planned seed')} without a result; the others are compared"
        for c in candidates
        if c.missing
    ]
    return found + [f"{run.run}: {run.incomplete}" for run in others if run.incomplete]


def failure_classes(candidates: Sequence[Candidate]) -> Mapping[str, Mapping[str, int]]:
    """By class of failure, by candidate: the proposals lost; the most frequent class first."""
    totals: dict[str, int] = {}
    for c in candidates:
        for name, count in c.failures.items():
            totals[name] = totals.get(name, 0) + count
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    return {name: {c.name: c.failures.get(name, 0) for c in candidates} for name in ranked}
