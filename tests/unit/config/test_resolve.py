"""Settings: four layers, each value with its origin, and refusals that name field, value, origin and what was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.cli.main import build_parser
from autoresearch.cli.settings import resolve_args as settings_of
from autoresearch.config.resolve import flat_settings, parse_assignment, profile_names, resolve, setting_names
from autoresearch.config.settings import Settings
from autoresearch.daemon.policy import build_policy
from autoresearch.errors import ConfigError


@pytest.fixture
def toml(tmp_path: Path):
    """Writes the user's own file."""

    def write(text: str) -> Path:
        file = tmp_path / "mine.toml"
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        return file

    return write


def env(**given: str) -> dict[str, str]:
    return {f"AUTORESEARCH_{name}": value for name, value in given.items()} | {"HOME": "/root", "AUTO": "1"}


# The layers.


def test_without_anything_the_embedded_default_is_the_tiny_profile():
    resolved = resolve({}, {})
    assert resolved.settings.profile == "tiny"
    assert resolved.settings.corpus == "stdlib"
    assert resolved.origins["corpus"] == "profile tiny"
    assert resolved.settings.run_dir == Path("runs/tiny")


def test_a_flag_beats_the_environment_beats_the_file_beats_the_profile(toml):
    file = toml("iters = 11\nseed = 1\nthreads = 1\n[budget]\nsize = 111\n")
    environ = env(SEED="2", THREADS="2")
    resolved = resolve({"threads": 3}, environ, file)
    s = resolved.settings
    assert (s.iters, s.seed, s.threads, s.budget.size, s.budget.kind) == (11, 2, 3, 111, "flops")
    assert {name: resolved.origins[name] for name in ("iters", "seed", "threads", "budget.size", "budget.kind")} == {
        "iters": f"file {file}",
        "seed": "environment AUTORESEARCH_SEED",
        "threads": "flag",
        "budget.size": f"file {file}",
        "budget.kind": "profile tiny",
    }


def test_the_profile_itself_can_be_chosen_in_every_layer(toml):
    file = toml('profile = "gb10-354m"\n')
    assert resolve({}, {}, file).settings.profile == "gb10-354m"
    assert resolve({}, env(PROFILE="tiny"), file).settings.profile == "tiny"
    assert resolve({"profile": "gb10-354m"}, env(PROFILE="tiny"), file).settings.profile == "gb10-354m"
    assert resolve({}, {}, file).settings.baseline["d_model"] == 1024


def test_two_underscores_lead_into_a_section():
    environ = env(BUDGET__SIZE="300", BASELINE__LR="1e-3", MENU__KNOBS__LR__LOW="1e-4", ON_PAUSE="exit")
    s = resolve({}, environ).settings
    assert (s.budget.size, s.baseline["lr"], s.on_pause) == (300, 1e-3, "exit")
    assert s.menu["knobs"]["lr"] == {"low": 1e-4, "high": 0.03}  # the profile's other bound stays


def test_a_word_in_the_environment_needs_no_quotation_marks():
    s = resolve({}, env(CORPUS="data/wiki text", UNTIL="6:30", BASELINE__PRECISION="bf16")).settings
    assert (s.corpus, s.until, s.baseline["precision"]) == ("data/wiki text", "6:30", "bf16")


def test_one_value_of_the_baseline_can_be_changed_alone():
    resolved = resolve({"baseline.lr": 1e-3}, {})
    assert resolved.settings.baseline["lr"] == 1e-3
    assert resolved.settings.baseline["d_model"] == 128
    assert (resolved.origins["baseline.lr"], resolved.origins["baseline.d_model"]) == ("flag", "profile tiny")


def test_an_empty_section_of_the_file_changes_nothing(toml):
    """Every line below the heading is commented out."""
    file = toml("[budget]\n# size = 3\n[limits]\n[baseline]\n[menu]\n[menu.knobs]\n")
    assert resolve({}, {}, file).settings == resolve({}, {}).settings


def test_a_menu_of_ones_own_replaces_what_the_profile_says_of_the_packages(tmp_path):
    """Otherwise profile tiny would widen the ranges that the user's file has narrowed."""
    shipped = Path(__file__).parents[3] / "perturbation_menu.json"
    s = resolve({"menu_file": str(shipped), "profile": "tiny"}, {}).settings
    assert s.menu == {}
    s = resolve({"menu_file": str(shipped), "menu.knobs.lr.high": 0.02}, {}).settings
    assert s.menu == {"knobs": {"lr": {"high": 0.02}}}


def test_a_knob_of_another_type_shares_no_field_with_the_profiles(toml):
    file = toml('[menu.knobs.lr]\ntype = "choice"\nchoices = [1, 2]\ndefault = 1\n')
    s = resolve({}, {}, file).settings
    assert s.menu["knobs"]["lr"] == {"type": "choice", "choices": [1, 2], "default": 1}


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        resolve({}, {}).settings.iters = 3


# What is refused, and the message.

UNKNOWN = [
    ("iterz", "did you mean iters?"),
    ("budget.sise", "did you mean budget.size?"),
    ("budget", "did you mean budget.size?"),
    ("limits.deadline", "did you mean limits.deadline_s?"),
    ("decision.accept_delta", "did you mean decision.accept_delta_frac?"),
    ("iters.x", "did you mean iters?"),
    ("budget.size.x", "did you mean budget.size?"),
    ("llm.base_uri", "did you mean llm.base_url?"),
    ("llm.modell", "did you mean llm.model?"),
    ("llm.temperatur", "did you mean llm.temperature?"),
    ("llm", "did you mean llm.share?"),
    ("llm.key", "the key is not a setting: give it as AUTORESEARCH_LLM_KEY"),
    ("zzz", "`autoresearch config` lists every setting"),
    ("", "`autoresearch config` lists every setting"),
]


@pytest.mark.parametrize(("name", "hint"), UNKNOWN)
def test_an_unknown_name_is_refused_with_the_nearest(name, hint):
    with pytest.raises(ConfigError) as refused:
        resolve({name: 3}, {})
    assert refused.value.what == f"unknown setting {name} (flag)"
    assert refused.value.hint == hint


def test_an_unknown_name_is_refused_with_its_origin(toml):
    file = toml("[budgets]\nsize = 3\n")
    with pytest.raises(ConfigError, match=f"unknown setting budgets.size \\(file {file}\\)"):
        resolve({}, {}, file)
    with pytest.raises(ConfigError, match=r"unknown setting iterz \(environment AUTORESEARCH_ITERZ\)"):
        resolve({}, env(ITERZ="3"))
    with pytest.raises(ConfigError, match=r"unknown setting  \(environment AUTORESEARCH_\)"):
        resolve({}, {"AUTORESEARCH_": "3"})


BAD = [
    ("iters", 0),
    ("iters", -1),
    ("iters", "many"),
    ("iters", 1.5),
    ("iters", True),  # true is no 1
    ("iters", [3]),
    ("iters", None),
    ("seed", 1 << 32),
    ("seed", -1),
    ("threads", 1025),
    ("proposer", "llm"),
    ("device", "tpu"),
    ("on_pause", "sleep"),
    ("trainer", "jax"),
    ("until", "24:00"),
    ("until", "6.30"),
    ("until", "06:60"),
    ("until", "06:30:00"),
    ("until", ""),
    ("max_hours", 0),
    ("max_hours", float("inf")),
    ("max_hours", float("nan")),
    ("dir", ""),
    ("corpus", ""),
    ("budget.kind", "epochs"),
    ("budget.size", 0),
    ("budget.size", -3),
    ("budget.size", 60.5),
    ("budget.size", float("nan")),
    ("budget.size", 10**400),
    ("eval.bytes", 100),
    ("decision.accept_delta_frac", 1),
    ("decision.accept_delta_frac", -0.1),
    ("decision.accept_delta_frac", False),
    ("limits.deadline_s", 0),
    ("limits.memory_gib", "much"),
    ("limits.max_attempts", 101),
    ("tokenizer.kind", "words"),
    ("tokenizer.vocab_size", 256),
    ("llm.base_url", ""),
    ("llm.base_url", 7),
    ("llm.base_url", "localhost:8000/v1"),
    ("llm.base_url", "ftp://localhost/v1"),
    ("llm.base_url", "http:///v1"),
    ("llm.base_url", "http://host:port/v1"),
    ("llm.base_url", "http://host:0/v1"),
    ("llm.base_url", "http://host:65536/v1"),
    ("llm.base_url", "http://[::1/v1"),
    ("llm.base_url", "http://my host/v1"),
    ("llm.base_url", " http://host/v1"),
    ("llm.base_url", "http://ho\nst/v1"),
    ("llm.model", ""),
    ("llm.deadline_s", 0),
    ("llm.deadline_s", 3601),
    ("llm.deadline_s", float("nan")),
    ("llm.share", 1.1),
    ("llm.share", -0.1),
    ("llm.rounds", 0),
    ("llm.rounds", 11),
    ("llm.proposals", 0),
    ("llm.proposals", 2.5),
    ("llm.temperature", -1),
    ("llm.temperature", "warm"),
    ("llm.max_tokens", -1),
    ("llm.max_model_len", -1),
    ("llm.system", ""),
    ("baseline.lr", [1]),
    ("baseline.lr", float("nan")),
    ("baseline.n_layer", True),
    ("baseline.precision", ""),
    ("baseline", 5),
    ("menu", 5),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_refused_with_field_value_and_origin(name, value):
    with pytest.raises(ConfigError) as refused:
        resolve({name: value}, {})
    assert refused.value.what.startswith(f"{name} = {value!r} (flag): ")
    assert refused.value.exit_code == 78


def test_a_bad_value_names_the_layer_that_it_comes_from(toml):
    file = toml('[limits]\ndeadline_s = "soon"\n')
    with pytest.raises(ConfigError, match=rf"limits\.deadline_s = 'soon' \(file {file}\)"):
        resolve({}, {}, file)
    with pytest.raises(ConfigError, match=r"iters = '' \(environment AUTORESEARCH_ITERS\)"):
        resolve({}, env(ITERS=""))
    with pytest.raises(ConfigError, match=r"dir = '' \(environment AUTORESEARCH_DIR\): it is empty"):
        resolve({}, env(DIR=""))
    with pytest.raises(ConfigError, match=r"baseline\.lr = '' \(environment AUTORESEARCH_BASELINE__LR\)"):
        resolve({}, env(BASELINE__LR=""))


@pytest.mark.parametrize(("kind", "unit"), [("steps", "steps"), ("tokens", "tokens"), ("flops", "baseline steps")])
def test_steps_and_tokens_are_whole(kind, unit):
    assert resolve({"budget.kind": kind, "budget.size": 100.0}, {}).settings.budget.size == 100
    with pytest.raises(ConfigError, match=f"60.5 {unit}: a whole number is needed"):
        resolve({"budget.kind": kind, "budget.size": 60.5}, {})


def test_seconds_may_be_fractions():
    assert resolve({"budget.kind": "seconds", "budget.size": 0.5}, {}).settings.budget.size == 0.5


@pytest.mark.parametrize("time", ["0:00", "00:00", "6:30", "06:30", "23:59"])
def test_a_time_of_day_is_hours_and_minutes(time):
    assert resolve({"until": time}, {}).settings.until == time


@pytest.mark.parametrize("value", ["nope", 3, ["tiny"], {"name": "tiny"}])
def test_an_unknown_profile_is_refused_with_those_there_are(value):
    with pytest.raises(
        ConfigError, match=r"^profile = .* is not one of command, gb10-354m, h100-354m, tiny, tiny-wide"
    ):
        resolve({"profile": value}, {})
    with pytest.raises(ConfigError, match=r"did you mean tiny\?"):
        resolve({"profile": "tinny"}, {})


@pytest.mark.parametrize(
    "flags",
    [
        {"iters": 3, "iters.x": 4},
        {"iters": 3, "iters.x.y": 4},
        {"baseline.lr": 1, "baseline.lr.x.y.z": 2},
        {"menu": 1, "menu.knobs.lr.low": 2},
    ],
)
def test_a_name_below_a_value_is_refused(flags):
    with pytest.raises(ConfigError, match="is below a setting that has a value of its own"):
        resolve(flags, {})


BAD_FILES = {
    "no TOML": "iters 3",
    "a value cut off": "iters = ",
    "a key twice": "iters = 3\niters = 4",
    "not UTF-8": "corpus = '\udcff'",
    "bottomless": "corpus = " + "[" * 5000,
}


@pytest.mark.parametrize("text", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_file_that_is_no_toml_is_refused_by_its_name(text, toml):
    with pytest.raises(ConfigError, match=r"mine\.toml is not TOML"):
        resolve({}, {}, toml(text))


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*mine\.toml: No such file"):
        resolve({}, {}, tmp_path / "mine.toml")
    with pytest.raises(ConfigError, match="Is a directory"):
        resolve({}, {}, tmp_path)


# The LLM server's address and its key.


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("https://spark.local/v1/", "https://spark.local/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://10.0.0.7:8000/nim/v1", "http://10.0.0.7:8000/nim/v1"),
    ],
)
def test_the_address_of_an_llm_server_is_a_url(given, meant):
    assert resolve({"llm.base_url": given}, {}).settings.llm.base_url == meant
    assert resolve({}, env(LLM__BASE_URL=given)).settings.llm.base_url == meant


WITH_SECRETS = [
    "http://me:geheim@host:8000/v1",
    "https://geheim@host/v1",
    "http://me:geh/geheim@host/v1",  # urllib takes "me" for the host and "geh" for its port
    "http://me:geheim@other@host/v1",
    "http://[me:geheim@::1]/v1",
    "me:geheim@host/v1",
    "http://host/v1?api_key=geheim",
    "http://host/v1#geheim",
    "http://me:geheim@host/v1?token=geheim",
    "http://host/v1?it's=geheim",
]


@pytest.mark.parametrize("url", WITH_SECRETS)
def test_an_address_with_a_secret_in_it_is_refused_without_repeating_it(url, toml):
    file = toml(f'[llm]\nbase_url = "{url}"\n')
    for given in (({"llm.base_url": url}, {}), ({}, env(LLM__BASE_URL=url)), ({}, {}, file)):
        with pytest.raises(ConfigError, match=r"^llm\.base_url = '?") as refused:
            resolve(*given)
        assert "geheim" not in str(refused.value)
        assert "AUTORESEARCH_LLM_KEY" in refused.value.what
        assert refused.value.exit_code == 78


def test_what_is_no_secret_of_a_refused_address_is_shown():
    with pytest.raises(ConfigError, match=r"llm\.base_url = 'http://\.\.\.@host:8000/v1' \(flag\): a name, a password"):
        resolve({"llm.base_url": "http://me:geheim@host:8000/v1"}, {})


def test_the_key_is_no_setting_and_no_error():
    """A setting would be shown by `autoresearch config`, and be written down."""
    resolved = resolve({}, {"AUTORESEARCH_LLM_KEY": "geheim"})
    assert "geheim" not in str(flat_settings(resolved))
    assert resolved == resolve({}, {})
    with pytest.raises(ConfigError, match=r"unknown setting llm\.key \(environment AUTORESEARCH_LLM__KEY\)") as refused:
        resolve({}, env(LLM__KEY="geheim"))
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("command", ["run", "doctor", "config"])
def test_address_and_model_have_flags_of_their_own(command):
    args = build_parser().parse_args([command, "--base-url", "http://desk:8000/v1/", "--model", "nano"])
    given = settings_of(args)
    assert (given.settings.llm.base_url, given.settings.llm.model) == ("http://desk:8000/v1", "nano")
    assert (given.origins["llm.base_url"], given.origins["llm.model"]) == ("flag", "flag")


# --set NAME=VALUE.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("budget.size=300", ("budget.size", 300)),
        ("baseline.lr=1e-3", ("baseline.lr", 1e-3)),
        (" iters = 3 ", ("iters", 3)),
        ("corpus=my data", ("corpus", "my data")),
        ('corpus="300"', ("corpus", "300")),
        ("corpus=a=b", ("corpus", "a=b")),
        ("corpus=", ("corpus", "")),
        ("until=06:30", ("until", "06:30")),
        ("menu.knobs.n_head.choices=[4, 8]", ("menu.knobs.n_head.choices", [4, 8])),
        ("iters=3\nseed=4", ("iters", 3)),
        ("corpus=" + "[" * 5000, ("corpus", "[" * 5000)),
    ],
)
def test_set_reads_toml_where_it_is_toml_and_plain_words_elsewhere(text, expected):
    assert parse_assignment(text) == expected


def test_set_without_an_equals_sign_is_refused():
    with pytest.raises(ConfigError, match="--set iters: no '='"):
        parse_assignment("iters")


# The profiles, and what is derived from settings.


@pytest.mark.parametrize("profile", sorted({*profile_names()} - {"command"}))  # whose menu is the user's
def test_every_profile_is_a_valid_policy(profile):
    settings = resolve({"profile": profile}, {}).settings
    policy = build_policy(settings)
    assert policy.menu.check_config(policy.baseline, policy.steps) == ""
    assert policy.menu.defaults == policy.baseline
    assert policy.steps(policy.baseline) == settings.budget.size


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"baseline.lr": 1.0}, r"menu: knobs\.lr\.default: lr = 1\.0 is outside"),
        ({"baseline.lr": 10**400}, r"menu: knobs\.lr\.default: lr = 1000"),
        ({"baseline.n_layer": 2.0}, r"menu: knobs\.n_layer\.default: n_layer takes a whole number, not 2\.0"),
        ({"baseline.n_head": 3}, r"menu: knobs\.n_head\.default"),
        ({"baseline.n_head": 16, "baseline.d_model": 100, "menu.knobs.d_model.choices": [100]}, "heads_divide_width"),
        ({"baseline.lr_warmup": 100, "budget.size": 60}, r"baseline: warmup_leaves_room"),
        ({"baseline.dropout": 0.1}, r"baseline\.dropout is missing or unknown"),
        ({"menu.knobs.dropout.low": 0.1}, r"menu: knobs\.dropout: there is no such knob"),
        ({"menu.knobs.lr.low": float("nan")}, r"menu: knobs\.lr\.low: nan is not a finite float"),
        ({"menu.knobs": 5}, r"menu: knobs: a table is expected"),
        ({"menu.colour": 5}, r"menu: the override: unknown field 'colour'"),
        (
            {"menu.constraints": [{"name": "x", "rule": "open('x')"}]},
            r"menu: constraints\[0\] \(x\): Call is not allowed",
        ),
        ({"menu_file": "/nowhere.json"}, r"menu: /nowhere\.json: No such file"),
    ],
)
def test_a_policy_that_does_not_fit_is_refused_by_the_entry(flags, words):
    settings = resolve(flags, {}).settings
    with pytest.raises(ConfigError, match=words):
        build_policy(settings)


def test_a_whole_number_in_a_baseline_is_the_float_that_the_knob_wants():
    policy = build_policy(resolve({"baseline.grad_clip": 2, "baseline.weight_decay": 0}, {}).settings)
    assert [repr(policy.baseline[k]) for k in ("grad_clip", "weight_decay")] == ["2.0", "0.0"]


def test_the_default_proposer_of_each_profile():
    """On a GPU box the LLM where a server answers; the CPU profile does not look for a server."""
    assert {name: resolve({"profile": name}, {}).settings.proposer for name in profile_names()} == {
        "command": "auto",
        "gb10-354m": "auto",
        "h100-354m": "auto",
        "tiny": "trust-region",
        "tiny-wide": "trust-region",
    }


def test_each_effect_is_of_one_knob_in_the_origins_profile_and_in_the_first_run():
    most = {name: resolve({"profile": name}, {}).settings.max_changes for name in profile_names()}
    assert most == {"command": 64, "gb10-354m": 1, "h100-354m": 64, "tiny": 1, "tiny-wide": 64}


def test_every_setting_is_listed_with_value_origin_and_meaning():
    rows = {name: (value, origin, about) for name, value, origin, about in flat_settings(resolve({"seed": 7}, {}))}
    assert rows["seed"] == (7, "flag", "seed of initialisation, data order and proposer")
    assert rows["budget.size"][1] == "profile tiny"
    assert rows["max_hours"][:2] == (None, "default")
    assert rows["baseline.lr"][0] == 2e-3
    assert set(setting_names()) - {"baseline", "menu"} <= set(rows)
    assert all(about for _, _, about in rows.values())


def test_the_run_directory_is_the_profiles_unless_it_is_given():
    assert Settings(profile="tiny").run_dir == Path("runs/tiny")
    assert Settings(profile="tiny", dir="elsewhere").run_dir == Path("elsewhere")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_of_a_windows_editor_is_read(encoding, line_end, tmp_path):
    path = tmp_path / "own.toml"
    path.write_bytes(line_end.join(["# größer", "iters = 7", ""]).encode(encoding))
    assert resolve({}, {}, path).settings.iters == 7
