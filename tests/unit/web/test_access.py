"""Token, host and origin: what is let in and what is refused."""

from __future__ import annotations

import os

import pytest

from autoresearch.errors import ConfigError
from autoresearch.web.access import (
    CREDENTIAL,
    Token,
    host_name,
    host_names,
    is_loopback,
    is_own_host,
    is_own_origin,
    read_token,
)

SECRET = "0123456789abcdef0123456789abcdef"


def token_file(tmp_path, text: str, mode: int = 0o600) -> str:
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


class TestToken:
    def test_it_is_read_without_its_line_end(self, tmp_path):
        token = read_token(token_file(tmp_path, f"{SECRET}\n"), {})
        assert token is not None
        assert token.matches(SECRET)
        assert not token.matches(SECRET[:-1])
        assert not token.matches("")

    def test_what_a_browser_holds_is_neither_the_token_nor_the_form_secret(self):
        token = Token(SECRET.encode())
        assert len({SECRET, token.cookie, token.form_secret}) == 3
        assert not token.matches(token.cookie)
        assert SECRET not in repr(token)

    @pytest.mark.parametrize(
        "text", ["", "\n", "short", "with a space in it but long enough", "\N{SNOWMAN}" * 30, "x" * 5000]
    )
    def test_what_is_not_a_token_is_refused_without_being_shown(self, tmp_path, text):
        with pytest.raises(ConfigError) as error:
            read_token(token_file(tmp_path, text), {})
        assert not text.strip() or text.strip() not in str(error.value)

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
    def test_a_file_that_others_may_read_is_refused(self, tmp_path, mode):
        with pytest.raises(ConfigError, match="other users may read it"):
            read_token(token_file(tmp_path, SECRET, mode), {})

    def test_a_link_and_a_pipe_are_refused(self, tmp_path):
        token_file(tmp_path, SECRET)
        (tmp_path / "link").symlink_to(tmp_path / "token")
        os.mkfifo(tmp_path / "pipe", 0o600)
        for name in ("link", "pipe", "missing"):
            with pytest.raises(ConfigError, match="cannot read the token file"):
                read_token(str(tmp_path / name), {})

    def test_the_credential_of_the_service_is_one_and_an_empty_one_is_none(self, tmp_path):
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        assert read_token(None, environ) is None
        assert read_token(None, {}) is None
        (tmp_path / CREDENTIAL).write_text("\n")
        assert read_token(None, environ) is None
        (tmp_path / CREDENTIAL).write_text(SECRET)
        assert read_token(None, environ) == Token(SECRET.encode())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.0.1", True), ("::1", True), ("localhost", True), ("LOCALHOST", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.4", False), ("desk", False), ("localhost.example.org", False)],
)  # fmt: skip
def test_loopback(host, expected):
    assert is_loopback(host) is expected


NAMES = host_names("127.0.0.1", ["Desk.local"])


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "localhost", "localhost:1", "[::1]:8765", "desk.local:8765", "DESK.LOCAL"]
)
def test_own_hosts(host):
    assert is_own_host(host, NAMES, "127.0.0.1")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8765", "evil.example#localhost", "a@localhost",
     "localhost, evil.example", "localhost:8765:1", "localhost:99999999", "", None, "[::1", "192.168.1.5",
     "/localhost"],
)  # fmt: skip
def test_other_hosts(host):
    assert not is_own_host(host, NAMES, "127.0.0.1")


def test_the_address_that_was_connected_to_is_a_name_of_the_server():
    assert is_own_host("192.168.1.5:8765", NAMES, "192.168.1.5")
    assert host_name("[FE80::1]:80") == "fe80::1"


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [(None, "desk:1", True), ("http://desk:1", "desk:1", True), ("HTTP://desk:1", "desk:1", False),
     ("http://desk", "desk:80", True), ("https://desk", "desk", True), ("http://desk:2", "desk:1", False),
     ("http://evil", "desk:1", False), ("null", "desk:1", False), ("http://desk:1.evil", "desk:1", False),
     ("http://a@desk:1", "desk:1", False), ("file://", "desk:1", False), ("http://desk:1/x", "desk:1", False)],
)  # fmt: skip
def test_origins(origin, host, expected):
    assert is_own_origin(origin, host) is expected
