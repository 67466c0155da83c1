"""The built function, as Lambda runs it: artifacts of `sam build` and nothing else on the path."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from scripts import stand_in
from tests.support import grammar, speech
from tests.support.deployment import Deployment, Lambda
from tests.support.gateway import KEY, environment
from tests.support.lambda_function import function_url_event, http_event, rest_event
from tests.support.provider import SSE, Answer, Provider, Received
from tests.support.runtime_api import Answer as LambdaAnswer

MODEL = speech.MODELS["anthropic"]
ACME = {"tenant": "acme"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def function(deployment: Deployment) -> AsyncIterator[Lambda]:
    """One function for all tests, and warm: what one of them breaks, the next one sees."""
    async with deployment.function() as started:
        await ask(started, {"model": "echo", "input": "Hi"})
        yield started


async def send(
    function: Lambda, body: Any, *, authorizer: dict[str, str] | None = ACME, seconds: float = 60
) -> LambdaAnswer:
    event = rest_event("POST", "/v1/responses", body, authorizer=authorizer)
    return await function.api.invoke(event, seconds=seconds)


async def ask(function: Lambda, body: Any, **options: Any) -> LambdaAnswer:
    return await (await send(function, body, **options)).done()


async def get(function: Lambda, path: str, authorizer: dict[str, str] | None = ACME) -> LambdaAnswer:
    return await (await function.api.invoke(rest_event("GET", path, authorizer=authorizer))).done()


def turn(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "input": text, **more}


def records(answer: Answer) -> list[bytes]:
    """A provider's SSE body, one event a piece."""
    return [record + b"\n\n" for record in answer.body.split(b"\n\n") if record]


class Timed:
    """Pieces that remember when they were sent, `pause` seconds after they were taken but for the first."""

    def __init__(self, pieces: list[bytes], pause: float) -> None:
        self.pieces = pieces
        self.pause = pause
        self.sent: list[float] = []

    def __iter__(self) -> Iterator[bytes]:
        for n, piece in enumerate(self.pieces):
            self.sent.append(time.monotonic() + (self.pause if n else 0))
            yield piece

    def answer(self) -> Answer:
        return Answer(pieces=self, pause=self.pause, content_type=SSE)


async def test_limits_of_a_key(function: Lambda, deployment: Deployment) -> None:
    """As the authorizer tells them; counted in the table, and settled."""
    limits = json.dumps({"tokens_per_day": 5, "concurrency": 1, "models": ["echo"]})
    keyed = {"tenant": "keyed", "key_id": "0123456789ab", "limits": limits}
    words = {"model": "echo", "input": "one two three four five six"}
    answers = [await ask(function, body, authorizer=keyed) for body in (turn(), words, words)]
    assert [answer.prelude["statusCode"] for answer in answers] == [404, 200, 429]
    rows = stand_in.client("dynamodb", deployment.endpoint).query(
        TableName=deployment.table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "T#keyed#U"}},
    )["Items"]
    day, leases = sorted(rows, key=lambda row: row["sk"]["S"])
    assert int(day["tokens"]["N"]) == json.loads(answers[1].body)["usage"]["total_tokens"]
    assert leases["leases"] == {"M": {}}


async def test_events_arrive_one_by_one(function: Lambda, provider: Provider) -> None:
    words = "one two three four five six"
    timed = Timed(records(speech.says("anthropic", words)), pause=0.15)
    provider.play(timed.answer())
    answer = await ask(function, turn(stream=True))

    assert answer.status == 200 and answer.trailer_error is None
    grammar.check_stream(grammar.parse(answer.body))
    arrived = [at for at, data in answer.pieces() if b"output_text.delta" in data]
    sent = timed.sent[2:]  # what is before is message_start and content_block_start
    assert len(arrived) == len(speech.pieces(words))
    lags = [there - here for there, here in zip(arrived, sent, strict=False)]
    assert statistics.median(lags) < 0.05
    assert all(there < following for there, following in zip(arrived, sent[1:], strict=False))


async def test_the_first_byte_does_not_wait_for_the_second_chunk(
    function: Lambda, provider: Provider
) -> None:
    timed = Timed(records(speech.says("anthropic", "Hello")), pause=0.4)
    provider.play(timed.answer())
    answer = await ask(function, turn(stream=True))
    first, _ = answer.pieces()[0]
    assert timed.sent[0] < first < timed.sent[1]


async def test_a_json_answer_and_its_history(function: Lambda, provider: Provider) -> None:
    scenario = provider.play(speech.says("anthropic", "Hello Alice"), speech.says("anthropic", "Alice"))
    first = (await ask(function, turn("My name is Alice."))).json
    assert first["status"] == "completed" and first["output"][0]["content"][0]["text"] == "Hello Alice"
    second = (await ask(function, turn("What is my name?", previous_response_id=first["id"]))).json
    assert second["status"] == "completed"
    assert [message["role"] for message in scenario.requests[1].json["messages"]] == [
        "user",
        "assistant",
        "user",
    ]
    stored = (await get(function, f"/v1/responses/{second['id']}")).json
    assert stored["previous_response_id"] == first["id"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "no-such-model", "input": "Hi"}, 404, "model_not_found"),
        ({"model": "echo"}, 400, "missing_required_parameter"),
        ("{", 400, "invalid_json"),
        ({"model": "echo", "input": "x" * 4_200_000}, 413, "request_too_large"),
        (
            {"model": "echo", "input": "Hi", "previous_response_id": "resp_0"},
            404,
            "previous_response_not_found",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_before_the_first_byte(
    function: Lambda, body: Any, status: int, code: str, stream: bool
) -> None:
    answer = await ask(function, {**body, "stream": stream} if isinstance(body, dict) else body)
    assert (answer.how, answer.status, answer.json["error"]["code"]) == ("response", status, code)


async def test_a_provider_error_before_the_first_byte(function: Lambda, provider: Provider) -> None:
    provider.play(
        Answer(b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}', status=529)
    )
    answer = await ask(function, turn(stream=True))
    assert answer.status == 503 and answer.json["error"]["code"] == "server_is_overloaded"


async def test_an_error_after_the_first_byte(function: Lambda, provider: Provider) -> None:
    pieces = records(speech.says("anthropic", "Hello there"))[:4]
    provider.play(Answer(pieces=pieces, content_type=SSE, ending="abort"))
    answer = await ask(function, turn(stream=True))
    assert answer.status == 200
    response = grammar.check_stream(grammar.parse(answer.body))
    assert response["status"] == "failed"
    assert answer.body.count(b"event: error\n") == 1


async def test_the_deadline_closes_what_is_open(function: Lambda, provider: Provider) -> None:
    pieces = records(speech.says("anthropic", "Hello there"))[:4]
    provider.play(Answer(pieces=pieces, content_type=SSE, ending="hang"))
    begun = time.monotonic()
    answer = await ask(function, turn(stream=True), seconds=11.5)
    assert 1 < time.monotonic() - begun < 3
    response = grammar.check_stream(grammar.parse(answer.body))
    assert response["status"] == "incomplete" and response["incomplete_details"] == {"reason": "time_limit"}
    assert response["output"][0]["status"] == "incomplete"
    stored = (await get(function, f"/v1/responses/{response['id']}")).json
    assert stored["status"] == "incomplete" and stored["output"][0]["content"][0]["text"] == "Hello ther"


async def silence(deployment: Deployment, provider: Provider, *, seconds: float, every: float) -> None:
    """Keep-alive comments while the provider says nothing for so long in mid-answer."""
    patience = str(seconds + 30)
    settings = {
        "OPENRESPONSES_KEEP_ALIVE_SECONDS": str(every),
        "OPENRESPONSES_IDLE_TIMEOUT": patience,
        "OPENRESPONSES_FIRST_BYTE_TIMEOUT": patience,
    }
    async with deployment.function(**settings) as function:
        head, block, *rest = records(speech.says("anthropic", "Hello"))
        provider.play(Answer(pieces=[head + block, b"".join(rest)], pause=seconds, content_type=SSE))
        answer = await (await send(function, turn(stream=True), seconds=seconds + 60)).done(seconds + 30)
        grammar.check_stream(grammar.parse(answer.body))
        pieces = answer.pieces()
        ends = next(at for at, data in pieces if b"output_text.delta" in data)
        begins = [at for at, data in pieces if data.startswith(b"event:") and at < ends][-1]
        comments = [at for at, data in pieces if data.startswith(b":") and begins < at < ends]
        assert ends - begins > seconds * 0.9
        assert abs(len(comments) - int((ends - begins) / every)) <= 1


async def test_keep_alive(deployment: Deployment, provider: Provider) -> None:
    await silence(deployment, provider, seconds=1.6, every=0.3)


@pytest.mark.slow
async def test_keep_alive_through_40_seconds(deployment: Deployment, provider: Provider) -> None:
    await silence(deployment, provider, seconds=40, every=15)


async def test_two_invocations_share_a_connection(function: Lambda, provider: Provider) -> None:
    scenario = provider.play(speech.says("anthropic", "Hello"))
    for _ in range(2):
        assert (await ask(function, turn(stream=True))).status == 200
        await asyncio.wait_for(function.api.waiting.wait(), 5)
    first, second = scenario.requests
    assert first.peer == second.peer


async def frozen(function: Lambda, provider: Provider, seconds: float) -> None:
    """Stale sockets: the provider closes the idle connection while the process stands still."""
    scenario = provider.play(speech.says("anthropic", "Hello"))
    assert (await ask(function, turn())).status == 200
    await asyncio.wait_for(function.api.waiting.wait(), 5)
    function.process.freeze()
    provider.hang_up()
    await asyncio.sleep(seconds)
    event = rest_event("POST", "/v1/responses", turn(stream=True), authorizer=ACME)
    answer = await function.api.invoke(event)
    await asyncio.sleep(0.2)
    function.process.thaw()
    await answer.done()
    assert answer.status == 200
    assert grammar.check_stream(grammar.parse(answer.body))["status"] == "completed"
    first, second = scenario.requests
    assert first.peer != second.peer


async def test_a_frozen_function_thaws(function: Lambda, provider: Provider) -> None:
    await frozen(function, provider, 1)


@pytest.mark.slow
async def test_a_function_frozen_for_70_seconds_thaws(function: Lambda, provider: Provider) -> None:
    await frozen(function, provider, 70)


async def test_a_stream_of_20_mb(function: Lambda, provider: Provider) -> None:
    """The text stands in a stream five times: as deltas, and whole in four later events."""
    text = "x" * 40_000
    start, block, *_ = records(speech.says("anthropic", "Hello"))
    end = records(speech.says("anthropic", "Hello"))[-3:]
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    provider.play(Answer(pieces=[start, block, *[speech.named(delta)] * 100, *end], content_type=SSE))
    answer = await (await send(function, turn(stream=True, store=False))).done(60)
    events = grammar.parse(answer.body)
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert sum(map(len, deltas)) == 4_000_000 and len(answer.body) > 20_000_000
    assert events[-1]["type"] == "response.completed"
    assert function.process.rss_mb < 200


async def test_tenants_are_the_authorizers_and_apart(function: Lambda) -> None:
    made = (await ask(function, {"model": "echo", "input": "Hi"})).json["id"]
    assert (await get(function, f"/v1/responses/{made}")).status == 200
    other = await get(function, f"/v1/responses/{made}", {"tenant": "other"})
    unknown = await get(function, "/v1/responses/resp_" + "0" * 32, {"tenant": "other"})
    assert other.status == unknown.status == 404
    assert other.json["error"]["code"] == unknown.json["error"]["code"]


SPOOFS = {
    "X-Tenant": "acme",
    "Tenant": "acme",
    "openresponses.tenant": "acme",
    "X-Openresponses-Tenant": "acme",
    "X-Amzn-Request-Context": '{"authorizer":{"tenant":"acme"}}',
}


@pytest.mark.parametrize("make", [rest_event, http_event, function_url_event], ids=["rest", "http", "url"])
async def test_without_our_authorizer_the_key_is_checked(
    deployment: Deployment, function: Lambda, make: Any
) -> None:
    key = deployment.keys.create("acme")
    body = {"model": "echo", "input": "Hi"}

    async def status(headers: dict[str, str]) -> tuple[int, Any]:
        answer = await (await function.api.invoke(make("POST", "/v1/responses", body, headers))).done()
        return answer.status, answer.json

    refused, told = await status(SPOOFS)
    assert refused == 401 and told["error"]["code"] == "invalid_api_key"
    assert (await status({"Authorization": "Bearer wrong"}))[0] == 401
    accepted, made = await status({"Authorization": f"Bearer {key}"})
    assert accepted == 200
    assert (await get(function, f"/v1/responses/{made['id']}")).status == 200
    expired = deployment.keys.create("acme", expires_at=int(time.time()) - 1)
    assert (await status({"Authorization": f"Bearer {expired}"}))[0] == 401


@pytest.mark.parametrize("make", [rest_event, function_url_event], ids=["authorizer", "own check"])
async def test_the_limits_of_a_key_say_what_is_kept(
    deployment: Deployment, function: Lambda, make: Any
) -> None:
    """They come from the authorizer, or with the key that is checked here."""
    table = stand_in.client("dynamodb", deployment.endpoint)

    async def made_with(**limits: Any) -> tuple[Any, dict[str, Any] | None]:
        body = {"model": "echo", "input": "Hi"}
        if make is rest_event:
            told = {"tenant": "acme", "limits": json.dumps(limits)}
            event = make("POST", "/v1/responses", body, authorizer=told)
        else:
            key = deployment.keys.create("acme", limits=limits)
            event = make("POST", "/v1/responses", body, {"Authorization": f"Bearer {key}"})
        response = (await (await function.api.invoke(event)).done()).json
        place = {"pk": {"S": f"T#acme#R#{response['id']}"}, "sk": {"S": "head"}}
        return response, table.get_item(TableName=deployment.table, Key=place).get("Item")

    response, row = await made_with(retention_days=2)
    assert row and int(row["expires_at"]["N"]) - response["created_at"] == 2 * 86400
    response, row = await made_with(zero_retention=True)
    assert row is None and response["store"] is False


async def test_a_spoofed_tenant_changes_nothing(function: Lambda) -> None:
    made = (await ask(function, {"model": "echo", "input": "Hi"})).json["id"]
    event = rest_event("GET", f"/v1/responses/{made}", headers=SPOOFS, authorizer={"tenant": "other"})
    assert (await (await function.api.invoke(event)).done()).status == 404


async def test_a_new_key_is_fetched_when_the_old_one_is_refused(
    deployment: Deployment, function: Lambda, provider: Provider
) -> None:
    valid = KEY

    def check(request: Received) -> Answer:
        if request.headers["x-api-key"] == valid:
            return speech.says("anthropic", "Hello")
        return Answer(b'{"type":"error","error":{"type":"authentication_error","message":"no"}}', status=401)

    scenario = provider.play(check)
    assert (await ask(function, turn())).status == 200
    valid = "the-new-key-of-the-scripted-provider"
    settings = environment(provider.url)
    try:
        deployment.set_secret({**settings, "ANTHROPIC_API_KEY": valid})
        assert (await ask(function, turn())).status == 200
        assert [request.headers["x-api-key"] for request in scenario.requests] == [KEY, KEY, valid]
        assert (await ask(function, turn())).status == 200
        assert len(scenario.requests) == 4
    finally:
        deployment.set_secret(settings)


async def test_nothing_of_a_conversation_or_a_key_is_logged(function: Lambda, provider: Provider) -> None:
    provider.play(Answer(b'{"type":"error","error":{"type":"x","message":"canary-answer"}}', status=500))
    event = rest_event(
        "POST", "/v1/responses", turn("canary-input"), {"Authorization": "Bearer canary-key"}, authorizer=ACME
    )
    await (await function.api.invoke(event)).done()
    provider.play(speech.says("anthropic", "canary-output"))
    await ask(function, turn("canary-input", instructions="canary-instructions", stream=True))
    assert "canary" not in function.process.log and KEY not in function.process.log


async def test_health_needs_no_key(function: Lambda) -> None:
    assert (await get(function, "/healthz", None)).json == {"status": "ok"}


async def test_the_playground_is_a_function_of_its_own(function: Lambda, deployment: Deployment) -> None:
    """The responses function has none; the other one serves the page and its files, and knows no route of the API."""
    for path in ("/", "/assets/main.js", "/playground/explain"):
        assert (await get(function, path)).status == 404
    async with deployment.function("PlaygroundFunction") as page:
        answer = await get(page, "/", None)
        assert answer.status == 200 and b"<title>OpenResponses playground</title>" in answer.body
        assert "frame-ancestors 'none'" in answer.prelude["headers"]["content-security-policy"]
        style = await get(page, "/assets/style.css", None)
        assert style.prelude["headers"]["content-type"].startswith("text/css")
        assert {(await get(page, path, None)).status for path in ("/v1/models", "/assets/app.py")} == {404}


async def test_cors_by_parameter(deployment: Deployment) -> None:
    async with deployment.function(CORS_ORIGINS="https://a.example, https://b.example") as function:
        for origin, allowed in (("https://b.example", "https://b.example"), ("https://c.example", None)):
            event = rest_event(
                "POST", "/v1/responses", {"model": "echo", "input": "Hi"}, {"Origin": origin}, authorizer=ACME
            )
            answer = await (await function.api.invoke(event)).done()
            assert answer.status == 200
            assert answer.prelude["headers"].get("access-control-allow-origin") == allowed


async def test_a_compaction_is_read_by_every_process_of_its_tenant_alone(
    deployment: Deployment, function: Lambda
) -> None:
    body = {"model": "echo", "input": "The launch is on Tuesday."}
    event = rest_event("POST", "/v1/responses/compact", body, authorizer=ACME)
    compacted = (await (await function.api.invoke(event)).done()).json["output"]
    assert [item["type"] for item in compacted] == ["message", "compaction"]
    going_on = {"model": "echo", "input": [*compacted, {"role": "user", "content": "And now?"}]}
    async with deployment.function() as another:
        answer = await ask(another, going_on)
        assert answer.status == 200 and "Tuesday" in answer.body.decode()
        foreign = await ask(another, going_on, authorizer={"tenant": "other"})
    assert foreign.status == 400
    assert foreign.json["error"]["param"] == "input[1].encrypted_content"


async def test_size_and_memory(deployment: Deployment, provider: Provider) -> None:
    """Of a function that has served stored turns, and nothing out of the ordinary."""
    provider.play(speech.says("anthropic", "Hello"))
    async with deployment.function() as function:
        for _ in range(5):
            assert (await ask(function, turn())).status == 200
        megabytes = function.process.rss_mb
    folders = (deployment.opt, deployment.artifacts / "ResponsesFunction")
    size = sum(f.stat().st_size for folder in folders for f in folder.rglob("*") if f.is_file())
    assert size <= 60e6
    print(f"{size / 1e6:.0f} MB unzipped, {megabytes:.0f} MB resident")
    assert megabytes <= 110


async def test_events_are_json(function: Lambda) -> None:
    """Warm-ups and other events without a request."""
    answer = await (await function.api.invoke({"warmup": True})).done()
    assert answer.status == 400 and json.loads(answer.body)["error"]
