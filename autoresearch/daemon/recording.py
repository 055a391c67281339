"""Read what ``--replay-from`` names: a trajectory, or a log of exchanges with an LLM."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from autoresearch.core.llm_calls import Exchange
from autoresearch.proposers.replay import Recording, Replies
from autoresearch.report import raw_replies
from autoresearch.storage.exchange_log import stream_exchanges


def read_recording(path: Path) -> Recording:
    """The recorded proposals at ``path``: a file called exchanges* is a log of exchanges, any other a trajectory.

    Raises ``JournalError`` and ``JournalDamaged``.
    """
    if path.name.startswith("exchanges") and not os.path.isdir(path):
        return replies_by_iteration(stream_exchanges(path))
    return tuple(raw_replies(path))


def replies_by_iteration(exchanges: Iterable[Exchange]) -> dict[int, Replies]:
    """The replies that went through the rails, by iteration and in the order of their rounds.

    A conversation that was restarted, because the daemon was killed during it, replaces the earlier one: only the later
    replies can be part of the trajectory.
    """
    rounds: dict[int, dict[int, tuple[str, ...]]] = {}
    for exchange in exchanges:
        before = rounds.get(exchange.iter, {})
        kept = {number: reply for number, reply in before.items() if number < exchange.round}
        rounds[exchange.iter] = kept | {exchange.round: exchange.reply}
    answers = {n: tuple(reply for reply in round_replies.values() if reply) for n, round_replies in rounds.items()}
    return {n: replies for n, replies in answers.items() if replies}
