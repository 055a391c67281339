"""What is decided about Ray without Ray."""

from __future__ import annotations

import socket

import pytest

from autoresearch.errors import ConfigError
from autoresearch.trials.remote.ray_cluster import kill_threshold, monitor_warning, refuse_unreachable

GIB = 1 << 30


def test_a_cluster_that_does_not_answer_is_refused_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refuse_unreachable(f"127.0.0.1:{port}")
    with pytest.raises(ConfigError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
        refuse_unreachable(f"127.0.0.1:{port}")
    with pytest.raises(ConfigError, match="no Ray cluster answers at localhost:99999"):
        refuse_unreachable("localhost:99999")


@pytest.mark.parametrize("total", [8 * GIB, 64 * GIB, 2048 * GIB])
def test_rays_own_guard_acts_after_ours(total: int) -> None:
    threshold = kill_threshold(total)
    assert monitor_warning({"RAY_memory_usage_threshold": str(threshold)}, total) == ""
    assert str(threshold) in monitor_warning({}, 64 * GIB) or total != 64 * GIB
    assert monitor_warning({"RAY_memory_monitor_refresh_ms": "0"}, total) == "", "it is off"


@pytest.mark.parametrize("environment", [{}, {"RAY_memory_usage_threshold": "much"}])
def test_a_node_whose_ray_would_act_first_is_warned_about(environment: dict[str, str]) -> None:
    assert monitor_warning(environment, 64 * GIB).startswith("Ray kills a worker at 95.0% of its memory")
