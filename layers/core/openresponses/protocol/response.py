"""The response object: all of its fields, from the request that asked for it.

Source: the specification's ResponseResource, which wants every field in every snapshot.
"""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

NO_USAGE: Json = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}


def new_response(response_id: str, request: Json, created_at: int) -> Json:
    """A `queued` response with the request's settings, in the defaults of the specification where it had none."""
    response: Json = {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "completed_at": None,
        "status": "queued",
        "incomplete_details": None,
        "model": request["model"],
        "previous_response_id": request.get("previous_response_id"),
        "instructions": request.get("instructions"),
        "output": [],
        "error": None,
        "tools": [echo_tool(tool) for tool in request.get("tools", ())],
        "tool_choice": echo_tool_choice(request.get("tool_choice", "auto")),
        "truncation": request.get("truncation", "disabled"),
        "parallel_tool_calls": request.get("parallel_tool_calls", True),
        "text": echo_text(request.get("text", {})),
        "top_p": request.get("top_p", 1.0),
        "presence_penalty": request.get("presence_penalty", 0.0),
        "frequency_penalty": request.get("frequency_penalty", 0.0),
        "top_logprobs": request.get("top_logprobs", 0),
        "temperature": request.get("temperature", 1.0),
        "reasoning": echo_reasoning(request.get("reasoning", {})),
        "usage": None,
        "max_output_tokens": request.get("max_output_tokens"),
        "max_tool_calls": request.get("max_tool_calls"),
        "store": request.get("store", True),
        "background": request.get("background", False),
        "service_tier": request.get("service_tier", "default"),
        "metadata": request.get("metadata", {}),
        "safety_identifier": request.get("safety_identifier"),
        "prompt_cache_key": request.get("prompt_cache_key"),
        "user": request.get("user"),  # OpenAI's field, which some clients must have
    }
    conversation = request.get("conversation")
    if conversation is not None:  # OpenAI's field; the specification has none
        response["conversation"] = conversation if isinstance(conversation, dict) else {"id": conversation}
    return response


def echo_tool(tool: Json) -> Json:
    """A tool as the response shows it: a function always has description, parameters and a boolean strict."""
    if tool["type"] == "mcp":
        return echo_mcp(tool)
    if tool["type"] != "function":
        return tool
    return {
        "type": "function",
        "name": tool["name"],
        "description": tool.get("description"),
        "parameters": tool.get("parameters"),
        "strict": bool(tool.get("strict")),
    }


def echo_mcp(tool: Json) -> Json:
    """An MCP server without what opens it; some carry a key in the query of their URL."""
    shown = {key: value for key, value in tool.items() if key not in ("authorization", "headers")}
    if tool.get("server_url"):
        shown["server_url"] = tool["server_url"].partition("?")[0]
    return shown


def echo_tool_choice(choice: str | Json) -> str | Json:
    if isinstance(choice, str) or choice["type"] != "allowed_tools":
        return choice
    return {"type": "allowed_tools", "mode": choice.get("mode") or "auto", "tools": choice.get("tools") or []}


def echo_text(text: Json) -> Json:
    """`schema` is null in the specification's JsonSchemaResponseFormat: a response names its format, no more."""
    asked = text.get("format") or {"type": "text"}
    shown = {"type": asked["type"]}
    if asked["type"] == "json_schema":
        shown |= {
            "name": asked["name"],
            "description": asked.get("description"),
            "schema": None,
            "strict": bool(asked.get("strict")),
        }
    return {"format": shown, "verbosity": text.get("verbosity") or "medium"}


def echo_reasoning(reasoning: Json) -> Json:
    """The specification has no "none" for the summary: that is null."""
    summary = reasoning.get("summary")
    return {"effort": reasoning.get("effort"), "summary": None if summary == "none" else summary}
