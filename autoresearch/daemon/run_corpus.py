"""The corpus of a run: where it lies, its preparation, the span of it that is scored and that of the vault."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.policy import Policy
from autoresearch.data.corpus import Corpus
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.span import Span
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.data.windows import choose_span
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.storage.run_dir import CORPUS
from rails import ChoiceKnob

STDLIB = "stdlib"
VAULT_SHARE = 0.5  # of eval.bytes: what the vault scores of the test split; about 3% of a trial of profile tiny


def open_corpus(
    settings: Settings,
    policy: Policy,
    path: Path,
    progress: Callable[[str, float], None] = lambda *_: None,
    inputs: Inputs | None = None,
) -> tuple[Corpus, Span]:
    """Verify a prepared corpus, which takes minutes where it is large, and choose the span of it that is scored.

    ``inputs`` watches its files from then on.

    Raises ``CorpusError``, and ``ConfigError`` for a corpus of the run's own that was tokenized differently.
    """
    corpus = (inputs or Inputs()).watch_corpus(path, partial(Corpus.open, path, verify=True, progress=progress))
    if settings.corpus == STDLIB:
        refuse_another_tokenizer(settings, corpus)
    return corpus, choose_span(corpus.split("val"), corpus.token_bytes, longest_context(policy), settings.eval.bytes)


def choose_vault(settings: Settings, policy: Policy, corpus: Corpus, notify: Callable[[str], None]) -> Span | None:
    """The span of the test split that the vault scores; ``None``, and the reason is reported, without a vault."""
    if policy.rule.kind != "sequential" or settings.decision.vault == "off":
        return None
    wanted = int(VAULT_SHARE * settings.eval.bytes)
    try:
        return choose_span(corpus.vault(), corpus.token_bytes, longest_context(policy), wanted, "test")
    except (CorpusError, OSError, ValueError) as e:  # ValueError: an empty file cannot be mapped
        notify(f"there is no vault, so keeps are not checked on the test split: {e}")
        return None


def longest_context(policy: Policy) -> int:
    """Tokens of the longest sequence on the menu; the scored span begins after that many."""
    knob = policy.menu.knobs.get("seq_len")
    on_menu = knob.choices if isinstance(knob, ChoiceKnob) else ()
    return max(int(v) for v in (*on_menu, getattr(knob, "high", 0), policy.baseline["seq_len"]))


def corpus_path(settings: Settings, run_dir: Path) -> Path:
    """Where the corpus of the settings lies or will be prepared. Raises ``ConfigError`` where none is set."""
    if settings.corpus is None:
        hint = "autoresearch prepare SOURCE... --out CORPUS, then --corpus CORPUS; or --corpus stdlib"
        raise ConfigError("corpus is not set", hint=hint)
    return run_dir / CORPUS if settings.corpus == STDLIB else Path(settings.corpus)


def needs_preparation(settings: Settings, run_dir: Path) -> bool:
    """Whether the run still has to prepare its own corpus."""
    return settings.corpus == STDLIB and not (run_dir / CORPUS / "manifest.json").exists()


def prepare_corpus(settings: Settings, run_dir: Path, observer: Observer) -> Path:
    """The path of the prepared corpus; ``stdlib`` is prepared once, inside the run directory."""
    out = corpus_path(settings, run_dir)
    if needs_preparation(settings, run_dir):
        if out.is_symlink():
            hint = f"remove the link, which leaves what is behind it: rm {shlex.quote(str(out.absolute()))}"
            raise CorpusError(f"{out} is a link, and the corpus of a run is not written through one", hint=hint)
        observer.notify("preparing the corpus: this Python's own standard library")
        sources = Sources(stdlib=True)
        spec = TokenizerSpec(settings.tokenizer.kind, settings.tokenizer.vocab_size)
        names, notify = sources.names, observer.notify
        prepare(sources.documents(), out, names=names, tokenizer=spec, progress=observer.preparing, notify=notify)
    return out


def refuse_another_tokenizer(settings: Settings, corpus: Corpus) -> None:
    """Raise ``ConfigError`` where the run's own corpus was tokenized with other settings than the present ones."""
    wanted, found = settings.tokenizer, corpus.manifest.tokenizer
    if (found.kind, found.requested_vocab) != (wanted.kind, wanted.vocab_size if wanted.kind == "bpe" else None):
        hint = f"undo the change of tokenizer.*, choose another --dir, or move {corpus.path} away"
        raise ConfigError(f"{corpus.path} was tokenized with {found.kind} of {found.vocab} ids", hint=hint)
