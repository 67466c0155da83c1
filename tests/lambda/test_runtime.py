"""The streaming runtime against a Runtime API of our own, in a process of its own, with small ASGI apps."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lambda_function import Function, function_url_event, http_event, rest_event, running
from tests.support.runtime_api import Answer, RuntimeApi

APPS = Path(__file__).parent / "apps"


class Lambda:
    """A function and its Runtime API."""

    def __init__(self, api: RuntimeApi, function: Function) -> None:
        self.api = api
        self.function = function

    async def get(self, path: str, **options: Any) -> Answer:
        return await (await self.api.invoke(rest_event("GET", path), **options)).done()

    async def still_serves(self) -> dict[str, Any]:
        told: dict[str, Any] = (await self.get("/scope")).json
        return told


@pytest.fixture
async def function(opt: Path) -> AsyncIterator[Lambda]:
    async with RuntimeApi() as api, running(api, opt=opt, task_root=APPS) as process:
        yield Lambda(api, process)


async def test_a_rest_request_is_read_and_answered_with_a_prelude(function: Lambda) -> None:
    event = rest_event("POST", "/scope?a=1&a=2", {"model": "echo"}, {"X-Tenant": "spoofed"})
    answer = await (await function.api.invoke(event, seconds=30, trace="Root=1-2-3;Sampled=1")).done()

    assert answer.headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert answer.prelude["statusCode"] == 201
    assert answer.prelude["headers"] == {"content-type": "application/json"}
    assert answer.prelude["multiValueHeaders"] == {"set-cookie": ["a=1", "b=2"]}
    told = answer.json
    assert (told["method"], told["path"], told["query"]) == ("POST", "/scope", "a=1&a=2")
    assert json.loads(told["body"]) == {"model": "echo"}
    assert told["headers"]["x-tenant"] == "spoofed" and told["tenant"] is None
    assert 28 < told["left"] < 30 and 28_000 < told["left_ms"] < 30_000
    assert told["request_id"] == answer.id and told["memory"] == 512
    assert told["trace"] == "Root=1-2-3;Sampled=1"
    assert told["state"] == {"pool": "pool-1"}


@pytest.mark.parametrize(
    ("authorizer", "tenant", "key_id", "limits"),
    [
        (
            {"tenant": "acme", "key_id": "0123456789ab", "limits": '{"rpm":5}'},
            "acme",
            "0123456789ab",
            {"rpm": 5},
        ),
        ({"tenant": "acme"}, "acme", None, {}),
        ({}, None, None, {}),
        (None, None, None, {}),
    ],
)
async def test_the_tenant_is_the_authorizers(
    function: Lambda,
    authorizer: dict[str, str] | None,
    tenant: str | None,
    key_id: str | None,
    limits: dict[str, int],
) -> None:
    spoof = {
        "openresponses.tenant": "evil",
        "openresponses.key_id": "evil",
        "X-Openresponses-Tenant": "evil",
        "tenant": "evil",
    }
    event = rest_event("GET", "/scope", headers=spoof, authorizer=authorizer)
    told = (await (await function.api.invoke(event)).done()).json
    assert (told["tenant"], told["key_id"], told["limits"]) == (tenant, key_id, limits)


async def test_a_function_url_streams_with_cookies_and_has_no_tenant(function: Lambda) -> None:
    event = function_url_event("POST", "/scope?a=1", b"\xc3\xa9")
    event["requestContext"]["authorizer"] = {"tenant": "evil", "iam": {"accountId": "1"}}
    answer = await (await function.api.invoke(event)).done()
    assert answer.streamed
    assert answer.prelude["cookies"] == ["a=1", "b=2"]
    assert answer.json["body"] == "é" and answer.json["query"] == "a=1" and answer.json["tenant"] is None


async def test_an_http_api_is_answered_whole(function: Lambda) -> None:
    event = http_event("POST", "/scope", {"a": 1})
    event["requestContext"]["authorizer"] = {"lambda": {"tenant": "evil"}}
    answer = await (await function.api.invoke(event)).done()
    assert not answer.streamed and answer.status == 201
    assert json.loads(answer.raw)["cookies"] == ["a=1", "b=2"]
    assert answer.json["tenant"] is None and answer.json["state"] == {"pool": "pool-1"}
    assert answer.json["left"] > 50

    stream = await (await function.api.invoke(http_event("GET", "/ticks"))).done()
    assert stream.body.count(b"data: ") == 5


async def test_sam_local_is_answered_whole(opt: Path) -> None:
    async with (
        RuntimeApi() as api,
        running(api, opt=opt, task_root=APPS, env={"AWS_SAM_LOCAL": "true"}) as process,
    ):
        local = Lambda(api, process)
        event = rest_event("GET", "/scope", authorizer={"tenant": "acme"})
        answer = await (await api.invoke(event)).done()
        assert not answer.streamed and answer.status == 201 and answer.json["tenant"] == "acme"
        assert (await local.get("/ticks")).body.count(b"data: ") == 5
        failed = await local.get("/fail-before")
        assert failed.how == "error" and "canary" not in failed.raw.decode() + process.log
        assert (await local.still_serves())["loop"] == answer.json["loop"]


async def test_a_direct_invoke_is_answered_whole(function: Lambda) -> None:
    event = rest_event("GET", "/scope", authorizer={"tenant": "evil"})
    del event["requestContext"]["apiId"]
    answer = await (await function.api.invoke(event)).done()
    assert not answer.streamed and answer.status == 201 and answer.json["tenant"] is None


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "warm",
        7,
        {},
        {"warmup": True},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"requestContext": None, "resource": "/"},
        {"requestContext": {"apiId": "x"}, "resource": "/"},
        {"requestContext": {"connectionId": "c", "routeKey": "$connect", "apiId": "x"}},
        {"version": "2.0", "requestContext": {"http": {}}, "headers": None},
        {**rest_event("POST", "/scope"), "body": "abcde", "isBase64Encoded": True},
    ],
    ids=lambda event: json.dumps(event)[:40],
)
async def test_an_unknown_event_gets_a_clear_answer(function: Lambda, event: Any) -> None:
    answer = await (await function.api.invoke(event)).done()
    assert answer.how == "response" and answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request"
    assert await function.still_serves()


async def test_chunks_arrive_as_they_are_sent(function: Lambda) -> None:
    await function.still_serves()
    answer = await function.get("/ticks")
    pieces = answer.pieces()
    assert [json.loads(data[6:])["n"] for _, data in pieces] == [0, 1, 2, 3, 4]
    lags = [arrived - json.loads(data[6:])["at"] for arrived, data in pieces]
    assert sorted(lags)[2] < 0.05
    assert answer.trailers == {}


async def test_overhead_of_a_small_invocation(function: Lambda) -> None:
    await function.still_serves()
    times = []
    for _ in range(30):
        begun = time.perf_counter()
        await function.get("/one")
        times.append(time.perf_counter() - begun)
    assert sorted(times)[15] < 0.02


async def test_a_failure_before_the_first_byte_is_an_error(function: Lambda) -> None:
    answer = await function.get("/fail-before")
    assert answer.how == "error"
    assert answer.headers["lambda-runtime-function-error-type"] == "Function.ValueError"
    report = json.loads(answer.raw)
    assert report["errorType"] == "ValueError" and "fail_before" in report["stackTrace"][-1]
    assert await function.still_serves()
    assert "canary" not in answer.raw.decode() + function.function.log
    assert "The invocation failed." in function.function.log


async def test_a_failure_after_it_is_told_in_band_and_in_the_trailers(function: Lambda) -> None:
    answer = await function.get("/fail-after")
    assert answer.how == "response" and answer.status == 200
    assert answer.body.startswith(b"data: 1\n\ndata: 2\n\nevent: error\ndata: ")
    event = json.loads(answer.body.rpartition(b"data: ")[2])
    assert (
        event["type"] == "error"
        and event["error"]["type"] == "server_error"
        and event["sequence_number"] == 2
    )
    assert answer.trailer_error and answer.trailer_error[0] == "Function.ValueError"
    assert answer.trailer_error[1]["errorType"] == "ValueError"
    assert await function.still_serves()
    assert "canary" not in answer.raw.decode() + json.dumps(answer.trailer_error) + function.function.log


async def test_nothing_is_added_to_other_bodies(function: Lambda) -> None:
    answer = await function.get("/fail-after-json")
    assert answer.body == b'{"half":'
    assert answer.trailer_error and answer.trailer_error[0] == "Function.ValueError"


async def test_an_unfinished_answer_is_a_failure(function: Lambda) -> None:
    answer = await function.get("/unfinished")
    assert answer.trailer_error and answer.trailer_error[0] == "Function.IncompleteResponse"


async def test_an_app_that_ignores_the_deadline_is_cut_off_before_it(function: Lambda) -> None:
    await function.still_serves()
    begun = time.monotonic()
    answer = await function.get("/hang", seconds=2)
    assert 0.8 < time.monotonic() - begun < 1.8
    assert b"event: error" in answer.body
    assert answer.trailer_error and answer.trailer_error[0] == "Function.TimeoutError"
    assert await function.still_serves()


async def test_no_disconnect_before_the_response_is_done(function: Lambda) -> None:
    answer = await function.get("/disconnect")
    assert [data for _, data in answer.pieces()] == [b'["http.request"]', b'["http.request"]']
    assert (await function.still_serves())["leftovers"] == ["http.request http.disconnect"]


async def test_work_after_the_last_byte_is_done_before_the_next_invocation(function: Lambda) -> None:
    await function.still_serves()
    answer = await function.api.invoke(rest_event("GET", "/leftover"))
    await answer.done()
    assert not function.api.waiting.is_set()
    await asyncio.wait_for(function.api.waiting.wait(), 5)
    function.function.freeze()
    function.function.thaw()
    assert (await function.still_serves())["leftovers"] == ["written"]
    assert '"errorType": "ValueError"' in function.function.log and "canary" not in function.function.log


async def test_endless_work_is_cut_off_at_the_deadline(function: Lambda) -> None:
    await function.still_serves()
    begun = time.monotonic()
    await function.get("/endless", seconds=2)
    assert await function.still_serves()
    assert time.monotonic() - begun < 2
    assert "cut off at the deadline" in function.function.log


async def test_one_loop_and_one_start_for_all_invocations(function: Lambda) -> None:
    first, second = await function.still_serves(), await function.still_serves()
    assert first["loop"] == second["loop"] and first["pid"] == second["pid"]
    assert second["state"] == {"pool": "pool-1"} and second["trace"] is None


async def test_a_slow_reader_slows_the_writer_and_stops_nothing_else(function: Lambda) -> None:
    await function.still_serves()
    before = function.function.rss_mb
    answer = await function.api.invoke(rest_event("GET", "/big"), read_delay=0.006)
    peak = before
    while not answer.finished:
        await asyncio.sleep(0.05)
        peak = max(peak, function.function.rss_mb)
    told = json.loads(answer.body[20 * 2**20 :])
    assert len(answer.body) > 20 * 2**20
    assert told["seconds"] > 0.8 and told["beats"] > 40 * told["seconds"]
    assert peak - before < 8


async def test_an_answer_without_a_body(function: Lambda) -> None:
    answer = await function.get("/empty")
    assert answer.status == 204 and answer.body == b""


async def test_lambda_cutting_the_stream_ends_the_invocation_only(function: Lambda) -> None:
    """An answer for an invocation that Lambda has given up is refused."""
    await function.still_serves()
    answer = await function.api.invoke(rest_event("GET", "/ticks"))
    answer.invocation_id = "another"
    await asyncio.wait_for(function.api.waiting.wait(), 5)
    assert await function.still_serves()
    assert not answer.how


async def test_a_connection_that_went_stale_is_replaced(function: Lambda) -> None:
    await function.still_serves()
    await asyncio.wait_for(function.api.waiting.wait(), 5)
    await function.api.drop_connections()
    assert await function.still_serves()


@pytest.mark.parametrize(
    ("handler", "env", "kind", "message"),
    [
        ("missing.app", {}, "Init.ModuleNotFoundError", "No module named 'missing'"),
        ("app.missing", {}, "Init.AttributeError", "module 'app' has no attribute 'missing'"),
        ("app.app", {"FAIL_STARTUP": "1"}, "Init.LifespanFailure", "no database"),
    ],
)
async def test_a_function_that_cannot_start_says_so(
    opt: Path, handler: str, env: dict[str, str], kind: str, message: str
) -> None:
    async with (
        RuntimeApi() as api,
        running(api, opt=opt, task_root=APPS, handler=handler, env=env) as function,
    ):
        told = await asyncio.wait_for(api.init_error, 10)
        assert told[0] == kind and message in told[1]["errorMessage"]
        assert await asyncio.wait_for(function.process.wait(), 5) == 1


async def test_the_app_is_shut_down_when_lambda_asks(opt: Path) -> None:
    async with RuntimeApi() as api, running(api, opt=opt, task_root=APPS) as function:
        await asyncio.wait_for(api.waiting.wait(), 10)
        function.process.terminate()
        assert await asyncio.wait_for(function.process.wait(), 5) == 0
        assert "shut down" in function.log
