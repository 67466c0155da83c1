"""A request of Anthropic's Messages API in the terms of the Responses API, and its one spelling.

    system, and system messages   instructions, then messages of role system, one for each block
    text, image, document         input_text, input_image, input_file; the assistant's text: output_text
    tool_use, tool_result         function_call, function_call_output
    thinking, blocks of hosted tools   reasoning with provider state, as the gateway gave it out
    tools, tool_choice            functions; web_search, code_interpreter, tool_search, mcp; disable_parallel_tool_use
    thinking, effort              reasoning.effort: the level whose budget is nearest
    cache_control                 prompt_cache_key; of an hour, prompt_cache_retention
    metadata.user_id              safety_identifier

Source: https://docs.anthropic.com/en/api/messages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import items
from .items import Json

BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 32768, "max": 49152}
STATE = ("thinking", "redacted_thinking", "server_tool_use", "mcp_tool_use", "compaction")
CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def as_responses(body: Json, model: str) -> Json:
    cached = str([value for value in found(body, "cache_control") if value])
    head, *rest = [block["text"] for block in blocks(body.get("system"))] or [None]
    given = [items.message("system", items.text("system", said)) for said in rest]
    for message in body["messages"]:
        given += items.joined(list(said(message["role"], blocks(message["content"]))))
    tools = [tool for each in body.get("tools") or () if (tool := hosted_or_function(each, body))]
    tools += [mcp(server) for server in body.get("mcp_servers") or ()]
    asked: Json = {"instructions": head, "input": given, "tools": tools or None}
    asked |= choice(body.get("tool_choice") or {})
    asked |= {name: body.get(name) for name in ("temperature", "top_p")}
    asked["max_output_tokens"] = body.get("max_tokens")
    asked["reasoning"] = reasoning(body)
    form = (body.get("output_config") or {}).get("format") or body.get("output_format")
    asked["text"] = items.schema_format(form["schema"]) if form else None
    asked["safety_identifier"] = (body.get("metadata") or {}).get("user_id")
    asked["service_tier"] = {"standard_only": "default"}.get(body.get("service_tier", ""))
    asked["prompt_cache_key"] = "conversation" if cached != "[]" else None
    asked["prompt_cache_retention"] = "24h" if "'1h'" in cached else None
    return asked


def found(value: Any, name: str) -> Iterator[Any]:
    """All that stands under a name, at any depth."""
    if isinstance(value, dict) and name in value:
        yield value[name]
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from found(inner, name)


def blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def said(role: str, content: list[Json]) -> Iterator[Json]:
    texts: list[Json] = []  # of the assistant: one text, however many blocks its citations make of it
    for block in content:
        kind = block["type"]
        if role == "assistant" and kind == "text":
            texts.append(block)
            continue
        if texts:
            yield answer(texts)
            texts = []
        if kind in STATE or (role == "assistant" and kind.endswith("_tool_result")):
            yield items.state("anthropic", {"blocks": [block]})
        elif kind == "tool_use":
            yield items.call(block["id"], block["name"], block["input"])
        elif kind == "tool_result":
            parts = [part for inner in blocks(block.get("content")) if (part := part_of("user", inner))]
            plain = len(parts) == 1 and parts[0]["type"] == "input_text"
            yield items.output(block["tool_use_id"], parts[0]["text"] if plain else parts)
        elif part := part_of(role, block):
            yield items.message(role, part)
    if texts:
        yield answer(texts)


def answer(texts: list[Json]) -> Json:
    part = items.text("assistant", "".join(block["text"] for block in texts))
    cited = [citation for block in texts for citation in block.get("citations") or ()]
    part["annotations"] = [
        {
            "type": "url_citation",
            "url": each["url"],
            "title": each.get("title"),
            "start_index": 0,
            "end_index": 1,
        }
        for each in cited
        if each.get("url")
    ]
    return items.message("assistant", part)


def part_of(role: str, block: Json) -> Json | None:
    """A content part; None for a block that the Responses API has no part for."""
    source = block.get("source") or {}
    if block["type"] == "text":
        return items.text(role, block["text"])
    if block["type"] == "image" and source["type"] == "base64":
        return items.image(items.data_url(source["media_type"], source["data"]))
    if block["type"] == "image" and source["type"] == "url":
        return items.image(source["url"])
    if block["type"] == "image" and source["type"] == "file":
        return {"type": "input_image", "file_id": source["file_id"]}
    if block["type"] == "document":
        return document(block, source)
    return None


def document(block: Json, source: Json) -> Json | None:
    name = block.get("title")
    if source["type"] == "base64":
        return items.file(source["media_type"], source["data"], name)
    if source["type"] == "text":
        return items.file("text/plain", items.encoded(source["data"]), name)
    named = {"filename": name} if name else {}
    if source["type"] == "url":
        return {"type": "input_file", **named, "file_url": source["url"]}
    return {"type": "input_file", "file_id": source["file_id"]} if source["type"] == "file" else None


# --------------------------------------------------------------------------- tools


def hosted_or_function(tool: Json, body: Json) -> Json | None:
    kind = tool.get("type", "custom")
    if kind == "custom":
        made = items.function(
            tool["name"], tool.get("description"), tool["input_schema"], strict=tool.get("strict") is True
        )
        return {**made, **({"defer_loading": True} if tool.get("defer_loading") else {})}
    if kind.startswith("web_search"):
        filters = {key: tool[key] for key in ("allowed_domains", "blocked_domains") if tool.get(key)}
        more = {"filters": filters} if filters else {}
        return {"type": "web_search", **more, "user_location": tool.get("user_location")}
    if kind.startswith("code_execution"):
        return {
            "type": "code_interpreter",
            "container": body.get("container") or {"type": "auto", **uploads(body)},
        }
    return {"type": "tool_search"} if kind.startswith("tool_search") else None


def uploads(body: Json) -> Json:
    found = [block["file_id"] for message in body["messages"] for block in blocks(message["content"])
             if block["type"] == "container_upload"]  # fmt: skip
    return {"file_ids": found} if found else {}


def mcp(server: Json) -> Json:
    made = {
        "type": "mcp",
        "server_label": server["name"],
        "server_url": server["url"],
        "require_approval": "never",
    }
    names = (server.get("tool_configuration") or {}).get("allowed_tools")
    token = server.get("authorization_token")
    made |= {"allowed_tools": names} if names is not None else {}
    return made | ({"authorization": token} if token else {})


def choice(given: Json) -> Json:
    kind = given.get("type", "auto")
    named = {"type": "function", "name": given.get("name")}
    parallel = False if given.get("disable_parallel_tool_use") else None
    return {"tool_choice": CHOICES.get(kind, named), "parallel_tool_calls": parallel}


def reasoning(body: Json) -> Json | None:
    effort = (body.get("output_config") or {}).get("effort")
    thinking = body.get("thinking") or {}
    budget = thinking.get("budget_tokens")
    if budget is not None:
        effort = min(BUDGETS, key=lambda level: abs(BUDGETS[level] - budget))
    elif thinking.get("type") == "disabled":
        effort = "none"
    shows = thinking.get("type") == "enabled" or thinking.get("display") == "summarized"
    shown = {"summary": "auto"} if shows or (thinking.get("type") == "adaptive" and not effort) else {}
    return {**({"effort": effort} if effort else {}), **shown} or None


# --------------------------------------------------------------------------- one spelling


def spelled(body: Json) -> Json:
    """A string is a text block; messages of one role in a row are one; adjoining texts of the assistant are one.

    What is null, empty or the default is not there.
    """
    messages: list[Json] = []
    for message in body["messages"]:
        content = [
            {
                key: value
                for key, value in {**block, **inner(block)}.items()
                if value is not None and (key, value) != ("is_error", False)
            }
            for block in blocks(message["content"])
        ]
        if messages and messages[-1]["role"] == message["role"]:
            messages[-1]["content"] += content
        else:
            messages.append({"role": message["role"], "content": content})
    for message in messages:
        if message["role"] == "assistant":
            message["content"] = one_text(message["content"])
    made = {**body, "system": blocks(body.get("system")), "messages": messages}
    made["tools"] = [
        {
            key: value
            for key, value in tool.items()
            if value not in (None, "") and (key, value) not in (("type", "custom"), ("strict", False))
        }
        for tool in body.get("tools") or ()
    ]
    if body.get("tool_choice") == {"type": "auto"}:
        del made["tool_choice"]
    if made.get("temperature") == 1:
        del made["temperature"]
    if form := made.pop("output_format", None):
        made["output_config"] = {"format": form}
    return {key: value for key, value in made.items() if value not in (None, [])}


def inner(block: Json) -> Json:
    return {"content": blocks(block.get("content"))} if block["type"] == "tool_result" else {}


def one_text(content: list[Json]) -> list[Json]:
    found: list[Json] = []
    for block in content:
        if found and block["type"] == found[-1]["type"] == "text":
            last = found[-1]
            cited = [*(last.get("citations") or ()), *(block.get("citations") or ())]
            more = {"citations": cited} if cited else {}
            found[-1] = {**last, **block, "text": last["text"] + block["text"], **more}
        else:
            found.append(block)
    return found
