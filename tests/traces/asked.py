"""What a provider was asked, read from its request's JSON alone: the measure of the gateway's requests.

`read` makes an `Asked` of any provider's request, recorded or sent by the gateway; `as_responses` puts it into the
terms of the Responses API. What the Responses API cannot say (Untranslatable) is no matter of fidelity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Said = tuple[str, str, Any]  # role, kind (text, image, file, call, result), content


class Untranslatable(Exception):
    """The request holds what has no place in the Responses API, or only in an item of the provider's own tools."""


@dataclass
class Asked:
    """The content of one request. Calls and results carry the number of the call in the conversation, not its id."""

    system: list[str] = field(default_factory=list)
    turns: list[Said] = field(default_factory=list)
    tools: dict[str, Any] = field(default_factory=dict)
    choice: Any = "auto"
    knobs: Json = field(default_factory=dict)
    schema: Any = None

    def comparable(self) -> Json:
        """Without what providers may say either way: where one text ends and the next begins, spaces around it."""
        turns: list[Said] = []
        for role, kind, content in self.turns:
            if kind == "text" and turns and turns[-1][:2] == (role, "text"):
                turns[-1] = (role, kind, squeeze(turns[-1][2] + " " + content))
            elif kind != "text" or squeeze(content):
                turns.append((role, kind, squeeze(content) if kind == "text" else content))
        return {
            "system": squeeze(" ".join(self.system)),
            "turns": turns,
            "tools": {name: (squeeze(about or ""), outline(schema)) for name, (about, schema) in self.tools.items()},
            "choice": self.choice,
            "knobs": {name: value for name, value in self.knobs.items() if value is not None},
            "schema": outline(self.schema) if self.schema else None,
        }


def squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def outline(schema: Any) -> Any:
    """Of a JSON Schema, what a model goes by: types, properties, required, enums, descriptions; in one spelling."""
    if not isinstance(schema, dict):
        return schema
    schema = resolved(schema, schema.get("$defs") or schema.get("definitions") or {})
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else list(kinds or ())
    types = {name.lower() for name in names} | ({"null"} if schema.get("nullable") else set())
    result: Json = {"type": sorted(types)} if types else {}
    if properties := schema.get("properties"):
        result["properties"] = {name: outline(part) for name, part in properties.items()}
    if required := schema.get("required"):
        result["required"] = sorted(required)
    if "items" in schema:
        result["items"] = outline(schema["items"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            branches = [outline(part) for part in schema[union]]
            result["anyOf"] = [branch for branch in branches if branch != {"type": ["null"]}]
            if len(branches) > len(result["anyOf"]) or schema.get("nullable"):
                result["type"] = ["null"]
    if "enum" in schema or "const" in schema:
        result["enum"] = [str(value) for value in schema.get("enum", [schema.get("const")])]
    if schema.get("description"):
        result["description"] = squeeze(schema["description"])
    return result


def resolved(schema: Json, definitions: Json) -> Any:
    """The schema with its `$ref`s to definitions put in place; a recursive one is cut off at its second turn."""

    def walk(part: Any, seen: tuple[str, ...]) -> Any:
        if isinstance(part, list):
            return [walk(each, seen) for each in part]
        if not isinstance(part, dict):
            return part
        if ref := part.get("$ref"):
            name = ref.rsplit("/", 1)[-1]
            return {} if name in seen else walk(definitions.get(name, {}), (*seen, name))
        return {key: walk(each, seen) for key, each in part.items() if key not in ("$defs", "definitions")}

    return walk(schema, ())


class Calls:
    """The numbers of the calls, by their ids, or by name and order where the provider has no ids."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[int]] = {}
        self.count = 0

    def made(self, key: str) -> int:
        self.numbers.setdefault(key, []).append(self.count)
        self.count += 1
        return self.count - 1

    def answered(self, key: str) -> int:
        waiting = self.numbers.get(key)
        if not waiting:
            raise Untranslatable("a result without its call")
        return waiting.pop(0)


# --------------------------------------------------------------------------- Anthropic


def anthropic(body: Json) -> Asked:
    system = body.get("system") or []
    asked = Asked(system=[system] if isinstance(system, str) else [block["text"] for block in system])
    calls = Calls()
    for message in body["messages"]:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            asked.turns += anthropic_block(message["role"], block, calls)
    for tool in body.get("tools") or []:
        if tool.get("type", "custom") != "custom":
            raise Untranslatable(f"the provider's own tool {tool['type']}")
        asked.tools[tool["name"]] = (tool.get("description"), tool["input_schema"])
    choice = body.get("tool_choice") or {}
    asked.choice = {"any": "required", "tool": choice.get("name"), "none": "none"}.get(choice.get("type", ""), "auto")
    asked.knobs = {"max": body.get("max_tokens"), "temperature": body.get("temperature"), "top_p": body.get("top_p")}
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    asked.schema = form.get("schema")
    return asked


def anthropic_block(role: str, block: Json, calls: Calls) -> Iterator[Said]:
    kind = block["type"]
    if kind == "text":
        yield role, "text", block["text"]
    elif kind in ("image", "document"):
        yield role, "image" if kind == "image" else "file", anthropic_source(block["source"])
    elif kind == "tool_use":
        yield role, "call", (calls.made(block["id"]), block["name"], block["input"])
    elif kind == "tool_result":
        content = block.get("content") or ""
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        inner = [said[1:] for part in parts for said in anthropic_block(role, part, calls)]
        yield role, "result", (calls.answered(block["tool_use_id"]), *inner)
    elif kind not in ("thinking", "redacted_thinking"):
        raise Untranslatable(f"a block {kind}")


def anthropic_source(source: Json) -> str:
    if source["type"] == "base64":
        return f"data:{source['media_type']};base64,{source['data']}"
    if source["type"] == "url":
        return str(source["url"])
    raise Untranslatable(f"a source {source['type']}")


# --------------------------------------------------------------------------- Gemini


def gemini(body: Json) -> Asked:
    system = body.get("systemInstruction") or body.get("system_instruction") or {}
    asked = Asked(system=[part["text"] for part in system.get("parts", [])])
    calls = Calls()
    contents = body["contents"]
    for content in contents if isinstance(contents, list) else [contents]:
        role = "assistant" if content.get("role") == "model" else "user"
        for part in content.get("parts", []):
            asked.turns += gemini_part(role, part, calls)
    for tool in body.get("tools") or []:
        functions = tool.get("functionDeclarations") or tool.get("function_declarations")
        if not functions:
            raise Untranslatable(f"the provider's own tool {', '.join(tool)}")
        for function in functions:
            schema = function.get("parametersJsonSchema") or function.get("parameters_json_schema")
            asked.tools[function["name"]] = (function.get("description"), schema or function.get("parameters") or {})
    asked.choice = gemini_choice((body.get("toolConfig") or {}).get("functionCallingConfig") or {}, asked)
    config = body.get("generationConfig") or {}
    if set(config.get("responseModalities") or ["TEXT"]) != {"TEXT"}:
        raise Untranslatable("another modality than text")
    asked.knobs = {"max": config.get("maxOutputTokens"), "temperature": config.get("temperature"),
                   "top_p": config.get("topP")}  # fmt: skip
    asked.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    return asked


def gemini_choice(config: Json, asked: Asked) -> Any:
    names = config.get("allowedFunctionNames") or []
    mode = (config.get("mode") or "AUTO").upper()
    if mode == "NONE":
        return "none"
    if mode in ("AUTO", "VALIDATED"):
        return "auto"
    return names[0] if len(names) == 1 and len(asked.tools) > 1 else "required"


def gemini_part(role: str, part: Json, calls: Calls) -> Iterator[Said]:
    inline = part.get("inlineData") or part.get("inline_data")
    stored = part.get("fileData") or part.get("file_data")
    if part.get("thought"):
        return
    if "text" in part:
        yield role, "text", part["text"]
    elif inline:
        mime = inline.get("mimeType") or inline["mime_type"]
        if not mime.startswith("image/") and mime != "application/pdf":
            raise Untranslatable(f"a part {mime}")
        yield role, "image" if mime.startswith("image/") else "file", f"data:{mime};base64,{plain(inline['data'])}"
    elif stored:
        mime = stored.get("mimeType") or stored.get("mime_type") or "application/pdf"
        if not mime.startswith("image/") and mime != "application/pdf":
            raise Untranslatable(f"a file {mime}")
        yield role, "image" if mime.startswith("image/") else "file", stored.get("fileUri") or stored["file_uri"]
    elif "functionCall" in part:
        call = part["functionCall"]
        yield role, "call", (calls.made(call["name"]), call["name"], call.get("args") or {})
    elif "functionResponse" in part:
        answer = part["functionResponse"]
        if answer.get("parts"):
            raise Untranslatable("a result with parts")
        yield role, "result", (calls.answered(answer["name"]), ("text", flat(answer["response"])))
    else:
        raise Untranslatable(f"a part {', '.join(part)}")


def plain(data: str) -> str:
    """Base64 in the one spelling."""
    data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)


def flat(response: Any) -> str:
    """A function response's content: a lone value stands for itself, whatever the key around it."""
    if isinstance(response, dict) and len(response) == 1:
        [response] = response.values()
    try:
        response = json.loads(response) if isinstance(response, str) else response
    except ValueError:
        return squeeze(response)
    return flat(response) if isinstance(response, dict) and len(response) == 1 else json.dumps(response, sort_keys=True)


# --------------------------------------------------------------------------- Chat Completions and Ollama


def chat(body: Json) -> Asked:
    asked = Asked()
    calls = Calls()
    by_id = any("tool_call_id" in message for message in body["messages"])
    for message in body["messages"]:
        role, content = message["role"], message.get("content") or ""
        if role in ("system", "developer") and not asked.turns:
            asked.system.append(content)
            continue
        if role == "tool":
            key = message.get("tool_call_id") or message.get("tool_name") or ""
            asked.turns.append(("user", "result", (calls.answered(key), ("text", text_of(content)))))
            continue
        parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for part in parts:
            if part["type"] not in ("text", "image_url"):
                raise Untranslatable(f"a part {part['type']}")
            image = part["type"] == "image_url"
            asked.turns.append((role, "image", part["image_url"]["url"]) if image else (role, "text", part["text"]))
        asked.turns += [(role, "image", f"data:image/png;base64,{data}") for data in message.get("images") or []]
        for call in message.get("tool_calls") or []:
            function = call["function"]
            given = function["arguments"]
            number = calls.made(call["id"] if by_id and "id" in call else function["name"])
            arguments = json.loads(given or "{}") if isinstance(given, str) else given
            asked.turns.append((role, "call", (number, function["name"], arguments)))
    for tool in body.get("tools") or []:
        function = tool["function"]
        asked.tools[function["name"]] = (function.get("description"), function.get("parameters") or {})
    choice = body.get("tool_choice") or "auto"
    asked.choice = choice["function"]["name"] if isinstance(choice, dict) else choice
    options = body.get("options") or body
    length = options.get("num_predict") or body.get("max_tokens") or body.get("max_completion_tokens")
    asked.knobs = {"max": length, "temperature": options.get("temperature"), "top_p": options.get("top_p")}
    form = body.get("format")
    named = (body.get("response_format") or {}).get("json_schema") or {}
    asked.schema = form if isinstance(form, dict) else named.get("schema")
    return asked


def text_of(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


# --------------------------------------------------------------------------- OpenAI


def openai(body: Json) -> Asked:
    asked = Asked(system=[body["instructions"]] if body.get("instructions") else [])
    calls = Calls()
    if body.get("previous_response_id") or body.get("background"):
        raise Untranslatable("the provider's own store")
    given = body["input"]
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        asked.turns += openai_item(item, calls)
    for tool in body.get("tools") or []:
        if tool["type"] != "function":
            raise Untranslatable(f"the provider's own tool {tool['type']}")
        asked.tools[tool["name"]] = (tool.get("description"), tool.get("parameters") or {})
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, dict) and "name" not in choice:
        raise Untranslatable(f"a choice {choice['type']}")
    asked.choice = choice["name"] if isinstance(choice, dict) else choice
    asked.knobs = {"max": body.get("max_output_tokens"), "temperature": body.get("temperature"),
                   "top_p": body.get("top_p")}  # fmt: skip
    asked.schema = ((body.get("text") or {}).get("format") or {}).get("schema")
    return asked


def openai_item(item: Json, calls: Calls) -> Iterator[Said]:
    kind = item.get("type", "message")
    if kind == "message":
        yield from openai_parts(item["role"], item["content"])
    elif kind == "function_call":
        yield "assistant", "call", (calls.made(item["call_id"]), item["name"], json.loads(item["arguments"] or "{}"))
    elif kind == "function_call_output":
        inner = [said[1:] for said in openai_parts("user", item["output"])]
        yield "user", "result", (calls.answered(item["call_id"]), *inner)
    elif kind != "reasoning":
        raise Untranslatable(f"an item {kind}")


def openai_parts(role: str, content: Any) -> Iterator[Said]:
    for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else content:
        if part["type"] in ("input_text", "output_text"):
            yield role, "text", part["text"]
        elif part["type"] == "input_image" and part.get("image_url"):
            yield role, "image", part["image_url"]
        elif part["type"] == "input_file" and (part.get("file_data") or part.get("file_url")):
            yield role, "file", part.get("file_data") or part["file_url"]
        else:
            raise Untranslatable(f"a part {part['type']}")


READERS: dict[str, Callable[[Json], Asked]] = {
    "anthropic": anthropic,
    "gemini": gemini,
    "openai": openai,
    "chat": chat,
    "ollama": chat,
}


# --------------------------------------------------------------------------- in the terms of the Responses API


def as_responses(asked: Asked, model: str) -> Json:
    """The request that a Responses client would have made."""
    body: Json = {"model": model, "input": [item for said in asked.turns for item in items_of(*said)], "store": False}
    if asked.system:
        body["instructions"] = "\n".join(asked.system)
    if asked.tools:
        body["tools"] = [
            {"type": "function", "name": name, "description": about, "parameters": standard(schema), "strict": False}
            for name, (about, schema) in asked.tools.items()
        ]
        named = asked.choice in asked.tools
        body["tool_choice"] = {"type": "function", "name": asked.choice} if named else asked.choice
    if asked.schema:
        form = {"type": "json_schema", "name": "answer", "schema": standard(asked.schema), "strict": False}
        body["text"] = {"format": form}
    for knob, name in (("max", "max_output_tokens"), ("temperature", "temperature"), ("top_p", "top_p")):
        if asked.knobs.get(knob) is not None:
            body[name] = asked.knobs[knob]
    return body


def standard(schema: Any) -> Any:
    """OpenAPI's spelling, which Gemini takes too, in JSON Schema's: lower-case types, null as a type."""
    if isinstance(schema, list):
        return [standard(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: standard(part) for key, part in schema.items() if key != "nullable"}
    if isinstance(kind := schema.get("type"), str):
        result["type"] = [kind.lower(), "null"] if schema.get("nullable") is True else kind.lower()
    return result


def items_of(role: str, kind: str, content: Any) -> Iterator[Json]:
    if kind == "call":
        number, name, arguments = content
        yield {"type": "function_call", "call_id": f"call_{number}", "name": name, "arguments": json.dumps(arguments)}
    elif kind == "result":
        number, *parts = content
        texts = all(part[0] == "text" for part in parts)
        output = "".join(part[1] for part in parts) if texts else [part_of("user", *part) for part in parts]
        yield {"type": "function_call_output", "call_id": f"call_{number}", "output": output}
    else:
        yield {"type": "message", "role": role, "content": [part_of(role, kind, content)]}


def part_of(role: str, kind: str, content: str) -> Json:
    if kind == "text":
        return {"type": "output_text" if role == "assistant" else "input_text", "text": content}
    if kind == "image":
        return {"type": "input_image", "image_url": content}
    named = {"filename": "document.pdf"}
    return {"type": "input_file", **named, "file_url" if content.startswith("http") else "file_data": content}
