"""Chat Completions, as the many OpenAI-compatible servers speak it: how a turn becomes their request.

What differs from server to server is data. Options read here (`[[model]]` rows, mostly one a provider):

    max_tokens     name of the output limit's field: "max_tokens" (default) or "max_completion_tokens"
    accepts        further knobs it has, of: service_tier, prompt_cache_key, prompt_cache_retention,
                   safety_identifier, text.verbosity
    refuses        knobs of the usual ones that it has not, by path, as "presence_penalty"
    effort         reasoning effort -> what the body gets for it; default {"reasoning_effort": effort}
    inputs         what it reads besides text, default ["image", "file", "audio"]; also "video", "file_url", and
                   "tool_image": images may stand in a tool's message (else they follow in a user's)
    file_form      "document_url": files as Mistral takes them
    developer      true: keeps the role "developer", else it is "system"
    system         "first": one system message, at the head; later ones become marked user messages
    tool_choices   of "none", "required", "named", default all
    allowed_tools  true: takes the choice among allowed tools
    custom_tools   true: takes custom tools, else they are functions with one string
    strict         false: does not know strict functions
    json_schema    "tool": structured output is the arguments of a forced tool, else response_format
    hosted         hosted tool kind -> what the body gets for it
    call_ids       pattern of the ids that it takes; others are replaced by their hash
    replay         fields of its answer's message that it wants back, default ["reasoning_details"]
    replay_scope   "calls": only those since the last user message, and those of messages with calls, which must have
                   them: where they are lost, they are empty
    think_tags     true: its reasoning stands at the beginning of the text, as <think>…</think>
    forced         what the body gets where a tool must be called, instead of an effort
    stream_usage   false: does not know stream_options
    body           sent with every request

Its answers are read by `chat_reader`. Source: OpenAI's Chat Completions reference and the providers' own.
"""

from __future__ import annotations

import hashlib
import re
from typing import ClassVar

from ..protocol.errors import ApiError
from ..protocol.state import Shape
from .base import Json, Turn, UpstreamRequest
from .chat_reader import ChatReader
from .failures import read_failure
from .messages import (
    Call,
    Message,
    Part,
    arguments_of,
    arguments_text,
    chat_messages,
    check_hosted,
    given_knobs,
    image_url,
    inline_text,
    read_file,
    schema_format,
    text_of,
    unsupported,
    wants_logprobs,
)
from .tools import ToolTable, WireTool, wire_name

FIELDS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "text.verbosity": "verbosity",
    "service_tier": "service_tier",
    "prompt_cache_key": "prompt_cache_key",
    "prompt_cache_retention": "prompt_cache_retention",
    "safety_identifier": "safety_identifier",
}
# What not every server has; many refuse a request with a field that they do not know.
NOT_USUAL = {
    *("text.verbosity", "service_tier", "safety_identifier", "reasoning.summary"),
    *("prompt_cache_key", "prompt_cache_retention"),
}
INPUTS = ("image", "file", "audio")
TOOL_CHOICES = ("none", "required", "named")
REPLAY = ("reasoning_details",)


class ChatAdapter:
    state_shape: ClassVar[Shape] = {
        "reasoning?": str,
        "reasoning_content?": str,
        "reasoning_details?": [dict],
        "content?": [dict],
    }

    def build(self, turn: Turn) -> UpstreamRequest:
        quirks = turn.profile.options
        ignored: list[str] = []
        table = ToolTable(turn.tools)
        body: Json = {"model": turn.model, "messages": _Messages(turn, table).write()}
        _put_tools(body, turn, table, ignored)
        _put_format(body, turn, table)
        _put_knobs(body, turn, ignored)
        merge(body, quirks.get("body", {}))
        body["stream"] = True
        if quirks.get("stream_usage", True):
            body["stream_options"] = {"include_usage": True}
        return UpstreamRequest("/chat/completions", body, ignored=ignored)

    def reader(self, turn: Turn) -> ChatReader:
        table = ToolTable(turn.tools)
        options = turn.profile.options
        tags = bool(options.get("think_tags"))
        return ChatReader(table, options.get("replay", REPLAY), answer_tool(turn, table), tags)

    def explain(self, status: int, body: bytes) -> ApiError:
        return read_failure(status, body)


def merge(body: Json, fragment: Json) -> None:
    """Puts a fragment of data into the body: objects are joined, lists go on, anything else is replaced."""
    for key, value in fragment.items():
        old = body.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            body[key] = dict(old)
            merge(body[key], value)
        elif isinstance(old, list) and isinstance(value, list):
            body[key] = [*old, *value]
        else:
            body[key] = value


# --------------------------------------------------------------------------- messages


class _Messages:
    """The turn's messages in the server's form."""

    def __init__(self, turn: Turn, table: ToolTable) -> None:
        self.turn = turn
        self.table = table
        self.quirks = turn.profile.options
        self.inputs = self.quirks.get("inputs", INPUTS)
        self.moved: list[Part] = []  # out of tool messages, which hold text only
        self.written: list[Json] = []

    def write(self) -> list[Json]:
        messages = chat_messages(self.turn)
        if self.quirks.get("system") == "first":
            messages = _system_first(messages)
        last_user = max((n for n, m in enumerate(messages) if m.role == "user"), default=-1)
        for n, message in enumerate(messages):
            if message.role == "tool":
                self.tool(message)
                continue
            if self.moved:
                self.moved_parts(message)
            if message.role == "assistant":
                replayed = n > last_user or message.calls or self.quirks.get("replay_scope") != "calls"
                self.assistant(message, message.state if replayed else [])
            else:
                role = (
                    "system"
                    if message.role == "developer" and not self.quirks.get("developer")
                    else message.role
                )
                self.written.append({"role": role, "content": self.content(message.parts)})
        if self.moved:
            self.moved_parts(None)
        return self.written

    def content(self, parts: list[Part]) -> str | list[Json]:
        written = [self.part(part) for part in parts]
        if len(written) == 1 and written[0]["type"] == "text":
            text: str = written[0]["text"]
            return text
        return written or ""

    def assistant(self, message: Message, states: list[Json]) -> None:
        text = "".join(self.text(part) for part in message.parts)
        if not (text or message.calls or states):
            return
        written: Json = {"role": "assistant", "content": text}
        for state in states:
            for field in self.quirks.get("replay", REPLAY):
                if (value := state.get(field)) is not None:
                    _replay(written, field, value)
        if message.calls and self.quirks.get("replay_scope") == "calls":
            for field in self.quirks.get("replay", REPLAY):
                written.setdefault(field, "")
        if message.calls:
            written["tool_calls"] = [self.call(call) for call in message.calls]
        self.written.append(written)

    def call(self, call: Call) -> Json:
        tool = self.table.functions.get(call.name)
        if self.quirks.get("custom_tools") and tool and tool.kind == "custom":
            custom = {"name": call.name, "input": arguments_of(call).get("input", "")}
            return {"id": self.call_id(call.id), "type": "custom", "custom": custom}
        function = {"name": call.name, "arguments": arguments_text(call)}
        return {"id": self.call_id(call.id), "type": "function", "function": function}

    def call_id(self, call_id: str) -> str:
        pattern = self.quirks.get("call_ids")
        if pattern is None or re.fullmatch(pattern, call_id):
            return call_id
        return hashlib.sha256(call_id.encode()).hexdigest()[:9]

    def tool(self, message: Message) -> None:
        texts: list[str] = []
        here: list[Json] = []
        moved: list[Part] = []
        for part in message.parts:
            written = self.part(part)
            if written["type"] == "text":
                texts.append(written["text"])
            elif written["type"] == "image_url" and "tool_image" in self.inputs:
                here.append(written)
            else:
                moved.append(part)
        if moved:
            label = f"From the result of the tool call {self.call_id(message.call_id)}:"
            self.moved += [Part("", {"type": "input_text", "text": label}), *moved]
            if not texts:
                texts.append("The result follows in the next user message.")
        content: str | list[Json] = "\n\n".join(texts)
        if here:
            content = [*({"type": "text", "text": text} for text in texts), *here]
        self.written.append(
            {"role": "tool", "tool_call_id": self.call_id(message.call_id), "content": content}
        )

    def moved_parts(self, following: Message | None) -> None:
        """What tool messages could not hold stands in the user's message that follows the results."""
        parts, self.moved = self.moved, []
        if following and following.role == "user":
            following.parts = [*parts, *following.parts]
        else:
            self.written.append({"role": "user", "content": self.content(parts)})

    def text(self, part: Part) -> str:
        text = text_of(part.part)
        if text is None:
            raise unsupported(part.path, f"an {part.part['type']!r} part of the assistant's")
        return text

    def part(self, part: Part) -> Json:
        kind = part.part["type"]
        text = text_of(part.part)
        if text is not None:
            return {"type": "text", "text": text}
        if kind == "input_file":
            return self.file(part)
        what = kind.removeprefix("input_")
        if what not in self.inputs:
            raise unsupported(part.path, f"an {kind!r} part")
        if kind == "input_image":
            image = {"url": image_url(part)}
            if detail := part.part.get("detail"):
                image["detail"] = "high" if detail == "original" else detail
            return {"type": "image_url", "image_url": image}
        if kind == "input_audio":
            return {"type": "input_audio", "input_audio": part.part["input_audio"]}
        if kind == "input_video":
            return {"type": "video_url", "video_url": {"url": part.part["video_url"]}}
        raise unsupported(part.path, f"an {kind!r} part")

    def file(self, part: Part) -> Json:
        file = read_file(part)
        as_document = self.quirks.get("file_form") == "document_url"
        if file is None:
            if "file_url" not in self.inputs:
                raise unsupported(f"{part.path}.file_url", "a file by URL; send it as 'file_data'")
            url, name = part.part["file_url"], part.part.get("filename") or "file"
        elif file.is_text:
            return {"type": "text", "text": inline_text(file, part.path)}
        elif "file" not in self.inputs:
            raise unsupported(part.path, f"a file of type {file.mime!r}, only text")
        else:
            url, name = f"data:{file.mime};base64,{file.data}", file.name
        if as_document:
            return {"type": "document_url", "document_url": url, "document_name": name}
        return {"type": "file", "file": {"filename": name, "file_data": url}}


def _replay(message: Json, field: str, value: str | list[Json]) -> None:
    """Puts back what the server gave: thinking chunks before the text, other fields beside it."""
    old = message.get(field)
    if field == "content" and isinstance(value, list):
        text = [{"type": "text", "text": old}] if isinstance(old, str) and old else old or []
        message[field] = [*value, *text]
    else:
        message[field] = value if old is None else old + value


def _system_first(messages: list[Message]) -> list[Message]:
    """For templates with one system message, at the head: the rest keeps its place, as the user's, marked."""
    size = next((n for n, m in enumerate(messages) if m.role not in ("system", "developer")), len(messages))
    head = [part for message in messages[:size] for part in message.parts]
    text = "\n\n".join(text_of(part.part) or "" for part in head)
    written = [Message("system", [Part("", {"type": "input_text", "text": text})])] if head else []
    for message in messages[size:]:
        if message.role in ("system", "developer"):
            mark = Part("", {"type": "input_text", "text": "Instructions of the system:"})
            message = Message("user", [mark, *message.parts])
        written.append(message)
    return written


# --------------------------------------------------------------------------- tools


def _put_tools(body: Json, turn: Turn, table: ToolTable, ignored: list[str]) -> None:
    quirks = turn.profile.options
    for path, tool in table.hosted:
        fragment = quirks.get("hosted", {}).get(tool["type"])
        if fragment is None:
            check_hosted(path, tool, turn, ignored)
        else:
            merge(body, fragment)
            _check_options(path, tool, ignored)
    choice = turn.tool_choice
    if isinstance(choice, dict) and choice["type"] not in ("function", "custom"):
        raise ApiError(
            "unsupported_value", "This provider cannot be made to use that tool.", param="tool_choice"
        )
    if not table.functions:
        return
    offered, written = _choose(turn, table)
    if not offered:
        return
    body["tools"] = [_tool(table.functions[name], quirks, ignored) for name in offered] + body.get(
        "tools", []
    )
    if written is not None:
        body["tool_choice"] = written
    parallel = turn.request.get("parallel_tool_calls")
    if parallel is not None and "parallel_tool_calls" not in quirks.get("refuses", ()):
        body["parallel_tool_calls"] = parallel  # where it is not sent, the engine enforces it


def _check_options(path: str, tool: Json, ignored: list[str]) -> None:
    """The servers' own tools have no options of ours: filters are refused, what only tunes them is ignored."""
    given = [key for key, value in tool.items() if key != "type" and value not in (None, {})]
    if "filters" in given:
        raise ApiError(
            "unsupported_parameter", "This provider's tool takes no filters.", param=f"{path}.filters"
        )
    ignored += [f"{path}.{key}" for key in given]


def _tool(tool: WireTool, quirks: Json, ignored: list[str]) -> Json:
    if tool.kind == "custom" and quirks.get("custom_tools"):
        custom: Json = {"name": tool.name}
        if description := tool.tool.get("description"):
            custom["description"] = description
        form = tool.tool.get("format") or {}
        if form.get("type") == "grammar":
            grammar = {"syntax": form.get("syntax"), "definition": form.get("definition")}
            custom["format"] = {"type": "grammar", "grammar": grammar}
        return {"type": "custom", "custom": custom}
    function: Json = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    strict = tool.tool.get("strict")
    if strict is not None and quirks.get("strict", True):
        function["strict"] = strict
    elif strict:
        ignored.append(f"{tool.path}.strict")
    return {"type": "function", "function": function}


def _choose(turn: Turn, table: ToolTable) -> tuple[list[str], str | Json | None]:
    """(names of the tools to offer, tool_choice). All tools are offered, but where only leaving some out is exact."""
    everything = list(table.functions)
    can = turn.profile.options.get("tool_choices", TOOL_CHOICES)
    choice = turn.tool_choice
    allowed = table.allowed(turn.allowed)
    if isinstance(choice, dict):
        name = wire_name(choice["name"], choice.get("namespace"))
        return _forced(turn, table, name if name in table.functions else table.named(choice["name"]))
    if choice == "none" or not allowed:
        return (everything, "none") if "none" in can else ([], None)
    if choice == "required" and len(allowed) == 1 < len(everything):
        return _forced(turn, table, allowed[0])
    if turn.allowed is not None and turn.profile.options.get("allowed_tools"):
        tools = [_named(table.functions[name], turn) for name in allowed]
        return everything, {"type": "allowed_tools", "allowed_tools": {"mode": choice, "tools": tools}}
    if choice == "auto":
        return everything, None
    if "required" not in can:
        raise ApiError(
            "unsupported_value", "This provider cannot be made to call a tool.", param="tool_choice"
        )
    return everything, "required"


def _forced(turn: Turn, table: ToolTable, name: str) -> tuple[list[str], str | Json]:
    can = turn.profile.options.get("tool_choices", TOOL_CHOICES)
    if "named" in can:
        return list(table.functions), _named(table.functions[name], turn)
    if "required" in can:
        return [name], "required"
    raise ApiError("unsupported_value", "This provider cannot be made to call a tool.", param="tool_choice")


def _named(tool: WireTool, turn: Turn) -> Json:
    kind = "custom" if tool.kind == "custom" and turn.profile.options.get("custom_tools") else "function"
    return {"type": kind, kind: {"name": tool.name}}


# --------------------------------------------------------------------------- structured output


def answer_tool(turn: Turn, table: ToolTable) -> str | None:
    """The name of the tool whose arguments are the answer, for a server without a schema for its text."""
    form = schema_format(turn.request)
    if not form or form["type"] != "json_schema" or turn.profile.options.get("json_schema") != "tool":
        return None
    name = wire_name(form.get("name") or "answer", None)
    return f"answer_{name}"[:64] if name in table.functions else name


def _put_format(body: Json, turn: Turn, table: ToolTable) -> None:
    form = schema_format(turn.request)
    if not form:
        return
    if name := answer_tool(turn, table):
        description = form.get("description") or "Gives the final answer."
        function = {"name": name, "description": description, "parameters": form["schema"]}
        offered = [] if body.get("tool_choice") == "none" else body.get("tools", [])
        body["tools"] = [*offered, {"type": "function", "function": function}]
        if not offered:
            body["tool_choice"] = {"type": "function", "function": {"name": name}}
        else:
            body.setdefault("tool_choice", "required")
    elif form["type"] == "json_object":
        body["response_format"] = {"type": "json_object"}
    else:
        keys = ("name", "description", "strict", "schema")
        schema = {key: form[key] for key in keys if form.get(key) is not None}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}


# --------------------------------------------------------------------------- knobs


def _put_knobs(body: Json, turn: Turn, ignored: list[str]) -> None:
    quirks = turn.profile.options
    unknown = (NOT_USUAL - set(quirks.get("accepts", ()))) | set(quirks.get("refuses", ()))
    forced = quirks.get("forced") if body.get("tool_choice") not in (None, "none") else None
    merge(body, forced or {})
    for path, value in given_knobs(turn.request):
        if path == "reasoning.effort" and forced:
            if value != "none":
                ignored.append(path)
        elif path == "reasoning.effort":
            efforts = quirks.get("effort")
            level = "xhigh" if value == "max" and efforts and "max" not in efforts else value
            fragment = {"reasoning_effort": value} if efforts is None else efforts.get(level)
            if fragment is None:
                ignored.append(path)
            else:
                merge(body, fragment)
        elif path in unknown:
            ignored.append(path)
        elif path == "max_output_tokens":
            body[quirks.get("max_tokens", "max_tokens")] = value
        elif path in FIELDS:
            body[FIELDS[path]] = value
    if not wants_logprobs(turn.request):
        return
    top = turn.request.get("top_logprobs")
    if "top_logprobs" not in unknown:
        body["logprobs"] = True
        if top:
            body["top_logprobs"] = top
    elif not top:
        ignored.append("include")
