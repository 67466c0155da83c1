"""Items as chat messages: what the Chat Completions and Ollama adapters share of the way to the provider.

Order is kept. A reasoning item, a message and the calls behind it are one assistant message; parallel calls stand in
one message, and their results directly behind it, whatever order the client gave them in. The adapters give the
messages the provider's form; nothing here knows a provider.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from ..protocol.errors import ApiError, quoted
from .base import Json, Turn
from .tools import wire_name


class Part(NamedTuple):
    """A content part and where it stands in the request."""

    path: str
    part: Json


@dataclass(slots=True)
class Call:
    """A call in the history: `arguments` is JSON text."""

    id: str
    name: str
    arguments: str
    path: str


@dataclass(slots=True)
class Message:
    """One chat message. `state` is what its own provider gave with it, to be sent back in its place.

    Of role "tool": `call_id` and `name` say which call it answers.
    """

    role: str
    parts: list[Part] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    state: list[Json] = field(default_factory=list)
    call_id: str = ""
    name: str = ""


# Calls that providers ran themselves: which fields hold what was asked and what came out. Another provider is told of
# them as of any call with its result.
HOSTED_CALLS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "web_search_call": (("action",), ("results",)),
    "file_search_call": (("queries",), ("results",)),
    "code_interpreter_call": (("code",), ("outputs",)),
    "image_generation_call": (("revised_prompt",), ()),
    "mcp_call": (("arguments",), ("output", "error")),
}
# Calls of OpenAI's built-in tools that the client runs; their outputs are items of their own, `<type>_output`.
CLIENT_CALLS: dict[str, tuple[str, ...]] = {
    "local_shell_call": ("action",),
    "shell_call": ("action",),
    "apply_patch_call": ("operation",),
    "computer_call": ("action", "actions"),
}
OUTPUTS = {"function_call_output", "custom_tool_call_output", *(f"{kind}_output" for kind in CLIENT_CALLS)}
# Not content: what a tool search or a server's tool list found is offered as tools, where it is; the calls that a
# program made are items of their own.
LEFT_OUT = {"additional_tools", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"}
LEFT_OUT |= {"tool_search_call", "tool_search_output", "program", "program_output"}


def chat_messages(turn: Turn) -> list[Message]:
    """The turn's instructions and items as messages. Raises ApiError for an item that has no place in a chat."""
    return _Writer(turn).write()


class _Writer:
    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.messages: list[Message] = []
        self.open: Message | None = None  # the assistant's, as long as its items go on
        self.state: list[Json] = []
        self.results: dict[str, list[tuple[int, Message]]] = {}

    def write(self) -> list[Message]:
        if self.turn.instructions:
            text = {"type": "input_text", "text": self.turn.instructions}
            self.messages.append(Message("system", [Part("instructions", text)]))
        for index, item in enumerate(self.turn.input):
            if item["type"] in OUTPUTS:
                result = self.result(item, f"input[{index}]")
                self.results.setdefault(answered(item), []).append((index, result))
        for index, item in enumerate(self.turn.input):
            self.item(index, item, f"input[{index}]")
        self.close()
        self.check_results()
        return self.messages

    def check_results(self) -> None:
        """Raises ApiError for an output that answers no call, or one that has its result already."""
        left = min((index for waiting in self.results.values() for index, _ in waiting), default=None)
        if left is not None:
            raise no_call_for(left, self.turn.input[left])

    def item(self, index: int, item: Json, path: str) -> None:
        kind = item["type"]
        if kind == "message":
            self.message(item, path)
        elif kind == "reasoning":
            if (state := self.turn.state(item)) is not None:
                self.state.append(state)
        elif kind == "function_call":
            name = wire_name(item["name"], item.get("namespace"))
            self.call(Call(item["call_id"], name, item["arguments"], path))
        elif kind == "custom_tool_call":
            name = wire_name(item["name"], item.get("namespace"))
            self.call(Call(item["call_id"], name, dump({"input": item["input"]}), path))
        elif kind in CLIENT_CALLS:
            asked = _pick(item, CLIENT_CALLS[kind])
            self.call(Call(item.get("call_id") or item["id"], kind.removesuffix("_call"), dump(asked), path))
        elif kind in HOSTED_CALLS:
            self.hosted_call(index, item, path)
        elif kind in OUTPUTS:
            self.close()
        elif kind not in LEFT_OUT:
            raise ApiError("unsupported_value", f"This model cannot be given a {kind!r} item.", param=path)

    def message(self, item: Json, path: str) -> None:
        parts = [Part(f"{path}.content[{n}]", part) for n, part in enumerate(item["content"])]
        if item["role"] == "assistant":
            self.assistant(fresh=True).parts += parts
        else:
            self.close()
            self.messages.append(Message(item["role"], parts))

    def call(self, call: Call) -> None:
        self.assistant(fresh=bool(self.state)).calls.append(call)

    def assistant(self, *, fresh: bool) -> Message:
        """The assistant's open message; a new one where `fresh` content or reasoning comes after content or calls."""
        if self.open is None or (fresh and (self.open.parts or self.open.calls)):
            state, self.state = self.state, []
            self.close()
            self.open = Message("assistant")
            self.state = state
        self.open.state += self.state
        self.state = []
        return self.open

    def close(self) -> None:
        """The assistant's message is complete, and the results of its calls follow."""
        message, self.open = self.open, None
        if message:
            message.state += self.state  # what came after the last text belongs to it all the same
            self.messages.append(message)
            for call in message.calls:
                if waiting := self.results.get(call.id):
                    _, result = waiting.pop(0)
                    result.name = call.name
                    self.messages.append(result)
        self.state = []

    def result(self, item: Json, path: str) -> Message:
        output = item.get("output", "")
        if has_parts(item):
            parts = [Part(f"{path}.output[{n}]", part) for n, part in enumerate(output)]
        elif isinstance(output, dict) and output.get("image_url"):
            parts = [Part(f"{path}.output", {"type": "input_image", "image_url": output["image_url"]})]
        else:
            text = output if isinstance(output, str) else dump(output)
            parts = [Part(f"{path}.output", {"type": "input_text", "text": text})]
        return Message("tool", parts, call_id=answered(item))

    def hosted_call(self, index: int, item: Json, path: str) -> None:
        asks, gives = HOSTED_CALLS[item["type"]]
        asked, given = _pick(item, asks), _pick(item, gives)
        arguments = asked.get("arguments") if isinstance(asked.get("arguments"), str) else dump(asked)
        output = (
            given.get("output")
            if isinstance(given.get("output"), str)
            else dump(given or {"status": "completed"})
        )
        parts = [Part(path, {"type": "input_text", "text": output})]
        if item["type"] == "image_generation_call" and item.get("result"):
            image = f"data:image/{item.get('output_format') or 'png'};base64,{item['result']}"
            parts.append(Part(path, {"type": "input_image", "image_url": image}))
        name = item.get("name") or item["type"].removesuffix("_call")
        self.call(Call(item["id"], wire_name(name, None), arguments or "{}", path))
        self.results.setdefault(item["id"], []).append((index, Message("tool", parts, call_id=item["id"])))


def dump(value: Json | list[Any]) -> str:
    return orjson.dumps(value).decode()


def _pick(item: Json, keys: tuple[str, ...]) -> Json:
    return {key: item[key] for key in keys if item.get(key) is not None}


# --------------------------------------------------------------------------- content parts


def text_of(part: Json) -> str | None:
    """The text of a text or refusal part; None for other kinds."""
    text: str | None = part.get("text") if "text" in part else part.get("refusal")
    return text


def has_parts(item: Json) -> bool:
    """Whether a tool's output is a list of content parts; those of OpenAI's own tools are JSON of another kind."""
    own = item["type"] in ("function_call_output", "custom_tool_call_output")
    return own and isinstance(item["output"], list)


def answered(item: Json) -> str:
    """The id of the call that a tool's output answers; where OpenAI's own tools have no `call_id`, it is the item's."""
    call_id: str = item.get("call_id") or item["id"]
    return call_id


def no_call_for(place: int, item: Json) -> ApiError:
    """The error for a tool output, at this place of the context, that no call before it waits for."""
    message = f"No call waits for the tool output with call_id {quoted(answered(item))}."
    return ApiError("invalid_value", message, param=f"input[{place}].call_id")


def unsupported(path: str, what: str) -> ApiError:
    return ApiError("unsupported_value", f"This model cannot be given {what}.", param=path)


def arguments_of(call: Call) -> Json:
    """The arguments as the object that some providers take. Where a model's were none, the conversation goes on: they
    are told as the text that they are."""
    found = _object(call.arguments or "{}")
    return {"arguments": call.arguments} if found is None else found


def arguments_text(call: Call) -> str:
    """The same as JSON, as the model wrote it where that is an object. vLLM, llama.cpp and others parse the history,
    and refuse what they cannot read, in every turn from then on."""
    written = call.arguments or "{}"
    return written if _object(written) is not None else dump(arguments_of(call))


def _object(text: str) -> Json | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def details_of(messages: list[Message]) -> list[str]:
    """Paths of what images say of their `detail`, for a provider that has no such thing."""
    parts = (part for message in messages for part in message.parts)
    return [f"{part.path}.detail" for part in parts if part.part.get("detail", "auto") != "auto"]


def image_url(part: Part) -> str:
    """The URL of an image part. Raises ApiError for an image by file id: it lies with another provider."""
    url: str | None = part.part.get("image_url")
    if not url:
        raise unsupported(f"{part.path}.file_id", "an image by file id; send it as 'image_url'")
    return url


class DataUrl(NamedTuple):
    """A data URL: `data` is base64, as it stands in the URL."""

    mime: str
    data: str


MIME = re.compile(r"([\w-]+/[\w.+-]+)?", re.ASCII)


def read_data_url(url: str, path: str) -> DataUrl | None:
    """None if `url` is not a data URL. Raises ApiError if it is one that is not base64."""
    if not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(",")
    mime, *parameters = head.split(";")
    if not comma or "base64" not in parameters or not MIME.fullmatch(mime):
        raise ApiError("invalid_value", "A data URL must be 'data:<type>;base64,<data>'.", param=path)
    return DataUrl(mime.lower(), data)


TEXT_TYPES = {
    "application/json",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/javascript",
    "application/x-sh",
    "application/sql",
}


class File(NamedTuple):
    """A file sent with the request: `data` is base64."""

    name: str
    mime: str
    data: str

    @property
    def is_text(self) -> bool:
        return (
            self.mime.startswith("text/") or self.mime in TEXT_TYPES or self.mime.endswith(("+json", "+xml"))
        )


def read_file(part: Part) -> File | None:
    """A file part's content; None for a file by URL. Raises ApiError for a file by id, and for none at all."""
    content = part.part
    if content.get("file_id"):
        raise unsupported(f"{part.path}.file_id", "a file by file id; send it as 'file_data'")
    if content.get("file_url"):
        return None
    data = content.get("file_data")
    if not data:
        raise ApiError(
            "missing_required_parameter", "A file needs 'file_data' or 'file_url'.", param=part.path
        )
    name = content.get("filename") or "file"
    if url := read_data_url(data, f"{part.path}.file_data"):
        return File(name, url.mime, url.data)
    return File(name, mimetypes.guess_type(name)[0] or "application/octet-stream", data)


def inline_text(file: File, path: str) -> str:
    """A text file as text that names it. Raises ApiError if it is not base64 of UTF-8."""
    try:
        text = base64.b64decode(file.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise ApiError(
            "invalid_value", "'file_data' is not base64 of UTF-8 text.", param=f"{path}.file_data"
        ) from None
    name = file.name.replace('"', "'")
    return f'<file name="{name}">\n{text}\n</file>'


# --------------------------------------------------------------------------- tuning knobs


def given_knobs(request: Json) -> Iterator[tuple[str, object]]:
    """(path, value) of each tuning knob that the client turned, as far as providers differ in having it."""
    for path in KNOBS:
        value: object = request
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None and value != UNTURNED.get(path):
            yield path, value


KNOBS = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "max_output_tokens",
    "top_logprobs",
    "reasoning.effort",
    "reasoning.summary",
    "text.verbosity",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
)
# Values that ask for nothing.
UNTURNED: Json = {"top_logprobs": 0, "service_tier": "auto"}


def wants_logprobs(request: Json) -> bool:
    return bool(request.get("top_logprobs")) or "message.output_text.logprobs" in (
        request.get("include") or ()
    )


def logprobs_of(entries: list[Json] | None) -> list[Json] | None:
    """A provider's list of token logprobs, with every field that clients expect."""
    if not entries:
        return None
    return [
        {**_logprob(entry), "top_logprobs": [_logprob(other) for other in entry.get("top_logprobs") or ()]}
        for entry in entries
    ]


def _logprob(entry: Json) -> Json:
    token = entry.get("token", "")
    raw = entry.get("bytes")
    return {
        "token": token,
        "logprob": entry.get("logprob", 0.0),
        "bytes": list(token.encode()) if raw is None else raw,
    }


def schema_format(request: Json) -> Json | None:
    """`text.format` where it asks for JSON: its `type` is "json_schema" or "json_object"."""
    form: Json = (request.get("text") or {}).get("format") or {}
    return form if form.get("type") in ("json_schema", "json_object") else None


def described_schema(form: Json) -> Json:
    """The schema of a `text.format`, for a provider that has no other place for the format's description."""
    schema: Json = form["schema"]
    described = form.get("description") and "description" not in schema
    return {**schema, "description": form["description"]} if described else schema


# Hosted tools that a client offers by habit: left out where the provider has none, and named as ignored. Others carry
# data or actions that the client counts on: without them the request fails.
OPTIONAL_HOSTED = ("web_search", "image_generation", "tool_search")


def check_hosted(path: str, tool: Json, turn: Turn, ignored: list[str]) -> None:
    """A hosted tool that the provider has not: ignored where it is optional. Raises ApiError where it is not."""
    kind = tool["type"]
    choice = turn.tool_choice
    forced = isinstance(choice, dict) and choice.get("type") == kind
    if forced or not kind.startswith(OPTIONAL_HOSTED):
        what = "tool_choice" if forced else path
        raise ApiError("unsupported_parameter", f"This provider has no hosted tool {kind!r}.", param=what)
    ignored.append(path)
