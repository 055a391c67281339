"""The table [command]: what does not fit is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from autoresearch.config.command import BITS_PER_BYTE, CommandSettings
from autoresearch.config.resolve import resolve
from autoresearch.core import metric
from autoresearch.errors import ConfigError


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"argv": []}, "give a command"),
        ({"argv": ["a", "b\0"]}, "give a command"),
        ({"metric_pattern": "val: ("}, "not a regular expression"),
        ({"metric_pattern": "val"}, "one group"),
        ({"progress_pattern": "(a)(b)(c)"}, "one group or two"),
        ({"metric_pattern": "(a)", "metric_file": "a.json"}, "exclude each other"),
        ({"metric": "val_bpb", "direction": "higher"}, "bits per byte, of which less is better"),
        ({"argv": ["p"], "config": "file"}, r"\{config\} in argv is missing"),
        ({"argv": ["p", "{config}"]}, r"\{config\} in argv needs config = 'file'"),
        ({"flag": "--{name}={value}"}, r"\{name\} is unknown"),
        ({"flag": "--{knob}"}, r"\{value\} is missing"),
        ({"seed_flag": "--seed"}, r"names no \{seed\}"),
        ({"seed_flag": "--seed={seed}", "seed_env": "SEED"}, "seed_flag and seed_env exclude"),
        ({"seed_constant": "SEED"}, "needs config = 'constants'"),
        ({"env": ["A B"]}, "not NAME"),
        ({"metric": "a b"}, "metric"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        resolve({f"command.{name}": value for name, value in fields.items()}, {})


def test_a_seed_and_a_budget_may_be_in_argv() -> None:
    settings = CommandSettings.model_validate({"argv": "train --seed {seed} --steps={budget}"})
    assert settings.argv == ("train", "--seed", "{seed}", "--steps={budget}")
    assert (settings.is_seeded, settings.owns_budget) == (True, False)
    assert (CommandSettings().is_seeded, CommandSettings().owns_budget) == (False, True)  # type: ignore[call-arg]


def test_a_command_takes_its_own_profile() -> None:
    """That of a GPT has a menu and a baseline of other knobs."""
    settings = resolve({"trainer": "command"}, {}).settings
    assert (settings.profile, settings.baseline, settings.menu, settings.corpus) == ("command", {}, {}, None)


def test_the_name_of_bits_per_byte_is_one() -> None:
    assert BITS_PER_BYTE == metric.BITS_PER_BYTE
