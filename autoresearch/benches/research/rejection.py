"""Which refusals of a server are results of an attempt. Shared by the agents of all suites."""

from __future__ import annotations

import re

from autoresearch.benches.ports import Infrastructure
from autoresearch.core.llm_calls import Classification

# A refusal of the address or the key is not about this conversation: every attempt would end by it.
_SETUP_ERROR = re.compile(r"HTTP (?:3\d\d|40[1345]|407)\b")


def is_about_the_request(error: Infrastructure) -> bool:
    """Whether the server refused this conversation, and would again: a result, not a failure of the server."""
    return error.cause == Classification.REQUEST_REJECTED and not _SETUP_ERROR.match(error.detail)
