"""The header comment of an exported script: its source, its differences from the trial, how it was tested. Pure."""

from __future__ import annotations

import textwrap

from autoresearch import __version__
from autoresearch.core.text import plural
from autoresearch.report.export.recipe import Recipe
from autoresearch.report.export.warmup import largest_gap
from autoresearch.report.format import safe

COLUMNS = 116
MANY_STEPS = 20_000  # with more steps the two cosines agree to 0.01%, and the difference is not computed


def build_header(recipe: Recipe, test_status: str) -> str:
    """The comment at the top of a script, ``#`` before each line: valid in bash and in Python."""
    differences = [f"- {text}" for text in list_differences(recipe)]
    paragraphs = [_describe_source(recipe), "Differences from the trial:", *differences, test_status]
    return "\n".join(line for paragraph in paragraphs for line in _comment(paragraph))


def list_differences(recipe: Recipe) -> list[str]:
    """Every known reason why the exported training does not repeat the trial exactly."""
    warmup, source = int(recipe.cfg["lr_warmup"]), recipe.source
    found = [
        "Initial weights: drawn from the same distribution, by Megatron's random generator.",
        "Data order: Megatron shuffles its own samples; the trial took crops spread evenly over the same text.",
        "Validation: Megatron prints nats per token of random batches, not bits per byte of the whole fixed span; only "
        "numbers of the same kind can be compared.",
    ]
    if recipe.steps != source.trial_steps:
        found.append(
            f"Steps: {recipe.steps} instead of the trial's {source.trial_steps}; lr_warmup = {warmup} is kept, "
            "the cosine ends at the last step."
        )
    if source.budget.kind == "seconds":
        found.append(
            f"Budget: the trial had {source.budget.size:g} seconds and its cosine followed the time; this one follows "
            "the steps."
        )
    if recipe.steps <= MANY_STEPS and (gap := largest_gap(warmup, recipe.steps)) > 1e-9:
        found.append(
            f"Learning rate: the warmup is the same, the cosine differs by at most {100 * gap:.2f}% of the peak."
        )
    if recipe.shape.vocab != recipe.vocab:
        found.append(
            f"Vocabulary: {plural(recipe.shape.vocab - recipe.vocab, 'row')} more, to divide it among "
            f"{recipe.tensor_parallel} ranks; Megatron counts them in the softmax, the trial did not."
        )
    found.append("Kernels: the fastest ones, not the deterministic ones of a trial.")
    return found


def _describe_source(recipe: Recipe) -> str:
    source = recipe.source
    base = f"{source.baseline_val_bpb:.4f}"
    if source.iter:
        basis = source.verdict or "the best of all candidates, so part of its gain may be luck"
        what = (
            f"the best keep: iteration {source.iter}, {safe(source.change, 80)}, val_bpb {source.val_bpb:.4f} "
            f"(baseline {base}), {basis}"
        )
    else:
        what = f"the baseline, because nothing was kept: val_bpb {base}"
    return (
        f"Written by autoresearch {__version__} from run {safe(source.run_id, 40)}, profile {safe(source.profile, 40)},"
        f" trainer {safe(source.trainer, 40)}. This is {what}. It has {recipe.shape.params:,} parameters, "
        f"{recipe.vocab} token ids and the corpus {safe(source.corpus_sha256[:16], 16)}."
    )


def _comment(paragraph: str) -> list[str]:
    return textwrap.wrap(
        paragraph,
        COLUMNS,
        initial_indent="# ",
        subsequent_indent="#   " if paragraph.startswith("- ") else "# ",
        break_on_hyphens=False,
    )
