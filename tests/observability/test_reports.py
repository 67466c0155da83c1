"""What an operator learns of a turn: reports, log lines, metrics, spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openresponses import logs, metrics, spans
from openresponses.telemetry import Trace, bounded
from prometheus_client.parser import text_string_to_metric_families

from ..support.gateway import Gateway
from ..support.mcp_server import McpServers
from ..support.provider import SSE, Answer, Provider
from ..support.speech import MODELS, USAGE, says
from .conftest import Watched

Json = dict[str, Any]

DOWN = Answer(b'{"error":{"message":"down"}}', status=503)
TENANT = {"authorization": "Bearer acme"}
TOOLS = [{"type": "function", "name": name} for name in ("add", "broken")]


def ask(gateway: Gateway, headers: dict[str, str] = TENANT, /, **body: Any) -> httpx.Response:
    return gateway.http.post(
        f"{gateway.base_url}/v1/responses", json={"input": "Hi", **body}, headers=headers
    )


def with_id(answer: Answer, header: str, value: str) -> Answer:
    return Answer(answer.body, answer.status, answer.content_type, {header: value})


@pytest.fixture(scope="module")
def servers() -> Iterator[McpServers]:
    started = McpServers().start()
    yield started
    started.stop()


# --------------------------------------------------------------------------- samples and tools

# dialect → the header that tells the provider's own id
ID_HEADERS = {
    "openai": "x-request-id",
    "anthropic": "request-id",
    "gemini": "x-goog-request-id",
    "ollama": "x-amzn-requestid",
    "chat": "cf-ray",
}


@pytest.mark.parametrize("dialect", MODELS)
def test_a_sample(gateway: Gateway, watched: Watched, dialect: str) -> None:
    gateway.scenario(with_id(says(dialect, "Hello"), ID_HEADERS[dialect], "prov-17"))
    assert ask(gateway, model=MODELS[dialect]).status_code == 200
    (report,) = watched.told.samples
    found = spans.attributes(spans.SAMPLE, report)
    provider, model = MODELS[dialect].split("/")
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.provider.name"] == {"gemini": "gcp.gemini"}.get(provider, provider)
    assert found["gen_ai.request.model"] == model
    assert found["gen_ai.response.finish_reasons"] == ["stop"]
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == USAGE
    assert found["server.address"] == "127.0.0.1" and str(found["server.port"]) in gateway.provider.url
    assert found["openresponses.provider_request_id"] == "prov-17"
    assert found["openresponses.attempts"] == 1 and "error.type" not in found
    assert 0 <= report.first_chunk <= report.duration < 5000  # type: ignore[operator]
    (turn,) = watched.told.turns
    assert turn.status == "completed" and turn.trace == report.trace


def cut(answer: Answer) -> Answer:
    return Answer(pieces=[answer.body[:400]], content_type=SSE, ending="abort")


FAILURES: list[tuple[str, list[Answer], str, int]] = [
    ("it is down, and again", [DOWN], "provider_unavailable|server_is_overloaded", 2),
    ("it breaks in mid-answer", [cut(says("chat", "Hello there, and more"))], "provider_unavailable", 1),
    ("it refuses the key", [Answer(b"{}", status=401)], "provider_authentication_failed", 2),
]


@pytest.mark.parametrize(
    ("answers", "code", "attempts"), [row[1:] for row in FAILURES], ids=[r[0] for r in FAILURES]
)
def test_a_sample_that_fails(
    gateway: Gateway, watched: Watched, answers: list[Answer], code: str, attempts: int
) -> None:
    gateway.scenario(*answers)
    assert ask(gateway, model="groq/m").status_code >= 500
    (report,) = watched.told.samples
    assert re.fullmatch(code, report.error or "") and report.attempts == attempts
    assert report.finish_reason is None
    gateway.scenario(says("chat", "Hello"))  # closes the circuit
    ask(gateway, model="groq/m")


def test_a_fallback_is_a_sample_of_its_own(gateway: Gateway, watched: Watched) -> None:
    gateway.scenario(DOWN, DOWN, says("anthropic", "Hello"))
    assert ask(gateway, model="with-a-spare").status_code == 200
    first, second = watched.told.samples
    assert (first.provider, bool(first.error)) == ("openai", True)
    assert (second.provider, second.error, second.finish_reason) == ("anthropic", None, "stop")
    told = [(metric, provider) for metric, provider, _ in watched.told.counts]
    assert told == [("Retries", "openai"), ("CircuitsOpened", "openai"), ("Fallbacks", "openai")]
    (turn,) = watched.told.turns
    assert (turn.provider, turn.cost) == ("anthropic", (USAGE[0] * 3 + USAGE[1] * 15) / 1e6)
    gateway.scenario(says("openai", "Hello"))


def test_a_loop_of_tools(gateway: Gateway, watched: Watched) -> None:
    calls = [("add", {"first": 1, "second": 2}), ("broken", {})]
    gateway.scenario(says("anthropic", "Let me see.", calls=calls), says("anthropic", "3"))
    asked = ask(gateway, model=MODELS["anthropic"], tools=TOOLS).json()
    call_ids = [item["call_id"] for item in asked["output"] if item["type"] == "function_call"]
    assert [sample.finish_reason for sample in watched.told.samples] == ["tool_calls", "stop"]
    tools = sorted(watched.told.tools, key=lambda report: report.name)
    assert [(tool.name, tool.call_id, tool.error) for tool in tools] == [
        ("add", call_ids[0], None),
        ("broken", call_ids[1], "RuntimeError"),
    ]
    found = spans.attributes(spans.TOOL, tools[1])
    assert found["gen_ai.operation.name"] == "execute_tool" and found["openresponses.tool.kind"] == "hosted"
    assert "canary" not in str(found)


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [("add", {"first": 1}, None), ("fails", {}, "tool_error"), ("add", [1], "-32602")],
)
def test_a_tool_of_an_mcp_server(
    gateway: Gateway, watched: Watched, servers: McpServers, name: str, arguments: Any, error: str | None
) -> None:
    """In the conventions' words for MCP."""
    url = f"{servers.url}/mcp"
    server = {"type": "mcp", "server_label": "math", "server_url": url, "require_approval": "never"}
    listed = {"name": name, "input_schema": {"type": "object"}, "description": None, "annotations": None}
    known = {
        "type": "mcp_list_tools",
        "id": "mcpl_1",
        "server_label": "math",
        "tools": [listed],
    }
    gateway.scenario(says("chat", calls=[(f"math__{name}", arguments)]), says("chat", "Well."))
    given = [known, {"role": "user", "content": "go"}]
    told = ask(gateway, model=MODELS["chat"], input=given, tools=[server]).json()
    assert told["status"] == "completed"
    [report] = watched.told.tools
    found = spans.attributes(spans.TOOL, report)
    assert found.get("error.type") == error
    assert (found["gen_ai.tool.name"], found["mcp.method.name"]) == (name, "tools/call")
    assert (found["server.address"], found["openresponses.mcp.server_label"]) == ("127.0.0.1", "math")


# --------------------------------------------------------------------------- one id through all lines


@pytest.mark.parametrize("background", [False, True])
def test_one_id_in_every_line(gateway: Gateway, watched: Watched, background: bool) -> None:
    failing = says("openai", calls=[("broken", {})])
    scenario = gateway.scenario(DOWN, failing, with_id(says("openai", "Done"), "x-request-id", "prov-18"))
    reply = ask(gateway, model=MODELS["openai"], tools=TOOLS, background=background)
    request_id, response_id = reply.headers["x-request-id"], reply.json()["id"]
    for _ in range(200):
        if watched.told.turns:
            break
        httpx.get(f"{gateway.base_url}/healthz", trust_env=False)
    lines = watched.lines()
    messages = [line["message"] for line in lines]
    assert {"turn ended", "sample ended", "tool ended"} <= set(messages)
    assert any("attempt 2" in message for message in messages)  # retried
    assert any(message.startswith("tool broken failed") for message in messages)
    assert {line.get("request_id") for line in lines} == {request_id}
    began = next(i for i, line in enumerate(lines) if "response_id" in line)
    assert {line.get("response_id") for line in lines[began:]} == {response_id}
    assert {line.get("tenant") for line in lines[began:]} == {"acme"}
    assert len({line["trace_id"] for line in lines[began:]}) == 1
    assert {request.headers["x-client-request-id"] for request in scenario.requests} == {request_id}
    assert lines[messages.index("sample ended")]["gen_ai.response.finish_reasons"] == ["tool_calls"]
    last = [line for line in lines if line["message"] == "sample ended"][-1]
    assert last["openresponses.provider_request_id"] == "prov-18"
    assert "canary" not in str(lines)


def test_only_who_takes_the_id_is_sent_it(gateway: Gateway) -> None:
    scenario = gateway.scenario(says("anthropic", "Hello"))
    reply = ask(gateway, model=MODELS["anthropic"])
    assert reply.headers["x-request-id"] not in str(scenario.requests[0].headers)


def test_text_lines(gateway: Gateway, watched: Watched) -> None:
    line = logs.TextLines().format(
        _record("sample ended", {"model": "a b\nc", "n": 3, "request_id": "req_1"})
    )
    assert line.endswith('openresponses.logs: sample ended model="a b\\nc" n=3 request_id=req_1')


def _record(message: str, extra: Json) -> Any:
    import logging

    return logging.getLogger("openresponses.logs").makeRecord(
        "openresponses.logs", 20, "", 0, message, (), None, extra=extra
    )


# --------------------------------------------------------------------------- traces

CLIENTS = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("traceparent", "continued", "sampled"),
    [
        (f"00-{CLIENTS[0]}-{CLIENTS[1]}-01", True, True),
        (f"00-{CLIENTS[0]}-{CLIENTS[1]}-00", True, False),
        (f"cc-{CLIENTS[0]}-{CLIENTS[1]}-01-what-comes-later", True, True),
        (f"00-{CLIENTS[0]}-{CLIENTS[1]}-01-more", False, True),
        (f"ff-{CLIENTS[0]}-{CLIENTS[1]}-01", False, True),
        (f"00-{'0' * 32}-{CLIENTS[1]}-01", False, True),
        (f"00-{CLIENTS[0].upper()}-{CLIENTS[1]}-01", False, True),
        ("nonsense\r\nx: y", False, True),
        (None, False, True),
    ],
)
def test_traceparent(traceparent: str | None, continued: bool, sampled: bool) -> None:
    trace = Trace.of(traceparent)
    assert ((trace.trace_id, trace.parent_id) == CLIENTS) is continued
    assert trace.sampled is sampled and trace.span_id not in CLIENTS
    assert Trace.of(trace.traceparent)[0::2] == (trace.trace_id, trace.span_id)


def test_spans_go_to_a_collector(
    gateway: Gateway, watched: Watched, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    calls: list[Any] = [("broken", {})]
    gateway.scenario(says("anthropic", calls=calls), says("anthropic", "3"))
    parent = {**TENANT, "traceparent": f"00-{CLIENTS[0]}-{CLIENTS[1]}-01"}
    ask(gateway, parent, model=MODELS["anthropic"], tools=TOOLS)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", provider.url)
    collector = provider.play(Answer(b"", content_type="application/x-protobuf"))
    from openresponses.otel import OtelTelemetry

    sender = OtelTelemetry()
    for sample in watched.told.samples:
        sender.sample_ended(sample)
    sender.tool_ended(watched.told.tools[0])
    sender.turn_ended(watched.told.turns[0])
    sender.close()
    assert {request.path for request in collector.requests} == {"/v1/traces"}
    sent = ExportTraceServiceRequest.FromString(collector.requests[0].body)
    (resource,) = sent.resource_spans
    found = {span.name: span for span in resource.scope_spans[0].spans}
    assert found.keys() == {"POST /v1/responses", "chat claude-test", "execute_tool broken"}
    turn = found.pop("POST /v1/responses")
    assert (turn.trace_id.hex(), turn.parent_span_id.hex()) == CLIENTS
    for span in found.values():
        assert span.parent_span_id == turn.span_id and span.trace_id == turn.trace_id
        assert turn.start_time_unix_nano - 2e6 <= span.start_time_unix_nano <= span.end_time_unix_nano
    tool = found["execute_tool broken"]
    assert {pair.key: pair.value.string_value for pair in tool.attributes}["error.type"] == "RuntimeError"
    assert tool.status.code == 2


# --------------------------------------------------------------------------- metrics


def scrape(gateway: Gateway, **headers: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    reply = gateway.http.get(f"{gateway.base_url}/metrics", headers={**TENANT, **headers})
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(reply.text)
        for sample in family.samples
    }


def test_the_page_of_metrics(gateway: Gateway, watched: Watched) -> None:
    before = scrape(gateway)
    gateway.scenario(says("anthropic", calls=[("broken", {})]), says("anthropic", "3"))
    ask(gateway, model=MODELS["anthropic"], tools=TOOLS)
    gateway.scenario(DOWN)
    ask(gateway, model="mistral/from-the-client")
    assert scrape(gateway)["openresponses_circuit_open", (("provider", "mistral"),)] == 1
    watched.fail_store = True
    gateway.scenario(says("chat", "Hello"))
    ask(gateway, model="vllm/test-model")
    watched.fail_store = False
    after = scrape(gateway)
    other = (("model", "other"), ("provider", "anthropic"))
    grown = {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key)}
    assert grown["openresponses_responses_total", other] == 1
    assert grown["openresponses_input_tokens_total", other] == 2 * USAGE[0]
    assert grown["openresponses_output_tokens_total", other] == 2 * USAGE[1]
    assert grown["openresponses_cost_dollars_total", other] == pytest.approx(2 * (11 * 3 + 7 * 15) / 1e6)
    assert grown["openresponses_duration_seconds_count", other] == 1
    assert 0 < grown["openresponses_duration_seconds_sum", other] < 5
    assert grown["openresponses_time_to_first_token_seconds_count", other] == 1
    assert grown["openresponses_tool_calls_total", (("kind", "hosted"),)] == 1
    assert grown["openresponses_tool_failures_total", (("kind", "hosted"),)] == 1
    mistral = (("model", "other"), ("provider", "mistral"))
    assert grown["openresponses_responses_failed_total", mistral] == 1
    assert grown["openresponses_retries_total", mistral] == 1
    assert grown["openresponses_circuits_opened_total", mistral] == 1
    assert not [key for key in after if key[0] == "openresponses_circuit_open"]  # closed by vllm's answer
    assert grown["openresponses_store_failures_total", (("model", "other"), ("provider", "vllm"))] == 1
    assert after["openresponses_in_flight", ()] == 0
    assert "acme" not in str(after) and "from-the-client" not in str(after)


def test_the_page_needs_a_key_where_requests_do(gateway: Gateway) -> None:
    assert gateway.http.get(f"{gateway.base_url}/metrics").status_code == 401


def test_a_gateway_without_metrics_has_no_page(server: Any, http: httpx.Client) -> None:
    assert http.get(f"{server.url}/metrics").status_code == 404


def test_the_table_of_metrics() -> None:
    assert len(metrics.BY_NAME) == len(metrics.METRICS) == len({row.prometheus for row in metrics.METRICS})
    assert metrics.EVENTS | set(metrics.BY_STATUS.values()) <= metrics.BY_NAME.keys()
    assert bounded("a", ("a", "b")) == "a" and bounded("c", ("a", "b")) == "other"
