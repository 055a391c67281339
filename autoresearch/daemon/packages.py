"""Optional packages that a run needs, checked before anything slow starts."""

from __future__ import annotations

from importlib.util import find_spec

from autoresearch.config.settings import Settings
from autoresearch.errors import missing_extra
from autoresearch.proposers.factory import PROPOSERS
from autoresearch.trials.trainers import TRAINERS


def refuse_missing_proposer(settings: Settings) -> None:
    """Raise ``MissingPackage`` where the proposer of the settings cannot be built."""
    missing = [name for name in PROPOSERS[settings.proposer].packages if not is_installed(name)]
    if missing:
        raise missing_extra(f"proposer {settings.proposer}", missing, "run", instead="use --proposer random")


def refuse_missing_trainer(settings: Settings, *, prepares_corpus: bool) -> None:
    """Raise ``MissingPackage`` where the trainer, or the tokenizer of a corpus to prepare, cannot be imported."""
    trainer = TRAINERS[settings.trainer]
    needed = trainer.packages
    if prepares_corpus and settings.tokenizer.kind != "byte":
        needed = (*needed, "tokenizers")
    missing = [name for name in needed if not is_installed(name)]
    if missing:
        raise missing_extra(f"trainer {settings.trainer}", missing, trainer.extras)


def refuse_missing_executor(settings: Settings) -> None:
    """Raise ``MissingPackage`` where trials run on a cluster whose package cannot be imported."""
    kind = settings.executor.kind
    package = {"local": "", "ray": "ray", "slurm": "submitit"}[kind]
    if package and not is_installed(package):
        raise missing_extra(f"executor.kind = '{kind}'", package, kind)


def is_installed(name: str) -> bool:
    """Whether a module can be found; nothing but the parent of a dotted name is imported."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # the parent is missing, or the module is half imported
        return False
