"""openai's SDK, background mode: create, poll, stream, resume, cancel."""

from __future__ import annotations

import time
from typing import Any

import openai
import pytest

from ..support.gateway import Gateway
from ..support.speech import MODELS, says


def test_create_and_poll(gateway: Gateway, client: openai.OpenAI) -> None:
    gateway.scenario(says("anthropic", "Hello there."))
    response = client.responses.create(model=MODELS["anthropic"], input="hi", background=True)
    assert response.status == "queued" and response.background
    while response.status in ("queued", "in_progress"):
        time.sleep(0.05)
        response = client.responses.retrieve(response.id)
    assert response.status == "completed" and response.output_text == "Hello there."
    items = client.responses.input_items.list(response.id)
    assert [item.to_dict()["content"] for item in items] == [[{"type": "input_text", "text": "hi"}]]


@pytest.mark.parametrize("cut", [0, 1, 4, 20, 41])
def test_stream_and_resume(client: openai.OpenAI, cut: int) -> None:
    seen: list[Any] = []
    with client.responses.create(model="echo", input="/long 30", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if event.sequence_number == cut:
                break
    response_id = seen[0].response.id
    after = seen[-1].sequence_number
    seen += client.responses.retrieve(response_id, stream=True, starting_after=after)
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[-1].type == "response.completed"
    said = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert said == client.responses.retrieve(response_id).output_text


def test_stream_helper_resumes(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="/slow 0.02\n/long 20", background=True)
    with client.responses.stream(response_id=response.id) as stream:
        final = stream.get_final_response()
    assert final.id == response.id and final.status == "completed" and final.output_text
    with client.responses.stream(response_id=response.id, starting_after=9) as stream:
        assert next(iter(stream)).sequence_number == 10


def test_cancel(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="/slow 0.1\n/long 100", background=True)
    time.sleep(0.4)
    before = time.monotonic()
    cancelled = client.responses.cancel(response.id)
    assert time.monotonic() - before < 2
    assert cancelled.status == "cancelled" and cancelled.id == response.id
    assert client.responses.cancel(response.id) == cancelled
    *_, last = client.responses.retrieve(response.id, stream=True)
    assert last.type == "response.incomplete" and last.response.status == "cancelled"


def test_a_foreground_response_is_not_cancelled_nor_streamed_again(client: openai.OpenAI) -> None:
    response = client.responses.create(model="echo", input="hi")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(response.id)
    with pytest.raises(openai.BadRequestError):
        client.responses.retrieve(response.id, stream=True)


async def test_async(async_client: openai.AsyncOpenAI) -> None:
    stream = await async_client.responses.create(model="echo", input="/long 10", background=True, stream=True)
    events = [event async for event in stream]
    again = await async_client.responses.retrieve(events[0].response.id, stream=True, starting_after=2)  # type: ignore[union-attr]
    assert [event async for event in again] == events[3:]
