"""The service under a real systemd: started, paused, drained, hung, killed, misconfigured, cut off from its power.

One machine boots for all of them (``systemd_sandbox``); each test has a run of its own, autoresearch@NAME.
"""

from __future__ import annotations

import os
import re
import signal

import pytest

from autoresearch.core.measurement import Cause, Failure, Measurement
from autoresearch.core.records import (
    EvalFailed,
    Evaluated,
    IterationRecord,
    Paused,
    Resumed,
    Started,
    Stopped,
    TrialEnded,
    TrialStarted,
)
from autoresearch.core.trajectory import Trajectory
from tests.fake_llm import FakeLlm, Wire, answers, says
from tests.systemd_night import check_whole, in_a_trial, last, main_pid, recovered, stop
from tests.systemd_sandbox import HOME, PYTHON, ROOT, have_ended, until, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(why_not()), reason=f"no systemd can be booted here: {why_not()}"),
]

CONFIGURATION = 78
CORPUS = 66


def test_the_installation_is_whole_and_may_be_repeated(box):
    again = box.autoresearch("service", "install").stdout
    assert "replaced" not in again
    assert "wrote" not in again
    assert box.run("stat", "-c", "%U:%G %a", "/var/lib/autoresearch/autoresearch").stdout == (
        "autoresearch:autoresearch 3770\n"
    )
    assert box.systemctl("cat", "autoresearch.service").returncode == 0


def test_the_documented_doctor_finds_nothing_wrong_with_a_fresh_installation(box):
    """It runs as the service's user, before the first start has made a directory."""
    box.configure("fresh", {"profile": "tiny", "corpus": "/srv/corpus", "proposer": "tpe"})
    text = (ROOT / "docs/operations.md").read_text()
    command = re.search(r"sudo -u autoresearch (env HOME=\S+) \S+ doctor \\\n +--config (\S+) --dir (\S+)", text)
    assert command is not None
    for home in (command[1].split(), ["env", "-u", "HOME"]):  # as documented, and with the home of the user's entry
        become = ["setpriv", "--reuid", "autoresearch", "--regid", "autoresearch", "--init-groups"]
        doctor = [PYTHON, "-P", "-m", "autoresearch", "doctor", "--config", "/etc/autoresearch/fresh.toml"]
        done = box.run(*become, *home, *doctor, "--dir", command[3], check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "ok    trainer" in done.stdout


def test_installing_again_leaves_what_lies_beside_the_runs_as_it_is(box):
    corpora, file = "/var/lib/autoresearch/corpora", "/var/lib/autoresearch/note.txt"
    box.run("install", "-d", "-m", "0755", corpora)
    box.run("install", "-m", "0644", "/dev/null", file)
    box.autoresearch("service", "install")
    assert box.run("stat", "-c", "%U %a", corpora, file).stdout == "root 755\nroot 644\n"


def test_start_is_active_only_when_the_loop_is_ready_and_the_status_shows_where_it_is(box, start):
    name = start("ready", "--no-block")
    assert box.show(name, "ActiveState") in ("inactive", "activating")
    assert not any(isinstance(r, Started) for r in box.records(name))
    box.systemctl("start", f"autoresearch@{name}")  # waits for the same start
    assert box.show(name, "ActiveState") == "active"
    assert any(isinstance(r, Started) for r in box.records(name))
    in_a_trial(box, name, after=1)
    status = until("training", lambda: "training" in (s := box.show(name, "StatusText")) and s)
    where, change, doing, best = status.split("; ")
    assert where.startswith("iteration ")
    assert where.endswith(" of 1000")
    assert " = " in change
    assert doing.startswith("training ")
    number = int(where.split()[1])
    earlier = [r for r in box.records(name) if isinstance(r, Evaluated) and r.iter < number and r.decision == "keep"]
    assert best.startswith("best " if earlier else "no keep yet")
    assert "is started but not enabled" in box.journal(name)


def test_another_user_pauses_and_resumes_and_can_do_nothing_else(box, start):
    name = start("pause")
    run_dir, log = f"/var/lib/autoresearch/{name}", f"/var/lib/autoresearch/{name}/trajectory.jsonl"
    in_a_trial(box, name)
    assert box.run("stat", "-c", "%U:%G %a", run_dir).stdout == "autoresearch:autoresearch 3770\n"
    assert box.run("touch", f"{run_dir}/pause.flag", user="ann").returncode == 0
    begun = sum(isinstance(r, TrialStarted) for r in box.records(name))
    paused = last(box, name, Paused)
    found = box.records(name)
    before = found[: found.index(paused)]
    assert not isinstance(before[-1], TrialStarted), "between two trials, of the candidate or of the baseline"
    assert sum(isinstance(r, TrialStarted) for r in before) <= begun + 1, "at the first opportunity"
    until("the trial's end", lambda: len(box.processes(name)) == 2)  # daemon and server: no trial, no accelerator
    assert box.show(name, "ActiveState") == "active"
    assert "paused: pause.flag is there" in box.show(name, "StatusText")
    assert box.run("grep", "-c", "paused", log, user="ann").stdout == "1\n"
    for deed in (["rm", "-f", log], ["touch", log], ["mv", log, f"{log}.old"], ["rm", "-f", f"{run_dir}/pause.flag"]):
        assert box.run(*deed, user="bob", check=False).returncode != 0
    assert box.run("cat", log, user="eve", check=False).returncode != 0
    box.autoresearch("resume", run_dir, user="ann")
    last(box, name, Resumed)
    in_a_trial(box, name)
    stop(box, name)


def test_stop_drains_the_running_trial_and_the_next_start_continues(box, start):
    name = start("drain", seconds=3.0)
    in_a_trial(box, name)
    before = stop(box, name)
    assert "SIGTERM: stopping" in box.journal(name)
    assert f"to continue: systemctl start autoresearch@{name}\n" in box.journal(name)
    start(name, seconds=3.0)
    in_a_trial(box, name)
    box.systemctl("disable", "--quiet", f"autoresearch@{name}")
    after = stop(box, name)
    assert after[: len(before)] == before, "the old night is kept"
    resumed = next(r for r in after[len(before) :] if isinstance(r, TrialStarted) and r.iter > 0)
    assert resumed.iter == Trajectory.fold(before).next_iter


def test_a_killed_trial_costs_that_trial(box, start):
    name = start("killtrial", seconds=5.0)
    _server, trial = in_a_trial(box, name)
    daemon, end = main_pid(box, name), os.pidfd_open(trial)
    os.kill(trial, signal.SIGKILL)
    assert have_ended([end])
    assert last(box, name, EvalFailed).cause is Cause.KILLED
    in_a_trial(box, name, after=1)
    assert main_pid(box, name) == daemon
    assert box.show(name, "NRestarts") == "0"
    check_whole(box, name)


def test_a_killed_trial_server_costs_that_trial(box, start):
    name = start("killserver", seconds=5.0)
    server, trial = in_a_trial(box, name)
    daemon, ends = main_pid(box, name), [os.pidfd_open(pid) for pid in (server, trial)]
    os.kill(server, signal.SIGKILL)
    assert have_ended(ends), "the trial ends with its server"
    assert last(box, name, EvalFailed).cause is Cause.KILLED
    in_a_trial(box, name, after=1)
    assert main_pid(box, name) == daemon
    assert box.show(name, "NRestarts") == "0"
    check_whole(box, name)


def test_a_killed_daemon_is_restarted_and_leaves_no_process(box, start):
    name = start("killdaemon", seconds=3.0)
    everybody = (*in_a_trial(box, name), main_pid(box, name))
    ends, old = [os.pidfd_open(pid) for pid in everybody], box.records(name)
    os.kill(everybody[-1], signal.SIGKILL)
    recovered(box, name, ends, old)
    stop(box, name)


def test_a_hung_daemon_is_killed_by_the_watchdog_and_continues(box, start):
    name = start("hang", watchdog_s=15, seconds=3.0)
    everybody = (*in_a_trial(box, name), main_pid(box, name))
    ends, old = [os.pidfd_open(pid) for pid in everybody], box.records(name)
    os.kill(everybody[-1], signal.SIGSTOP)
    recovered(box, name, ends, old)
    assert "Watchdog timeout" in box.journal(name)


def test_a_trial_longer_than_the_watchdog_s_period_feeds_it(box, start):
    name = start("long", watchdog_s=6, seconds=15.0)
    assert isinstance(last(box, name, TrialEnded).outcome, Measurement)
    assert box.show(name, "NRestarts") == "0"
    assert "Watchdog timeout" not in box.journal(name)


IMPATIENT = {"limits__deadline_s": 5, "llm__rounds": 1, "llm__deadline_s": 2}


def test_a_trial_that_hangs_is_ended_by_its_deadline_and_not_by_the_watchdog(box, start):
    name = start("deadline", watchdog_s=4, **IMPATIENT)
    _server, trial = in_a_trial(box, name)
    daemon = main_pid(box, name)
    os.kill(trial, signal.SIGSTOP)
    failed = last(box, name, EvalFailed)
    assert isinstance(failed.eval_metrics, Failure)
    assert failed.cause is Cause.TIMEOUT
    assert main_pid(box, name) == daemon


def test_a_trial_whose_server_is_stopped_is_ended_by_its_deadline_too(box, start):
    """Its end is never reported: the server is replaced. (A daemon that hangs starves the watchdog: see above.)"""
    name = start("stopserver", watchdog_s=30, **IMPATIENT)
    server, trial = in_a_trial(box, name)
    daemon, ends = main_pid(box, name), [os.pidfd_open(pid) for pid in (server, trial)]
    os.kill(server, signal.SIGSTOP)
    failed = last(box, name, EvalFailed)
    assert failed.cause is Cause.TIMEOUT
    assert have_ended(ends), "a process outlived the deadline"
    in_a_trial(box, name, after=failed.iter)
    assert main_pid(box, name) == daemon
    assert box.show(name, "NRestarts") == "0"
    stop(box, name)


@pytest.mark.parametrize(
    ("name", "setting", "code", "words"),
    [
        ("badsetting", {"budget__sise": 3}, CONFIGURATION, "unknown setting budget.sise"),
        ("nocorpus", {"corpus": "/srv/nowhere"}, CORPUS, "/srv/nowhere"),
    ],
)
def test_what_the_user_must_fix_is_reported_and_not_restarted(box, start, name, setting, code, words):
    with pytest.raises(AssertionError, match="failed"):
        start(name, **setting)
    assert box.show(name, "ExecMainStatus") == str(code)
    assert (box.show(name, "ActiveState"), box.show(name, "SubState")) == ("failed", "failed")  # not auto-restart
    assert box.show(name, "NRestarts") == "0"
    assert words in box.journal(name)
    assert words in box.show(name, "StatusText")


def wants_a_key(wire: Wire) -> None:
    """A list of models for requests that carry the key."""
    has_it = wire.request.headers.get("authorization") == "Bearer sk-secret"
    models = {"object": "list", "data": [{"id": "fake-model", "object": "model", "max_model_len": 8192}]}
    (answers(models) if has_it else answers({"detail": "who are you?"}, status=401))(wire)


def test_without_a_key_it_starts_and_says_so_and_with_one_only_the_daemon_has_it(box, start):
    with FakeLlm(says("nothing"), on_models=wants_a_key) as llm:
        server = {"proposer": "auto", "llm__base_url": llm.base_url}
        name = start("nokey", **server)
        said = box.journal(name)
        assert "there is no key" in said, said
        box.inside("/etc/autoresearch/llm-key").write_text("sk-secret\n")
        box.inside("/etc/autoresearch/llm-key").chmod(0o600)
        name = start("key", **server)
        assert f"LLM server {llm.base_url}: fake-model" in box.journal(name)
        box.systemctl("stop", "autoresearch@key", "autoresearch@nokey")
    assert not [p for p in box.state.rglob("*") if p.is_file() and b"sk-secret" in p.read_bytes()]
    key = f"/run/credentials/autoresearch@{start('others')}.service/llm-key"
    assert box.run("cat", key, user="autoresearch").stdout == "sk-secret\n"
    assert box.run("cat", key, user="ann", check=False).returncode != 0
    box.inside("/etc/autoresearch/llm-key").unlink()


def test_the_daemon_runs_inside_an_unpacked_image(box, start):
    """The image is this machine's own root, seen at another place; the driver's libraries are all that it lacks."""
    box.run("mount", "--rbind", "/", "/opt/autoresearch-image")
    name = "image"
    text = (HOME / "source/autoresearch/daemon/systemd/units/drop-ins/container.conf").as_posix()
    drop_in = box.run("cat", text).stdout.replace("/usr/bin/env python3", str(PYTHON))
    box.drop_in("container", f"{drop_in}\n", f"autoresearch@{name}.service")
    start(name)
    assert os.readlink(f"/proc/{main_pid(box, name)}/root") == "/"
    in_a_trial(box, name)
    assert "is started but not enabled" in box.journal(name)
    stop(box, name)


def test_a_finished_run_ends_well_at_once(box, start):
    for _ in range(2):
        name = start("done", "--wait", iters=1)  # until it is over again; what ends badly would be an error here
        assert box.show(name, "Result") == "success"
    assert sum(isinstance(r, IterationRecord) for r in box.records(name)) == 1
    assert box.journal(name).count("Deactivated successfully") == 2


def test_a_power_cut_in_a_trial_costs_that_trial_s_time(box, start):
    name = start("reboot", seconds=3.0)
    box.systemctl("enable", f"autoresearch@{name}")
    in_a_trial(box, name, after=1)
    old = box.records(name)
    box.power_cut()
    box.boot()
    until("the start at boot", lambda: box.show(name, "ActiveState") == "active")
    last(box, name, TrialEnded, more_than=sum(isinstance(r, TrialEnded) for r in old))
    found = check_whole(box, name)
    assert found[: len(old)] == old
    boots = [r.boot_id for r in found if isinstance(r, Started)]
    assert len(set(boots)) == len(boots) == 2
    assert "not enabled" not in box.journal(name)
    box.systemctl("disable", f"autoresearch@{name}")


def test_uninstalling_stops_what_runs_and_leaves_the_nights(box, start):
    name = start("last")
    in_a_trial(box, name)
    said = box.autoresearch("service", "uninstall").stdout
    assert "called systemctl stop autoresearch.service autoresearch@*.service autoresearch-web.service" in said
    assert isinstance(box.records(name)[-1], Stopped)
    assert box.systemctl("cat", f"autoresearch@{name}", check=False).returncode != 0
    assert box.inside(f"/etc/autoresearch/{name}.toml").exists()
