"""What the gateway told against what the provider said: a list of differences, empty if nothing was lost."""

from __future__ import annotations

import json
from typing import Any

from ..support.client import Told
from .oracle import COMPLETED, FAILED, INCOMPLETE, Said
from .records import Record

Json = dict[str, Any]

# The provider's HTTP error → the status and codes that a client may get for it.
UNAUTHORIZED = (502, {"provider_authentication_failed"})
ERRORS: dict[int, tuple[int, set[str]]] = {
    400: (400, {"invalid_value", "unsupported_parameter", "unsupported_value", "missing_required_parameter"}),
    401: UNAUTHORIZED,
    403: UNAUTHORIZED,
    404: (404, {"model_not_found", "not_found"}),
    429: (429, {"rate_limit_exceeded"}),
    503: (503, {"server_is_overloaded"}),
    529: (503, {"server_is_overloaded"}),
}
# What its body says more precisely, first match wins.
PRECISE: list[tuple[str, tuple[int, set[str]]]] = [
    ("insufficient_quota", (429, {"insufficient_quota"})),
    ("model_not_found", (404, {"model_not_found"})),
    ("context_length_exceeded", (400, {"context_length_exceeded"})),
    ("prompt is too long", (400, {"context_length_exceeded"})),
    ("prompt too long", (400, {"context_length_exceeded"})),
    ("API_KEY_INVALID", UNAUTHORIZED),
]


def expected_error(record: Record) -> tuple[int, set[str]]:
    body = record.body.decode()
    return next((error for words, error in PRECISE if words in body), ERRORS[record.status])


def compare_error(record: Record, told: Told) -> list[str]:
    status, codes = expected_error(record)
    found = [] if told.status == status else [f"http {told.status} for the provider's {record.status}"]
    if told.error.get("code") not in codes:
        found.append(f"code {told.error.get('code')!r}, not in {sorted(codes)}")
    return found


def compare(said: Said, told: Told) -> list[str]:
    """The differences in content between a 200 answer's bytes and what was made of them."""
    if told.status != 200:
        if said.status in (FAILED, None) and told.status >= 429:
            return []
        return [f"http {told.status} {told.error}"]
    response = told.response
    found = compare_end(said, response)
    texts = {
        "text": (said.text, told.text),
        "reasoning": (said.reasoning, reasoning_of(told)),
    }
    for name, (wanted, got) in texts.items():
        if wanted != got:
            found.append(f"{name}: {difference(wanted, got)}")
    if response["status"] == COMPLETED:
        found += compare_calls(said, told) + compare_citations(said, told)
        missing = set(said.hosted) - {item["type"] for item in told.output}
        found += [f"no {kind} for what the provider ran" for kind in missing]
    if said.model and not said.paused and response["model"] != said.model:
        found.append(f"model {response['model']!r}, the provider says {said.model!r}")
    if said.refused and not any(
        part["type"] == "refusal" for item in told.of("message") for part in item["content"]
    ):
        found.append("the refusal is lost")
    kept = any(item.get("encrypted_content") for item in told.of("reasoning"))
    if said.state and response["status"] == COMPLETED and not kept:
        found.append("the provider's state (signature) is lost")
    return found + compare_usage(said, response)


def compare_end(said: Said, response: Json) -> list[str]:
    wanted = said.status or FAILED
    if response["status"] != wanted:
        return [f"status {response['status']}, expected {wanted} ({response['error'] or said.reason})"]
    details = response["incomplete_details"] if wanted == INCOMPLETE else response["error"]
    reason = (details or {}).get("reason", (details or {}).get("code"))
    if wanted == INCOMPLETE and said.reason and reason != said.reason:
        return [f"incomplete for {reason}, expected {said.reason}"]
    if wanted == FAILED and said.reason and reason != said.reason:
        return [f"failed with {reason}, expected {said.reason}"]
    return []


def compare_calls(said: Said, told: Told) -> list[str]:
    calls = [(call["name"], json.loads(call["arguments"])) for call in told.of("function_call")]
    found = [] if calls == said.calls else [f"calls {calls!r:.300}, expected {said.calls!r:.300}"]
    custom = [(call["name"], call["input"]) for call in told.of("custom_tool_call")]
    if custom != said.custom_calls:
        found.append(f"custom calls {custom!r:.300}, expected {said.custom_calls!r:.300}")
    return found


def compare_citations(said: Said, told: Told) -> list[str]:
    parts = [part for item in told.of("message") for part in item["content"] if part["type"] == "output_text"]
    got = {
        (note["url"], part["text"][note["start_index"] : note["end_index"]])
        for part in parts for note in part["annotations"] if note["type"] == "url_citation"
    }  # fmt: skip
    lost, made_up = said.citations - got, got - said.citations
    return (
        [f"citations lost: {sorted(lost)!r:.300}; made up: {sorted(made_up)!r:.300}"]
        if lost or made_up
        else []
    )


def compare_usage(said: Said, response: Json) -> list[str]:
    usage = response["usage"]
    if said.paused or response["status"] == FAILED:
        return []
    got = None if usage is None else (
        usage["input_tokens"],
        usage["output_tokens"],
        usage["input_tokens_details"]["cached_tokens"],
        usage["output_tokens_details"]["reasoning_tokens"],
    )  # fmt: skip
    if said.usage is None and got in (None, (0, 0, 0, 0)):
        return []
    return (
        []
        if got == said.usage
        else [f"usage {got}, expected {said.usage} (input, output, cached, reasoning)"]
    )


def reasoning_of(told: Told) -> str:
    items = told.of("reasoning")
    return "".join(
        part["text"] for item in items for part in (*item["summary"], *(item.get("content") or ()))
    )


def difference(wanted: str, got: str) -> str:
    pairs = enumerate(zip(wanted, got, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(wanted), len(got)))
    near = slice(max(0, at - 20), at + 40)
    return f"{len(got)} characters, expected {len(wanted)}; at {at}: {got[near]!r} for {wanted[near]!r}"
