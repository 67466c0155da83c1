"""The openai Python SDK against every provider family: what its users call, and what it makes of the answers."""

from __future__ import annotations

import json
from typing import Any

import openai
import pydantic
import pytest
from openai.types.responses import ResponseFunctionToolCall, ResponseReasoningItem

from ..support.gateway import Gateway
from ..support.provider import Answer
from ..support.speech import MODELS, USAGE, says

every_route = pytest.mark.parametrize("dialect", MODELS)

TOOLS: list[Any] = [
    {"type": "function", "name": "get_time", "description": "The time somewhere.", "strict": True,
     "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"],
                    "additionalProperties": False}},
]  # fmt: skip


class Sum(pydantic.BaseModel):
    addends: list[int]
    total: int


@every_route
def test_create(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    gateway.scenario(says(dialect, "Hello, world."))
    response = client.responses.create(model=MODELS[dialect], input="Say hello.", instructions="Be brief.")
    assert response.status == "completed"
    assert response.output_text == "Hello, world."
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == USAGE


@every_route
def test_stream(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    gateway.scenario(says(dialect, "Streaming works.", reasoning="Let me see."))
    events = list(client.responses.create(model=MODELS[dialect], input="Stream.", stream=True))
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta")
        == "Streaming works."
    )
    thoughts = [event.delta for event in events if event.type == "response.reasoning_summary_text.delta"]
    assert "".join(thoughts) == "Let me see."
    assert events[-1].response.output_text == "Streaming works."


@every_route
def test_stream_helper(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    """The accumulating helper, which fails on events that it does not know or that come out of order."""
    gateway.scenario(
        says(dialect, "One moment.", calls=[("get_time", {"zone": "UTC"})], reasoning="Time, then.")
    )
    with client.responses.stream(model=MODELS[dialect], input="What time is it?", tools=TOOLS) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_response()
    assert {"response.output_text.done", "response.function_call_arguments.done"} <= kinds
    [call] = [item for item in final.output if item.type == "function_call"]
    assert call.parsed_arguments == {"zone": "UTC"}
    assert final.output_text == "One moment."


@every_route
def test_parse(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    gateway.scenario(structured_answer(dialect, '{"addends":[2,3],"total":5}'))
    response = client.responses.parse(model=MODELS[dialect], input="2+3", text_format=Sum)
    assert response.output_parsed == Sum(addends=[2, 3], total=5)


def structured_answer(dialect: str, text: str) -> Any:
    """The answer to a request for structured output: the text, or the call of the tool that stands in for it."""

    def answer(request: Any) -> Answer:
        forced = request.json.get("tool_choice") or {}
        if isinstance(forced, dict) and forced.get("type") == "tool":
            return says(dialect, calls=[(forced["name"], json.loads(text))])
        return says(dialect, text)

    return answer


@every_route
def test_tool_loop_by_previous_response_id(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    calls = [("get_time", {"zone": "Europe/Berlin"}), ("get_time", {"zone": "Asia/Tokyo"})]
    scenario = gateway.scenario(says(dialect, calls=calls), says(dialect, "Noon there, evening here."))
    first = client.responses.create(model=MODELS[dialect], input="Times?", tools=TOOLS)
    made = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in made] == calls
    second = client.responses.create(
        model=MODELS[dialect],
        previous_response_id=first.id,
        tools=TOOLS,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": f"result {n}"}
               for n, call in enumerate(made)],
    )  # fmt: skip
    assert second.output_text == "Noon there, evening here."
    assert second.previous_response_id == first.id
    sent = scenario.requests[1].body.decode()
    for words in ("Times?", "Europe/Berlin", "Asia/Tokyo", "result 0", "result 1"):
        assert words in sent, f"the second turn lost {words!r}"
    assert sent.index("result 0") < sent.index("result 1")


@every_route
def test_conversation_by_history(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    """store=False, the whole history sent back as the SDK gave it, reasoning included."""
    scenario = gateway.scenario(says(dialect, "Hello Ada.", reasoning="A name."), says(dialect, "Ada."))
    history: list[Any] = [{"role": "user", "content": "I am Ada."}]
    include: list[Any] = ["reasoning.encrypted_content"]
    first = client.responses.create(model=MODELS[dialect], input=history, store=False, include=include)
    history += [item.model_dump() for item in first.output]
    history.append({"role": "user", "content": "Who am I?"})
    second = client.responses.create(model=MODELS[dialect], input=history, store=False, include=include)
    assert second.output_text == "Ada."
    sent = scenario.requests[1].body.decode()
    assert "I am Ada." in sent and "Hello Ada." in sent
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_reasoning_state_round_trip(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    """What only the provider can read comes back to it as it was: by history, and by previous_response_id."""
    opaque = {"openai": "b3BhcXVl", "anthropic": "c2lnbmF0dXJl"}[dialect]
    calls = [("get_time", {"zone": "UTC"})]
    said = says(dialect, calls=calls, reasoning="I need the time.")
    scenario = gateway.scenario(said, says(dialect, "It is noon."), says(dialect, "It is noon."))
    first = client.responses.create(
        model=MODELS[dialect], input="Time?", tools=TOOLS, include=["reasoning.encrypted_content"],
        reasoning={"effort": "low"}, max_output_tokens=4096,
    )  # fmt: skip
    [thought] = [item for item in first.output if isinstance(item, ResponseReasoningItem)]
    assert thought.encrypted_content
    [call] = [item for item in first.output if isinstance(item, ResponseFunctionToolCall)]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "12:00"}
    history: Any = [
        {"role": "user", "content": "Time?"},
        *(item.model_dump() for item in first.output),
        result,
    ]
    for given in ({"input": history}, {"input": [result], "previous_response_id": first.id}):
        second = client.responses.create(
            model=MODELS[dialect], tools=TOOLS, reasoning={"effort": "low"}, max_output_tokens=4096, **given
        )
        assert second.output_text == "It is noon."
        assert opaque in scenario.requests[-1].body.decode()


@every_route
def test_stored_responses(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    gateway.scenario(says(dialect, "Kept."))
    response = client.responses.create(model=MODELS[dialect], input="Keep this.", metadata={"case": "7"})
    assert client.responses.retrieve(response.id) == response
    [item] = client.responses.input_items.list(response.id).data
    assert item.type == "message" and item.role == "user"
    assert item.content[0].type == "input_text" and item.content[0].text == "Keep this."
    client.responses.delete(response.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model=MODELS[dialect], input="Go on.", previous_response_id=response.id)
    assert caught.value.code == "previous_response_not_found"


@every_route
def test_image_input(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    scenario = gateway.scenario(says(dialect, "A pixel."))
    content: Any = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{pixel}", "detail": "auto"},
    ]
    response = client.responses.create(model=MODELS[dialect], input=[{"role": "user", "content": content}])
    assert response.output_text == "A pixel."
    assert pixel in scenario.requests[0].body.decode()


ERRORS: list[tuple[int, str, type[openai.APIStatusError]]] = [
    (400, '{"error":{"message":"bad thing","type":"invalid_request_error"}}', openai.BadRequestError),
    (401, '{"error":{"message":"no such key"}}', openai.InternalServerError),
    (429, '{"error":{"message":"slow down"}}', openai.RateLimitError),
    (500, '{"error":{"message":"oops"}}', openai.InternalServerError),
    (503, "<html>busy</html>", openai.InternalServerError),
]


@every_route
@pytest.mark.parametrize(("status", "body", "kind"), ERRORS, ids=[str(status) for status, _, _ in ERRORS])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_typed_errors(
    gateway: Gateway, client: openai.OpenAI, dialect: str, status: int, body: str,
    kind: type[openai.APIStatusError], stream: bool,
) -> None:  # fmt: skip
    gateway.scenario(Answer(body.encode(), status))
    with pytest.raises(kind) as caught:
        client.responses.create(model=MODELS[dialect], input="x", stream=stream)
    assert caught.value.code
    assert caught.value.request_id
    if status == 401:
        assert caught.value.code == "provider_authentication_failed"


@every_route
def test_failure_in_mid_stream(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    """The SDK raises on the error event; whoever only looks at responses sees `failed`."""
    body = says(dialect, "This sentence is never finished.").body
    gateway.scenario(
        Answer(body[: len(body) // 2], content_type=says(dialect, "x").content_type, ending="abort")
    )
    with pytest.raises(openai.APIError):
        list(client.responses.create(model=MODELS[dialect], input="x", stream=True))


def test_wrong_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model=MODELS["openai"], input="x", temperature=7)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.create(model="no-such-model", input="x")
    assert missing.value.code == "model_not_found"


def test_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert "echo" in names
    assert client.models.retrieve(names[0]).id == names[0]


async def test_async_stream(gateway: Gateway, async_client: openai.AsyncOpenAI) -> None:
    gateway.scenario(says("anthropic", "Async too."))
    stream = await async_client.responses.create(model=MODELS["anthropic"], input="x", stream=True)
    text = "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])
    assert text == "Async too."
