"""Reasoning goes out sealed and comes back to its provider byte for byte, in its place, however the turn goes on.

Both ways of going on (the output as input items with `store: false`, `previous_response_id`), streamed and not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from openresponses.protocol.state import seal, unseal
from openresponses.routing import Router
from openresponses.settings import Settings

from scripts.features import built

from ..support.client import Told
from ..support.gateway import Gateway
from ..support.provider import NDJSON, SSE, Answer
from ..support.speech import MODELS, data, named, says

Json = dict[str, Any]

STATE = "reasoning.encrypted_content"
TOOLS: list[Json] = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("look", "listen")
]
# Bytes that a careless copy would change: escapes, padding, letters beyond ASCII.
SIGNATURE = 'EqQB+/q=\\u00e9é"\u2028=='


def anthropic(*blocks: Json) -> Answer:
    """A streamed message of these blocks."""
    message: Json = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [],
               "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    events: list[Json] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(blocks):
        begun, deltas = dict(block), []
        if block["type"] == "thinking":
            begun |= {"thinking": "", "signature": ""}
            deltas += [{"type": "thinking_delta", "thinking": block["thinking"]}] if block["thinking"] else []
            deltas += [{"type": "signature_delta", "signature": block["signature"]}]
        elif block["type"] == "text":
            begun |= {"text": ""}
            deltas += [{"type": "text_delta", "text": block["text"]}]
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = "tool_use" if blocks[-1]["type"] == "tool_use" else "end_turn"
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 2}})
    return Answer(named(*events, {"type": "message_stop"}), content_type=SSE)


def gemini(*parts: Json) -> Answer:
    """A streamed answer with one part a chunk."""
    chunks = [{"candidates": [{"content": {"role": "model", "parts": [part]}}]} for part in parts]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"  # type: ignore[assignment]
    return Answer(data(*chunks), content_type=SSE)


def openai(*items: Json) -> Answer:
    """A streamed response of these items; encrypted content is another one until the item is done."""
    events: list[Json] = [{"type": "response.created", "response": {"model": "gpt", "output": []}}]
    for index, item in enumerate(items):
        begun = {**item, "encrypted_content": "early"} if "encrypted_content" in item else item
        events.append({"type": "response.output_item.added", "output_index": index, "item": begun})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    usage = {"input_tokens": 1, "output_tokens": 1}
    done = {"model": "gpt", "status": "completed", "output": list(items), "usage": usage}
    return Answer(named(*events, {"type": "response.completed", "response": done}), content_type=SSE)


def chat(*deltas: Json) -> Answer:
    """Chunks with these deltas."""
    chunks = [{"model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if "tool_calls" in deltas[-1] else "stop"}
    return Answer(data(*chunks, {"model": "m", "choices": [end]}, "[DONE]"), content_type=SSE)


def ollama(*messages: Json) -> Answer:
    lines = [
        {"model": "m", "message": {"role": "assistant", "content": "", **said}, "done": False}
        for said in messages
    ]
    end = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    return Answer("".join(json.dumps(line) + "\n" for line in (*lines, end)).encode(), content_type=NDJSON)


# --------------------------------------------------------------------------- the cases

THINKING = {"type": "thinking", "thinking": "First, é.", "signature": SIGNATURE}
UNSHOWN = {"type": "thinking", "thinking": "", "signature": SIGNATURE}
REDACTED = {"type": "redacted_thinking", "data": SIGNATURE}
TOOL_USE = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
TEXT = {"type": "text", "text": "Let me see."}
THOUGHT = {"text": "First.", "thought": True}
TOO = {"thoughtSignature": "too"}
SIGNED = {"thoughtSignature": SIGNATURE}


def function_call(name: str, call_id: str, **more: Any) -> Json:
    return {"functionCall": {"id": call_id, "name": name, "args": {}}, **more}


def openai_call(call_id: str) -> Json:
    return {"type": "function_call", "id": "fc_1", "call_id": call_id, "name": "look", "arguments": "{}",
            "status": "completed"}  # fmt: skip


def chat_call(call_id: str) -> Json:
    return {"index": 0, "id": call_id, "type": "function", "function": {"name": "look", "arguments": "{}"}}


SEALED = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}],
          "encrypted_content": SIGNATURE}  # fmt: skip
DETAILS = [
    {
        "type": "reasoning.text",
        "text": "First.",
        "signature": SIGNATURE,
        "format": "anthropic-claude-v1",
        "index": 0,
    },
    {"type": "reasoning.encrypted", "data": SIGNATURE, "format": "openai-responses-v1", "index": 1},
]
OLLAMA_CALL = {"id": "c1", "function": {"name": "look", "arguments": {}}}
MISTRAL = {"type": "thinking", "thinking": [{"type": "text", "text": "First."}]}


class Case(NamedTuple):
    """The model, its answer, what of the next request must hold it, and in what form."""

    name: str
    model: str
    answer: Answer
    place: Callable[[Json], Any]
    expected: Any


def assistant(body: Json) -> Any:
    return body["messages"][1]["content"]


def parts(body: Json) -> Any:
    return body["contents"][1]["parts"]


CASES = [
    Case("anthropic thinking before a call", "claude-sonnet-4-5", anthropic(THINKING, TEXT, TOOL_USE), assistant,
         [THINKING, TEXT, TOOL_USE]),
    Case("anthropic redacted thinking", "claude-sonnet-4-5", anthropic(THINKING, REDACTED, TOOL_USE), assistant,
         [THINKING, REDACTED, TOOL_USE]),
    Case("anthropic signature without text", "claude-opus-4-6", anthropic(UNSHOWN, TEXT, UNSHOWN, TOOL_USE), assistant,
         [UNSHOWN, TEXT, UNSHOWN, TOOL_USE]),
    Case("anthropic thinking before a text", "claude-sonnet-4-5", anthropic(THINKING, TEXT), assistant,
         [THINKING, TEXT]),
    Case("gemini signature on the first of two calls", "gemini-3-flash-preview",
         gemini(THOUGHT, function_call("look", "c1", **SIGNED), function_call("listen", "c2")), parts,
         [THOUGHT, function_call("look", "c1", **SIGNED), function_call("listen", "c2")]),
    Case("gemini signature on a text", "gemini-3-flash-preview", gemini({"text": "So."},
         {"text": " Yes.", **SIGNED}), parts, [{"text": "So. Yes.", **SIGNED}]),
    Case("gemini signature on an empty text", "gemini-3-flash-preview", gemini({"text": "So."},
         {"text": "", **SIGNED}), parts, [{"text": "So."}, {"text": "", **SIGNED}]),
    Case("gemini signature on a thought", "gemini-3-flash-preview", gemini({**THOUGHT, **SIGNED},
         {"text": "So."}), parts, [{**THOUGHT, **SIGNED}, {"text": "So."}]),
    Case("gemini two signed calls in turn", "gemini-3-flash-preview",
         gemini(function_call("look", "c1", **SIGNED), function_call("look", "c2", **TOO)),
         parts, [function_call("look", "c1", **SIGNED), function_call("look", "c2", **TOO)]),
    Case("openai encrypted content", "gpt-5.4", openai(SEALED, openai_call("call_1")),
         lambda body: body["input"][1:3],
         [{key: value for key, value in SEALED.items() if key != "id"},
          {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}]),
    Case("openrouter reasoning_details", "openrouter/anthropic/claude-sonnet-4.5",
         chat({"reasoning_details": DETAILS[:1]}, {"reasoning_details": DETAILS[1:]},
              {"tool_calls": [chat_call("c1")]}),
         lambda body: body["messages"][1]["reasoning_details"], DETAILS),
    Case("openrouter reasoning_details before a text", "openrouter/anthropic/claude-sonnet-4.5",
         chat({"reasoning_details": DETAILS}, {"content": "So."}),
         lambda body: body["messages"][1]["reasoning_details"], DETAILS),
    Case("deepseek reasoning_content before a call", "deepseek-reasoner",
         chat({"reasoning_content": "First."}, {"tool_calls": [chat_call("c1")]}),
         lambda body: body["messages"][1]["reasoning_content"], "First."),
    Case("vllm reasoning before a call", "vllm/Qwen/Qwen3-8B",
         chat({"reasoning": "First"}, {"reasoning": ", é."}, {"tool_calls": [chat_call("c1")]}),
         lambda body: body["messages"][1]["reasoning"], "First, é."),
    Case("mistral thinking before a text", "mistral/magistral-medium-latest",
         chat({"content": [MISTRAL]}, {"content": [{"type": "text", "text": "So."}]}),
         lambda body: body["messages"][1]["content"], [MISTRAL, {"type": "text", "text": "So."}]),
    Case("ollama thinking before a call", "ollama/qwen3",
         ollama({"thinking": "First"}, {"thinking": ", é."}, {"tool_calls": [OLLAMA_CALL]}),
         lambda body: body["messages"][1]["thinking"], "First, é."),
]  # fmt: skip

each_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
each_stream = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def answers_to(told: Told) -> list[Json]:
    """The next input: the results of all calls, or a question."""
    results = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "done"}
        for call in told.of("function_call")
    ]
    return results or [{"role": "user", "content": "Go on."}]


@each_case
@each_stream
@pytest.mark.parametrize("by", ["items", "previous_response_id"])
def test_state_comes_back_in_its_place(gateway: Gateway, case: Case, stream: bool, by: str) -> None:
    base = {"model": case.model, "tools": TOOLS, "reasoning": {"effort": "low"}, "include": [STATE]}
    first: list[Json] = [{"role": "user", "content": "Look."}]
    scenario = gateway.scenario(case.answer)
    told = gateway.ask({**base, "input": first, "store": by != "items"}, stream=stream)
    assert told.status == 200, told.error
    assert any("encrypted_content" in item for item in told.of("reasoning"))
    if stream:
        done = [event["item"] for event in told.events if event["type"] == "response.output_item.done"]
        assert done == told.output
    if by == "items":
        gateway.ask(
            {**base, "input": [*first, *told.output, *answers_to(told)], "store": False}, stream=stream
        )
    else:
        gateway.ask(
            {**base, "input": answers_to(told), "previous_response_id": told.response["id"]}, stream=stream
        )
    assert len(scenario.requests) == 2
    assert case.place(scenario.requests[1].json) == case.expected


@each_case
def test_state_is_shown_only_if_asked_for_but_always_kept(gateway: Gateway, case: Case) -> None:
    scenario = gateway.scenario(case.answer)
    base = {"model": case.model, "tools": TOOLS, "reasoning": {"effort": "low"}}
    told = gateway.ask({**base, "input": [{"role": "user", "content": "Look."}]})
    assert not any("encrypted_content" in item for item in told.output)
    gateway.ask({**base, "input": answers_to(told), "previous_response_id": told.response["id"]})
    assert case.place(scenario.requests[1].json) == case.expected


@each_case
def test_a_stored_item_finds_its_state_by_its_id(gateway: Gateway, case: Case) -> None:
    """As with OpenAI: `input += response.output`, with no `include`."""
    scenario = gateway.scenario(case.answer)
    base = {"model": case.model, "tools": TOOLS, "reasoning": {"effort": "low"}}
    first: list[Json] = [{"role": "user", "content": "Look."}]
    told = gateway.ask({**base, "input": first})
    for _ in range(2):
        gateway.ask({**base, "input": [*first, *told.output, *answers_to(told)]})
    assert [case.place(request.json) for request in scenario.requests[1:]] == [case.expected] * 2


@pytest.mark.parametrize("gone", ["deleted", "not stored"])
def test_an_item_whose_response_is_gone_goes_without_its_state(gateway: Gateway, gone: str) -> None:
    case = CASES[0]
    scenario = gateway.scenario(case.answer)
    base = {"model": case.model, "tools": TOOLS, "reasoning": {"effort": "low"}, "store": gone == "deleted"}
    told = gateway.ask({**base, "input": [{"role": "user", "content": "Look."}]})
    if gone == "deleted":
        gateway.delete(f"/responses/{told.response['id']}")
    again = gateway.ask(
        {**base, "input": [{"role": "user", "content": "Look."}, *told.output, *answers_to(told)]}
    )
    assert again.status == 200, again.error
    assert "thinking" not in scenario.requests[1].json, "Claude would refuse to think without its signature"


@each_case
def test_sealed_state_names_its_provider(gateway: Gateway, case: Case) -> None:
    """So that another one is never sent it."""
    gateway.scenario(case.answer)
    told = gateway.ask({"model": case.model, "tools": TOOLS, "input": "Look.", "include": [STATE]})
    found = [unseal(item.get("encrypted_content") or "or1.") for item in told.of("reasoning")]
    names = {state[0] for state in found if state}
    assert names == {told.headers["x-openresponses-route"].split("/")[0]}


# --------------------------------------------------------------------------- effort

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
# Of each family, what each level becomes, in the order of EFFORTS.
FAMILIES: dict[str, tuple[Callable[[Json], Any], list[Any]]] = {
    "gpt-5.4": (lambda body: body["reasoning"]["effort"], list(EFFORTS)),
    "claude-opus-5": (
        lambda body: (body["thinking"]["type"], (body.get("output_config") or {}).get("effort")),
        [("disabled", None), *(("adaptive", level) for level in ("low", "low", "medium", "high", "xhigh", "max"))],
    ),
    "claude-opus-4-6": (
        lambda body: (body.get("output_config") or {}).get("effort"),
        [None, "low", "low", "medium", "high", "max", "max"],
    ),
    "claude-sonnet-4-5": (
        lambda body: (body.get("thinking") or {}).get("budget_tokens"), [None, 1024, 2048, 8192, 16384, 32768, 48000],
    ),
    "gemini-3.5-flash": (
        lambda body: body["generationConfig"]["thinkingConfig"]["thinkingLevel"],
        ["minimal", "minimal", "low", "medium", "high", "high", "high"],
    ),
    "gemini-3-pro-preview": (
        lambda body: body["generationConfig"]["thinkingConfig"]["thinkingLevel"],
        ["low", "low", "low", "high", "high", "high", "high"],
    ),
    "gemini-2.5-flash": (
        lambda body: body["generationConfig"]["thinkingConfig"]["thinkingBudget"],
        [0, 512, 2048, 8192, 24576, 24576, 24576],
    ),
    "gemini-2.5-pro": (
        lambda body: body["generationConfig"]["thinkingConfig"]["thinkingBudget"],
        [128, 512, 2048, 8192, 24576, 32768, 32768],
    ),
    "gpt-oss:20b": (lambda body: body["think"], [False, "low", "low", "medium", "high", "high", "high"]),
    "qwen3:8b": (lambda body: body["think"], [False, *[True] * 6]),
    "groq/openai/gpt-oss-120b": (
        lambda body: body.get("reasoning_effort"), [None, "low", "low", "medium", "high", "high", "high"],
    ),
    "groq/qwen/qwen3-32b": (lambda body: body["reasoning_effort"], ["none", *["default"] * 6]),
    "deepseek-chat": (lambda body: body["thinking"]["type"], ["disabled", *["enabled"] * 6]),
    "openrouter/openai/gpt-5.4": (
        lambda body: body["reasoning"]["effort"], ["none", "minimal", "low", "medium", "high", "xhigh", "xhigh"],
    ),
    "grok-3-mini": (lambda body: body.get("reasoning_effort"), [None, "low", "low", "high", "high", "high", "high"]),
}  # fmt: skip


@pytest.mark.parametrize("model", FAMILIES)
def test_effort(model: str) -> None:
    router = Router(Settings.load({}))
    read, expected = FAMILIES[model]
    sent = [built(router, model, {"reasoning": {"effort": effort}}) for effort in EFFORTS]
    assert [read(request.body) for request in sent] == expected
    unsaid = [
        effort for effort, request in zip(EFFORTS, sent, strict=True) if "reasoning.effort" in request.ignored
    ]
    assert set(unsaid) <= {"none"}, "every other level has its measure"


# --------------------------------------------------------------------------- states that nobody gave

ODD_BLOCKS: list[Any] = [5, None, [5], ["x"], [{"type": 5}], [[]], [{"type": "text"}]]
ODD_BLOCKS += [[{"type": "server_tool_use", "id": {}}], [{"type": "server_tool_use"}]]
ODD_PARTS: list[Any] = [{"on": "instead", "parts": 5}, {"on": "instead", "parts": [5]}, {"on": "instead"}]
ODD_PARTS += [{"on": "here"}, {"on": {}}, {"on": "next"}, {"on": "previous"}]
FORGED: list[Any] = [
    *(
        5,
        "x",
        [],
        [{}],
        True,
        {"thinking": 5},
        {"reasoning": 5},
        {"reasoning_details": ["x"]},
        {"thought": 5},
    ),
    *({"blocks": blocks} for blocks in ODD_BLOCKS),
    *({"model": "gemini-test", **parts} for parts in ODD_PARTS),
    {"content": 5},
    {"content": [5]},
]


@pytest.mark.parametrize("behind", ["a call", "a message", "nothing"])
@pytest.mark.parametrize("dialect", [*MODELS, "echo", "groq", "mistral", "openrouter"])
def test_a_state_that_a_client_made_up_is_refused_or_harmless(
    gateway: Gateway, dialect: str, behind: str
) -> None:
    model = MODELS.get(dialect, f"{dialect}/m")
    spoken = dialect if dialect in MODELS else "chat"
    call = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    after = {"a call": [call, output], "a message": [{"role": "user", "content": "b"}]}.get(behind, [])
    for payload in FORGED:
        gateway.scenario(says(spoken, "Hello"))
        sealed = seal(model.partition("/")[0], payload)
        item = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
        body = {"model": model, "input": [{"role": "user", "content": "a"}, item, *after], "tools": TOOLS}
        told = gateway.ask(body)
        assert told.status in (200, 400), (payload, told.error)
        if told.status == 400:
            assert told.error["param"] == "input[1].encrypted_content", (payload, told.error)
