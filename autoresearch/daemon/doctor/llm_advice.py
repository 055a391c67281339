"""What to try where an LLM server fails: by the cause that its message names, else by how the call ended."""

from __future__ import annotations

import re

from autoresearch.core.llm_calls import Classification

ADVICE = {
    Classification.UNREACHABLE: "start the server, or give its address with --base-url",
    Classification.TIMEOUT: "the model may still be loading; a slow one needs a longer llm.deadline_s, or "
    "shorter replies: llm.max_tokens, llm.system=/no_think",
    Classification.MODEL_GONE: "name a model that the server lists: --model NAME",
    Classification.REQUEST_REJECTED: "check the address (it ends in /v1) and the key (AUTORESEARCH_LLM_KEY)",
    Classification.MALFORMED_RESPONSE: "check the address (it ends in /v1); the server must be OpenAI-compatible",
    Classification.CONTEXT_LENGTH_EXCEEDED: "start the server with a longer context, or set llm.max_model_len to "
    "what it has",
    Classification.THINK_TRUNCATED: "--set llm.system=/no_think, or raise llm.max_tokens",
    Classification.OUTPUT_TRUNCATED: "raise llm.max_tokens",
    Classification.SERVER_ERROR: "read the server's log",
    Classification.RATE_LIMITED: "the server limits requests: try later, or use one that is not shared",
}
DEFAULT_ADVICE = "this model may be too small for the task: use another one, or --proposer trust-region"

# The first pattern that the message matches; the matched words are quoted in front of its advice.
_CAUSES = [
    (
        r"(\w+ )?out ?of ?memory|cudaMalloc|(failed|unable) to allocate|(insufficient|not enough) memory|bad_alloc",
        "the server ran out of memory: start it with a shorter context, a smaller model, or less else on its GPU",
    ),
    (r"(model is (still )?)?loading( model)?\b", "the server is still loading the model: wait, then try again"),
    (r"lists no model", "load a model on the server (for example `ollama pull NAME`), or name one with --model NAME"),
    (r"lists no chat model", "load a chat model on the server, or name one with --model NAME"),
    (r"no listed model has a printable name", "name the model with --model NAME, as the server was started with it"),
    (r"(CUDA|HIP|ROCm|Metal) error|EngineDeadError|engine (is )?dead", "restart the server, and read its log"),
    (
        r"does not support chat|no chat template|chat_template",
        "use an instruction-tuned model, which has a chat template",
    ),
    (r"insufficient_quota|exceeded your current quota", "the account at the server has no quota left"),
    (r"overloaded|queue is full|at capacity|too many requests", "the server is busy: try later"),
    (
        r"(invalid|incorrect|wrong|missing|no) (api )?key|unauthorized|HTTP 40[13]",
        "set AUTORESEARCH_LLM_KEY to its key",
    ),
    (r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|record layer failure", "the server uses no TLS: type http://"),
    (r"CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted on this machine: use http://, or install it"),
    (
        r"Name or service not known|name resolution|nodename nor servname|No address associated",
        "no such host is known: check its name in llm.base_url",
    ),
    (r"No route to host|Network is unreachable", "check the network and the address in llm.base_url"),
    (r"HTTP 30[1278]", "give the address that the server redirects to"),
    (r"HTTP 405|HTTP 404: .{0,40}not found", "check the address: it usually ends in /v1"),
]


def advice_for(classification: Classification, detail: str) -> str:
    """What to try, with the words of ``detail`` that name the cause."""
    for pattern, advice in _CAUSES:
        if match := re.search(pattern, detail, re.IGNORECASE):
            return f'"{match[0]}": {advice}'
    return ADVICE.get(classification, DEFAULT_ADVICE)
