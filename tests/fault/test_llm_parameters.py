"""A server that refuses a parameter by name is asked without it or under its new name, from then on at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.core.llm_calls import Classification as End
from tests.fake_llm import Behaviour, FakeLlm, Wire, answers, says, says_no
from tests.llm_world import world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OTHER = '{"knob": "beta1", "new_value": 0.8, "reason": "less"}'


def openai_unsupported(name: str) -> Behaviour:
    hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return answers({"error": {"message": message, "param": name, "code": "unsupported_parameter"}}, 400)


def pydantic_forbids(name: str) -> Behaviour:
    return answers({"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs"}]}, 422)


WORDINGS: dict[str, Callable[[str], Behaviour]] = {
    "OpenAI": openai_unsupported,
    "pydantic": pydantic_forbids,
    "a plain text": lambda name: says_no(400, f"Unrecognized request argument supplied: {name}"),
    "a value": lambda name: says_no(400, f"Unsupported value: '{name}' does not support this value with this model"),
    "status 200": lambda name: answers({"error": {"message": f"unknown field `{name}`", "code": 400}}),
    "status 200 without a code": lambda name: answers({"error": f"unknown field `{name}`"}),
    "a TypeError": lambda name: says_no(500, f"create() got an unexpected keyword argument '{name}'"),
    "a long message": lambda name: says_no(400, f"{'invalid request ' * 30} {name} is unknown"),
}


def refusing(names: set[str], wording: Callable[[str], Behaviour], then: Behaviour) -> Behaviour:
    def behave(wire: Wire) -> None:
        refused = next((name for name in sorted(names) if name in wire.request.body), None)
        (wording(refused) if refused else then)(wire)

    return behave


def sent(body: dict[str, Any]) -> set[str]:
    return body.keys() & {"max_tokens", "max_completion_tokens", "temperature"}


@pytest.mark.parametrize("wording", WORDINGS)
@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ({"max_tokens"}, {"max_completion_tokens", "temperature"}),
        ({"max_tokens", "max_completion_tokens"}, {"temperature"}),
        ({"temperature"}, {"max_tokens"}),
        ({"temperature", "max_tokens"}, {"max_completion_tokens"}),
        ({"temperature", "max_tokens", "max_completion_tokens"}, set()),
    ],
)
def test_the_second_try_is_without_it_and_the_next_call_is_from_the_start(wording, names, taken):
    script = [refusing(names, WORDINGS[wording], says(text)) for text in (*[GOOD] * 20, OTHER)]

    def probe(wire: Wire) -> None:
        refusing(names, WORDINGS[wording], says(f'{{"word": "{wire.request.probe_word}"}}'))(wire)

    with FakeLlm(*script, on_probe=probe) as server, world_of(server.base_url) as world:
        world.run()
        assert (world.ends, world.sources) == ([End.OK], ["nim"])
        assert world.llm.structured == "enforced"
        assert len(server.chats) == 1, "learned from the probe"
        assert sent(server.chats[0].body) == taken
        assert len([line for line in world.messages if "refuses a parameter" in line]) == 1


def test_a_parameter_that_is_refused_only_later_is_learned_too():
    later = refusing({"temperature"}, openai_unsupported, says(GOOD))
    with FakeLlm(later, says(GOOD), says(OTHER)) as server, world_of(server.base_url, iters=2) as world:
        world.run()
        assert world.ends == [End.OK, End.OK]
        assert [sent(chat.body) for chat in server.chats] == [
            {"max_tokens", "temperature"},
            {"max_tokens"},
            {"max_tokens"},
        ]
        assert world.log.exchanges[0].tries == 2


def test_nothing_is_learned_from_a_server_that_refuses_everything():
    refusal = says_no(400, "max_tokens, temperature, or something else is wrong")
    with FakeLlm(refusal) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.REQUEST_REJECTED]
        assert world.llm.parameters.fields(1, 0.5) == {"max_tokens": 1, "temperature": 0.5}


def test_an_overflow_that_names_max_tokens_is_an_overflow():
    text = "max_tokens is too large: 1024. This model's maximum context length is 8192 tokens"
    with FakeLlm(says_no(400, text)) as server, world_of(server.base_url) as world:
        world.run()
        assert set(world.ends) == {End.CONTEXT_LENGTH_EXCEEDED}
