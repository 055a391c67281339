"""Which unit a process is in, and what its owner is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.daemon.systemd.unit import no_lingering, not_enabled, own_unit, start_command, user_units


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        ("/system.slice/autoresearch.service", ("autoresearch.service", False)),
        (
            "/system.slice/system-autoresearch.slice/autoresearch@a.service",
            ("autoresearch@a.service", False),
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/autoresearch.service",
            ("autoresearch.service", True),
        ),
        ("/user.slice/user-1000.slice/session-2.scope", ("", False)),
        ("/", ("", False)),
        ("", ("", False)),
        (None, ("", False)),
    ],
)
def test_the_unit_is_the_last_part_of_the_cgroup(cgroup, found):
    assert own_unit(cgroup) == found


def test_a_unit_is_started_again_as_it_was():
    user = "/user.slice/user-1000.slice/user@1000.service/app.slice/autoresearch.service"
    assert start_command("/system.slice/autoresearch@a.service") == "systemctl start autoresearch@a"
    assert start_command(user) == "systemctl --user start autoresearch"
    assert start_command("/user.slice/user-1000.slice/session-2.scope") == ""


@pytest.mark.parametrize("kind", ["wants", "requires"])
def test_an_enabled_unit_gives_no_warning(tmp_path: Path, kind):
    assert "`systemctl enable a@b.service`" in not_enabled("a@b.service", [tmp_path], "systemctl")[0]
    (tmp_path / f"multi-user.target.{kind}").mkdir()
    (tmp_path / f"multi-user.target.{kind}" / "a@b.service").symlink_to("/nowhere")
    assert not_enabled("a@b.service", [tmp_path], "systemctl") == []
    assert not_enabled("a@c.service", [tmp_path], "systemctl") != []


def test_no_warning_where_no_units_are_visible(tmp_path: Path):
    assert not_enabled("a.service", [tmp_path / "nowhere"], "systemctl") == []


def test_a_user_s_service_without_lingering_is_a_mistake(tmp_path: Path):
    assert "logs out" in no_lingering({"USER": "ann"}, tmp_path)[0]
    (tmp_path / "ann").touch()
    assert no_lingering({"USER": "ann"}, tmp_path) == []
    assert no_lingering({}, tmp_path) == []


def test_a_user_s_units_are_where_xdg_says(tmp_path: Path):
    assert user_units({"XDG_CONFIG_HOME": str(tmp_path)}) == tmp_path / "systemd" / "user"
    assert user_units({}) == Path.home() / ".config" / "systemd" / "user"
