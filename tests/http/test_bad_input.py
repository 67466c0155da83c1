"""Wrong requests are refused at once with 4xx, naming what is wrong; odd but legal ones work.

For each wrong one: the right status, `param` and `code`, an answer within 100 ms, no provider call, nothing stored.
"""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from ..support.client import checked_error
from ..support.gateway import Gateway
from ..support.speech import MODELS, says

Json = dict[str, Any]

MODEL = MODELS["openai"]
TYPE, VALUE, MISSING = "invalid_type", "invalid_value", "missing_required_parameter"
LONGEST_ANSWER = 0.1  # seconds of CPU, the client's among them, for bodies of ordinary size
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def function(name: str = "f", **extra: Any) -> Json:
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **extra}


def part(**fields: Any) -> Json:
    return {"input": [{"role": "user", "content": [fields]}]}


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}

# what is sent beside a model and an input | param | code
WRONG: dict[str, tuple[Json, str, str | set[str]]] = {
    # model
    "model missing": ({"model": ...}, "model", MISSING),
    "model null": ({"model": None}, "model", MISSING),
    "model empty": ({"model": ""}, "model", MISSING),
    "model a number": ({"model": 5}, "model", TYPE),
    "model a list": ({"model": ["gpt-4o"]}, "model", TYPE),
    "model unknown": ({"model": "no-such-model"}, "model", "model_not_found"),
    "model of an unknown provider": ({"model": "nobody/some-model"}, "model", "model_not_found"),
    "model with a path": ({"model": "gemini/../../secret"}, "model", {"model_not_found", VALUE}),
    "model with spaces": ({"model": "gpt 4o"}, "model", {"model_not_found", VALUE}),
    "model too long": ({"model": "gpt-" + "x" * 200}, "model", {"model_not_found", VALUE}),
    # input
    "input missing": ({"input": ...}, "input", MISSING),
    "input null": ({"input": None}, "input", MISSING),
    "input a number": ({"input": 5}, "input", TYPE),
    "input an object": ({"input": {"role": "user", "content": "x"}}, "input", TYPE),
    "input empty string": ({"input": ""}, "input", {VALUE, MISSING}),
    "input empty list": ({"input": []}, "input", {VALUE, MISSING}),
    "item a string": ({"input": ["hello"]}, "input[0]", TYPE),
    "item null": ({"input": [None]}, "input[0]", TYPE),
    "item type of other words": ({"input": [{"type": "my secret"}]}, "input[0].type", VALUE),
    "item of an unknown type": ({"input": [{"type": "telepathy"}]}, "input[0].type", VALUE),
    "item type a number": ({"input": [{"type": 1}]}, "input[0].type", TYPE),
    "role unknown": ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role", VALUE),
    "role missing": ({"input": [{"type": "message", "content": "x"}]}, "input[0].role", MISSING),
    "role tool": ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", VALUE),
    "content missing": ({"input": [{"role": "user"}]}, "input[0].content", MISSING),
    "content a number": ({"input": [{"role": "user", "content": 5}]}, "input[0].content", TYPE),
    "content an object": ({"input": [{"role": "user", "content": {}}]}, "input[0].content", TYPE),
    "too many items": ({"input": [{"role": "user", "content": "x"}] * 1001}, "input", VALUE),
    # content parts
    "part a string": ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]", TYPE),
    "part unknown": (part(type="smell", smell="x"), "input[0].content[0].type", VALUE),
    "part without a type": (part(text="x"), "input[0].content[0].type", MISSING),
    "part text missing": (part(type="input_text"), "input[0].content[0].text", MISSING),
    "part text a number": (part(type="input_text", text=1), "input[0].content[0].text", TYPE),
    "image without a source": (part(type="input_image"), "input[0].content[0].image_url", {MISSING, VALUE}),
    "image url a number": (part(type="input_image", image_url=1), "input[0].content[0].image_url", TYPE),
    "image url an object": (part(type="input_image", image_url={"url": "https://example.com/x.png"}),
                            "input[0].content[0].image_url", TYPE),
    "image url no url": (part(type="input_image", image_url="cat.png"), "input[0].content[0].image_url", VALUE),
    "image url with half an address": (part(type="input_image", image_url="https://exampl]e.com/x.png"),
                                       "input[0].content[0].image_url", VALUE),
    "tools in the input with an id of the wrong type": (
        {"input": [{"type": "additional_tools", "tools": [], "id": {}}]}, "input[0].id", TYPE
    ),
    "image url a file": (part(type="input_image", image_url="file:///etc/passwd"),
                         "input[0].content[0].image_url", VALUE),
    "image bad base64": (part(type="input_image", image_url="data:image/png;base64,!!!"),
                         "input[0].content[0].image_url", VALUE),
    "image empty data": (part(type="input_image", image_url="data:image/png;base64,"),
                         "input[0].content[0].image_url", VALUE),
    "image detail unknown": (part(type="input_image", image_url=f"data:image/png;base64,{PIXEL}", detail="crisp"),
                             "input[0].content[0].detail", VALUE),
    "file without a source": (part(type="input_file", filename="x.pdf"), "input[0].content[0].file_data",
                              {MISSING, VALUE}),
    "file bad base64": (part(type="input_file", filename="x.pdf", file_data="data:application/pdf;base64,%%%"),
                        "input[0].content[0].file_data", VALUE),
    # calls and their outputs
    "call without an id": ({"input": [{k: v for k, v in CALL.items() if k != "call_id"}]}, "input[0].call_id", MISSING),
    "call id empty": ({"input": [{**CALL, "call_id": ""}]}, "input[0].call_id", VALUE),
    "call without a name": ({"input": [{k: v for k, v in CALL.items() if k != "name"}]}, "input[0].name", MISSING),
    "call arguments an object": ({"input": [{**CALL, "arguments": {}}]}, "input[0].arguments", TYPE),
    "output without its call": ({"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]},
                                "input[0].call_id", VALUE),
    "output before its call": ({"input": [{"type": "function_call_output", "call_id": "c1", "output": "x"}, CALL]},
                               "input[0].call_id", VALUE),
    "call of a tool of OpenAI's with an id of the wrong type": (
        {"input": [{"type": "computer_call", "call_id": {}}]}, "input[0].call_id", TYPE
    ),
    "approval of the wrong type": (
        {"input": [{"type": "mcp_approval_response", "approval_request_id": {}}]}, "input[0].approval_request_id", TYPE
    ),
    "reasoning with an image": (
        {"input": [{"type": "reasoning", "summary": [{"type": "input_image", "image_url": "https://example.com/x.png"}]}]},
        "input[0].summary[0].type", VALUE,
    ),
    "output twice": ({"input": [CALL, *[{"type": "function_call_output", "call_id": "c1", "output": "x"}] * 2]},
                     "input[2].call_id", VALUE),
    "output without call_id": ({"input": [CALL, {"type": "function_call_output", "output": "x"}]},
                               "input[1].call_id", MISSING),
    "output without output": ({"input": [CALL, {"type": "function_call_output", "call_id": "c1"}]},
                              "input[1].output", MISSING),
    "output a number": ({"input": [CALL, {"type": "function_call_output", "call_id": "c1", "output": 1}]},
                        "input[1].output", TYPE),
    "reference to nothing": ({"input": [{"type": "item_reference", "id": "msg_nowhere"}]}, "input[0].id",
                             "item_not_found"),
    # tools
    "tool parameters that refer to a number": (
        {"tools": [function(parameters={"$ref": "#/$defs/N", "$defs": {"N": {"type": "integer"}}})]},
        "tools[0].parameters.type",
        VALUE,
    ),
    "tool in the form of Chat Completions": (
        {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name", MISSING
    ),
    "tools an object": ({"tools": {}}, "tools", TYPE),
    "too many tools": ({"tools": [function(f"f{n}") for n in range(129)]}, "tools", VALUE),
    "tool a string": ({"tools": ["f"]}, "tools[0]", TYPE),
    "tool of an unknown type": ({"tools": [{"type": "teleport", "name": "x"}]}, "tools[0].type", VALUE),
    "tool without a type": ({"tools": [{"name": "f"}]}, "tools[0].type", MISSING),
    "tool without a name": ({"tools": [{"type": "function"}]}, "tools[0].name", MISSING),
    "tool name with spaces": ({"tools": [function("my tool")]}, "tools[0].name", VALUE),
    "tool name empty": ({"tools": [function("")]}, "tools[0].name", VALUE),
    "tool twice": ({"tools": [function(), function()]}, "tools[1].name", VALUE),
    "tool parameters a string": ({"tools": [function(parameters="{}")]}, "tools[0].parameters", TYPE),
    "tool parameters an array": ({"tools": [function(parameters={"type": "array"})]}, "tools[0].parameters.type",
                                 VALUE),
    "tool parameters huge": ({"tools": [function(parameters={"type": "object", "description": "x" * 70_000})]},
                             "tools[0].parameters", VALUE),
    "tool strict a string": ({"tools": [function(strict="yes")]}, "tools[0].strict", TYPE),
    # tool_choice
    "choice unknown word": ({"tool_choice": "sometimes"}, "tool_choice", VALUE),
    "choice a number": ({"tool_choice": 1}, "tool_choice", TYPE),
    "choice required without tools": ({"tool_choice": "required"}, "tool_choice", VALUE),
    "choice of an unknown function": ({"tools": [function()], "tool_choice": {"type": "function", "name": "g"}},
                                      "tool_choice.name", VALUE),
    "choice without a name": ({"tools": [function()], "tool_choice": {"type": "function"}}, "tool_choice.name",
                              MISSING),
    "choice of an unknown kind": ({"tools": [function()], "tool_choice": {"type": "teleport"}}, "tool_choice.type",
                                  VALUE),
    "allowed tool unknown": ({"tools": [function()], "tool_choice": {"type": "allowed_tools", "mode": "auto",
                                                                     "tools": [{"type": "function", "name": "g"}]}},
                             "tool_choice.tools[0].name", VALUE),
    "allowed tools missing": ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice.tools", MISSING),
    "allowed tool of no type": ({"tool_choice": {"type": "allowed_tools", "tools": [{"type": []}]}},
                                "tool_choice.tools[0].type", TYPE),
    "allowed tools none": ({"tools": [function()], "tool_choice": {"type": "allowed_tools", "tools": []}},
                           "tool_choice.tools", VALUE),
    "allowed tools mode": ({"tools": [function()], "tool_choice": {"type": "allowed_tools", "mode": "perhaps",
                                                                   "tools": [{"type": "function", "name": "f"}]}},
                           "tool_choice.mode", VALUE),
    # knobs
    "temperature a string": ({"temperature": "hot"}, "temperature", TYPE),
    "temperature a boolean": ({"temperature": True}, "temperature", TYPE),
    "temperature too high": ({"temperature": 2.1}, "temperature", VALUE),
    "temperature negative": ({"temperature": -0.1}, "temperature", VALUE),
    "top_p too high": ({"top_p": 1.5}, "top_p", VALUE),
    "presence_penalty too high": ({"presence_penalty": 3}, "presence_penalty", VALUE),
    "frequency_penalty a string": ({"frequency_penalty": "1"}, "frequency_penalty", TYPE),
    "top_logprobs too many": ({"top_logprobs": 21}, "top_logprobs", VALUE),
    "top_logprobs a fraction": ({"top_logprobs": 1.5}, "top_logprobs", TYPE),
    "max_output_tokens zero": ({"max_output_tokens": 0}, "max_output_tokens", VALUE),
    "max_output_tokens huge": ({"max_output_tokens": 10**18}, "max_output_tokens", VALUE),
    "max_output_tokens a string": ({"max_output_tokens": "100"}, "max_output_tokens", TYPE),
    "max_tool_calls zero": ({"max_tool_calls": 0}, "max_tool_calls", VALUE),
    "parallel_tool_calls a string": ({"parallel_tool_calls": "yes"}, "parallel_tool_calls", TYPE),
    "instructions a list": ({"instructions": ["x"]}, "instructions", TYPE),
    "stream a string": ({"stream": "yes"}, "stream", TYPE),
    "store a number": ({"store": 1}, "store", TYPE),
    "background a string": ({"background": "yes"}, "background", TYPE),
    "background without store": ({"background": True, "store": False}, "background", VALUE),
    "conversation without store": ({"conversation": "conv_1", "store": False}, "conversation", VALUE),
    "reasoning a string": ({"reasoning": "high"}, "reasoning", TYPE),
    "reasoning effort unknown": ({"reasoning": {"effort": "huge"}}, "reasoning.effort", VALUE),
    "text a string": ({"text": "json"}, "text", TYPE),
    "text format unknown": ({"text": {"format": {"type": "xml"}}}, "text.format.type", VALUE),
    "text format without a name": ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name",
                                   MISSING),
    "text format without a schema": ({"text": {"format": {"type": "json_schema", "name": "x"}}},
                                     "text.format.schema", MISSING),
    "verbosity unknown": ({"text": {"verbosity": "chatty"}}, "text.verbosity", VALUE),
    "truncation unknown": ({"truncation": "maybe"}, "truncation", VALUE),
    "include a string": ({"include": "reasoning.encrypted_content"}, "include", TYPE),
    "metadata a list": ({"metadata": []}, "metadata", TYPE),
    "metadata too many": ({"metadata": {f"k{n}": "v" for n in range(17)}}, "metadata", VALUE),
    "metadata key too long": ({"metadata": {"k" * 65: "v"}}, f"metadata.{'k' * 65}", VALUE),
    "metadata value under a key of many words": ({"metadata": {"my secret": 1}}, "metadata", TYPE),
    "metadata value too long": ({"metadata": {"k": "v" * 513}}, "metadata.k", VALUE),
    "metadata value a number": ({"metadata": {"k": 1}}, "metadata.k", TYPE),
    "service_tier a number": ({"service_tier": 1}, "service_tier", TYPE),
    # history
    "previous_response_id a number": ({"previous_response_id": 1}, "previous_response_id", TYPE),
    "previous_response_id unknown": ({"previous_response_id": "resp_" + "0" * 32}, "previous_response_id",
                                     "previous_response_not_found"),
    "previous_response_id malformed": ({"previous_response_id": "../../x'; DROP TABLE responses"},
                                       "previous_response_id", "previous_response_not_found"),
    "previous_response_id of other words": ({"previous_response_id": "my secret\r\nx: y"}, "previous_response_id",
                                            "previous_response_not_found"),
    "previous_response_id endless": ({"previous_response_id": "resp_" + "a" * 100_000}, "previous_response_id",
                                     {"previous_response_not_found", VALUE}),
}  # fmt: skip

# What is not a request at all.
GARBAGE: dict[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "not JSON": (b"model=gpt-4o&input=hi", 400),
    "half JSON": (b'{"model":"gpt-4o","input":"h', 400),
    "an array": (b"[]", 400),
    "a string": (b'"hello"', 400),
    "null": (b"null", 400),
    "NaN": (b'{"model":"gpt-4o","input":"x","temperature":NaN}', 400),
    "Infinity": (b'{"model":"gpt-4o","input":"x","temperature":Infinity}', 400),
    "a float that overflows": (b'{"model":"gpt-4o","input":"x","temperature":1e999}', 400),
    "a huge integer": (b'{"model":"gpt-4o","input":"x","max_output_tokens":' + b"9" * 5000 + b"}", 400),
    "deep arrays": (b'{"model":"gpt-4o","input":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 400),
    "deep arrays, open": (b"[" * 200_000, 400),
    "deep objects": (b'{"model":"gpt-4o","input":"x","metadata":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}", 400),
    "deep tool schema": (
        b'{"model":"gpt-4o","input":"x","tools":[{"type":"function","name":"f","parameters":'
        + b'{"properties":' * 2000 + b"{}" + b"}" * 2000 + b"}]}",
        400,
    ),
    "deep where nothing is checked": (
        b'{"model":"gpt-4o","input":"x","tools":[{"type":"web_search","x":' + b"[" * 230 + b"]" * 230 + b"}]}", 400
    ),
    "invalid UTF-8": (b'{"model":"gpt-4o","input":"\xff\xfe"}', 400),
    "a lone surrogate": (b'{"model":"gpt-4o","input":"\\ud800"}', 400),
    "10 MB": (b'{"model":"gpt-4o","input":"' + b"x" * (10 << 20) + b'"}', 413),
}  # fmt: skip

# Odd, but every one of them is sent by some client.
OPTIONAL = (
    "previous_response_id", "include", "tools", "tool_choice", "metadata", "text", "temperature", "top_p",
    "presence_penalty", "frequency_penalty", "parallel_tool_calls", "stream_options", "background",
    "max_output_tokens", "max_tool_calls", "reasoning", "safety_identifier", "prompt_cache_key", "truncation",
    "instructions", "store", "service_tier", "top_logprobs", "conversation", "user", "prompt", "modalities",
)  # fmt: skip
ODD: dict[str, Json] = {
    "null for every optional field": dict.fromkeys(OPTIONAL),
    "unknown fields": {"seed": 7, "user": "u", "client_metadata": {"a": 1}, "x-made-up": [1, 2]},
    "a reasoning summary of none": {"reasoning": {"summary": "none"}},
    "a conversation with a local shell, whose outputs have no call_id": {
        "input": [
            {"type": "local_shell_call", "id": "lsh_1", "call_id": "lsh_1", "action": {"type": "exec"}},
            {"type": "local_shell_call_output", "id": "lsh_1", "output": "a.txt"},
            {"role": "user", "content": "Go on."},
        ]
    },
    "an output of OpenAI's own tools that is no part, though it looks like one": {
        "input": [
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
            {"type": "shell_call_output", "call_id": "c", "output": [{"type": {}}, {"type": "text", "text": 1}, 1]},
            {"role": "user", "content": "Go on."},
        ]
    },
    "no tools": {"tools": [], "tool_choice": "auto"},
    "no tools, none chosen": {"tools": [], "tool_choice": "none"},
    "empty objects": {"metadata": {}, "text": {}, "reasoning": {}, "include": [], "stream_options": {}},
    "integers for numbers": {"temperature": 1, "top_p": 1},
    "message without type": {"input": [{"role": "user", "content": "x"}]},
    "message with nulls": {"input": [{"role": "user", "content": "x", "id": None, "status": None, "type": "message"}]},
    "message with extra keys": {"input": [{"role": "user", "content": "x", "id": "msg_mine", "status": "completed",
                                           "name": "Ann", "internal_chat_message_metadata_passthrough": {"a": 1}}]},
    "roles in any order": {"input": [{"role": "assistant", "content": "a"}, {"role": "system", "content": "b"},
                                     {"role": "user", "content": "c"}, {"role": "developer", "content": "d"}]},
    "empty content": {"input": [{"role": "user", "content": "x"}, {"role": "assistant", "content": []},
                                {"role": "user", "content": "y"}]},
    "output_text without annotations": {"input": [{"role": "assistant", "content": [{"type": "output_text",
                                                                                     "text": "a"}]},
                                                  {"role": "user", "content": "b"}]},
    "output as parts": {"input": [CALL, {"type": "function_call_output", "call_id": "c1",
                                         "output": [{"type": "input_text", "text": "x"}]}]},
    "output empty": {"input": [CALL, {"type": "function_call_output", "call_id": "c1", "output": ""}]},
    "call with id and status": {"input": [{**CALL, "id": "fc_mine", "status": "completed", "namespace": None},
                                          {"type": "function_call_output", "call_id": "c1", "output": "x",
                                           "id": None, "status": None}]},
    "reasoning put back": {"input": [{"role": "user", "content": "x"},
                                     {"type": "reasoning", "id": "rs_mine", "summary": [], "content": None,
                                      "encrypted_content": None},
                                     {"role": "assistant", "content": "a", "phase": "final_answer"},
                                     {"role": "user", "content": "y"}]},
    "tool with nulls": {"tools": [function(strict=None, description=None, parameters=None)]},
    "tool without parameters": {"tools": [{"type": "function", "name": "f"}]},
    "tool with extra keys": {"tools": [function(cache_control={"type": "ephemeral"})]},
    "text format text": {"text": {"format": {"type": "text"}, "verbosity": None}},
    "image with null detail": part(type="input_image", image_url=f"data:image/png;base64,{PIXEL}", detail=None),
    "unicode": {"input": "\u2028 \u0085 \U0001f9d1\u200d\U0001f680 \x00"},
}  # fmt: skip


def body_with(changes: Json) -> Json:
    body = {"model": MODEL, "input": "Hello", **changes}
    return {key: value for key, value in body.items() if value is not ...}


def post(gateway: Gateway, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return gateway.http.post(
        f"{gateway.base_url}/v1/responses", content=body, headers={"content-type": content_type}
    )


@pytest.mark.parametrize("name", WRONG)
def test_wrong(gateway: Gateway, name: str) -> None:
    changes, param, codes = WRONG[name]
    scenario = gateway.scenario()
    stored = gateway.stored()
    took = []
    for stream in (False, True):
        body = json.dumps(body_with({"stream": stream} | changes))
        start = time.process_time()
        reply = post(gateway, body.encode())
        took.append(time.process_time() - start)
        error = checked_error(reply)
        assert reply.status_code == (404 if "not_found" in error["code"] else 400), reply.text
        assert error["param"] == param, error
        assert error["code"] in ({codes} if isinstance(codes, str) else codes), error
        assert "my secret" not in reply.text, error
    assert min(took) < LONGEST_ANSWER, took
    assert not scenario.requests, "the provider was called"
    assert gateway.stored() == stored, "something was stored"


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(gateway: Gateway, name: str) -> None:
    body, status = GARBAGE[name]
    scenario = gateway.scenario()
    start = time.process_time()
    reply = post(gateway, body)
    took = time.process_time() - start
    error = checked_error(reply)
    assert reply.status_code == status, error
    assert "\\u" not in error["message"] and len(error["message"]) < 500
    assert took < LONGEST_ANSWER + len(body) / 50e6, f"{took:.3f} s"
    assert not scenario.requests


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("content-encoding", "gzip", 400), ("idempotency-key", "x" * 256, 400), ("content-type", "", 200)],
)
def test_wrong_headers(gateway: Gateway, header: str, value: str, status: int) -> None:
    gateway.scenario(says("openai", "Hello"))
    reply = gateway.http.post(
        f"{gateway.base_url}/v1/responses", content=json.dumps(body_with({})), headers={header: value}
    )
    assert reply.status_code == status
    if status != 200:
        assert checked_error(reply)["param"].lower() == header


@pytest.mark.parametrize("limit", ["0", "101", "x", "", "\u0661", "9" * 5000])
def test_wrong_limits(gateway: Gateway, limit: str) -> None:
    conversation = gateway.http.post(f"{gateway.base_url}/v1/conversations").json()["id"]
    reply = gateway.http.get(
        f"{gateway.base_url}/v1/conversations/{conversation}/items", params={"limit": limit}
    )
    assert (reply.status_code, checked_error(reply)["param"]) == (400, "limit")


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml"])
def test_wrong_content_type(gateway: Gateway, content_type: str) -> None:
    """What is not JSON is refused by what it is; JSON under another name (curl -d) may be read."""
    reply = post(gateway, b"<model/>", content_type)
    assert reply.status_code in (400, 415)
    checked_error(reply)


@pytest.mark.parametrize("path", ["/v1/response", "/v1/responses/", "/v2/responses", "/v1/responses/a/b/c"])
def test_unknown_paths(gateway: Gateway, path: str) -> None:
    reply = gateway.http.post(f"{gateway.base_url}{path}", json=body_with({}))
    assert reply.status_code in (404, 405)
    checked_error(reply)


def test_wrong_method(gateway: Gateway) -> None:
    reply = gateway.http.put(f"{gateway.base_url}/v1/responses", json=body_with({}))
    assert reply.status_code == 405
    assert checked_error(reply)["code"] == "method_not_allowed"


@pytest.mark.parametrize("name", ODD)
def test_odd_but_good(gateway: Gateway, name: str) -> None:
    for stream in (False, True):
        gateway.scenario(says("openai", "Hello to you."))
        told = gateway.ask(body_with(ODD[name]), stream=stream)
        assert told.status == 200, told.error
        assert told.text == "Hello to you."
