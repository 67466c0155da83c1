"""Every method under `client.responses` and `client.conversations` of the openai SDK, found by introspection.

A method that a new release of the SDK brings fails here until CALLS has a call of it. Background, compaction and the
WebSocket have tests of their own beside this.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest

Client = openai.OpenAI
CALLS: dict[str, Callable[[Client], None]] = {}
SAID = "You said: Hello"
PROPERTIES = ("cached_property", "property")


def methods_of(resource: Any, path: str) -> Iterator[str]:
    """Dotted names of a resource's methods, those of the resources below it included."""
    for name in dir(type(resource)):
        if name.startswith(("_", "with_")):
            continue
        if type(inspect.getattr_static(type(resource), name)).__name__ in PROPERTIES:
            yield from methods_of(getattr(resource, name), f"{path}.{name}")
        elif callable(getattr(resource, name)):
            yield f"{path}.{name}"


def every_method(client: Client | openai.AsyncOpenAI) -> list[str]:
    return [
        *methods_of(client.responses, "responses"),
        *methods_of(client.conversations, "conversations"),
    ]


EVERY_METHOD = every_method(openai.OpenAI(api_key="unused"))


def calls(path: str) -> Callable[[Callable[[Client], None]], Callable[[Client], None]]:
    def register(call: Callable[[Client], None]) -> Callable[[Client], None]:
        CALLS[path] = call
        return call

    return register


@pytest.mark.parametrize("path", EVERY_METHOD)
def test_method(client: Client, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path in CALLS, f"nothing here calls client.{path}"
    *owners, name = path.split(".")
    resource: Any = client
    for owner in owners:
        resource = getattr(resource, owner)
    method, called = getattr(type(resource), name), []

    def spy(*given: Any, **named: Any) -> Any:
        called.append(name)
        return method(*given, **named)

    monkeypatch.setattr(type(resource), name, spy)
    CALLS[path](client)
    assert called


def test_there_is_no_call_of_what_does_not_exist() -> None:
    assert set(CALLS) == set(EVERY_METHOD)


def test_the_asynchronous_client_has_the_same_methods() -> None:
    assert every_method(openai.AsyncOpenAI(api_key="unused")) == EVERY_METHOD


# --------------------------------------------------------------------------- responses


@calls("responses.create")
def create(client: Client) -> None:
    first = client.responses.create(model="echo", input="Hello")
    assert (first.status, first.output_text) == ("completed", SAID)
    second = client.responses.create(model="echo", input="/context", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    kinds = [event.type for event in client.responses.create(model="echo", input="Hello", stream=True)]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


@calls("responses.stream")
def stream(client: Client) -> None:
    with client.responses.stream(model="echo", input="Hello") as events:
        assert "response.output_text.done" in {event.type for event in events}
        assert events.get_final_response().output_text == SAID


class Person(pydantic.BaseModel):
    name: str


@calls("responses.parse")
def parse(client: Client) -> None:
    told = client.responses.parse(model="echo", input="Who?", text_format=Person)
    assert isinstance(told.output_parsed, Person)


@calls("responses.retrieve")
def retrieve(client: Client) -> None:
    made = client.responses.create(model="echo", input="Hello")
    assert client.responses.retrieve(made.id) == made
    queued = client.responses.create(model="echo", input="Hello", background=True)
    events = list(client.responses.retrieve(queued.id, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    after = list(client.responses.retrieve(queued.id, stream=True, starting_after=3))
    assert after == events[4:]
    assert client.responses.retrieve(queued.id).status == "completed"


@calls("responses.delete")
def delete(client: Client) -> None:
    made = client.responses.create(model="echo", input="Hello")
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


@calls("responses.cancel")
def cancel(client: Client) -> None:
    queued = client.responses.create(model="echo", input="/slow 0.1\n/long 100", background=True)
    assert client.responses.cancel(queued.id).status == "cancelled"
    assert client.responses.retrieve(queued.id).status == "cancelled"


@calls("responses.compact")
def compact(client: Client) -> None:
    compacted = client.responses.compact(model="echo", input="When do we launch?")
    assert [item.type for item in compacted.output] == ["message", "compaction"]


@calls("responses.connect")
def connect(client: Client) -> None:
    with client.responses.connect() as connection:
        connection.response.create(model="echo", input="Hello")
        for event in connection:
            if event.type == "response.completed":
                assert event.response.output_text == SAID
                return
    raise AssertionError("no end")


@calls("responses.input_items.list")
def list_input_items(client: Client) -> None:
    asked: Any = [{"role": "user", "content": text} for text in ("One", "Two", "Three")]
    made = client.responses.create(model="echo", input=asked)
    pages = client.responses.input_items.list(made.id, limit=2, order="asc")
    assert [item.to_dict()["content"] for item in pages] == [  # follows the pages
        [{"type": "input_text", "text": text}] for text in ("One", "Two", "Three")
    ]


@calls("responses.input_tokens.count")
def count(client: Client) -> None:
    assert client.responses.input_tokens.count(model="echo", input="Hello").input_tokens > 0


# --------------------------------------------------------------------------- conversations

ITEM: Any = {"type": "message", "role": "user", "content": "Hello"}


@calls("conversations.create")
def create_conversation(client: Client) -> None:
    made = client.conversations.create(items=[ITEM], metadata={"topic": "x"})
    assert (made.object, made.metadata) == ("conversation", {"topic": "x"})
    told = client.responses.create(model="echo", input="And?", conversation=made.id)
    assert told.conversation and told.conversation.id == made.id
    assert len(list(client.conversations.items.list(made.id))) == 3


@calls("conversations.retrieve")
def retrieve_conversation(client: Client) -> None:
    made = client.conversations.create()
    assert client.conversations.retrieve(made.id) == made


@calls("conversations.update")
def update_conversation(client: Client) -> None:
    made = client.conversations.create(metadata={"a": "1"})
    assert client.conversations.update(made.id, metadata={"b": "2"}).metadata == {"b": "2"}
    assert client.conversations.retrieve(made.id).metadata == {"b": "2"}


@calls("conversations.delete")
def delete_conversation(client: Client) -> None:
    made = client.conversations.create()
    assert client.conversations.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.conversations.retrieve(made.id)


@calls("conversations.items.create")
def create_items(client: Client) -> None:
    made = client.conversations.create()
    added = client.conversations.items.create(made.id, items=[ITEM, ITEM])
    assert len(added.data) == 2 and not added.has_more


@calls("conversations.items.list")
def list_items(client: Client) -> None:
    made = client.conversations.create(items=[ITEM] * 5)
    found = [item.id for item in client.conversations.items.list(made.id, limit=2, order="asc")]
    assert len(set(found)) == 5
    newest_first = [item.id for item in client.conversations.items.list(made.id, order="desc")]
    assert newest_first == found[::-1]


@calls("conversations.items.retrieve")
def retrieve_item(client: Client) -> None:
    made = client.conversations.create(items=[ITEM])
    (item,) = client.conversations.items.list(made.id)
    assert client.conversations.items.retrieve(str(item.id), conversation_id=made.id) == item


@calls("conversations.items.delete")
def delete_item(client: Client) -> None:
    made = client.conversations.create(items=[ITEM])
    (item,) = client.conversations.items.list(made.id)
    assert client.conversations.items.delete(str(item.id), conversation_id=made.id).id == made.id
    assert list(client.conversations.items.list(made.id)) == []
