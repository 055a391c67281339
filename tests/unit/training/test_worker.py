"""How the trial's own process names what it failed with."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from autoresearch.core.measurement import Cause
from autoresearch.training.worker import final_message
from autoresearch.trials.messages import FAILED


def named(error: BaseException) -> str:
    def trial() -> Any:
        raise error

    return str(final_message(trial)[FAILED]["cause"])


def caused_by(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_not_the_fault_of_the_configuration(number: int) -> None:
    full = OSError(number, os.strerror(number))
    assert named(full) == Cause.DISK_FULL
    assert named(caused_by(RuntimeError("the cache cannot be written"), full)) == Cause.DISK_FULL
    assert named(RuntimeError(f"PytorchStreamWriter failed: {os.strerror(number)}")) == Cause.DISK_FULL


def test_other_errors_keep_their_cause() -> None:
    assert named(OSError(errno.EIO, "Input/output error")) == Cause.ERROR
    assert named(OSError(errno.ENOMEM, "Cannot allocate memory")) == Cause.OUT_OF_MEMORY
    assert named(ValueError("no such knob")) == Cause.ERROR
