"""A run with a server that enforces no schema: malformed but clear proposals are tried, recorded, and replayed."""

from __future__ import annotations

import json

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import Classification as End
from autoresearch.core.llm_calls import decode_exchange
from autoresearch.core.records import decode
from autoresearch.daemon.recording import replies_by_iteration
from autoresearch.proposers.replay import ExchangeReplay, ReplayProposer
from autoresearch.testing.fake_loop import fake_loop
from rails import default_menu
from tests.fake_llm import FakeLlm, says
from tests.llm_world import world_of

GOOD = '{"knob": "lr", "new_value": 0.002, "reason": "twice"}'
AS_TEXT = '{"knob": "lr", "new_value": "0.002", "confidence": 1}'
LATER = '{"knob": "beta1", "new_value": 0.8, "reason": "less"}'
TOO_HIGH = '{"knob": "lr", "new_value": "7", "reason": "high"}'


@pytest.mark.parametrize("schema", ["ignored", "rejected"])
def test_it_is_tried_and_both_texts_are_recorded(schema):
    reply = f"Sure!\n{AS_TEXT}\n{LATER}"
    with FakeLlm(says(reply), schema=schema) as server, world_of(server.base_url) as world:
        world.run()
        assert (world.ends, world.sources) == ([End.OK], ["nim"])
        first, spare = world.iterations[0].attempts
        assert first.original == AS_TEXT
        assert first.normalised == ("dropped 1 extra key", "new_value: text to a number", "reason: missing")
        assert json.loads(first.raw) == {"knob": "lr", "new_value": 0.002, "reason": ""}
        assert (spare.raw, spare.original, spare.normalised, spare.spare) == (LATER, None, (), True)
        (exchange,) = world.log.exchanges
        assert (exchange.raw, exchange.slices) == (reply, (AS_TEXT, LATER))
        assert exchange.normalised == exchange.reply == (first.raw, LATER)


def test_where_the_schema_is_enforced_the_rails_judge_the_text_itself():
    with FakeLlm(says(AS_TEXT), schema="enforced") as server, world_of(server.base_url) as world:
        world.run()
        assert set(world.ends) == {End.SCHEMA_INVALID}
        assert all(exchange.normalised == () for exchange in world.log.exchanges)


def test_a_rewritten_proposal_is_refused_like_any_other_and_may_be_corrected():
    with FakeLlm(says(TOO_HIGH), says(GOOD), schema="ignored") as server, world_of(server.base_url) as world:
        world.run()
        assert world.ends == [End.RAIL_BLOCKED, End.OK]
        refused, passed = world.iterations[0].attempts
        assert (refused.original, passed.original) == (TOO_HIGH, None)


def test_a_good_reply_is_recorded_as_before():
    with FakeLlm(says(GOOD), schema="ignored") as server, world_of(server.base_url) as world:
        world.run()
        (attempt,) = world.iterations[0].attempts
        assert (attempt.raw, attempt.normalised, attempt.original) == (GOOD, (), None)
        assert world.log.exchanges[0].normalised == ()


def test_the_run_is_replayed_from_the_trajectory_and_from_the_exchanges():
    with FakeLlm(says(AS_TEXT), says(LATER), schema="ignored") as server, world_of(server.base_url, iters=2) as world:
        world.run()
        candidates = [record.candidate_cfg for record in world.iterations]
        trajectory = tuple((record.attempts[0].raw,) for record in world.iterations)
        exchanges = replies_by_iteration(world.log.exchanges)
    for proposer in (ReplayProposer(trajectory), ExchangeReplay(exchanges, fallback=ReplayProposer(()))):
        loop = fake_loop(Settings(iters=2, baseline=default_menu().defaults), proposer)
        loop.run()
        assert [record.candidate_cfg for record in loop.trajectory.iterations] == candidates


def test_records_from_before_are_read():
    with FakeLlm(says(GOOD)) as server, world_of(server.base_url) as world:
        world.run()
        (exchange,) = world.log.exchanges
        old = json.loads(exchange.model_dump_json())
        del old["normalised"]
        assert decode_exchange(json.dumps(old)) == exchange
        record = json.loads(world.iterations[0].model_dump_json())
        for attempt in record["attempts"]:
            del attempt["normalised"], attempt["original"]
        assert decode(json.dumps(record)) == world.iterations[0]
