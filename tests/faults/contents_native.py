"""Odd contents of Anthropic, Gemini and Ollama."""

from __future__ import annotations

from collections.abc import Iterator
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


def blocks(events: Events) -> Iterator[Json]:
    starts = (event["content_block"] for event in events if event["type"] == "content_block_start")
    return (block for block in starts if block["type"] == "tool_use")


def json_deltas(events: Events) -> Iterator[Json]:
    return (event["delta"] for event in events if event.get("delta", {}).get("type") == "input_json_delta")


def stop(events: Events) -> Iterator[Json]:
    return iter([events[-2]["delta"]])


def counts(events: Events) -> Iterator[Json]:
    return iter([events[-2]["usage"]])


def anthropic() -> Iterator[Row]:
    def row(name: str, change: Change, *more: Any, **kinds: Any) -> Row:
        return Row("anthropic", name, change, *more, **kinds)

    late = broken(INVALID)
    yield row("starts twice", again(0, 0))
    yield row("starts twice in mid-answer", again(0, 3))
    another = both(again(0, 3), each(lambda events: iter([events[3]["message"]]), id="msg_2"))
    yield row("starts another message", another, late, ("Hello",))
    yield row("has no start", only(1, 2, 3, 4, 5, 6, 7))
    yield row("has no message_delta", without("message_delta"))
    yield row("has no message_stop", without("message_stop"), broken(UNAVAILABLE))
    for reason in odd(None, "new_reason", "tool_use"):
        yield row(f"stops for {reason}", each(stop, stop_reason=reason))
    yield row("has calls and ends its turn", each(stop, stop_reason="end_turn"), ALL, CALLS, calls=True)
    yield row(
        "counts blocks from five",
        each(having("index"), index=lambda event: event["index"] + 5),
        ALL,
        CALLS,
        calls=True,
    )
    yield row("counts blocks from below", each(having("index"), index=-1))
    yield row("gives all blocks one index", each(having("index"), index=0), ALL, CALLS, calls=True)
    yield row("gives blocks no index", each(having("index"), index=...), refused(INVALID), ())
    yield row("goes on with a block that is not open", each(at(2), index=7), refused(INVALID), ())
    yield row("goes on with a block that has ended", again(2, -2), late)
    yield row("ends no block", without("content_block_stop"), ALL, CALLS, calls=True)
    yield row("ends a block twice", again(5, 5))
    for name in odd(None, "", ..., 5):
        yield row(f"calls a tool named {name!r}", each(blocks, name=name), late, calls=True)
    yield row("gives both calls one id", each(blocks, id="toolu_1"), ALL, CALLS, calls=True)
    yield row("gives calls no id", each(blocks, id=None), ALL, CALLS, calls=True)
    bad = (TEXT, "f({}{}{})", "g({}{})")
    yield row("says arguments that are no JSON", each(json_deltas, partial_json="{}"), ALL, bad, calls=True)
    yield row(
        "says null for arguments",
        each(json_deltas, partial_json=None),
        ALL,
        (TEXT, "f({})", "g({})"),
        calls=True,
    )
    yield row("says nothing", only(0, -2, -1), ALL, ())
    for usage in odd(
        {"output_tokens": -5}, {"output_tokens": "5"}, {"output_tokens": 10**30}, None, [1], "x"
    ):
        yield row(f"counts {usage!r:.40}", each(at(-2), usage=usage))
    for error in odd("No.", None, {}, {"type": None}, {"type": ["x"]}, ["x"]):
        yield row(
            f"tells the error {error!r}",
            insert(3, {"type": "error", "error": error}),
            broken(FAILED),
            ("Hello",),
        )
    yield row("tells an error without one", insert(3, {"type": "error"}), broken(FAILED), ("Hello",))
    delta = {"type": "content_block_delta", "index": 0}
    for inner in odd({"type": "new_delta", "new": 1}, {"type": "input_json_delta", "partial_json": "{}"}):
        yield row(f"says a {inner['type']} in a text", insert(3, {**delta, "delta": inner}))
    yield row("has an event whose type is none", insert(3, {"type": ["x"]}), late, ("Hello",))
    yield row("pings a thousand times", insert(3, *[{"type": "ping"}] * 1000))


def gemini_calls(events: Events) -> Iterator[Json]:
    parts = (part for event in events for part in event["candidates"][0]["content"]["parts"])
    return (part["functionCall"] for part in parts if "functionCall" in part)


def last_candidate(events: Events) -> Iterator[Json]:
    return iter([events[-1]["candidates"][0]])


def gemini() -> Iterator[Row]:
    def row(name: str, change: Change, *more: Any, **kinds: Any) -> Row:
        return Row("gemini", name, change, *more, **kinds)

    late = broken(INVALID)
    for name in odd(None, "", ...):
        yield row(f"calls a tool named {name!r}", each(gemini_calls, name=name), late, calls=True)
    for arguments in odd(None, ..., {}):
        yield row(
            f"calls with the arguments {arguments!r}",
            each(gemini_calls, args=arguments),
            ALL,
            (TEXT, "f({})", "g({})"),
            calls=True,
        )
    for arguments in odd("{}", [1], 5):
        yield row(
            f"calls with the arguments {arguments!r}", each(gemini_calls, args=arguments), late, calls=True
        )
    yield row("gives both calls one id", each(gemini_calls, id="1"), ALL, CALLS, calls=True)
    for reason in odd("OTHER", "MALFORMED_FUNCTION_CALL", "NEW_REASON", 5):
        yield row(f"ends for {reason!r}", each(last_candidate, finishReason=reason), broken("model_error"))
    for reason in odd("FINISH_REASON_UNSPECIFIED", "", None):
        yield row(f"ends for {reason!r}", each(last_candidate, finishReason=reason), broken(UNAVAILABLE))
    yield row("ends for LANGUAGE", each(last_candidate, finishReason="LANGUAGE"), cut("content_filter"))
    for nothing in odd(None, {}, "", False, []):
        yield row(f"has the error {nothing!r} in each chunk", each(iter, error=nothing))
    for error, code in odd(
        ("No.", FAILED),
        (["x"], FAILED),
        ({"code": "x"}, FAILED),
        ({"code": 503}, "server_is_overloaded"),
    ):
        yield row(f"tells the error {error!r}", insert(1, {"error": error}), broken(code), ("Hello",))
    for candidates in odd(None, []):
        yield row(f"has the candidates {candidates!r}", insert(1, {"candidates": candidates}))
    for content in odd(None, {}, {"parts": None}, {"parts": []}):
        yield row(f"has the content {content!r}", insert(1, {"candidates": [{"content": content}]}))
    for part in odd(None, {"newPart": {}}, {"text": 5}, {"functionCall": None}, {"inlineData": None}):
        yield row(
            f"has the part {part!r}",
            insert(1, {"candidates": [{"content": {"parts": [part]}}]}),
            late,
            ("Hello",),
        )
    for usage in odd(
        None,
        [],
        "x",
        {"promptTokenCount": "5"},
        {"promptTokenCount": -5, "candidatesTokenCount": 3},
    ):
        yield row(f"counts {usage!r}", each(iter, usageMetadata=usage))
    yield row(
        "refuses the prompt",
        lambda events: events.__setitem__(slice(None), [{"promptFeedback": {"blockReason": "X"}}]),
        cut("content_filter"),
        (),
    )


def ollama_functions(events: Events) -> Iterator[Json]:
    return (call["function"] for call in ollama_calls(events))


def ollama_calls(events: Events) -> Iterator[Json]:
    return (call for event in events for call in event["message"].get("tool_calls") or ())


def ollama() -> Iterator[Row]:
    def row(name: str, change: Change, *more: Any, **kinds: Any) -> Row:
        return Row("ollama", name, change, *more, **kinds)

    late = broken(INVALID)
    for name in odd(None, "", ..., 5):
        yield row(f"calls a tool named {name!r}", each(ollama_functions, name=name), late, calls=True)
    yield row("calls no function", each(ollama_calls, function=...), late, calls=True)
    for arguments in odd(None, ..., {}, ""):
        yield row(
            f"calls with the arguments {arguments!r}",
            each(ollama_functions, arguments=arguments),
            ALL,
            (TEXT, "f({})", "g({})"),
            calls=True,
        )
    for arguments, text in odd(('{"b":2}', '{"b":2}'), ([1], "[1]"), ("{", "{")):
        yield row(
            f"calls with the arguments {arguments!r}",
            each(ollama_functions, arguments=arguments),
            ALL,
            (TEXT, f"f({text})", f"g({text})"),
            calls=True,
        )
    yield row("gives both calls one id", each(ollama_calls, id="1"), ALL, CALLS, calls=True)
    for error in odd("No.", {"message": "No."}, ["x"], 5):
        yield row(f"tells the error {error!r}", insert(1, {"error": error}), broken(FAILED), ("Hello",))
        yield row(
            f"tells the error {error!r} with a word", each(at(1), error=error), broken(FAILED), ("Hello",)
        )
    for nothing in odd(None, "", {}, [], False):
        yield row(f"has the error {nothing!r} in each line", each(iter, error=nothing))
    for done in odd(None, ..., False, ""):
        yield row(f"is done: {done!r}", each(at(-1), done=done), broken(UNAVAILABLE))
    for reason in odd(None, "unload", "new", 5):
        yield row(f"is done for {reason!r}", each(at(-1), done_reason=reason))
    for message in odd(None, ..., {}):
        yield row(
            f"has the message {message!r}",
            insert(1, {"done": False} | ({} if message is ... else {"message": message})),
        )
    yield row("says a number", insert(1, {"message": {"content": 5}, "done": False}), late, ("Hello",))
    for count in odd("7", -7, 1.5, [], 10**30):
        yield row(f"counts {count!r:.20}", each(at(-1), eval_count=count))
