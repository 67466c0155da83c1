"""`background: true` over HTTP: queued, polled, streamed, resumed, cancelled."""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

import httpx
import pytest
from openresponses.store.base import StoreUnavailable

from ..support import grammar, schema
from ..support.client import checked_error
from ..support.gateway import Gateway, Server
from ..support.provider import SSE, Answer
from ..support.speech import MODELS, USAGE, pieces, says
from .asking import ENDED, cancel, create, follow, poll

Json = dict[str, Any]


# --------------------------------------------------------------------------- polling


def test_it_is_queued_at_once_and_completed_later(gateway: Gateway) -> None:
    scenario = gateway.scenario(Answer(says("anthropic", "Hello there").body, content_type=SSE, delay=1.5))
    before = time.monotonic()
    queued = create(gateway, model=MODELS["anthropic"], input="hi", metadata={"a": "b"})
    assert time.monotonic() - before < 1.4
    assert queued["status"] == "queued" and queued["background"] is True and queued["output"] == []
    schema.check_response(queued)
    seen = []
    response = poll(gateway, queued["id"], lambda found: seen.append(found["status"]))
    assert seen[-1] == "completed" and set(seen) <= {"queued", "in_progress", "completed"}
    assert seen == sorted(seen, key=["queued", "in_progress", "completed"].index)
    grammar.check_end(response)
    assert response["output"][0]["content"][0]["text"] == "Hello there"
    assert response["usage"]["total_tokens"] == sum(USAGE)
    assert response["created_at"] == queued["created_at"] and response["metadata"] == {"a": "b"}
    assert len(scenario.requests) == 1


def test_it_can_be_continued_and_lists_its_input(gateway: Gateway) -> None:
    first = create(gateway, model="echo", input="I am Ada.")
    items = gateway.get(f"/responses/{first['id']}/input_items").json()["data"]
    assert [item["content"][0]["text"] for item in items] == ["I am Ada."]
    poll(gateway, first["id"])
    second = create(gateway, model="echo", input="Who am I?", previous_response_id=first["id"])
    assert poll(gateway, second["id"])["status"] == "completed"
    told = gateway.ask({"model": "echo", "input": "And now?", "previous_response_id": second["id"]})
    assert told.status == 200


def test_what_is_not_finished_cannot_be_continued(gateway: Gateway) -> None:
    first = create(gateway, model="echo", input="/slow 10\none two")
    told = gateway.ask({"model": "echo", "input": "x", "previous_response_id": first["id"]})
    assert (told.status, told.error["code"]) == (404, "previous_response_not_found")
    cancel(gateway, first["id"])


def test_what_is_wrong_with_the_request_is_told_at_once(gateway: Gateway) -> None:
    wrong: list[tuple[Json, int, str | None]] = [
        ({"model": "nowhere/x", "input": "hi"}, 404, "model"),
        ({"model": "echo", "input": "hi", "store": False}, 400, "background"),
        ({"model": "echo", "input": "hi", "temperature": 3}, 400, "temperature"),
        ({"model": "echo", "input": "x", "previous_response_id": "resp_" + "0" * 32}, 404, "previous_response_id"),
        ({"model": "echo", "input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, 400,
         "input[0].call_id"),
    ]  # fmt: skip
    for body, status, param in wrong:
        for stream in (False, True):
            told = gateway.ask({**body, "background": True}, stream=stream)
            assert (told.status, told.error["param"]) == (status, param), body


@pytest.mark.parametrize("dialect", MODELS)
def test_a_provider_that_fails_is_a_failed_response(gateway: Gateway, dialect: str) -> None:
    gateway.scenario(Answer(b'{"error":{"message":"no","type":"x"}}', status=400))
    response = poll(gateway, create(gateway, model=MODELS[dialect], input="hi")["id"])
    assert response["status"] == "failed" and response["error"]["code"]
    grammar.check_end(response)
    events = follow(gateway, response["id"])
    assert grammar.check_stream(events) == response


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_request_again_is_not_made_again(gateway: Gateway, stream: bool) -> None:
    scenario = gateway.scenario(Answer(says("chat", "Once.").body, content_type=SSE, delay=0.3))
    body = {"model": MODELS["chat"], "input": "hi", "background": True, "stream": stream}
    headers = {"idempotency-key": f"key-{stream}"}

    def ask() -> httpx.Response:
        url = f"{gateway.base_url}/v1/responses"
        while (reply := gateway.http.post(url, json=body, headers=headers)).status_code == 409:
            time.sleep(0.02)  # a stream's key stands just after its last byte
        return reply

    first, again = ask(), ask()
    assert (
        "x-openresponses-replayed" not in first.headers
        and again.headers["x-openresponses-replayed"] == "true"
    )
    if stream:
        assert grammar.parse(again.content) == grammar.parse(first.content)
    else:
        response = poll(gateway, first.json()["id"])
        assert again.json()["id"] == response["id"] and ask().json() == response
    assert len(scenario.requests) == 1


# --------------------------------------------------------------------------- streams


def test_its_stream_is_that_of_a_foreground_turn(gateway: Gateway) -> None:
    for dialect in MODELS:
        said = {"calls": [("get_time", {"zone": "UTC"})], "reasoning": "Let me think."}
        body = {"model": MODELS[dialect], "input": "hi", "tools": [TOOL], "reasoning": {"effort": "low"}}
        gateway.scenario(says(dialect, "One moment. " * 20, **said))  # type: ignore[arg-type]
        plain = gateway.ask(body, stream=True)
        told = gateway.ask({**body, "background": True}, stream=True)
        assert [event["type"] for event in told.events] == [event["type"] for event in plain.events]
        assert told.text == plain.text and told.response["background"] is True
        assert gateway.get(f"/responses/{told.response['id']}").json() == told.response
        assert told.headers["x-openresponses-route"] == plain.headers["x-openresponses-route"]


TOOL: Json = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
}


def test_encrypted_reasoning_is_streamed_to_who_asked_for_it(gateway: Gateway) -> None:
    gateway.scenario(says("anthropic", "Hello", reasoning="let me think"))
    include = ["reasoning.encrypted_content"]
    body = {"model": MODELS["anthropic"], "input": "hi", "background": True}
    told = gateway.ask({**body, "include": include}, stream=True)
    assert told.response["output"][0]["encrypted_content"]
    assert "encrypted_content" not in str(gateway.ask(body, stream=True).events)


def test_events_are_seen_as_they_are_made(gateway: Gateway) -> None:
    chunks = says("chat", "word " * 8).body.split(b"\n\n")
    pause = 0.2
    parts = [chunk + b"\n\n" for chunk in chunks if chunk]
    gateway.scenario(Answer(pieces=parts, pause=pause, content_type=SSE))
    queued = create(gateway, model=MODELS["chat"], input="hi")
    before = time.monotonic()
    arrived = []
    with stream(gateway, queued["id"]) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {") and json.loads(line[6:])["type"] == "response.output_text.delta":
                arrived.append(time.monotonic() - before)
    assert len(arrived) == len(pieces("word " * 8))
    for number, seconds in enumerate(arrived):
        assert seconds < (number + 1) * (pause + 0.03) + 0.6, (
            arrived
        )  # a poll and a batch late, on a busy machine


def test_a_resumed_stream_goes_on_where_it_was_cut(gateway: Gateway) -> None:
    """Every cut of a long stream, live and afterwards: before + after are the uncut one."""
    queued = create(gateway, model="echo", input="/long 1500")
    live = follow(gateway, queued["id"])
    response = grammar.check_stream(live)
    assert response["status"] == "completed" and len(live) > 1500
    places = [*random.Random(5).sample(range(len(live)), 48), 0, len(live) - 2]
    for place in places:
        assert follow(gateway, queued["id"], place) == live[place + 1 :]
    assert follow(gateway, queued["id"], len(live) - 1) == []
    assert follow(gateway, queued["id"], len(live) + 5000) == []


def test_readers_that_come_and_go_while_it_runs(gateway: Gateway) -> None:
    """50 cuts of the live stream: each reader leaves after some events and comes back."""
    queued = create(gateway, model="echo", input="/slow 0.005\n/long 300")
    whole: list[list[Json]] = []
    chance = random.Random(7)

    def read(cuts: list[int]) -> None:
        seen: list[Json] = []
        for cut in cuts:
            seen += follow(gateway, queued["id"], len(seen) - 1, leave_after=cut)
        whole.append(seen + follow(gateway, queued["id"], len(seen) - 1))

    readers = [
        threading.Thread(target=read, args=([chance.randint(1, 40) for _ in range(5)],)) for _ in range(10)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    final = follow(gateway, queued["id"])
    grammar.check_stream(final)
    assert len(whole) == 10 and all(seen == final for seen in whole)


def test_it_goes_on_when_its_client_leaves(gateway: Gateway) -> None:
    body = {"model": "echo", "input": "/slow 0.02\n/long 30", "background": True, "stream": True}
    with gateway.http.stream("POST", f"{gateway.base_url}/v1/responses", json=body) as reply:
        first = next(line for line in reply.iter_lines() if line.startswith("data: "))
    response_id = json.loads(first[6:])["response"]["id"]
    assert poll(gateway, response_id)["status"] == "completed"
    assert len(follow(gateway, response_id)) > 30


def test_a_store_that_fails_in_mid_stream_leaves_a_place_to_resume_at(
    gateway: Gateway, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: Any) -> list[Any]:
        raise StoreUnavailable("down for the test")

    queued = create(gateway, model="echo", input="/slow 0.05\n/long 40")
    with monkeypatch.context() as broken:
        threading.Timer(0.4, lambda: broken.setattr(server.store.jobs, "events", fails)).start()
        *seen, error = follow(gateway, queued["id"])
        reply = gateway.get(f"/responses/{queued['id']}?stream=true")
        assert (reply.status_code, checked_error(reply)["code"]) == (503, "server_is_overloaded")
    assert error["type"] == "error" and error["error"]["code"] == "server_is_overloaded"
    assert error["sequence_number"] == seen[-1]["sequence_number"]
    rest = follow(gateway, queued["id"], error["sequence_number"])
    assert grammar.check_stream(seen + rest)["status"] == "completed"


def test_only_a_background_response_can_be_streamed_again(gateway: Gateway) -> None:
    told = gateway.ask({"model": "echo", "input": "hi"})
    reply = gateway.get(f"/responses/{told.response['id']}?stream=true")
    assert reply.status_code == 400 and checked_error(reply)["param"] == "stream"


@pytest.mark.parametrize(("given", "status"), [("TRUE", 200), ("0", 200), ("", 400), ("yes", 400)])
def test_a_stream_is_asked_for_or_not(gateway: Gateway, given: str, status: int) -> None:
    queued = create(gateway, model="echo", input="hi")
    reply = gateway.get(f"/responses/{queued['id']}?stream={given}")
    assert reply.status_code == status
    if status == 400:
        assert checked_error(reply)["param"] == "stream"
    else:
        assert reply.headers["content-type"].startswith("text/event-stream") == (given == "TRUE")


@pytest.mark.parametrize("after", ["x", "-2", "1.5", "", "9" * 40, "٣", "1e3"])
def test_a_bad_place_to_resume_at(gateway: Gateway, after: str) -> None:
    queued = create(gateway, model="echo", input="hi")
    reply = gateway.http.get(
        f"{gateway.base_url}/v1/responses/{queued['id']}", params={"stream": "true", "starting_after": after}
    )
    assert reply.status_code == 400 and checked_error(reply)["param"] == "starting_after"


# --------------------------------------------------------------------------- cancel


def test_cancel_stops_the_provider_and_keeps_what_was_said(gateway: Gateway) -> None:
    body = says("anthropic", "This is what was said before the end of it.").body
    scenario = gateway.scenario(Answer(pieces=[body[: len(body) // 2]], ending="hang", content_type=SSE))
    queued = create(gateway, model=MODELS["anthropic"], input="hi")
    with stream(gateway, queued["id"]) as reply:
        next(line for line in reply.iter_lines() if "output_text.delta" in line)
    before = time.monotonic()
    response = cancel(gateway, queued["id"])
    assert time.monotonic() - before < 2
    assert response["status"] == "cancelled" and response["error"] is None
    assert response["output"][-1]["status"] == "incomplete"
    assert response["output"][-1]["content"][0]["text"].startswith("This")
    grammar.check_end(response)
    assert scenario.requests[0].left is not None
    events = follow(gateway, queued["id"])
    assert grammar.check_stream(events) == response
    assert cancel(gateway, queued["id"]) == response == gateway.get(f"/responses/{queued['id']}").json()


def test_ten_cancels_at_once(gateway: Gateway) -> None:
    queued = create(gateway, model="echo", input="/slow 10\none two")
    told: list[Json] = []
    threads = [threading.Thread(target=lambda: told.append(cancel(gateway, queued["id"]))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(told) == 10 and all(response == told[0] for response in told)
    assert told[0]["status"] == "cancelled"


def test_cancel_of_what_has_ended_returns_it(gateway: Gateway) -> None:
    completed = poll(gateway, create(gateway, model="echo", input="hi")["id"])
    assert cancel(gateway, completed["id"]) == completed and completed["status"] == "completed"


def test_cancel_of_what_cannot_be_cancelled(gateway: Gateway) -> None:
    told = gateway.ask({"model": "echo", "input": "hi"})
    reply = gateway.http.post(f"{gateway.base_url}/v1/responses/{told.response['id']}/cancel")
    assert reply.status_code == 400 and checked_error(reply)["code"] == "invalid_value"
    reply = gateway.http.post(f"{gateway.base_url}/v1/responses/resp_{'0' * 32}/cancel")
    assert reply.status_code == 404


def test_delete_stops_it_and_leaves_nothing(gateway: Gateway) -> None:
    queued = create(gateway, model="echo", input="/slow 0.05\n/long 100")
    follow(gateway, queued["id"], leave_after=5)
    assert gateway.delete(f"/responses/{queued['id']}").status_code == 200
    for path in ("", "?stream=true"):
        assert gateway.get(f"/responses/{queued['id']}{path}").status_code == 404
    time.sleep(0.8)
    assert gateway.get(f"/responses/{queued['id']}").status_code == 404


def test_a_stream_of_what_is_deleted_ends(gateway: Gateway) -> None:
    queued = create(gateway, model="echo", input="/slow 0.05\n/long 100")
    gone = threading.Timer(0.3, lambda: gateway.delete(f"/responses/{queued['id']}"))
    gone.start()
    events = follow(gateway, queued["id"])
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    assert events[-2]["error"]["code"] == "response_not_found"


def stream(gateway: Gateway, response_id: str) -> Any:
    return httpx.stream("GET", f"{gateway.base_url}/v1/responses/{response_id}?stream=true", timeout=30)


def test_ended_is_what_the_specification_says() -> None:
    assert set(grammar.TERMINAL.values()) <= ENDED
