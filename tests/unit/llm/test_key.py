from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import ConfigError
from autoresearch.llm.key import CREDENTIAL, MAX_KEY_BYTES, MIN_SECRET_CHARS, VARIABLE, key_redactor, llm_key

KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=MIN_SECRET_CHARS, max_size=40)


def test_there_need_not_be_one(tmp_path):
    assert llm_key({}) is None
    assert llm_key({VARIABLE: " \n"}) is None
    assert llm_key({"CREDENTIALS_DIRECTORY": str(tmp_path)}) is None
    assert llm_key({"OPENAI_API_KEY": "for another server"}) is None


def test_it_comes_from_the_environment_or_else_from_systemd(tmp_path):
    (tmp_path / CREDENTIAL).write_text("from systemd\n")
    directory = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert llm_key(directory) == "from systemd"
    assert llm_key({VARIABLE: " from me \n", **directory}) == "from me"


@pytest.mark.parametrize("key", ["two\nlines", "tab\there", "schlüssel", "\x00", "x" * (MAX_KEY_BYTES + 1), "\udcff"])
def test_what_no_header_can_carry_is_refused_without_being_shown(key):
    with pytest.raises(ConfigError) as refusal:
        llm_key({VARIABLE: f"secret{key}"})
    assert "secret" not in str(refusal.value)
    assert VARIABLE in str(refusal.value)


def test_a_credential_that_is_no_text_is_refused(tmp_path):
    (tmp_path / CREDENTIAL).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=CREDENTIAL):
        llm_key({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_credential_that_cannot_be_read_is_an_error_and_not_no_key(tmp_path):
    (tmp_path / CREDENTIAL).mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        llm_key({"CREDENTIALS_DIRECTORY": str(tmp_path)})


def slashes(text: str) -> str:
    return text.replace("/", "\\/")


def all_escaped(text: str) -> str:
    return "".join(f"\\u{ord(c):04X}" for c in text)


@pytest.mark.parametrize("spell", [str, lambda k: json.dumps(k)[1:-1], slashes, all_escaped])
@given(KEYS)
def test_it_is_found_however_json_spells_it(spell, key):
    assert key_redactor(key)(f"({spell(key)})") == "([key])"


@given(KEYS, st.text())
def test_other_words_stay_as_they_are(key, text):
    if key[0] not in text and "\\" not in text:
        assert key_redactor(key)(text) == text


@pytest.mark.parametrize("key", [None, "", "x", "EMPTY", "1234567"])
def test_what_is_no_secret_is_left_in(key):
    assert key_redactor(key)("x EMPTY 1234567") == "x EMPTY 1234567"
