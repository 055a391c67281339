"""What an exported script says of itself: where it comes from, what will differ, what nobody has seen. Pure."""

from __future__ import annotations

import textwrap

from autoresearch import __version__
from autoresearch.core.text import plural
from autoresearch.report.export.recipe import Recipe
from autoresearch.report.export.warmup import largest_gap
from autoresearch.report.format import safe

COLUMNS = 116
MANY_STEPS = 20_000  # with more the two cosines are the same to 0.01%, and nobody need walk through them


def header(recipe: Recipe, unseen: str) -> str:
    """The comment at the head of a script, ``#`` before each line: it is one in bash and in Python."""
    paragraphs = [_origin(recipe), "What will differ from the trial:", *(f"- {d}" for d in differences(recipe)), unseen]
    return "\n".join(line for paragraph in paragraphs for line in _comment(paragraph))


def differences(recipe: Recipe) -> list[str]:
    """Whatever keeps the exported training from being the trial over again."""
    warmup, origin = int(recipe.cfg["lr_warmup"]), recipe.origin
    found = [
        "Initial weights: drawn from the same distribution, by Megatron's own generator.",
        "Data order: Megatron shuffles samples of its own; the trial took crops spread evenly over the same text.",
        "Validation: Megatron prints nats per token of random batches, not bits per byte of the whole fixed span; only "
        "numbers of the same kind can be compared.",
    ]
    if recipe.steps != origin.trial_steps:
        found.append(
            f"Steps: {recipe.steps} were asked for, the trial made {origin.trial_steps}; lr_warmup = {warmup} is kept, "
            "the cosine ends with the last step."
        )
    if origin.budget.kind == "seconds":
        found.append(
            f"The trial's budget was {origin.budget.size:g} seconds: its cosine followed the clock, this one the steps."
        )
    if recipe.steps <= MANY_STEPS and (gap := largest_gap(warmup, recipe.steps)) > 1e-9:
        found.append(
            f"Learning rate: the warmup is the same, the cosine differs by at most {100 * gap:.2f}% of the peak."
        )
    if recipe.shape.vocab != recipe.vocab:
        found.append(
            f"Vocabulary: {plural(recipe.shape.vocab - recipe.vocab, 'row')} more, to share it out over "
            f"{recipe.tensor_parallel} ranks; Megatron counts them in the softmax, the trial did not."
        )
    found.append("Kernels: whatever is fastest, not the deterministic ones of a trial.")
    return found


def _origin(recipe: Recipe) -> str:
    origin = recipe.origin
    base = f"{origin.baseline_val_bpb:.4f}"
    if origin.iter:
        what = (
            f"the best keep: iteration {origin.iter}, {safe(origin.change, 80)}, val_bpb {origin.val_bpb:.4f} "
            f"(baseline {base}), the best of all candidates, so part of its gain may be luck"
        )
    else:
        what = f"the baseline, because nothing was kept: val_bpb {base}"
    return (
        f"Written by autoresearch {__version__} from run {safe(origin.run_id, 40)}, profile {safe(origin.profile, 40)},"
        f" trainer {safe(origin.trainer, 40)}. This is {what}. It has {recipe.shape.params:,} parameters, "
        f"{recipe.vocab} token ids and the corpus {safe(origin.corpus_sha256[:16], 16)}."
    )


def _comment(paragraph: str) -> list[str]:
    return textwrap.wrap(
        paragraph,
        COLUMNS,
        initial_indent="# ",
        subsequent_indent="#   " if paragraph.startswith("- ") else "# ",
        break_on_hyphens=False,
    )
