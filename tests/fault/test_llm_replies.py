"""Whatever a model replies, in whichever form: it is classified, and the iteration gets a proposal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoresearch.core.llm_calls import Classification as End
from tests.fake_llm import Behaviour, FakeLlm, answers, completion, says
from tests.llm_world import world_of

ROUNDS = 3  # the proposer's default: it asks again after a bad reply

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
OTHER = '{"knob": "beta1", "new_value": 0.8, "reason": "a draft"}'
BROKEN = '{"knob": "lr", "new_value": 0.002, "rea'
TOO_HIGH = '{"knob": "lr", "new_value": 7, "reason": "high"}'


def listed(*proposals: str) -> str:
    return f'{{"proposals": [{", ".join(proposals)}]}}'


def calls_a_tool(name: str = "propose", arguments: str = GOOD) -> dict[str, Any]:
    return {"tool_calls": [{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}]}


def whole(**changes: Any) -> Behaviour:
    """A good completion with some of its fields replaced."""
    return answers({**completion({"role": "assistant", "content": GOOD}), **changes})


ACCEPTED = {
    "good JSON": says(GOOD),
    "in a list of proposals": says(listed(GOOD)),
    "in a fence": says(f"```json\n{GOOD}\n```"),
    "in prose": says(f"I would double the rate {{as said}}:\n{GOOD}\nThat {{should}} help."),
    "the second of three is good": says(listed(TOO_HIGH, GOOD, OTHER)),
    "one of them is broken": says(f"{GOOD}\n{BROKEN}"),
    "thought, closed": says(f"<think>Hm, {OTHER}? No.</think>{GOOD}"),
    "thought, only closed": says(f"Hm, {OTHER}? No.</think>\n\n{GOOD}"),
    "thought twice": says(f"<think>a</think>{OTHER}<think>b</think>{GOOD}"),
    "thought at length": says(f"<think>{'hm ' * 50_000}</think>{GOOD}"),
    "thought in Mistral's tags": says(f"[THINK]{OTHER}[/THINK]{GOOD}"),
    "thought in a field": says(GOOD, reasoning_content=f"perhaps {OTHER}"),
    "thought in the newer field": says(GOOD, reasoning=f"perhaps {OTHER}"),
    "finished in the field of thought": says("", reasoning_content=GOOD),
    "finished in the newer field, content null": says(None, reasoning=listed(GOOD)),
    "finished in a fence in the field": says("", reasoning_content=f"```json\n{GOOD}\n```"),
    "finished in the field behind a tag": says("", reasoning_content=f"Hm, {OTHER}?</think>\n{GOOD}"),
    "finished in the field of another gateway": says(" ", thinking=f"\n{GOOD}\n"),
    "cut off behind the first": says(listed(GOOD)[:-2] + ", " + BROKEN, "length"),
    "content parts": says([{"type": "thinking", "thinking": [{"type": "text", "text": OTHER}]}, {"text": GOOD}]),
    "a tool call that holds it": says(f'<tool_call>{{"name": "propose", "arguments": {GOOD}}}</tool_call>'),
    "a tool call alone that holds it": says(None, **calls_a_tool()),
    "the older field of a call that holds it": says("", function_call={"name": "propose", "arguments": GOOD}),
    "a field of reasoning that holds it": says("", reasoning_text=GOOD),
    "an object as the text": says(json.loads(GOOD)),
    "one content part": says({"type": "text", "text": GOOD}),
    "text and a tool call": says(GOOD, **calls_a_tool()),
    "no usage": whole(usage=None),
    "nonsense as usage": whole(usage={"prompt_tokens": -1, "completion_tokens": "many", "total_tokens": []}),
    "huge usage": whole(usage={"prompt_tokens": 10**400, "completion_tokens": True}),
    "a model's name of a megabyte": whole(model="x" * (1 << 20)),
    "escape codes as the model's name": whole(model="\x1b]0;owned\x07\ud800"),
    "a lone surrogate as finish_reason": answers(completion({"content": GOOD}, "stop\ud800\x1b[2J")),
    "finish_reason of a wrong type": answers(completion({"content": GOOD}, {"stop": 1})),
    "wrong types beside the text": whole(id=7, created="now", object=None, system_fingerprint=[]),
    "lone surrogates and NUL around it": says(f"\ud800\x00{GOOD}\x1b[31m\udfff"),
    "no role": answers(completion({"content": GOOD})),
}

REFUSED = {
    "thought, unclosed": (says(f"<think>Hm, {OTHER}", "length"), End.THINK_TRUNCATED),
    "thought, unclosed but stopped": (says(f"<think>Hm, {OTHER}"), End.THINK_TRUNCATED),
    "only thought, in a field": (says("", reasoning_content=f"perhaps {OTHER}"), End.EMPTY),
    "a list of words in the field": (says("", reasoning_content='["lr", "up"]'), End.SCHEMA_INVALID),
    "half a proposal in the field": (says("", reasoning_content=BROKEN), End.EMPTY),
    "a draft and more in the field": (says("", reasoning_content=f"{OTHER} or rather not"), End.EMPTY),
    "cut off in a field of thought": (says("", "length", reasoning_content=OTHER), End.THINK_TRUNCATED),
    "cut off in the newer field": (says(None, "length", reasoning=OTHER), End.THINK_TRUNCATED),
    "cut off in prose with a draft": (says(f"Let me see: {OTHER} might, but I", "length"), End.OUTPUT_TRUNCATED),
    "cut off in JSON": (says(BROKEN, "length"), End.OUTPUT_TRUNCATED),
    "cut off before a word": (says("", "length"), End.OUTPUT_TRUNCATED),
    "empty": (says(""), End.EMPTY),
    "white space": (says(" \n\t "), End.EMPTY),
    "null": (says(None), End.EMPTY),
    "no content at all": (answers(completion({"role": "assistant"})), End.EMPTY),
    "a refusal": (says(None, refusal="I cannot help with that."), End.EMPTY),
    "a tool call that holds none": (says(None, **calls_a_tool(arguments='{"query": "lr"}')), End.TOOL_FORMAT_ERROR),
    "only an old function call": (says("", function_call={"name": "propose"}), End.TOOL_FORMAT_ERROR),
    "Hermes' tool markup": (says("<tool_call>\npropose(lr=2)\n</tool_call>"), End.TOOL_FORMAT_ERROR),
    "Nemotron's tool markup": (says('<TOOLCALL>[{"name": "propose", "arguments": {}}]'), End.TOOL_FORMAT_ERROR),
    "prose": (says("I would double the learning rate."), End.SCHEMA_INVALID),
    "broken JSON": (says(BROKEN), End.SCHEMA_INVALID),
    "an extra key": (says(GOOD[:-1] + ', "why": 1}'), End.SCHEMA_INVALID),
    "a key twice": (says(GOOD[:-1] + ', "knob": "lr"}'), End.SCHEMA_INVALID),
    "NaN": (says(GOOD.replace("0.002", "NaN")), End.SCHEMA_INVALID),
    "infinity in disguise": (says(GOOD.replace("0.002", "1e999")), End.SCHEMA_INVALID),
    "deeply nested": (says('{"knob":' * 30_000), End.SCHEMA_INVALID),
    "a key in another's clothes": (says('{"knob": "lr", "knob\ud800": 1}'), End.SCHEMA_INVALID),
    "no such knob": (says(GOOD.replace('"lr"', '"rl"')), End.RAIL_BLOCKED),
    "out of range": (says(TOO_HIGH), End.RAIL_BLOCKED),
    "a word for a number": (says(GOOD.replace("0.002", '"high"')), End.RAIL_BLOCKED),
    "as the baseline": (says(GOOD.replace("0.002", "0.0003")), End.DUPLICATE),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_good_proposal_is_found(name):
    with FakeLlm(ACCEPTED[name]) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.OK]
        assert world.sources == ["nim"]
        passed = world.loop.trajectory.iterations[0].proposal
        assert (passed.knob, passed.new_value) == ("lr", 0.002)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_good_is_named_asked_for_again_and_replaced(name):
    behaviour, end = REFUSED[name]
    with FakeLlm(behaviour) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [end] * ROUNDS
        assert world.sources == ["random"]
        assert all(exchange.detail or not exchange.raw for exchange in world.log.exchanges)


def test_a_proposal_that_is_known_is_a_duplicate():
    with FakeLlm(says(GOOD)) as server, world_of(server.base_url, iters=2) as world:
        world.run()
        assert world.ends == [End.OK] + [End.DUPLICATE] * ROUNDS
        assert world.sources == ["nim", "random"]


def test_the_model_is_sent_what_was_wrong_and_may_correct_it():
    with FakeLlm(says(TOO_HIGH), says(GOOD)) as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.RAIL_BLOCKED, End.OK]
        question, echo, reasons = server.chats[1].body["messages"]
        assert [question["role"], echo["role"], reasons["role"]] == ["user", "assistant", "user"]
        assert echo["content"] == TOO_HIGH
        assert "R3" in reasons["content"]


def test_what_was_finished_in_the_field_is_recorded_as_the_answer():
    with (
        FakeLlm(says("", reasoning_content=f"Hm, {OTHER}?</think>\n{GOOD}")) as server,
        world_of(server.base_url) as world,
    ):
        world.run()
        exchange = world.log.exchanges[0]
        assert (exchange.raw, exchange.slices) == (GOOD, (GOOD,))
        assert OTHER in exchange.thinking


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_a_schema_that_is_enforced_in_the_field_of_thought_is_recognised(field):
    def probe(wire):
        says("", **{field: json.dumps({"word": wire.request.probe_word})})(wire)

    with FakeLlm(says("", **{field: GOOD}), on_probe=probe) as server, world_of(server.base_url) as world:
        world.run()
        assert (world.ends, world.llm.structured) == ([End.OK], "enforced")


def test_thinking_is_kept_apart_from_the_answer():
    with FakeLlm(says(f"<think>perhaps {OTHER}</think>{GOOD}")) as server, world_of(server.base_url) as world:
        world.run()
        exchange = world.log.exchanges[0]
        assert (exchange.raw, exchange.thinking, exchange.slices) == (GOOD, f"perhaps {OTHER}", (GOOD,))
        assert json.loads(exchange.slices[0])["knob"] == "lr"
