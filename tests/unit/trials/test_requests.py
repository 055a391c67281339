"""Requests to the trial server: each kind survives the socket, and nothing else is accepted."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from autoresearch.core.speeds import Timing
from autoresearch.data.span import Span
from autoresearch.trials.requests import (
    REQUEST,
    CompileTimesRequest,
    MatmulPeakRequest,
    ProbeRequest,
    Request,
    SpeedRequest,
    TrialRequest,
)
from autoresearch.trials.spec import Budget, TrialSpec

SPEC = TrialSpec(
    cfg={"n_layer": 1, "lr": 3e-4, "precision": "fp32"},
    seed=3,
    corpus="/corpus",
    trainer="torch",
    device="cpu",
    threads=2,
    budget=Budget(kind="tokens", size=1000),
    span=Span(start=10, tokens=20, bytes=60),
    memory_limit_bytes=1 << 30,
)


@pytest.mark.parametrize(
    "request_",
    [
        ProbeRequest(device="auto", trainer="megatron"),
        TrialRequest(spec=SPEC),
        TrialRequest(spec=SPEC, data_limit_bytes=1 << 30, checkpoint="/run/checkpoint", resume=True),
        SpeedRequest(spec=SPEC, timing=Timing(steps=12), data_limit_bytes=1 << 30),
        MatmulPeakRequest(spec=SPEC, precision="bf16"),
        CompileTimesRequest(spec=SPEC),
    ],
    ids=lambda request: request.kind,
)
def test_each_kind_is_read_as_it_was_written(request_: Request) -> None:
    assert REQUEST.validate_json(request_.model_dump_json()) == request_


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"device": "cpu", "trainer": "torch"}',
        '{"kind": "sing"}',
        '{"kind": "probe", "device": "cpu", "trainer": "torch", "resume": true}',
        '{"kind": "trial"}',
    ],
)
def test_a_request_of_no_kind_or_with_fields_of_another_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        REQUEST.validate_json(text)
