"""A request of Gemini's generateContent in the terms of the Responses API, and its one spelling.

    systemInstruction           instructions, then messages of role system, one for each part
    text, inlineData, fileData  input_text, input_image, input_file, input_audio, input_video
    functionCall, functionResponse   function_call, function_call_output (the response as JSON text)
    thought, thoughtSignature, parts of Google's tools   reasoning with provider state, as the gateway gave it out
    tools                       functions; web_search, code_interpreter, file_search
    functionCallingConfig       tool_choice; VALIDATED: strict functions
    thinkingConfig              reasoning.effort: the level, or the one whose budget is nearest

Source: https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Iterator
from typing import Any

from . import items
from .items import Json

BUDGETS = {"none": 0, "minimal": 512, "low": 2048, "medium": 8192, "high": 24576}
KNOBS = {
    "maxOutputTokens": "max_output_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
}
# Objects whose keys are the client's own.
FREE = {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema"}
DEFAULTS = {"candidateCount": 1, "responseModalities": ["TEXT"]}
SNAKE = re.compile(r"_([a-z])")


def as_responses(body: Json, model: str) -> Json:
    body = spelled(body)
    translation = Translation(model.removeprefix("gemini/"))
    system = [part["text"] for part in body.get("systemInstruction", {}).get("parts", ())]
    head, *rest = system or [None]
    given = [items.message("system", items.text("system", said)) for said in rest]
    for content in body["contents"]:
        role = "assistant" if content.get("role") == "model" else "user"
        given += items.joined(list(translation.parts(role, content.get("parts", []))))
    config = body.get("generationConfig") or {}
    asked: Json = {"instructions": head, "input": given}
    asked |= {ours: config.get(theirs) for theirs, ours in KNOBS.items()}
    asked["reasoning"] = reasoning(config.get("thinkingConfig") or {})
    asked["text"] = text_format(config)
    if config.get("responseLogprobs"):
        asked |= {"include": ["message.output_text.logprobs"], "top_logprobs": config.get("logprobs")}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    tools = [made for tool in body.get("tools") or () for made in tools_of(tool, calling)]
    return asked | {"tools": tools or None, "tool_choice": choice(calling)}


class Translation:
    """Parts in order; calls without an id get one, and each result that of the first call that waits for it."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.waiting: list[tuple[str, str]] = []  # name and call id of calls without results
        self.count = 0

    def parts(self, role: str, parts: list[Json]) -> Iterator[Json]:
        group: list[Json] = []  # of Google's own tools: they travel together
        for part in parts:
            if role == "assistant" and part.keys() & {
                "executableCode",
                "codeExecutionResult",
                "toolCall",
                "toolResponse",
            }:
                group.append(part)
                continue
            yield from self.state(group)
            group = []
            yield from self.part(role, part)
        yield from self.state(group)

    def state(self, group: list[Json]) -> Iterator[Json]:
        if group:
            yield items.state("gemini", {"model": self.model, "on": "here", "parts": group})

    def part(self, role: str, part: Json) -> Iterator[Json]:
        signature = part.get("thoughtSignature")
        signed = {"signature": signature} if signature else {}
        if part.get("thought"):
            yield items.state("gemini", {"model": self.model, "on": "thought", **signed}, part["text"])
        elif "functionCall" in part:
            if signature:
                yield items.state("gemini", {"model": self.model, "on": "next", **signed})
            yield self.call(part["functionCall"])
        elif "functionResponse" in part:
            yield self.result(part["functionResponse"])
        elif part.get("text") == "" and signature:
            yield from self.state([part])
        elif "text" in part:
            yield items.message(role, items.text(role, part["text"]))
            if signature:
                yield items.state("gemini", {"model": self.model, "on": "previous", **signed})
        elif role == "assistant":
            data = part["inlineData"]
            form = data["mimeType"].removeprefix("image/")
            yield {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": data["data"],
                   "output_format": form}  # fmt: skip
        elif found := media(part):
            yield items.message(role, found)

    def call(self, call: Json) -> Json:
        self.count += 1
        call_id = call.get("id") or f"call_{self.count}"
        self.waiting.append((call["name"], call_id))
        return items.call(call_id, call["name"], call.get("args") or {})

    def result(self, response: Json) -> Json:
        wanted, called = response.get("id"), response["name"]
        at = next(
            n
            for n, (name, call_id) in enumerate(self.waiting)
            if wanted in (None, call_id) and called == name
        )
        _, call_id = self.waiting.pop(at)
        told = json.dumps(response["response"])
        parts = [found for part in response.get("parts") or () if (found := media(part))]
        return items.output(call_id, [items.text("user", told), *parts] if parts else told)


def media(part: Json) -> Json | None:
    """An image, file, sound or video; None for what has no part of its own."""
    if data := part.get("inlineData"):
        mime, content = data["mimeType"], data["data"]
        if mime.startswith("audio/"):
            form = {"mpeg": "mp3"}.get(mime.removeprefix("audio/"), mime.removeprefix("audio/"))
            return {"type": "input_audio", "input_audio": {"data": content, "format": form}}
        if mime.startswith("image/"):
            return items.image(items.data_url(mime, content))
        if mime.startswith("video/"):
            return {"type": "input_video", "video_url": items.data_url(mime, content)}
        return items.file(mime, content)
    if data := part.get("fileData"):
        mime, uri = data.get("mimeType") or "", data["fileUri"]
        if mime.startswith("image/"):
            return items.image(uri)
        if mime.startswith("video/"):
            return {"type": "input_video", "video_url": uri}
        return {
            "type": "input_file",
            "filename": f"file{mimetypes.guess_extension(mime) or ''}",
            "file_url": uri,
        }
    return None


# --------------------------------------------------------------------------- tools and configuration


def tools_of(tool: Json, calling: Json) -> Iterator[Json]:
    strict = calling.get("mode") == "VALIDATED"
    for each in tool.get("functionDeclarations") or ():
        schema = each.get("parametersJsonSchema")
        yield items.function(each["name"], each.get("description"), schema, strict=strict)
    if "googleSearch" in tool:
        yield {"type": "web_search"}
    if "codeExecution" in tool:
        yield {"type": "code_interpreter", "container": {"type": "auto"}}
    if found := tool.get("fileSearch"):
        yield {"type": "file_search", "vector_store_ids": found["fileSearchStoreNames"]}


def choice(calling: Json) -> Any:
    mode, names = calling.get("mode", "AUTO"), calling.get("allowedFunctionNames") or []
    tools = [{"type": "function", "name": name} for name in names]
    if mode == "NONE":
        return "none"
    if len(names) == 1 and mode == "ANY":
        return tools[0]
    if names:
        return {"type": "allowed_tools", "mode": "required" if mode == "ANY" else "auto", "tools": tools}
    return "required" if mode == "ANY" else None


def reasoning(config: Json) -> Json | None:
    effort = config.get("thinkingLevel", "").lower() or None
    if (budget := config.get("thinkingBudget")) is not None and budget >= 0:
        effort = min(BUDGETS, key=lambda level: abs(BUDGETS[level] - budget))
    shown = {"summary": "auto"} if config.get("includeThoughts") else {}
    return {**({"effort": effort} if effort else {}), **shown} or None


def text_format(config: Json) -> Json | None:
    schema = config.get("responseJsonSchema")
    if schema:
        return items.schema_format(schema)
    return (
        {"format": {"type": "json_object"}} if config.get("responseMimeType") == "application/json" else None
    )


# --------------------------------------------------------------------------- one spelling


def spelled(body: Json) -> Json:
    """Names in camel case, standard base64, JSON Schema's words; a role "function" is "user", no role too.

    Contents of one role in a row are one; what is empty, or the default, is not there; the model is in the path.
    """
    made: Json = camel(body)
    contents = made["contents"] if isinstance(made["contents"], list) else [made["contents"]]
    made["contents"] = []
    for content in contents:
        role = "model" if content.get("role") == "model" else "user"
        parts = [plain(part) for part in content.get("parts", ())]
        if made["contents"] and made["contents"][-1]["role"] == role:
            made["contents"][-1]["parts"] += parts
        else:
            made["contents"].append({"role": role, "parts": parts})
    if system := made.get("systemInstruction"):
        made["systemInstruction"] = {"parts": system["parts"]}
    declared: list[Json] = []
    for tool in made.get("tools") or ():
        for each in tool.get("functionDeclarations") or ():
            for name in each.keys() & {"parameters", "parametersJsonSchema"}:
                each["parametersJsonSchema"] = standard(each.pop(name))
            declared.append({key: value for key, value in each.items() if value != ""})
    others = [tool for tool in made.get("tools") or () if "functionDeclarations" not in tool]
    made["tools"] = others + ([{"functionDeclarations": declared}] if declared else [])
    config = made.get("generationConfig") or {}
    if "responseSchema" in config:
        config["responseJsonSchema"] = standard(config.pop("responseSchema"))
    made["generationConfig"] = {key: value for key, value in config.items() if DEFAULTS.get(key) != value}
    if (made.get("toolConfig") or {}).get("functionCallingConfig") == {"mode": "AUTO"}:
        del made["toolConfig"]["functionCallingConfig"]
    made.pop("model", None)
    return {key: value for key, value in made.items() if value not in (None, [], {})}


def camel(value: Any) -> Any:
    if isinstance(value, list):
        return [camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, inner in value.items():
        name = SNAKE.sub(lambda found: found[1].upper(), key)
        made[name] = inner if name in FREE else camel(inner)
    return made


def plain(part: Json) -> Json:
    made = dict(part)
    if data := part.get("inlineData"):
        made["inlineData"] = {**data, "data": base64(data["data"])}
    answer = part.get("functionResponse") or {}
    if answer.get("parts"):
        made["functionResponse"] = {**answer, "parts": [plain(inner) for inner in answer["parts"]]}
    return made


def base64(data: str) -> str:
    """In its one spelling: Google takes that for URLs too, with padding or without."""
    data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def standard(schema: Any) -> Any:
    """OpenAPI's words in JSON Schema's: lower-case types, null as a type."""
    if isinstance(schema, list):
        return [standard(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {
        key: standard(part)
        for key, part in schema.items()
        if (key, part) != ("required", []) and key != "nullable"
    }
    if isinstance(kind := schema.get("type"), str):
        made["type"] = [kind.lower(), "null"] if schema.get("nullable") is True else kind.lower()
    return made
