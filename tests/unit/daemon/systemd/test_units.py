"""The files of ``systemd/``: checked by systemd itself, and parts that are written twice are equal."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from autoresearch import errors
from autoresearch.config.resolve import resolve
from autoresearch.daemon.systemd.install import carry_out, install_steps, system_place, user_place
from autoresearch.daemon.systemd.unit import NOT_RESTARTED
from autoresearch.daemon.systemd.watchdog import SILENCE_S
from autoresearch.trials.server import START_DEADLINE_S

ROOT = Path(__file__).parents[4]
SYSTEMD = ROOT / "systemd"
TEMPLATE = (SYSTEMD / "autoresearch@.service").read_text()
EXPOSURE = 2.0
WEB_EXPOSURE = 1.2  # no device, no network beside loopback

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")


def analyze(*argv: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", **variables}
    return subprocess.run(["systemd-analyze", *argv], capture_output=True, text=True, check=False, env=environ)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The installed units, with every drop-in."""
    for step in install_steps(system_place(tmp_path), [sys.executable], ("after-nim", "container")):
        carry_out(step, False)
    return tmp_path / "etc/systemd/system"


def test_the_plain_unit_is_the_template_with_the_name_filled_in():
    plain = SYSTEMD / "autoresearch.service"
    assert plain.read_text() == TEMPLATE.replace("%i", "autoresearch")


@needs_analyze
def test_the_service_is_exposed_little_and_has_its_gpu(units):
    done = analyze("security", "--offline=true", f"--threshold={10 * EXPOSURE:.0f}", units / "autoresearch.service")
    assert done.returncode == 0, done.stdout + done.stderr
    level = re.search(r"exposure level for .*: ([\d.]+)", done.stdout)
    assert level is not None
    assert float(level[1]) <= EXPOSURE
    assert "\nDeviceAllow=char-nvidia* rwm\n" in TEMPLATE  # m: nvidia-modprobe of ExecStartPre makes device files
    for word in ("Wants", "After"):  # a driver that is not loaded has no number that could be allowed
        assert f"\n{word}=modprobe@nvidia_uvm.service\n" in TEMPLATE


@needs_analyze
@pytest.mark.parametrize("with_drop_ins", [False, True])
@pytest.mark.parametrize("name", ["autoresearch.service", "autoresearch@night.service"])
def test_systemd_accepts_the_units(units, name, with_drop_ins):
    if name != "autoresearch.service":
        (units / "autoresearch@.service").rename(units / name)
        (units / "autoresearch@.service.d").rename(units / f"{name}.d")
    if not with_drop_ins:
        shutil.rmtree(units / f"{name}.d")
    done = analyze("verify", "--man=no", "--recursive-errors=no", units / name)
    assert (done.returncode, done.stderr) == (0, "")


@needs_analyze
def test_systemd_accepts_the_unit_of_the_live_page_and_finds_it_less_exposed_than_the_service(units):
    unit = units / "autoresearch-web.service"
    done = analyze("verify", "--man=no", "--recursive-errors=no", unit)
    assert (done.returncode, done.stderr) == (0, "")
    done = analyze("security", "--offline=true", f"--threshold={10 * WEB_EXPOSURE:.0f}", unit)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_live_page_has_a_user_of_its_own_in_the_group_and_may_write_nothing():
    text = (SYSTEMD / "autoresearch-web.service").read_text()
    for line in ("User=autoresearch-web", "SupplementaryGroups=autoresearch", "ProtectSystem=strict"):
        assert f"\n{line}\n" in text
    assert "ReadWritePaths" not in text
    assert "StateDirectory" not in text
    users = (SYSTEMD / "sysusers.conf").read_text()
    assert re.search("^u autoresearch-web - ", users, re.MULTILINE)
    assert "\nm autoresearch-web autoresearch\n" in users
    assert set(re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)[0].split()) == set(
        map(str, NOT_RESTARTED)
    )


@needs_analyze
def test_systemd_accepts_a_user_s_unit(tmp_path):
    for step in install_steps(user_place({"XDG_CONFIG_HOME": "/config"}, tmp_path), [sys.executable]):
        carry_out(step, False)
    unit = tmp_path / "config/systemd/user/autoresearch.service"
    done = analyze("verify", "--user", "--man=no", "--recursive-errors=no", unit, XDG_RUNTIME_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="there is no systemd-sysusers here")
def test_the_user_can_be_made():
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", SYSTEMD / "sysusers.conf"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_example_settings_are_settings(tmp_path):
    text = (SYSTEMD / "autoresearch.toml").read_text()
    settings = resolve({}, {}, SYSTEMD / "autoresearch.toml").settings
    assert settings.corpus == "stdlib"
    assert settings.until == "07:00"
    every = re.sub(r"(?m)^# (\[|\w+ = )", r"\1", text)  # what is shown as a possibility is one too
    (tmp_path / "all.toml").write_text(every)
    assert resolve({}, {}, tmp_path / "all.toml").settings.limits.memory_gib == 40


@pytest.mark.parametrize("unit", ["autoresearch@.service", "user/autoresearch@.service"])
def test_a_crash_is_restarted_and_what_the_user_must_fix_is_not(unit):
    text = (SYSTEMD / unit).read_text()
    prevented = re.search(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)
    assert prevented is not None
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.AutoresearchError)]
    may_pass = {errors.AutoresearchError, errors.JournalError, errors.TrialServerError}  # a full disk, a slow driver
    may_pass.add(errors.BenchIncomplete)  # of a bench run, which is not a service
    assert set(map(int, prevented[1].split())) == {2} | {k.exit_code for k in kinds if k not in may_pass}
    assert set(map(int, prevented[1].split())) == NOT_RESTARTED
    assert "\nSyslogIdentifier=autoresearch\n" in text


def test_unit_user_and_documented_doctor_have_one_home():
    home = "/var/cache/autoresearch"
    assert f"\nEnvironment=HOME={home.replace('/var/cache', '%C')} " in TEMPLATE
    assert re.search(
        rf'^u autoresearch - "autoresearch" {home}$', (SYSTEMD / "sysusers.conf").read_text(), re.MULTILINE
    )
    made = re.search(rf"^d {home} +(\d+) +(\w+) ", (SYSTEMD / "tmpfiles.conf").read_text(), re.MULTILINE)
    assert made is not None
    assert made.groups() == ("0750", "autoresearch")  # before the first start, for the doctor
    doctor = re.search(r"sudo -u autoresearch env HOME=(\S+) \S+ doctor", (ROOT / "docs/operations.md").read_text())
    assert doctor is not None
    assert doctor[1] == home


def test_the_units_allow_the_silence_that_the_daemon_counts_on():
    assert SILENCE_S > START_DEADLINE_S
    for unit in (TEMPLATE, (SYSTEMD / "user/autoresearch@.service").read_text()):
        for clock in ("WatchdogSec", "TimeoutStartSec", "TimeoutStopSec"):
            assert f"\n{clock}={SILENCE_S // 60}min\n" in unit


# The way through a container image.


def test_the_containerfile_keeps_the_image_s_torch():
    text = (SYSTEMD / "container/Containerfile").read_text()
    instructions = [line.split()[0] for line in text.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert instructions == ["ARG", "FROM", "COPY", "RUN", "ENTRYPOINT"]
    extras = re.search(r"/opt/autoresearch\[([\w,]+)\]", text)
    assert extras is not None
    known = re.findall(r"^(\w[\w-]*) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(extras[1].split(",")) <= set(known)
    assert {"megatron", "report"} <= set(extras[1].split(","))
    assert "--constraint" in text


FAKE_ENGINE = """#!/bin/sh
case $1 in
    create) echo c0ffee ;;
    export) cat "$FAKES/image.tar" ;;
    inspect) printf 'PATH=/usr/local/bin:/usr/bin\\nHOME=/root\\nODD=a "b" 5%% \\\\\\n\\n' ;;
    rm) echo "$2" >> "$FAKES/removed" ;;
esac
"""
FAKE_LDCONFIG = """#!/bin/sh
cat <<'END'
3 libs found in cache `/etc/ld.so.cache'
	libcuda.so.1 (libc6,AArch64) => /usr/lib/aarch64-linux-gnu/libcuda.so.1
	libnvidia-ml.so.1 (libc6,AArch64) => /usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1
	libcudart.so.13 (libc6,AArch64) => /usr/local/cuda/lib64/libcudart.so.13
	libc.so.6 (libc6,AArch64) => /usr/lib/aarch64-linux-gnu/libc.so.6
END
"""


@pytest.fixture
def unpack(tmp_path: Path):
    """Runs unpack.sh with a container engine and a loader that are ours."""
    for name, text in (("docker", FAKE_ENGINE), ("ldconfig", FAKE_LDCONFIG)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python3").write_text("the image's")
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        tar.add(tmp_path / "python3", "usr/bin/python3")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FAKES": str(tmp_path)}

    def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
        script = ["sh", SYSTEMD / "container/unpack.sh", *argv]
        return subprocess.run(script, capture_output=True, text=True, check=False, env=environ)

    return run


def test_an_image_is_unpacked_with_its_environment_and_the_machine_s_driver(unpack, tmp_path):
    root = tmp_path / "image"
    for _ in range(2):  # an upgrade
        done = unpack("autoresearch", root)
        assert done.returncode == 0, done.stderr
        assert (root / "usr/bin/python3").read_text() == "the image's"
    assert done.stdout.splitlines()[1:] == [
        "[Service]",
        'Environment="PATH=/usr/local/bin:/usr/bin"',
        'Environment="ODD=a \\"b\\" 5%% \\\\"',
        "BindReadOnlyPaths=-/usr/lib/aarch64-linux-gnu/libcuda.so.1",
        "BindReadOnlyPaths=-/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
        "BindReadOnlyPaths=-/usr/bin/nvidia-smi",
    ]
    assert (tmp_path / "removed").read_text() == "c0ffee\n" * 2
    assert not (tmp_path / "image.new").exists()


def test_a_directory_that_is_not_an_image_s_is_left_alone(unpack, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    assert unpack("autoresearch", home).returncode == 1
    assert (home / "thesis.tex").exists()
    assert unpack("autoresearch").returncode == 2
