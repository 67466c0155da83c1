"""A request of OpenAI's Responses API: what a client of the gateway would send is what was recorded.

Only a stored conversation is left out, for it lies with OpenAI. Source: the API's own reference.
"""

from __future__ import annotations

from typing import Any

from .items import Json

LEFT_OUT = ("previous_response_id", "background", "stream", "store", "model")


def as_responses(body: Json, model: str) -> Json:
    asked = {key: value for key, value in body.items() if key not in LEFT_OUT}
    if isinstance(asked["input"], list):
        asked["input"] = [item for item in asked["input"] if item.get("type") != "item_reference"]
    return asked


def spelled(body: Json) -> Json:
    """The input as items; a message's content as parts; every item and part with its type; nothing null or empty."""
    given = body["input"]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    made = {**body, "input": [item(each) for each in messages]}
    if made.get("tool_choice") == "auto":
        del made["tool_choice"]
    made = {key: bare(value) for key, value in made.items()}
    return {key: value for key, value in made.items() if value not in (None, "", [])}


def bare(value: Any) -> Any:
    return (
        {key: inner for key, inner in value.items() if inner is not None}
        if isinstance(value, dict)
        else value
    )


def item(given: Json) -> Json:
    made = {key: value for key, value in given.items() if value is not None}
    if made.setdefault("type", "message") == "message":
        kind = "output_text" if made["role"] == "assistant" else "input_text"
        content = made["content"]
        parts = [{"type": kind, "text": content}] if isinstance(content, str) else content
        made["content"] = [{key: value for key, value in part.items() if value != []} for part in parts]
    return made
