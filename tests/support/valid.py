"""Whether a request is one that its provider takes: the rules that providers enforce with a 400, one dialect each.

Written from the providers' references; each check raises AssertionError with what is wrong.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

OUR_TOKEN = "or1."


def check(dialect: str, body: Json) -> None:
    """The rules of this provider, and those of all: no token of ours, nothing null, JSON that can be repeated."""
    text = json.dumps(body)
    assert OUR_TOKEN not in text, "sealed state was sent"
    assert not re.search(r"\b(resp|rs|fc|ctc)_[0-9a-f]{32}", text), "an id of ours was sent"
    DIALECTS[dialect](body)


def check_calls(turns: list[tuple[list[str], list[str]]]) -> None:
    """Of each assistant turn: the ids of its calls, and those of the results directly behind it, in any order."""
    seen: set[str] = set()
    for calls, results in turns:
        assert len(set(calls)) == len(calls) and not seen & set(calls), f"call ids are not unique: {calls}"
        assert sorted(calls) == sorted(results), f"calls {calls} are answered by {results}"
        seen |= set(calls)


def anthropic(body: Json) -> None:
    assert body["max_tokens"] > 0 and body["stream"] is True
    if (body.get("thinking") or {}).get("type") == "enabled":
        assert 1024 <= body["thinking"]["budget_tokens"] < body["max_tokens"]
        assert body.get("temperature", 1) == 1 and (body.get("tool_choice") or {}).get("type") not in (
            "any",
            "tool",
        )
    messages = body["messages"]
    roles = [message["role"] for message in messages if message["role"] != "system"]
    assert roles[0] == "user" and all(a != b for a, b in itertools.pairwise(roles)), roles
    turns = []
    for place, message in enumerate(messages):
        blocks = message["content"]
        assert blocks and all(block.get("text", "x").strip() for block in blocks), "an empty text"
        kinds = [block["type"] for block in blocks]
        results = kinds.count("tool_result")
        assert kinds[:results] == ["tool_result"] * results, "results stand before other content"
        if message["role"] == "assistant":
            thinking = {"thinking", "redacted_thinking"}
            assert kinds[-1] not in thinking, "a message does not end in thinking"
            assert not thinking & set(kinds) or kinds[0] in thinking, "thinking begins a message"
            calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", call_id) for call_id in calls)
            after = messages[place + 1]["content"] if place + 1 < len(messages) else []
            turns.append((calls, [block["tool_use_id"] for block in after if block["type"] == "tool_result"]))
    check_calls(turns)


# Keywords of `parametersJsonSchema` and `responseJsonSchema`.
GEMINI_KEYWORDS = {
    *("$ref", "$defs", "type", "format", "title", "description", "default", "enum", "items", "prefixItems"),
    *("minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"),
    *("required", "propertyOrdering"),
}


def gemini(body: Json) -> None:
    contents = body["contents"]
    roles = [content["role"] for content in contents]
    assert roles[0] == "user" and all(a != b for a, b in itertools.pairwise(roles)), roles
    turns = []
    for place, content in enumerate(contents):
        assert content["parts"], "an empty content"
        assert all(part.get("text") != "" or "thoughtSignature" in part for part in content["parts"])
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        if content["role"] == "model":
            after = contents[place + 1]["parts"] if place + 1 < len(contents) else []
            results = [part["functionResponse"] for part in after if "functionResponse" in part]
            assert [call["name"] for call in calls] == [result["name"] for result in results]
            turns.append(([call["id"] for call in calls], [result["id"] for result in results]))
        else:
            assert not calls, "a call of the user's"
    check_calls(turns)
    for tool in body.get("tools", []):
        for declared in tool.get("functionDeclarations", []):
            assert re.fullmatch(r"[a-zA-Z_][\w.-]{0,63}", declared["name"])
            check_schema(declared.get("parametersJsonSchema") or {}, GEMINI_KEYWORDS)


def check_schema(schema: Any, keywords: set[str]) -> None:
    """Only these keywords, at any depth."""
    if not isinstance(schema, dict):
        return
    assert schema.keys() <= keywords, f"keywords {schema.keys() - keywords}"
    for key in ("properties", "$defs"):
        for inner in schema.get(key, {}).values():
            check_schema(inner, keywords)
    for key in ("anyOf", "oneOf", "prefixItems"):
        for inner in schema.get(key, ()):
            check_schema(inner, keywords)
    for key in ("items", "additionalProperties"):
        check_schema(schema.get(key), keywords)


def chat(body: Json) -> None:
    messages = body["messages"]
    turns = []
    for place, message in enumerate(messages):
        assert message["role"] in ("system", "developer", "user", "assistant", "tool")
        assert isinstance(message["content"], (str, list))
        calls = [call["id"] for call in message.get("tool_calls", ())]
        if message["role"] == "assistant":
            assert message["content"] or calls or len(message) > 2, "an empty message"
            assert all(
                isinstance(json.loads(call["function"]["arguments"]), dict)
                for call in message.get("tool_calls", ())
            )
            turns.append((calls, [result["tool_call_id"] for result in results_behind(messages, place)]))
    assert sum(len(results) for _, results in turns) == sum(message["role"] == "tool" for message in messages)
    check_calls(turns)


def results_behind(messages: list[Json], place: int) -> list[Json]:
    found = []
    for message in messages[place + 1 :]:
        if message["role"] != "tool":
            break
        found.append(message)
    return found


def ollama(body: Json) -> None:
    messages = body["messages"]
    for place, message in enumerate(messages):
        assert message["role"] in ("system", "user", "assistant", "tool") and isinstance(
            message["content"], str
        )
        assert all(base64.b64decode(image, validate=True) for image in message.get("images", ()))
        calls = [call["function"] for call in message.get("tool_calls", ())]
        assert all(isinstance(call["arguments"], dict) for call in calls)
        if message["role"] == "assistant":
            results = results_behind(messages, place)
            assert [call["name"] for call in calls] == [result["tool_name"] for result in results]


def openai(body: Json) -> None:
    assert body["store"] is False and "previous_response_id" not in body
    waiting: list[str] = []
    for item in body["input"]:
        kind = item["type"]
        assert "id" not in item or kind not in (
            "message",
            "reasoning",
            "function_call",
            "function_call_output",
        ), item
        if kind in ("function_call", "custom_tool_call"):
            assert item["call_id"] not in waiting and isinstance(
                item.get("arguments", item.get("input")), str
            )
            waiting.append(item["call_id"])
        elif kind.endswith("_output"):
            assert item["call_id"] in waiting, f"an output without its call: {item['call_id']}"
            waiting.remove(item["call_id"])
        elif kind == "message":
            own = (
                ("output_text", "refusal")
                if item["role"] == "assistant"
                else ("input_text", "input_image", "input_file")
            )
            assert item["content"] and all(part["type"] in own for part in item["content"])
        elif kind == "reasoning":
            assert isinstance(item["summary"], list) and item["encrypted_content"]
    assert not waiting, f"calls without outputs: {waiting}"


def bedrock(body: Json) -> None:
    messages = body["messages"]
    roles = [message["role"] for message in messages]
    assert roles[0] == "user" and all(a != b for a, b in itertools.pairwise(roles)), roles
    turns = []
    for place, message in enumerate(messages):
        blocks = message["content"]
        assert blocks and all(block.get("text", "x").strip() for block in blocks), "an empty text"
        if message["role"] == "assistant":
            calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
            after = messages[place + 1]["content"] if place + 1 < len(messages) else []
            results = [block["toolResult"]["toolUseId"] for block in after if "toolResult" in block]
            turns.append((calls, results))
    check_calls(turns)
    declared = [tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", [])]
    assert declared or not any(calls for calls, _ in turns), "calls without a tool"


DIALECTS: dict[str, Callable[[Json], None]] = {
    "anthropic": anthropic,
    "gemini": gemini,
    "openai": openai,
    "chat": chat,
    "ollama": ollama,
    "bedrock": bedrock,
}
