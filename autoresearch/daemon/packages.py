"""Optional packages that a run needs, checked before anything slow starts."""

from __future__ import annotations

from importlib.util import find_spec

from autoresearch.config.settings import Settings
from autoresearch.errors import missing_extra

PROPOSER_PACKAGES = {"auto": ("optuna",), "hybrid": ("optuna", "openai"), "nim": ("openai",), "tpe": ("optuna",)}
TRAINER_PACKAGES = {"torch": ("torch",), "megatron": ("torch", "megatron.core")}


def refuse_missing_proposer(settings: Settings) -> None:
    """Raise ``MissingPackage`` where the proposer of the settings cannot be built."""
    missing = [name for name in PROPOSER_PACKAGES.get(settings.proposer, ()) if not is_installed(name)]
    if missing:
        raise missing_extra(f"proposer {settings.proposer}", missing, "run", instead="use --proposer random")


def refuse_missing_trainer(settings: Settings, *, prepares_corpus: bool) -> None:
    """Raise ``MissingPackage`` where the trainer, or the tokenizer of a corpus to prepare, cannot be imported."""
    needed = TRAINER_PACKAGES[settings.trainer]
    if prepares_corpus and settings.tokenizer.kind != "byte":
        needed = (*needed, "tokenizers")
    missing = [name for name in needed if not is_installed(name)]
    if missing == ["megatron.core"]:
        raise missing_extra("trainer megatron", missing, "megatron")
    if missing:
        extra = "run,megatron" if "megatron.core" in missing else "run"
        raise missing_extra("training", missing, extra)


def is_installed(name: str) -> bool:
    """Whether a module can be found; nothing but the parent of a dotted name is imported."""
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # the parent is missing, or the module is half imported
        return False
