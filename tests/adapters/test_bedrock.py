"""Bedrock at the wire: signed requests to Converse, its binary event stream, cut anywhere; OpenAI's forms by IAM."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.gateway import Gateway, Server, environment
from ..support.provider import Answer, Provider, bytewise
from ..support.speech import EVENT_STREAM, message, says

Json = dict[str, Any]
MODEL = "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"
STATE = "reasoning.encrypted_content"
TOOL = {
    "type": "function",
    "name": "f",
    "description": "d",
    "parameters": {"type": "object", "properties": {}},
}
PIXEL = "iVBORw0KGgo="


def delta(index: int, **content: Any) -> bytes:
    return message("contentBlockDelta", {"contentBlockIndex": index, "delta": content})


def call(index: int, name: str) -> bytes:
    start = {"toolUse": {"toolUseId": f"t{index}", "name": name}}
    return message("contentBlockStart", {"contentBlockIndex": index, "start": start})


def stop(index: int) -> bytes:
    return message("contentBlockStop", {"contentBlockIndex": index})


START = message("messageStart", {"role": "assistant"})
USAGE = message(
    "metadata",
    {"usage": {"inputTokens": 8, "outputTokens": 5, "totalTokens": 18, "cacheReadInputTokens": 3,
               "cacheWriteInputTokens": 2}},
)  # fmt: skip


def end(reason: str = "end_turn") -> bytes:
    return message("messageStop", {"stopReason": reason}) + USAGE


TEXT = START + delta(0, text="Grü") + delta(0, text="ezi") + stop(0) + end()
THOUGHT = (
    START
    + delta(0, reasoningContent={"text": "let me "})
    + delta(0, reasoningContent={"text": "think"})
    + delta(0, reasoningContent={"signature": "sig=="})
    + stop(0)
    + message(
        "contentBlockStart", {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "f"}}}
    )
    + delta(1, toolUse={"input": '{"a":'})
    + delta(1, toolUse={"input": "1}"})
    + stop(1)
    + end("tool_use")
)


@pytest.fixture(scope="module")
def server(provider: Provider) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-test")
        urls = {f"BEDROCK{name}_BASE_URL": provider.url for name in ("", "_CHAT", "_RESPONSES")}
        started = Server({**environment(provider.url), **urls, "AWS_REGION": "eu-central-1"}).start()
        yield started
        started.stop()


@pytest.fixture
def gateway(server: Server, provider: Provider, http: httpx.Client) -> Gateway:
    gateway = Gateway(server.url, provider, http, lambda: server.stored)
    gateway.scenario()
    return gateway


def stream(body: bytes) -> Answer:
    return Answer(body, content_type=EVENT_STREAM)


@pytest.mark.parametrize("streaming", [False, True])
def test_text(gateway: Gateway, streaming: bool) -> None:
    scenario = gateway.scenario(stream(TEXT))
    told = gateway.ask({"model": MODEL, "input": "hi", "instructions": "Be brief."}, stream=streaming)
    assert told.text == "Grüezi"
    assert told.response["usage"]["input_tokens"] == 13
    assert told.response["usage"]["input_tokens_details"] == {"cached_tokens": 3, "cache_write_tokens": 2}
    request = scenario.requests[0]
    assert request.path == "/model/anthropic.claude-sonnet-4-5-20250929-v1:0/converse-stream"
    assert request.json == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "system": [{"text": "Be brief."}],
    }


def test_the_signature_is_what_aws_computes(gateway: Gateway) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    scenario = gateway.scenario(stream(TEXT))
    gateway.ask({"model": MODEL, "input": "hi"})
    request = scenario.requests[0]
    kept = {name: request.headers[name] for name in ("content-type", "host")}
    again = AWSRequest(
        "POST", f"http://{request.headers['host']}{request.path}", headers=kept, data=request.body
    )
    again.context["timestamp"] = request.headers["x-amz-date"]
    again.headers["X-Amz-Date"] = request.headers["x-amz-date"]
    auth = SigV4Auth(Credentials("AKIDEXAMPLE", "secret-of-the-test"), "bedrock", "eu-central-1")
    signature = auth.signature(auth.string_to_sign(again, auth.canonical_request(again)), again)
    assert f"Signature={signature}" in request.headers["authorization"]
    assert "AKIDEXAMPLE/" in request.headers["authorization"]
    assert "/eu-central-1/bedrock/aws4_request" in request.headers["authorization"]


def test_any_cut_gives_the_same(gateway: Gateway) -> None:
    gateway.scenario(Answer(pieces=bytewise(THOUGHT), content_type=EVENT_STREAM))
    cut = gateway.ask({"model": MODEL, "input": "hi", "tools": [TOOL]}, stream=True)
    assert [item["type"] for item in cut.output] == ["reasoning", "function_call"]
    assert cut.output[0]["summary"][0]["text"] == "let me think"
    assert (cut.output[1]["call_id"], cut.output[1]["arguments"]) == ("t1", '{"a":1}')


@pytest.mark.parametrize("stored", [False, True])
def test_thinking_and_results_go_back_in_place(gateway: Gateway, stored: bool) -> None:
    gateway.scenario(stream(THOUGHT))
    body: Json = {
        "model": MODEL,
        "tools": [TOOL],
        "reasoning": {"effort": "low"},
        "include": [STATE],
        "store": stored,
    }
    one = gateway.ask({**body, "input": "hi"}, stream=True)
    result = {"type": "function_call_output", "call_id": "t1", "output": "42"}
    scenario = gateway.scenario(stream(TEXT))
    if stored:
        gateway.ask({**body, "input": [result], "previous_response_id": one.response["id"]})
    else:
        gateway.ask({**body, "input": [{"role": "user", "content": "hi"}, *one.output, result]})
    sent = scenario.requests[0].json
    assert sent["messages"] == [
        {"role": "user", "content": [{"text": "hi"}]},
        {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "let me think", "signature": "sig=="}}},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
            ],
        },
        {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "42"}]}}]},
    ]
    thinking = sent["additionalModelRequestFields"]["thinking"]
    assert thinking["budget_tokens"] < sent["inferenceConfig"]["maxTokens"]


def test_content_and_tools(gateway: Gateway) -> None:
    pdf = base64.b64encode(b"%PDF-1.4").decode()
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
        {"type": "input_file", "filename": "a_report.pdf", "file_data": f"data:application/pdf;base64,{pdf}"},
        {"type": "input_image", "image_url": "s3://bucket/a.jpg"},
    ]
    scenario = gateway.scenario(stream(TEXT))
    told = gateway.ask(
        {
            "model": MODEL,
            "input": [{"role": "user", "content": parts}, {"role": "developer", "content": "mid"}],
            "tools": [TOOL],
            "tool_choice": {"type": "function", "name": "f"},
            "temperature": 0.5,
            "max_output_tokens": 100,
            "presence_penalty": 1,
            "service_tier": "priority",
        }
    )
    assert told.status == 200
    assert told.headers["x-openresponses-ignored"] == "presence_penalty"
    sent = scenario.requests[0].json
    assert sent["messages"][0]["content"] == [
        {"text": "look"},
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        {"document": {"format": "pdf", "name": "a report", "source": {"bytes": pdf}}},
        {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.jpg"}}}},
        {"text": "<developer>\nmid\n</developer>"},
    ]
    assert sent["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 100}
    assert sent["serviceTier"] == {"type": "priority"}
    assert sent["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": TOOL["parameters"]}}}
        ],
        "toolChoice": {"tool": {"name": "f"}},
    }


def test_json_output_is_a_forced_tool(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    answer = (
        START
        + call(0, "final_answer")
        + delta(0, toolUse={"input": '{"a"'})
        + delta(0, toolUse={"input": ": 1}"})
        + stop(0)
        + end("tool_use")
    )  # fmt: skip
    scenario = gateway.scenario(stream(answer))
    form = {"type": "json_schema", "name": "out", "schema": schema}
    told = gateway.ask({"model": MODEL, "input": "hi", "text": {"format": form}}, stream=True)
    assert told.text == '{"a": 1}'
    assert scenario.requests[0].json["toolConfig"]["toolChoice"] == {"tool": {"name": "final_answer"}}


@pytest.mark.parametrize(
    ("reason", "status", "detail"),
    [
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("guardrail_intervened", "incomplete", "content_filter"),
        ("stop_sequence", "completed", None),
    ],
)
def test_how_it_ends(gateway: Gateway, reason: str, status: str, detail: str | None) -> None:
    gateway.scenario(stream(START + delta(0, text="x") + stop(0) + end(reason)))
    told = gateway.ask({"model": MODEL, "input": "hi"}, stream=True)
    assert told.response["status"] == status
    assert (told.response["incomplete_details"] or {}).get("reason") == detail


def exception(kind: str) -> bytes:
    return message(kind, {"message": "no"}, exception=True)


BEGUN = START + delta(0, text="x")
BROKEN = [
    (exception("throttlingException"), "rate_limit_exceeded"),
    (exception("modelStreamErrorException"), "provider_error"),
    (stop(0), "provider_unavailable"),
    (b"\x00\x00\x00\x20garbage-that-is-no-message", "provider_invalid_response"),
    (end("malformed_model_output"), "model_error"),
]


@pytest.mark.parametrize(("rest", "code"), BROKEN)
def test_a_stream_that_breaks(gateway: Gateway, rest: bytes, code: str) -> None:
    gateway.scenario(stream(BEGUN + rest))
    told = gateway.ask({"model": MODEL, "input": "hi"}, stream=True)
    assert (told.response["status"], told.response["error"]["code"]) == ("failed", code)


@pytest.mark.parametrize(
    ("status", "text", "ours", "code"),
    [
        (400, "Input is too long for requested model.", 400, "context_length_exceeded"),
        (400, "The provided model identifier is invalid.", 404, "model_not_found"),
        (400, "1 validation error detected", 400, "invalid_value"),
        (
            403,
            "User: arn:aws:iam::123456789012:user/x is not authorized",
            502,
            "provider_authentication_failed",
        ),
        (429, "Too many requests", 429, "rate_limit_exceeded"),
        (503, "Busy", 503, "server_is_overloaded"),
    ],
)
def test_refusals(gateway: Gateway, status: int, text: str, ours: int, code: str) -> None:
    gateway.scenario(Answer(json.dumps({"message": text}).encode(), status=status))
    told = gateway.ask({"model": MODEL, "input": "hi"})
    assert (told.status, told.error["code"]) == (ours, code)
    assert "123456789012" not in told.error["message"]


def test_an_unstreamed_answer(gateway: Gateway) -> None:
    content = [{"text": "Hello"}, {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}]
    body = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 2},
    }
    gateway.scenario(Answer(json.dumps(body).encode()))
    told = gateway.ask({"model": MODEL, "input": "hi", "tools": [TOOL]}, stream=True)
    assert (told.text, told.of("function_call")[0]["arguments"]) == ("Hello", '{"a":1}')


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_image", "image_url": "https://example.com/a.png"}, "input[0].content[0].image_url"),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, "input[0].content[0].file_url"),
        ({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}, "input[0].content[0]"),
    ],
)
def test_what_has_no_place_is_refused(gateway: Gateway, part: Json, param: str) -> None:
    told = gateway.ask({"model": MODEL, "input": [{"role": "user", "content": [part]}]})
    assert (told.status, told.error["param"]) == (400, param)


@pytest.mark.parametrize(
    ("model", "dialect", "path", "service"),
    [
        ("bedrock-chat/openai.gpt-oss-120b-1:0", "chat", "/openai/v1/chat/completions", "bedrock"),
        ("bedrock-responses/openai.gpt-oss-120b", "openai", "/v1/responses", "bedrock-mantle"),
    ],
)
def test_openais_forms_by_iam(gateway: Gateway, model: str, dialect: str, path: str, service: str) -> None:
    scenario = gateway.scenario(says(dialect, "Hello"))
    assert gateway.ask({"model": model, "input": "hi"}, stream=True).text == "Hello"
    assert scenario.requests[0].path == path
    assert f"/eu-central-1/{service}/aws4_request" in scenario.requests[0].headers["authorization"]


def test_without_a_region_it_says_so(provider: Provider, http: httpx.Client) -> None:
    server = Server(environment(provider.url)).start()
    try:
        told = Gateway(server.url, provider, http).ask({"model": MODEL, "input": "hi"})
        assert (told.status, told.error["code"]) == (500, "provider_not_configured")
        assert "AWS_REGION" in told.error["message"]
    finally:
        server.stop()
