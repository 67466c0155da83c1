"""Amazon Bedrock's Converse API, `/model/{id}/converse-stream`: one form for every model that Bedrock serves.

Requests are signed by IAM (`upstream/sigv4.py`), the answer is an AWS event stream. Model options read here:

    thinking   "budget": takes Claude's extended thinking by token budget; "adaptive": Claude's by `efforts`
    efforts    levels of effort that an adaptive model has; another one is its next higher
    display    true: an adaptive model shows its thoughts if asked to
    thinking_off   "disabled": a model that thinks unless it is told not to
    forced_tools   false: refuses every forced tool
    effort     reasoning effort -> fields for other families' reasoning; without any of these, `reasoning` has no place
    sampling   "one": temperature or top_p; "none": neither can be set; default both
    structured_outputs   true: keeps answers and strict tools to schemas of Claude's subset by itself
    cache      what a prefix to be cached may end in, of: tools, system, messages; default none of them
    cache_ttl  the longest that a cache is kept for, where it can be asked for

Reasoning goes back where its model asks for it again: signed or redacted, to a model of the same vendor. JSON output is
the model's own where it can be, else a tool that the model must call, `final_answer`, whose arguments become the text.
Source: Amazon Bedrock API reference, ConverseStream; user guide, "Carry out a conversation with the Converse API",
"Prompt caching for faster model inference".
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import quote

import orjson

from ..protocol.errors import ApiError
from ..protocol.state import Shape
from .base import Json, Turn, UpstreamRequest
from .bedrock_reader import FINAL_ANSWER, AnswerPlan, BedrockReader, answer_plan, error_of
from .messages import (
    Message,
    Part,
    arguments_of,
    chat_messages,
    check_hosted,
    details_of,
    given_knobs,
    image_url,
    inline_text,
    read_data_url,
    read_file,
    text_of,
    unsupported,
)
from .tools import ToolTable, WireTool

INFERENCE = {"temperature": "temperature", "top_p": "topP", "max_output_tokens": "maxTokens"}
CACHE = ("prompt_cache_key", "prompt_cache_retention")
HANDLED = ("reasoning.effort", "reasoning.summary", *CACHE)  # in functions of their own
SERVICE_TIERS = frozenset({"default", "flex", "priority", "reserved"})
IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
}
VIDEOS = {"mp4", "mov", "mkv", "webm", "flv", "mpeg", "mpg", "wmv", "3gp"}
NOT_IN_DOCUMENT_NAMES = re.compile(r"[^A-Za-z0-9 \-()\[\]]+")
SYSTEM = ("system", "developer")
# The region that an inference profile's name begins with; behind it stands the vendor.
REGION = re.compile(r"^(?:[a-z]{2}|us-gov|apac|global)\.")


class BedrockAdapter:
    state_shape: ClassVar[Shape] = {
        "model?": str,
        "blocks": [{"redactedContent?": str, "reasoningText?": dict}],
    }

    def build(self, turn: Turn) -> UpstreamRequest:
        ignored: list[str] = []
        messages = chat_messages(turn)
        body: Json = {"messages": _alternating(messages, turn.model)}
        if system := [{"text": _text(part)} for message in _leading(messages) for part in message.parts]:
            body["system"] = system
        plan = answer_plan(turn)
        if config := _tool_config(turn, messages, plan, ignored):
            body["toolConfig"] = config
        if plan and plan.native:
            body["outputConfig"] = {"textFormat": plan.native}
        inference: Json = {}
        for path, value in given_knobs(turn.request):
            if name := INFERENCE.get(path):
                inference[name] = value
            elif path == "service_tier" and value in SERVICE_TIERS:
                body["serviceTier"] = {"type": value}
            elif path not in HANDLED:
                ignored.append(path)
        _think(turn, messages, body, inference, ignored)
        _sample(turn, inference, ignored)
        _cache(turn, body, ignored)
        ignored += details_of(messages)
        if inference:
            body["inferenceConfig"] = inference
        path = f"/model/{quote(turn.model, safe=':')}/converse-stream"
        return UpstreamRequest(path, body, framing="aws-eventstream", ignored=ignored)

    def reader(self, turn: Turn) -> BedrockReader:
        return BedrockReader(turn)

    def explain(self, status: int, body: bytes) -> ApiError:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = {}
        message = data.get("message") or data.get("Message") or "" if isinstance(data, dict) else ""
        return error_of(status, str(message)[:2000])


# --------------------------------------------------------------------------- the request: messages


def _leading(messages: list[Message]) -> list[Message]:
    """The system and developer messages at the head; later ones stay in order, marked."""
    count = next((n for n, message in enumerate(messages) if message.role not in SYSTEM), len(messages))
    return messages[:count]


def _alternating(messages: list[Message], model: str) -> list[Json]:
    """User and assistant in turns, the user first: neighbours of the same role are one message."""
    written: list[Json] = []
    for message in messages[len(_leading(messages)) :]:
        role = "assistant" if message.role == "assistant" else "user"
        blocks = _blocks(message, model)
        if written and written[-1]["role"] == role:
            written[-1]["content"] += blocks
        elif blocks:
            written.append({"role": role, "content": blocks})
    if written and written[0]["role"] == "assistant":
        written.insert(0, {"role": "user", "content": [{"text": "(The conversation begins.)"}]})
    _settle_documents(written)
    return written


def _settle_documents(written: list[Json]) -> None:
    """What Converse asks of documents: a text beside them, and a name of its own for each."""
    names: set[str] = set()
    for message in written:
        content = message["content"]
        documents = [block["document"] for block in content if "document" in block]
        if documents and not any("text" in block for block in content):
            content.append({"text": "(See the attached files.)"})
        for block in content:
            documents += [
                inner["document"]
                for inner in block.get("toolResult", {}).get("content", ())
                if "document" in inner
            ]
        for document in documents:
            plain, count = document["name"], 1
            while document["name"] in names:
                count += 1
                document["name"] = f"{plain} ({count})"
            names.add(document["name"])


def _vendor(model: str) -> str:
    """Of a model's or an inference profile's id; an ARN stands for itself."""
    return model if model.startswith("arn:") else REGION.sub("", model, count=1).partition(".")[0]


def _thoughts(state: Json, model: str) -> list[Json]:
    """The blocks of a reasoning item that go back: other vendors' models refuse them, and what nobody signed."""
    if _vendor(state.get("model", model)) != _vendor(model):
        return []
    return [
        block
        for block in state["blocks"]
        if "redactedContent" in block or "signature" in block.get("reasoningText", ())
    ]


def _blocks(message: Message, model: str) -> list[Json]:
    if message.role == "tool":
        content = [_block(part) for part in message.parts]
        return [{"toolResult": {"toolUseId": message.call_id, "content": content or [{"text": ""}]}}]
    blocks = [{"reasoningContent": block} for state in message.state for block in _thoughts(state, model)]
    if message.role in SYSTEM:
        return [{"text": f"<{message.role}>\n{_text(part)}\n</{message.role}>"} for part in message.parts]
    for part in message.parts:
        text = text_of(part.part)
        # A text of nothing but white space is refused; models say such before calls.
        if text is None or (text.strip() if message.role == "assistant" else text):
            blocks.append(_block(part))
    for call in message.calls:
        blocks.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": arguments_of(call)}})
    return blocks


def _block(part: Part) -> Json:
    kind = part.part["type"]
    if text_of(part.part) is not None:
        return {"text": _text(part)}
    if kind == "input_image":
        return _image(part)
    if kind == "input_file":
        return _file(part)
    if kind == "input_video":
        return _video(part)
    raise unsupported(part.path, f"an {kind!r} part")


def _text(part: Part) -> str:
    text = text_of(part.part)
    if text is None:
        raise unsupported(part.path, f"an {part.part['type']!r} part here")
    return text


def _image(part: Part) -> Json:
    path, url = f"{part.path}.image_url", image_url(part)
    if url.startswith("s3://"):
        suffix = url.rpartition(".")[2].lower()
        form = IMAGES.get(f"image/{suffix}")
        if form is None:
            raise unsupported(path, "an image in S3 whose name does not end in its format")
        return {"image": {"format": form, "source": {"s3Location": {"uri": url}}}}
    found = read_data_url(url, path)
    if found is None:
        raise unsupported(path, "an image by URL; send it as a data URL")
    if found.mime not in IMAGES:
        raise unsupported(path, f"an image of type {found.mime!r}")
    return {"image": {"format": IMAGES[found.mime], "source": {"bytes": found.data}}}


def _file(part: Part) -> Json:
    file = read_file(part)
    if file is None:
        raise unsupported(f"{part.path}.file_url", "a file by URL; send it as 'file_data'")
    if file.mime in DOCUMENTS:
        name = NOT_IN_DOCUMENT_NAMES.sub(" ", file.name.rpartition(".")[0] or file.name).strip() or "document"
        return {
            "document": {"format": DOCUMENTS[file.mime], "name": name[:200], "source": {"bytes": file.data}}
        }
    if file.is_text:
        return {"text": inline_text(file, part.path)}
    raise unsupported(part.path, f"a file of type {file.mime!r}")


def _video(part: Part) -> Json:
    path, url = f"{part.path}.video_url", part.part["video_url"]
    if url.startswith("s3://") and (suffix := url.rpartition(".")[2].lower()) in VIDEOS:
        return {"video": {"format": suffix, "source": {"s3Location": {"uri": url}}}}
    found = read_data_url(url, path)
    if found is None or (form := found.mime.removeprefix("video/")) not in VIDEOS:
        raise unsupported(path, "this video; send a data URL or an s3:// URL that ends in its format")
    return {"video": {"format": form, "source": {"bytes": found.data}}}


# --------------------------------------------------------------------------- the request: tools and thinking


def _tool_config(turn: Turn, messages: list[Message], plan: AnswerPlan | None, ignored: list[str]) -> Json:
    table = ToolTable(turn.tools)
    for path, tool in table.hosted:
        check_hosted(path, tool, turn, ignored)
    called = any(message.calls or message.role == "tool" for message in messages)
    offered = turn.tool_choice != "none" or called  # a history with calls needs their tools
    tools = [_function(found, turn, ignored) for found in table.functions.values() if offered]
    if plan and not plan.native:
        tools.append(_tool_spec(FINAL_ANSWER, plan.description, plan.schema or {}))
    if called and not tools:
        tools.append(_tool_spec("none", "Not available any more.", {"type": "object", "properties": {}}))
    if not tools:
        return {}
    choice = _tool_choice(turn, table, plan)
    if choice and turn.profile.options.get("forced_tools") is False:
        param = "text.format" if plan and not plan.native else "tool_choice"
        raise ApiError("unsupported_value", "This model cannot be forced to call a tool.", param=param)
    return {"tools": tools, **choice}


def _function(found: WireTool, turn: Turn, ignored: list[str]) -> Json:
    """A function's spec. Raises ApiError for parameters that no object's schema tells."""
    from .anthropic.schema import enforceable, input_schema

    schema, wrapped = input_schema(found.parameters)
    if wrapped:
        message = "Bedrock takes no combinator or reference at the top of a function's parameters."
        raise ApiError("unsupported_value", message, param=f"{found.path}.parameters")
    spec = _tool_spec(found.name, found.description, schema)
    if found.tool.get("strict"):
        plain = enforceable(schema) if turn.profile.options.get("structured_outputs") else None
        if plain is None:
            ignored.append(f"{found.path}.strict")
        else:
            spec["toolSpec"] |= {"inputSchema": {"json": plain}, "strict": True}
    return spec


def _tool_spec(name: str, description: str | None, schema: Json) -> Json:
    spec: Json = {"name": name}
    if description:
        spec["description"] = description
    return {"toolSpec": {**spec, "inputSchema": {"json": schema}}}


def _tool_choice(turn: Turn, table: ToolTable, plan: AnswerPlan | None) -> Json:
    choice = turn.tool_choice
    if isinstance(choice, dict):
        return {"toolChoice": {"tool": {"name": table.named(choice["name"])}}}
    if plan and not plan.native:
        alone = choice == "none" or not table.functions
        return {"toolChoice": {"tool": {"name": FINAL_ANSWER}} if alone else {"any": {}}}
    return {"toolChoice": {"any": {}}} if choice == "required" else {}


def _think(turn: Turn, messages: list[Message], body: Json, inference: Json, ignored: list[str]) -> None:
    """Reasoning as the model's family takes it."""
    asked = turn.request.get("reasoning") or {}
    effort, options = asked.get("effort"), turn.profile.options
    wanted = effort != "none" and (effort is not None or asked.get("summary") not in (None, "none"))
    fields = options.get("effort", {}).get(effort)
    if fields is None and wanted:
        fields = _thinking(turn, messages, body, inference)
    if fields is None:
        if effort == "none" and options.get("thinking_off") == "disabled":
            fields = {"thinking": {"type": "disabled"}}
        ignored += [f"reasoning.{key}" for key in ("effort", "summary") if wanted and asked.get(key)]
    if not fields:
        return
    body["additionalModelRequestFields"] = dict(fields)
    if wanted and "thinking" in fields:
        ignored += [
            path
            for path, name in INFERENCE.items()
            if name != "maxTokens" and inference.pop(name, None) is not None
        ]


def _thinking(turn: Turn, messages: list[Message], body: Json, inference: Json) -> Json | None:
    """Claude's thinking, by effort or by a budget below the limit. A budget goes with no forced tool and no thought
    that the client lost. None where neither is possible."""
    from .anthropic.thinking import BUDGETS, MIN_BUDGET, level_of

    asked, options = turn.request["reasoning"], turn.profile.options
    if options.get("thinking") == "adaptive":
        shown = options.get("display") and asked.get("summary") not in (None, "none")
        thinking = {"type": "adaptive", **({"display": "summarized"} if shown else {})}
        level = level_of(asked.get("effort"), options["efforts"])
        return {"thinking": thinking, **({"output_config": {"effort": level}} if level else {})}
    forced = "toolChoice" in body.get("toolConfig", {})
    lost = any(message.calls and not message.state for message in messages)
    if options.get("thinking") != "budget" or forced or lost:
        return None
    budget = BUDGETS[asked.get("effort") or "medium"]
    limit = inference.get("maxTokens", turn.profile.max_output_tokens or 2 * budget)
    if limit <= MIN_BUDGET:
        return None
    inference["maxTokens"] = limit
    return {"thinking": {"type": "enabled", "budget_tokens": min(budget, max(MIN_BUDGET, limit * 3 // 4))}}


def _sample(turn: Turn, inference: Json, ignored: list[str]) -> None:
    """Temperature is at most 1; what else the model does not take of it and top_p is left out."""
    if inference.get("temperature", 0) > 1:
        inference["temperature"] = 1
        ignored.append("temperature")
    mode = turn.profile.options.get("sampling", "both")
    refused = {"none": ("temperature", "topP"), "one": ("topP",)}.get(mode, ())
    if mode == "one" and "temperature" not in inference:
        refused = ()
    for path, name in INFERENCE.items():
        if name in refused and inference.pop(name, None) is not None:
            ignored.append(path)


# --------------------------------------------------------------------------- the request: its cache


def _cache(turn: Turn, body: Json, ignored: list[str]) -> None:
    """At most four points, each after a prefix that the next turn begins with too."""
    asked = [name for name in CACHE if turn.request.get(name)]
    places, longest = turn.profile.options.get("cache", ()), turn.profile.options.get("cache_ttl")
    if not asked or not places:
        ignored += asked
        return
    point: Json = {"type": "default"}
    if turn.request.get("prompt_cache_retention") == "24h":
        if longest:
            point["ttl"] = longest
        else:
            ignored.append("prompt_cache_retention")
    prompts = [message["content"] for message in body["messages"] if message["role"] == "user"]
    ends: dict[str, list[list[Json]]] = {
        "tools": [body.get("toolConfig", {}).get("tools", [])],
        "system": [body.get("system", [])],
        "messages": [content for content in prompts[-2:] if not any(map(_is_converted, content))],
    }
    for place in places:
        for blocks in filter(None, ends[place]):
            blocks.append({"cachePoint": point})


def _is_converted(block: Json) -> bool:
    """Whether Bedrock makes a text of it for a model that knows PDF only: no point may follow that."""
    return "document" in block and block["document"]["format"] != "pdf"
