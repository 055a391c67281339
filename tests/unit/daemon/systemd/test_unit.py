"""Which unit a process is in, and what its owner is told."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from autoresearch.daemon.systemd.notify import MAX_VALUE_CHARS
from autoresearch.daemon.systemd.unit import (
    MAX_CAUSE_CHARS,
    add_retry,
    failure_status,
    no_lingering,
    not_enabled,
    own_unit,
    retry_command,
    start_command,
    user_units,
)
from autoresearch.errors import ConfigError, JournalError


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
    assert retry_command("/x/autoresearch@a.service") == (
        "systemctl reset-failed autoresearch@a && systemctl start autoresearch@a"
    )
    assert retry_command(user) == "systemctl --user reset-failed autoresearch && systemctl --user start autoresearch"
    assert retry_command(None) == ""


AT = datetime(2026, 11, 26, 22, 14)


def test_a_failure_that_is_not_restarted_names_what_starts_the_unit_also_after_ten_starts():
    error = ConfigError(f"baseline.lr = {'9' * 1000}", hint="give a number")
    add_retry(error, "/system.slice/autoresearch.service")
    status = failure_status(error, AT)
    assert status.startswith("failed at 22:14: baseline.lr = 999")
    assert status.endswith(
        "try: give a number; then systemctl reset-failed autoresearch && systemctl start autoresearch"
    )
    assert len(status) < MAX_VALUE_CHARS
    assert len(error.what) > MAX_CAUSE_CHARS


def test_a_failure_that_systemd_restarts_says_so():
    error = JournalError("cannot write x: no space left")
    add_retry(error, "/system.slice/autoresearch.service")
    assert failure_status(error, AT) == "failed at 22:14: cannot write x: no space left; systemd starts it again"
    assert failure_status(KeyError("a\nb"), AT) == ("crashed at 22:14: KeyError: 'a\\\\nb'; systemd starts it again")


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
