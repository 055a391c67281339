"""The LLM server of a bench run: which model it has, which parameters it takes, and a chat for each thread."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from autoresearch.benches.chat import CHECK_S, Sampling, ServerChat
from autoresearch.core.llm_calls import ANSWERED, Classification
from autoresearch.errors import BenchIncomplete, ConfigError, YardstickMismatch
from autoresearch.llm.answer import Answer
from autoresearch.llm.async_bridge import AsyncBridge
from autoresearch.llm.client import Client
from autoresearch.llm.key import CREDENTIAL, VARIABLE
from autoresearch.llm.model_choice import explain_missing_model, explain_skipped_models
from autoresearch.llm.parameters import OPTIONAL, Parameters
from autoresearch.llm.parse import Model, choose_model, parse_completion, parse_models
from autoresearch.llm.probe import GREETING, PROBE_TOKENS
from autoresearch.llm.requests import ask_without_refused, send
from autoresearch.llm.retry import BACKOFF_S

WAIT_HINT = "start the server, or check --base-url; the same command continues"
PARAMETERS = ("temperature", "top_p", "max_tokens", "seed")
REFUSED = frozenset({Classification.REQUEST_REJECTED, Classification.MODEL_GONE})


@dataclass(frozen=True, slots=True)
class BenchServer:
    """An OpenAI-compatible server that answered a probe with this model."""

    base_url: str
    key: str | None
    model: Model
    sampling: Sampling
    parameters: Parameters
    context: int = 0
    deadline_s: float = 600.0
    backoff_s: float = BACKOFF_S
    think_style: str = "none"  # of its answer to the probe

    @property
    def refused(self) -> tuple[str, ...]:
        """The parameters that the server refuses."""
        sent = self.parameters
        lost = {"temperature": not sent.temperature, "max_tokens": not sent.max_tokens}
        return tuple(name for name in PARAMETERS if lost.get(name, name not in (*lost, *sent.more)))

    def open_chat(self, stopped: Callable[[], bool], notify: Callable[[str], None]) -> ServerChat:
        """A chat for the thread that calls this."""
        return ServerChat(
            Client(self.base_url, self.key),
            AsyncBridge(stopped),
            self.model,
            self.sampling,
            key=self.key,
            context=self.context,
            deadline_s=self.deadline_s,
            backoff_s=self.backoff_s,
            notify=notify,
            parameters=self.parameters,
            think_style=self.think_style,
        )


def find_server(
    base_url: str,
    key: str | None,
    sampling: Sampling,
    *,
    wanted: str | None = None,
    recorded: str | None = None,
    context: int = 0,
    deadline_s: float = 600.0,
    notify: Callable[[str], None] = lambda _message: None,
    stopped: Callable[[], bool] = lambda: False,
    backoff_s: float = BACKOFF_S,
) -> BenchServer:
    """Find the model named ``wanted``, else the ``recorded`` one, else the first that chats, and ask it for a greeting.

    Raises ``BenchIncomplete`` where the server does not answer, ``ConfigError`` where it refuses, and
    ``YardstickMismatch`` where it lacks the recorded model.
    """
    bridge = AsyncBridge(stopped)
    client = Client(base_url, key)
    try:
        listed = send(bridge, client.models(), parse_models, CHECK_S, key)
        model = _choose(listed, wanted, recorded, base_url, notify, has_key=key is not None)
        found = BenchServer(base_url, key, model, sampling, Parameters(more=OPTIONAL), context, deadline_s, backoff_s)
        parameters, answer = _probe(found, client, bridge, notify)
        return replace(found, parameters=parameters, think_style=answer.think_style)
    finally:
        with suppress(Exception):
            bridge.run(client.close(), 1.0)
        bridge.close()


def _choose(
    listed: list[Model] | Answer,
    wanted: str | None,
    recorded: str | None,
    base_url: str,
    notify: Callable[[str], None],
    *,
    has_key: bool,
) -> Model:
    name = wanted or recorded
    if isinstance(listed, Answer):
        if listed.classification is Classification.UNREACHABLE or name is None:
            raise _failed(base_url, listed, has_key=has_key)
        return Model(name)  # some servers chat, but list no models, or none while they generate
    if not listed and name is not None:
        return Model(name)  # some load a model when it is asked
    if chosen := choose_model(listed, name):
        if name is None and (note := explain_skipped_models(listed, chosen)):
            notify(note)
        return chosen
    why = explain_missing_model(listed, name, {})
    if recorded is not None and wanted is None:
        what = f"this run asks {recorded}; {base_url} has {', '.join(m.name for m in listed)}"
        raise YardstickMismatch(what, hint="start the server with the run's model, or choose another --dir")
    raise ConfigError(f"{base_url}: {why}", hint="--model NAME, or start the server with a chat model")


def _probe(
    server: BenchServer, client: Client, bridge: AsyncBridge, notify: Callable[[str], None]
) -> tuple[Parameters, Answer]:
    """Ask for a greeting: the server chats. Returns the parameters that it takes, and the answer."""
    sampling = server.sampling
    more = {"top_p": sampling.top_p, "seed": sampling.seed}
    body = {"model": server.model.name, "messages": [m.model_dump() for m in GREETING]}

    def try_once(parameters: Parameters, left_s: float) -> Answer:
        sent = {**body, **parameters.fields(PROBE_TOKENS, sampling.temperature, more)}
        return send(bridge, client.post_chat(sent), partial(parse_completion), left_s, server.key)

    end = time.monotonic() + server.deadline_s
    answer, parameters, why = ask_without_refused(try_once, server.parameters, end, bridge.sleep, server.backoff_s)
    if answer.classification not in ANSWERED:
        raise _failed(server.base_url, answer, has_key=server.key is not None)
    if parameters != server.parameters:
        notify(parameters.describe_refusal(why))
    return parameters, answer


def _failed(base_url: str, answer: Answer, *, has_key: bool) -> BenchIncomplete | ConfigError:
    """The error for a server that cannot be asked now, or not with these settings."""
    why = f"{answer.classification}: {answer.detail}"
    if answer.classification in REFUSED:
        no_key = "" if has_key else f"; there is no key: {VARIABLE}, or the credential {CREDENTIAL}"
        hint = f"check --base-url and --model{no_key}"
        return ConfigError(f"the LLM server {base_url} refuses the request ({why})", hint=hint)
    return BenchIncomplete(f"the LLM server {base_url} does not answer ({why})", hint=WAIT_HINT)
