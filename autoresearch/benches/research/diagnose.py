"""Where a run of suite R loses its papers: the chain from the index to the nomination, and the bottleneck.

Each attempt counts the same, and so does each gold paper of an attempt. Over the attempts that are recorded,

    P(right) = P(indexed) P(seen | indexed) P(right | seen) + P(right, not seen)

A paper that a search returned is indexed. A factor is ``null`` where the run does not record what it needs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.records import BenchTrial
from autoresearch.benches.research.cases import gold_papers
from autoresearch.benches.research.evidence import is_format_error, is_server_error, read_outcome
from autoresearch.benches.research.losses import LOSSES, Loss, Part, find_loss
from autoresearch.benches.research.overflows import describe_overflows, find_overflows
from autoresearch.benches.research.papers import Paper, same_paper
from autoresearch.core.text import plural

DEFAULT_TOP_K = 10
PARTS: tuple[Part, ...] = ("format", "context", "retrieval", "model", "model or retrieval", "infrastructure", "unknown")
TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class _Link:
    """One gold paper in one recorded attempt; ``None`` is not recorded."""

    weight: float
    indexed: bool | None
    seen: bool | None
    right: bool | None


def diagnose(run: BenchRun) -> dict[str, Any]:
    """The diagnosis as plain JSON."""
    links: list[_Link] = []
    losses: defaultdict[Loss, float] = defaultdict(float)
    right = 0.0
    without_gold = 0
    for case in run.cases.cases:
        gold = gold_papers(case)
        if not gold:
            without_gold += 1
            continue
        for sample in range(run.meta.samples):
            graded = run.trials.get((case.id, sample))
            if graded is None:
                losses["missing"] += 1.0
                continue
            for place in range(len(gold)):
                link, loss = _link(run, graded.trial, gold, place, case.payload["type"] == "deep")
                links.append(link)
                right += link.weight if loss is None else 0.0
                if loss is not None:
                    losses[loss] += link.weight
    planned = (len(run.cases.cases) - without_gold) * run.meta.samples
    found = {
        "planned": planned,
        "recorded": planned - round(losses.get("missing", 0.0)),
        "cases_without_paper": without_gold,
        "right": right,
        "chain": _chain(links),
        "losses": [_loss_json(loss, losses[loss], planned) for loss in LOSSES if losses.get(loss)],
        "turns": _turn_counts([graded.trial for graded in run.trials.values()]),
        "overflows": find_overflows([graded.trial for graded in run.trials.values()]),
    }
    return found | {"bottleneck": _bottleneck(found), "sentence": _sentence(found)}


def _link(
    run: BenchRun, trial: BenchTrial, gold: Sequence[Paper], place: int, is_deep: bool
) -> tuple[_Link, Loss | None]:
    """A gold paper in an attempt, and why it was lost; ``None`` where it was nominated."""
    outcome, paper = read_outcome(trial), gold[place]
    right: bool | None = None
    if outcome.candidates is not None and (outcome.is_nominee_known or not is_deep):
        nominated = [outcome.nominee] if is_deep else outcome.candidates
        right = any(candidate is not None and same_paper(paper, candidate) for candidate in nominated)
    seen = outcome.saw(paper)
    indexed = True if seen else outcome.indexed[place] if outcome.indexed else None
    link = _Link(1 / len(gold), indexed, seen, right)
    if right:
        return link, None
    if right is None:
        return link, "not recorded"
    return link, find_loss(trial, outcome, place, paper, int(run.meta.options.get("top_k", DEFAULT_TOP_K)))


def _chain(links: Sequence[_Link]) -> dict[str, float | None]:
    total = sum(link.weight for link in links)

    def share(part: Sequence[bool | None], given: Sequence[bool | None]) -> float | None:
        """The weighted share of ``part`` where ``given``; ``None`` if one of the values is needed and unknown."""
        if any(g is None or (g and p is None) for p, g in zip(part, given, strict=True)):
            return None
        weight = sum(link.weight for link, g in zip(links, given, strict=True) if g)
        both = sum(link.weight for link, p, g in zip(links, part, given, strict=True) if g and p)
        return both / weight if weight else None

    everything = [True] * len(links)
    indexed, seen, right = [[getattr(link, name) for link in links] for name in ("indexed", "seen", "right")]
    unseen_right = [_right_not_seen(link) for link in links]
    chain = {
        "indexed": share(indexed, everything),
        "seen_given_indexed": share(seen, indexed),
        "seen": share(seen, everything),
        "right_given_seen": share(right, seen),
        "right_not_seen": share(unseen_right, everything),
        "right": share(right, everything),
    }
    return {"attempts_with_paper": total, **chain}


def _right_not_seen(link: _Link) -> bool | None:
    if link.right is False or link.seen is True:
        return False
    return None if link.right is None or link.seen is None else True


def _loss_json(loss: Loss, weight: float, planned: int) -> dict[str, Any]:
    part, words = LOSSES[loss]
    return {"loss": loss, "part": part, "words": words, "attempts": round(weight, 6), "share": weight / planned}


def _turn_counts(trials: Sequence[BenchTrial]) -> dict[str, Any]:
    """Errors of the model's format apart from failures of the server, and how its calls were written."""
    turns = [turn for trial in trials for turn in trial.turns]
    formats = Counter(name for turn in turns for name in turn.get("call_formats") or ())
    return {
        "turns": len(turns),
        "tool": sum(turn.get("action") == "tool" for turn in turns),
        "finish": sum(turn.get("action") == "finish" for turn in turns),
        "format_errors": sum(is_format_error(turn) for turn in turns),
        "cut_off": sum(is_format_error(turn) and turn.get("finish_reason") == "length" for turn in turns),
        "server_errors": sum(is_server_error(turn) for turn in turns),
        "call_formats": dict(sorted(formats.items())),
    }


def _by_part(found: Mapping[str, Any]) -> dict[Part, float]:
    weights: dict[Part, float] = {}
    for part in PARTS:
        weight = sum(loss["attempts"] for loss in found["losses"] if loss["part"] == part)
        if weight > TOLERANCE:
            weights[part] = weight
    return weights


def _leading(found: Mapping[str, Any]) -> list[Part]:
    """The parts that lose the most; several, where they lose the same."""
    weights = _by_part(found)
    most = max(weights.values(), default=0.0)
    return [part for part, weight in weights.items() if weight > most - 1e-6]


def _bottleneck(found: Mapping[str, Any]) -> str | None:
    """One of model, format, context, retrieval; ``None`` where the run does not say."""
    leading = _leading(found)
    return leading[0] if len(leading) == 1 and leading[0] in ("model", "format", "context", "retrieval") else None


def _sentence(found: Mapping[str, Any]) -> str:
    planned, weights, leading = found["planned"], _by_part(found), _leading(found)
    if not planned:
        return "no case has a paper to find"
    if not leading:
        return f"no bottleneck: all {planned} attempts end with the right papers"
    score = f"{found['right'] / planned:.0%} of the papers are right"
    reasons = "; ".join(
        f"{loss['words']}: {_attempts(loss['attempts'])}" for loss in found["losses"] if loss["part"] in leading
    )
    lost = f"{_attempts(weights[leading[0]])} of {planned} attempts"
    if len(leading) > 1:
        names = " and ".join(_named(part) for part in leading)
        return f"no single bottleneck: {names} lose {lost} each ({reasons}); {score}"
    match leading[0]:
        case "infrastructure":
            return f"cannot tell the bottleneck: the infrastructure loses {lost} ({reasons}); {score}"
        case "unknown":
            return f"cannot tell the bottleneck: {reasons}; {score}"
        case "model or retrieval":
            unclear = "the bottleneck is the model or the retrieval, which this run cannot tell apart"
            return f"{unclear}: {lost} ({reasons}); {score}"
        case part:
            return f"the bottleneck is {_named(part)}: it loses {lost} ({reasons}); {score}"


def _named(part: Part) -> str:
    return "what is not recorded" if part == "unknown" else f"the {part}"


def _attempts(weight: float) -> str:
    return f"{weight:.0f}" if abs(weight - round(weight)) < 1e-6 else f"{weight:.2f}"


def describe_diagnosis(found: Mapping[str, Any]) -> str:
    """The diagnosis as text: losses in the order of an attempt, the chain, and the sentence."""
    chain, turns = found["chain"], found["turns"]
    without = found["cases_without_paper"]
    note = f"; {plural(without, 'case')} without a paper to find {'is' if without == 1 else 'are'} not among them"
    lines = [f"{found['recorded']} of {found['planned']} attempts recorded{note if without else ''}"]
    lines += [
        f"  lost  {_attempts(loss['attempts']):>7}  {loss['share']:>6.1%}  {loss['loss']}: {loss['words']}"
        for loss in found["losses"]
    ]
    lines.append(f"  right {_attempts(found['right']):>7}")
    lines.append(
        "P(right) = P(indexed) x P(seen | indexed) x P(right | seen) + P(right, not seen): "
        f"{_p(chain['right'])} = {_p(chain['indexed'])} x {_p(chain['seen_given_indexed'])} x "
        f"{_p(chain['right_given_seen'])} + {_p(chain['right_not_seen'])}"
    )
    if chain["indexed"] is None and chain["seen"] is not None:
        lines.append(f"  what the index has is not known; P(seen) = {_p(chain['seen'])}")
    formats = ", ".join(f"{name} {count}" for name, count in turns["call_formats"].items())
    calls = f"; calls: {formats}" if formats else ""
    cut = f" ({turns['cut_off']} cut off at the token limit of a completion)" if turns["cut_off"] else ""
    lines.append(
        f"turns: {turns['turns']}, of them {turns['tool']} with a call, {turns['format_errors']} with a format error "
        f"of the model{cut}, {turns['server_errors']} without an answer of the server{calls}"
    )
    lines += describe_overflows(found["overflows"])
    return "\n".join([*lines, found["sentence"]])


def _p(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
