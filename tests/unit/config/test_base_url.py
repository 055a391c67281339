"""An address that cannot be that of an LLM server is refused with 78 and with what to type instead."""

from __future__ import annotations

import pytest

from autoresearch.config.base_url import check_base_url
from autoresearch.config.resolve import resolve
from autoresearch.errors import ConfigError

TYPE_INSTEAD = {
    "localhost:8000/v1": "type http://localhost:8000/v1",
    "localhost": "type http://localhost",
    "127.0.0.1:8000/v1": "type http://127.0.0.1:8000/v1",
    "spark.local/v1": "type http://spark.local/v1",
    "my-host:/v1": "type http://my-host:/v1",
    "//localhost:8000/v1": "type http://localhost:8000/v1",
    "/v1": "type http://HOST:PORT/v1",
    "./v1": "type http://HOST:PORT/v1",
    "ftp://localhost:8000/v1": "type http://localhost:8000/v1",
    "ws://localhost:8000/v1": "type http://localhost:8000/v1",
    "hthttp://localhost:8000/v1": "type http://localhost:8000/v1",
    "grpc://localhost:8000": "type http://localhost:8000",
    "unix:///run/llm.sock": "type http://HOST:PORT/v1",
    "file:///v1": "type http://HOST:PORT/v1",
    "http:/localhost:8000/v1": "type http://localhost:8000/v1",
    "http:localhost/v1": "type http://localhost/v1",
    "http//localhost:8000/v1": "type http://localhost:8000/v1",
    "https//localhost/v1": "type https://localhost/v1",
    "http://http://localhost:8000/v1": "type http://localhost:8000/v1",
    "http://localhost:8000/v1/chat/completions": "type http://localhost:8000/v1",
    "https://host/v1/models/": "type https://host/v1",
    "http:///v1": "no host",
    "http://:8000/v1": "no host",
    "http://a..b/v1": "'a..b' is not the name or the address of a host",
    "http://-/v1": "not the name or the address of a host",
    "http://300.1.1.1/v1": "not the name or the address of a host",
    "http://host:0/v1": "'0' is not a port (1 to 65535)",
    "http://host:65536/v1": "'65536' is not a port (1 to 65535)",
    "http://host:port/v1": "'port' is not a port (1 to 65535)",
    "http://a:8000,b:8000/v1": "is not a port (1 to 65535)",
    "http://[::1:8000/v1": "IPv6",
    "http://my host/v1": "a character that an address cannot have",
    "http://host\\v1": "a character that an address cannot have",
}


@pytest.mark.parametrize("url", TYPE_INSTEAD)
def test_it_is_refused_with_what_to_type(url):
    with pytest.raises(ConfigError) as refused:
        resolve({"llm.base_url": url}, {})
    assert TYPE_INSTEAD[url] in str(refused.value)
    assert refused.value.exit_code == 78


@pytest.mark.parametrize(
    "url",
    [
        *["http://localhost:8000/v1", "HTTP://localhost:8000", "https://spark.local/nim/v1", "http://nim_1:8000/v1"],
        *["http://10.0.0.7:8000/v1", "http://[::1]:8080", "http://[fe80::1]/v1", "http://h", "http://models/v1"],
    ],
)
def test_an_address_is_taken_as_it_is(url):
    assert check_base_url(f"{url}/") == url


@pytest.mark.parametrize("url", [url for url, hint in TYPE_INSTEAD.items() if hint.startswith("type http://localhost")])
def test_what_is_suggested_is_accepted(url):
    suggested = TYPE_INSTEAD[url].removeprefix("type ")
    assert check_base_url(suggested) == suggested
