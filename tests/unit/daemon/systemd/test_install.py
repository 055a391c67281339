"""Placing the units: what would be done, what is done, done again, undone; and what is never touched."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from autoresearch.cli import main
from autoresearch.daemon.systemd.install import (
    CallProgram,
    WriteFile,
    carry_out,
    check_visible,
    install_steps,
    system_place,
    uninstall_steps,
    unit_word,
    user_place,
)
from autoresearch.errors import AutoresearchError

PROGRAM = ["/opt/autoresearch/bin/python", "-P", "-m", "autoresearch"]
SYSTEM_FILES = {
    "etc/systemd/system/autoresearch.service",
    "etc/systemd/system/autoresearch@.service",
    "etc/systemd/system/autoresearch-web.service",
    "etc/sysusers.d/autoresearch.conf",
    "etc/tmpfiles.d/autoresearch.conf",
    "etc/autoresearch/autoresearch.toml",
}


def files(root: Path) -> set[str]:
    return {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()}


def install_files(prefix: Path, *drop_ins: str) -> list[str]:
    return [carry_out(step, False) for step in install_steps(system_place(prefix), PROGRAM, drop_ins)]


def uninstall(prefix: Path) -> list[str]:
    return [carry_out(step, False) for step in uninstall_steps(system_place(prefix))]


def test_everything_is_placed_readable_for_all(tmp_path):
    install_files(tmp_path)
    assert files(tmp_path) == SYSTEM_FILES
    assert {stat.S_IMODE((tmp_path / file).stat().st_mode) for file in SYSTEM_FILES} == {0o644}


def test_the_units_run_this_program_and_their_own_settings(tmp_path):
    install_files(tmp_path)
    units = tmp_path / "etc/systemd/system"
    words = "ExecStart=/opt/autoresearch/bin/python -P -m autoresearch run"
    run = f"{words} --config /etc/autoresearch/autoresearch.toml --dir %S/autoresearch/autoresearch\n"
    assert run in (units / "autoresearch.service").read_text()
    assert (
        run.replace("autoresearch.toml", "%i.toml").replace("/autoresearch\n", "/%i\n")
        in (units / "autoresearch@.service").read_text()
    )
    page = run.partition(" run ")[0].replace(" run", "") + " serve %S/autoresearch\n"
    assert page in (units / "autoresearch-web.service").read_text()


def test_a_second_time_changes_nothing_and_brings_back_what_was_edited(tmp_path):
    install_files(tmp_path)
    settings = tmp_path / "etc/autoresearch/autoresearch.toml"
    settings.write_text("iters = 3\n")
    unit = tmp_path / "etc/systemd/system/autoresearch.service"
    text = unit.read_text()
    unit.write_text("[Service]\n")
    said = install_files(tmp_path)
    assert unit.read_text() == text
    assert settings.read_text() == "iters = 3\n"
    changes = [words.partition(" ")[0].rstrip(":") for words in said]
    assert changes == ["unchanged", "replaced", "unchanged", "kept", "unchanged", "unchanged"]


def test_a_drop_in_is_placed_beside_both_units_with_the_name_filled_in(tmp_path):
    install_files(tmp_path, "container", "after-nim")
    units = tmp_path / "etc/systemd/system"
    assert "/etc/autoresearch/%i.toml" in (units / "autoresearch@.service.d/50-container.conf").read_text()
    plain = (units / "autoresearch.service.d/50-container.conf").read_text()
    assert "/etc/autoresearch/autoresearch.toml" in plain
    assert "%i" not in plain
    assert (units / "autoresearch.service.d/50-after-nim.conf").exists()


def test_uninstalling_leaves_settings_and_what_is_not_ours(tmp_path):
    install_files(tmp_path, "container")
    own = tmp_path / "etc/systemd/system/autoresearch.service.d/override.conf"
    own.write_text("[Service]\nNice=5\n")
    uninstall(tmp_path)
    assert files(tmp_path) == {"etc/autoresearch/autoresearch.toml", str(own.relative_to(tmp_path))}
    assert not (tmp_path / "etc/systemd/system/autoresearch@.service.d").exists()
    assert all(s.startswith("does not exist") for s in uninstall(tmp_path))


def test_a_dry_run_touches_nothing(tmp_path):
    place = system_place(tmp_path)
    said = [carry_out(step, True) for step in install_steps(place, PROGRAM)]
    assert all(s.startswith("would write ") for s in said)
    assert files(tmp_path) == set()
    install_files(tmp_path)
    said = [carry_out(step, True) for step in uninstall_steps(place)]
    assert sum(s.startswith("would remove ") for s in said) == 5
    assert files(tmp_path) == SYSTEM_FILES


def test_on_the_machine_itself_systemd_is_called(tmp_path):
    calls = [step.argv for step in install_steps(system_place(), PROGRAM) if isinstance(step, CallProgram)]
    assert calls == [
        ("systemd-sysusers", "/etc/sysusers.d/autoresearch.conf"),
        ("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/autoresearch.conf"),
        ("systemctl", "daemon-reload"),
    ]
    first = uninstall_steps(system_place())[0]
    assert isinstance(first, CallProgram)
    units = ("autoresearch.service", "autoresearch@*.service", "autoresearch-web.service")
    assert first.argv == ("systemctl", "stop", *units)


def test_uninstalling_again_finds_nothing_to_stop_and_continues(tmp_path, monkeypatch):
    """systemctl(1) exits with 5 once the unit is gone; every other code is a failure."""
    systemctl = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    stop = uninstall_steps(system_place())[0]
    for code in (5, 4):
        systemctl.write_text(f"#!/bin/sh\nexit {code}\n")
        systemctl.chmod(0o755)
        if code == 5:
            assert carry_out(stop, False, booted=tmp_path).startswith("called systemctl stop")
        else:
            with pytest.raises(AutoresearchError, match="exit code 4"):
                carry_out(stop, False, booted=tmp_path)


def test_for_one_user_there_is_a_unit_and_settings_and_nothing_of_root_s(tmp_path):
    steps = install_steps(user_place({"XDG_CONFIG_HOME": str(tmp_path / "config")}), PROGRAM)
    for step in steps:
        if isinstance(step, WriteFile):
            carry_out(step, False)
    assert files(tmp_path) == {
        "config/systemd/user/autoresearch.service",
        "config/systemd/user/autoresearch@.service",
        "config/autoresearch/autoresearch.toml",
    }
    assert steps[-1] == CallProgram(("systemctl", "--user", "daemon-reload"))


def test_an_enabled_unit_is_disabled_before_it_is_removed(tmp_path):
    place = user_place({"XDG_CONFIG_HOME": str(tmp_path)})
    wants = place.units / "default.target.wants"
    wants.mkdir(parents=True)
    for name in ("autoresearch@b.service", "autoresearch.service", "other.service"):
        (wants / name).symlink_to("/nowhere")
    calls = [step.argv for step in uninstall_steps(place) if isinstance(step, CallProgram)]
    assert ("systemctl", "--user", "disable", "autoresearch.service", "autoresearch@b.service") in calls


def test_a_failure_shows_the_program_s_own_message(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(AutoresearchError, match=r"cannot write (?s:.)*with sudo"):
        carry_out(WriteFile(blocked / "unit", ""), False)
    with pytest.raises(AutoresearchError, match="out of luck"):
        carry_out(CallProgram(("sh", "-c", "echo out of luck >&2; exit 3")), False)
    with pytest.raises(AutoresearchError, match="exit code 3"):
        carry_out(CallProgram(("sh", "-c", "exit 3")), False)
    with pytest.raises(AutoresearchError, match="cannot call"):
        carry_out(CallProgram(("/nowhere/systemd-sysusers",)), False)
    assert carry_out(CallProgram(("true",)), True) == "would call true"
    assert carry_out(CallProgram(("true",)), False) == "called true"


def test_without_a_systemd_it_is_not_called(tmp_path):
    reload = CallProgram(("systemctl", "daemon-reload"))
    assert "does not run here" in carry_out(reload, False, booted=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("/opt/a/python", "/opt/a/python"),
        ("/opt/my python", '"/opt/my python"'),
        ("50%", "50%%"),
        ("a\nb", '"a\\nb"'),
        ("$HOME", "$$HOME"),
        ('a"b\\', '"a\\"b\\\\"'),
    ],
)
def test_words_of_a_command_line_are_written_as_systemd_reads_them(word, written):
    assert unit_word(word) == written


def test_a_program_that_the_service_cannot_see_is_refused(tmp_path):
    check_visible([Path("/usr/bin/env")])
    with pytest.raises(AutoresearchError, match="cannot see /home/ann/venv"):
        check_visible([Path("/home/ann/venv/bin/python")])
    closed = Path("/proc/self/fd")  # 0500
    with pytest.raises(AutoresearchError, match="cannot see"):
        check_visible([closed / "python"])


# The command line.


def test_the_command_shows_what_it_would_do(tmp_path, capsys):
    assert main(["service", "install", "--prefix", str(tmp_path), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert f"would write {tmp_path}/etc/systemd/system/autoresearch.service" in said
    assert files(tmp_path) == set()


def test_the_command_installs_and_uninstalls(tmp_path, capsys):
    assert main(["service", "install", "--prefix", str(tmp_path), "--drop-in", "after-nim"]) == 0
    assert (
        f"ExecStart={sys.executable} -P -m autoresearch run"
        in (tmp_path / "etc/systemd/system/autoresearch.service").read_text()
    )
    assert main(["service", "uninstall", "--prefix", str(tmp_path)]) == 0
    assert "kept: " in capsys.readouterr().out
    assert files(tmp_path) == {"etc/autoresearch/autoresearch.toml"}


def test_for_a_user_the_command_needs_no_root(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")  # where systemd runs, this one is called
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert main(["service", "install", "--user"]) == 0
    assert "loginctl enable-linger" in capsys.readouterr().out
    assert (tmp_path / "systemd/user/autoresearch.service").exists()
    assert main(["service", "uninstall", "--user"]) == 0


@pytest.mark.parametrize("flags", [["--drop-in", "nonsense"], ["--user", "--drop-in", "container"]])
def test_an_unknown_drop_in_is_a_configuration_error(flags, capsys):
    assert main(["service", "install", *flags]) == 78
    assert "no such drop-in" in capsys.readouterr().err


def test_a_hidden_program_is_refused_with_a_way_out(monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "/home/ann/.venv/bin/python")
    assert main(["service", "install", "--dry-run"]) == 1
    assert "/opt/autoresearch" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["/opt/100%i/python", "/opt/%/python", "/opt/%%i%i/python", "/opt/%n %h/python"])
def test_a_percent_sign_in_the_programs_path_is_escaped_in_both_units(path: str) -> None:
    steps = install_steps(user_place({"HOME": "/home/me"}, Path("/tmp")), [path, "-m", "autoresearch"])
    texts = [step.text for step in steps if isinstance(step, WriteFile) and step.path.suffix == ".service"]
    assert len(texts) == 2
    for text, name in zip(texts, ("%i", "autoresearch"), strict=True):
        line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
        assert unit_word(path) in line
        assert f"/{name}.toml" in line
