"""Odd contents of OpenAI, and of the Chat Completions servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .contents import (
    ALL,
    CALLS,
    FAILED,
    TEXT,
    Change,
    Events,
    Json,
    Row,
    again,
    at,
    both,
    each,
    having,
    insert,
    odd,
    only,
    without,
)
from .fault import INVALID, UNAVAILABLE
from .outcomes import broken, cut, refused


def choices(events: Events) -> Iterator[Json]:
    return (choice for event in events for choice in event["choices"])


def ending(events: Events) -> Iterator[Json]:
    return (choice for choice in choices(events) if choice["finish_reason"])


def chat_calls(events: Events) -> Iterator[Json]:
    return (call for choice in choices(events) for call in choice["delta"].get("tool_calls") or ())


def functions(events: Events) -> Iterator[Json]:
    return (call["function"] for call in chat_calls(events))


def begun(events: Events) -> Iterator[Json]:
    return (call for call in chat_calls(events) if "id" in call)


def chat() -> Iterator[Row]:
    def row(name: str, change: Change, *more: Any, **kinds: Any) -> Row:
        return Row("chat", name, change, *more, **kinds)

    for name, index in {
        "jump": lambda call: call["index"] + 5,
        "go backwards": lambda call: 1 - call["index"],
        "are negative": lambda call: -1 - call["index"],
        "are words": lambda call: str(call["index"]),
        "are null": None,
        "are missing": ...,
        "are the same": 0,
    }.items():
        yield row(f"has calls whose indices {name}", each(chat_calls, index=index), ALL, CALLS, calls=True)
    yield row("gives both calls one id", each(begun, id="call_1"), ALL, CALLS, calls=True)
    for empty in odd(None, "", ...):
        yield row(f"gives calls the id {empty!r}", each(chat_calls, id=empty), ALL, CALLS, calls=True)
        yield row(f"gives calls the name {empty!r}", each(functions, name=empty), broken(INVALID), calls=True)
        yield row(
            f"gives calls the arguments {empty!r}",
            each(functions, arguments=empty),
            ALL,
            (TEXT, "f({})", "g({})"),
            calls=True,
        )
    bad = (TEXT, "f({{{)", "g({{)")
    yield row("says arguments that are no JSON", each(functions, arguments="{"), ALL, bad, calls=True)
    yield row(
        "begins a call that never comes",
        insert(
            -2, chunk({"tool_calls": [{"index": 0, "id": "", "function": {"name": "", "arguments": ""}}]})
        ),
    )
    yield row(
        "calls a list of tools by an object",
        each(lambda e: (c["delta"] for c in choices(e)), tool_calls={"index": 0}),
        refused(INVALID),
        (),
    )
    for reason in odd("eos", "function_call", "tool_calls", "length ", 5, True):
        yield row(f"ends for {reason!r}", each(ending, finish_reason=reason))
    for reason in odd("", None, {}, [], False):
        yield row(f"ends for {reason!r}", each(ending, finish_reason=reason), broken(UNAVAILABLE))
    for reason in odd("error", "abort"):
        yield row(f"ends for {reason!r}", each(ending, finish_reason=reason), broken(FAILED))
    for gone in odd(None, ..., {}, []):
        yield row(
            f"has the choices {gone!r} in a chunk",
            insert(2, {"choices": gone} if gone is not ... else {"id": "x"}),
        )
    yield row("answers twice at once", add_choice)
    yield row("answers as another choice", each(choices, index=1), refused(UNAVAILABLE, retried=True), ())
    yield row("says a number", insert(3, chunk({"content": 5})), broken(INVALID), ("Hello ther",))
    for usage in odd(
        None,
        {},
        [],
        "x",
        {"prompt_tokens": "1"},
        {"prompt_tokens": -1},
        {"prompt_tokens": 10**30},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": 5, "prompt_tokens_details": "x"},
    ):
        yield row(f"counts {usage!r:.60}", each(at(-1), usage=usage))
    for error, code in odd(
        ("No.", FAILED),
        (["x"], FAILED),
        (5, FAILED),
        ({"message": None}, FAILED),
        ({"message": {}, "code": {}}, FAILED),
        ({"code": 503}, "server_is_overloaded"),
        ({"code": "429"}, "rate_limit_exceeded"),
    ):
        yield row(f"tells the error {error!r}", insert(2, {"error": error}), broken(code), ("Hello",))
        yield row(
            f"tells the error {error!r} in a chunk",
            insert(2, {**chunk({"content": ""}), "error": error}),
            broken(code),
            ("Hello",),
        )
    for nothing in odd(None, {}, "", False, []):
        yield row(f"has the error {nothing!r} in each chunk", each(iter, error=nothing))


def chunk(delta: Json) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def add_choice(events: Events) -> None:
    for event in events:
        event["choices"].append({"index": 1, "delta": {"content": "Other"}, "finish_reason": None})


def of_type(*kinds: str) -> Callable[[Events], Iterator[Json]]:
    return lambda events: (event for event in events if event["type"].endswith(kinds))


def openai_calls(events: Events) -> Iterator[Json]:
    return (event["item"] for event in events if event.get("item", {}).get("type") == "function_call")


def response(events: Events) -> Iterator[Json]:
    return iter([events[-1]["response"]])


def ends_as(**fields: Any) -> Change:
    return each(response, **fields)


def openai() -> Iterator[Row]:
    def row(name: str, change: Change, *more: Any, **kinds: Any) -> Row:
        return Row("openai", name, change, *more, **kinds)

    late = broken(INVALID)
    yield row("is created twice", again(0, 0))
    yield row("is created again", again(0, 5))
    yield row("is never created", only(*range(2, 11)))
    yield row("is completed at once", only(-1), ALL, CALLS, calls=True)
    yield row(
        "has no deltas",
        lambda events: events.__setitem__(
            slice(None), [e for e in events if not e["type"].endswith(".delta")]
        ),
        ALL,
        CALLS,
        calls=True,
    )
    yield row("adds no items", without("response.output_item.added"))
    yield row("ends no items", without("response.output_item.done"), ALL, CALLS, calls=True)
    yield row(
        "counts items from five",
        each(having("output_index"), output_index=lambda event: event["output_index"] + 5),
        ALL,
        CALLS,
        calls=True,
    )
    yield row("counts items from below", each(having("output_index"), output_index=-1))
    yield row(
        "gives all items one place", each(having("output_index"), output_index=0), ALL, CALLS, calls=True
    )
    yield row("gives items no place", each(having("output_index"), output_index=...), refused(INVALID), ())
    yield row("names another item", each(having("item_id"), item_id="other"))
    yield row(
        "gives all items one id",
        each(lambda e: (x["item"] for x in e if "item" in x), id="same"),
        ALL,
        CALLS,
        calls=True,
    )
    yield row("ends in a response without output", ends_as(output=None))
    yield row("ends in no response", each(at(-1), response=None), late)
    yield row(
        "is completed, and has failed",
        ends_as(status="failed", error={"code": "server_error", "message": "No."}),
        broken(FAILED),
    )
    yield row(
        "is completed, and was cut",
        ends_as(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
        cut("max_output_tokens"),
    )
    for status in odd(None, "in_progress", "new", ["x"]):
        yield row(f"is completed with the status {status!r}", ends_as(status=status))
    for error in odd(None, "No.", {}, ["x"]):
        failed = each(at(-1), type="response.failed")
        yield row(
            f"fails with the error {error!r}",
            both(failed, ends_as(status="failed", error=error)),
            broken(FAILED),
        )
    yield row(
        "is completed, then fails", insert(99, {"type": "response.failed", "response": {"error": None}})
    )
    for name in odd(None, "", ..., 5):
        yield row(f"calls a tool named {name!r}", each(openai_calls, name=name), late, calls=True)
    for call_id in odd(None, "", ..., "same"):
        yield row(
            f"gives calls the id {call_id!r}", each(openai_calls, call_id=call_id), ALL, CALLS, calls=True
        )
    for kind in odd(None, ["x"], 5, ...):
        yield row(
            f"has items of the type {kind!r}",
            each(lambda e: (x["item"] for x in e if "item" in x), type=kind),
            refused(INVALID),
            (),
        )
    for delta in odd(None, 5, {}, ...):
        yield row(f"says {delta!r}", each(of_type(".delta"), delta=delta), refused(INVALID), ())
    for part in odd(None, {"type": "new"}, {}, "x"):
        yield row(f"ends the part {part!r}", each(of_type("content_part.done"), part=part), late)
    for usage in odd(None, {}, "x", [], {"input_tokens": "5"}, {"input_tokens": -5}):
        yield row(f"counts {usage!r}", ends_as(usage=usage))
    for error in odd({}, {"error": "No."}, {"message": None, "code": None}, {"code": 5, "message": ["x"]}):
        yield row(
            f"tells the error {error!r}",
            both(only(*range(5)), insert(5, {"type": "error", **error})),
            broken(FAILED),
            ("Hello",),
        )
