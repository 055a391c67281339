"""A node of a Ray cluster is cut off from the network, each node in a network namespace of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray_cluster import missing_for_ray
from tests.ray_namespaces import missing_for_namespaces, namespaces
from tests.stand_in import all_end

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing_for_ray()), reason=missing_for_ray() or "-")]


def test_a_node_that_is_cut_off_loses_its_trial_and_ends_it_once_it_is_back(small_corpus: Path, tmp_path: Path) -> None:
    if missing := missing_for_namespaces():
        pytest.skip(missing)
    with namespaces("head", "n0", "n1", "n2") as nodes:
        command = [sys.executable, "-m", "tests.ray_driver", nodes.address, str(small_corpus), str(tmp_path), "3"]
        driver = nodes.run("head", *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert driver.stdout is not None
        assert any(line == b"running\n" for line in driver.stdout)
        cut_off = nodes.pids("n1")
        nodes.cut("n1")
        ends = [json.loads(driver.stdout.readline()) for _ in range(3)]
        assert sorted(end["node"] for end in ends if end["cause"] is None) == ["n0", "n2"]
        assert [end["node"] for end in ends if end["cause"] == "host_lost"] == ["n1"]
        nodes.cut("n1", up=True)
        assert not all_end(cut_off), "Ray's node ends with its worker and trial once it learns that it was given up"
        driver.communicate(timeout=60)
        assert driver.returncode == 0
