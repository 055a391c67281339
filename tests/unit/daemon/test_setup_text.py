from __future__ import annotations

import pytest

from autoresearch.daemon.setup_text import describe_setup
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.spec import Budget, Device
from rails import default_menu

DEVICE = Device(device="cpu", kind="x", precisions=("fp32",), free_bytes=None, versions={})


def estimator(kind: str, size: float) -> Estimator:
    return Estimator(default_menu().defaults, 50257, "torch", DEVICE, Budget(kind=kind, size=size), 1024)


@pytest.mark.parametrize(("kind", "size"), [("steps", 60), ("tokens", 60 * 16 * 1024)])
def test_model_vocabulary_flops_and_corpus_are_stated(kind, size):
    assert describe_setup(estimator(kind, size), 1_000_000) == (
        "The baseline model has 354.60 M parameters and a vocabulary of 50,257; its training takes 2.4e+15 FLOPs; "
        "the corpus has 1,000,000 training tokens."
    )


def test_what_is_not_known_is_left_out():
    text = describe_setup(estimator("seconds", 30))
    assert text == "The baseline model has 354.60 M parameters and a vocabulary of 50,257."
    assert describe_setup(None) == ""
