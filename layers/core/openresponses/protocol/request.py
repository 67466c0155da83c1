"""The request body of `POST /v1/responses`: bytes in, a checked request out, or an ApiError naming the parameter.

Unknown fields are ignored, `null` is the same as absent for every optional field, a wrong type or range is refused.
Source: the specification's CreateResponseBody, and OpenAI's Responses API for what clients send beyond it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

import orjson
from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from .depth import DEEPEST, too_deep
from .errors import PLAIN, ApiError, quoted
from .items import MAX_INPUT_ITEMS, MAX_TOOL_SCHEMA_BYTES, MAX_TOOLS, Item, Tool, string_or_list
from .sources import check_sources

Json = dict[str, Any]

STRICT = ConfigDict(strict=True)
LOOSE = ConfigDict(strict=True, extra="allow")

MetadataKey = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Mode = Literal["none", "auto", "required"]


@with_config(LOOSE)
class Reasoning(TypedDict):
    effort: NotRequired[Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None]
    summary: NotRequired[Literal["auto", "concise", "detailed", "none"] | None]
    generate_summary: NotRequired[Literal["auto", "concise", "detailed"] | None]
    context: NotRequired[str | None]
    mode: NotRequired[str | None]


@with_config(LOOSE)
class TextFormat(TypedDict):
    type: Literal["text", "json_object", "json_schema"]
    name: NotRequired[str | None]
    description: NotRequired[str | None]
    schema: NotRequired[Json | None]
    strict: NotRequired[bool | None]


@with_config(LOOSE)
class Text(TypedDict):
    format: NotRequired[TextFormat | None]
    verbosity: NotRequired[Literal["low", "medium", "high"] | None]


@with_config(LOOSE)
class ToolChoice(TypedDict):
    type: str
    name: NotRequired[str | None]
    mode: NotRequired[Mode | None]
    tools: NotRequired[Annotated[list[Json], Field(min_length=1, max_length=MAX_TOOLS)] | None]


@with_config(LOOSE)
class StreamOptions(TypedDict):
    include_obfuscation: NotRequired[bool | None]


@with_config(LOOSE)
class StoredPrompt(TypedDict):
    id: str
    version: NotRequired[str | None]
    variables: NotRequired[Json | None]


def mode_or_tool(value: Any) -> str | None:
    return "<mode>" if isinstance(value, str) else "<tool>" if isinstance(value, dict) else None


Items = Annotated[list[Item], Field(max_length=MAX_INPUT_ITEMS)]


@with_config(STRICT)
class CreateResponse(TypedDict):
    """Every field we know; the rest of a client's body is ignored."""

    model: NotRequired[str | None]
    input: NotRequired[
        Annotated[
            Annotated[str, Tag("<string>")] | Annotated[Items, Tag("<list>")], Discriminator(string_or_list)
        ]
        | None
    ]
    previous_response_id: NotRequired[str | None]
    conversation: NotRequired[str | Json | None]
    instructions: NotRequired[str | None]
    include: NotRequired[list[str] | None]
    tools: NotRequired[Annotated[list[Tool], Field(max_length=MAX_TOOLS)] | None]
    tool_choice: NotRequired[
        Annotated[
            Annotated[Mode, Tag("<mode>")] | Annotated[ToolChoice, Tag("<tool>")], Discriminator(mode_or_tool)
        ]
        | None
    ]
    parallel_tool_calls: NotRequired[bool | None]
    max_tool_calls: NotRequired[Annotated[int, Field(ge=1)] | None]
    metadata: NotRequired[Metadata | None]
    text: NotRequired[Text | None]
    reasoning: NotRequired[Reasoning | None]
    temperature: NotRequired[Annotated[float, Field(ge=0, le=2)] | None]
    top_p: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    presence_penalty: NotRequired[Penalty | None]
    frequency_penalty: NotRequired[Penalty | None]
    top_logprobs: NotRequired[Annotated[int, Field(ge=0, le=20)] | None]
    max_output_tokens: NotRequired[Annotated[int, Field(ge=1, le=2**31 - 1)] | None]
    truncation: NotRequired[Literal["auto", "disabled"] | None]
    stream: NotRequired[bool | None]
    stream_options: NotRequired[StreamOptions | None]
    background: NotRequired[bool | None]
    generate: NotRequired[bool | None]
    store: NotRequired[bool | None]
    service_tier: NotRequired[Annotated[str, Field(max_length=64)] | None]
    safety_identifier: NotRequired[Annotated[str, Field(max_length=512)] | None]
    prompt_cache_key: NotRequired[Annotated[str, Field(max_length=512)] | None]
    prompt_cache_retention: NotRequired[str | None]
    # OpenAI's, beyond the specification.
    prompt: NotRequired[StoredPrompt | None]
    prompt_cache_options: NotRequired[Json | None]
    context_management: NotRequired[list[Json] | None]
    moderation: NotRequired[Json | None]
    access_programs: NotRequired[Json | None]
    image: NotRequired[Json | None]
    background_options: NotRequired[Json | None]
    user: NotRequired[str | None]


CREATE_RESPONSE = TypeAdapter(CreateResponse)


def parse_json(body: bytes) -> Json:
    """The JSON object in `body`; ApiError "invalid_json" if it is not one (NaN, deep nesting, lone surrogates too)."""
    try:
        value = orjson.loads(body)
    except (orjson.JSONDecodeError, RecursionError) as error:
        raise ApiError("invalid_json", f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ApiError("invalid_json", "The request body must be a JSON object.")
    if too_deep(body, value):
        raise ApiError("invalid_json", f"The request body is nested more than {DEEPEST} levels deep.")
    return value


def parse_request(value: Json) -> Json:
    """The checked request without null fields; `model` and some input are in it. Raises ApiError."""
    try:
        checked = CREATE_RESPONSE.validate_python(value)
    except ValidationError as error:
        raise validation_error(error, value) from None
    request: Json = {key: given for key, given in checked.items() if given is not None}
    if "reasoning" in request:
        request["reasoning"] = _with_summary(request["reasoning"])
    _check_presence(request)
    check_sources(request.get("input"))
    _check_tools(request)
    _check_text_format(request)
    _check_combinations(request)
    return request


def _with_summary(reasoning: Json) -> Json:
    """Without `generate_summary`, the old name of `summary`."""
    asked = {key: value for key, value in reasoning.items() if key != "generate_summary"}
    if old := reasoning.get("generate_summary"):
        asked["summary"] = asked.get("summary") or old
    return asked


# What a union's discriminator accepts, where it is not an object with a type.
EXPECTED = {
    "string_or_list()": "a string or a list",
    "mode_or_tool()": "a string or an object",
    "word_or_filter()": "a string or an object",
    "list_or_filter()": "a list or an object",
}


def validation_error(error: ValidationError, value: Json) -> ApiError:
    """Pydantic's first complaint as an ApiError: the path in the client's own terms, a sentence without jargon."""
    details = error.errors(include_url=False, include_input=False)[0]
    steps, given = _walk(details["loc"], value)
    kind, path = details["type"], _path(steps)
    if kind == "missing":
        return _missing(_path([*steps, details["loc"][-1]]))
    if kind == "union_tag_not_found":
        expected = EXPECTED.get(details["ctx"]["discriminator"], "an object")
        if expected != "an object" or not isinstance(given, dict):
            return ApiError("invalid_type", f"Invalid type for '{path}': expected {expected}.", param=path)
        if given.get("type") is None:
            return _missing(f"{path}.type")
        path = f"{path}.type"
        if not isinstance(given["type"], str):
            return ApiError("invalid_type", f"Invalid type for '{path}': expected a string.", param=path)
        return ApiError(
            "invalid_value",
            f"Invalid value for '{path}': a type {quoted(given['type'])} is not supported.",
            param=path,
        )
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return ApiError(code, f"Invalid value for '{path}': {details['msg']}.", param=path)


def _missing(path: str) -> ApiError:
    return ApiError("missing_required_parameter", f"Missing required parameter: '{path}'.", param=path)


def _walk(location: tuple[int | str, ...], value: Any) -> tuple[list[int | str], Any]:
    """The steps of `location` that exist in `value` (others are pydantic's names for union members), and the end."""
    steps: list[int | str] = []
    for step in location:
        if isinstance(value, list):
            found = isinstance(step, int) and step < len(value)
        else:
            found = isinstance(value, dict) and step in value
        if found:
            value = value[step]
            steps.append(step)
    return steps, value


def _path(steps: list[int | str]) -> str:
    path = ""
    for step in steps:
        if isinstance(step, str) and not PLAIN.fullmatch(step):  # a key of the client's own
            break
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else step
    return path or "body"


def _check_presence(request: Json) -> None:
    if not request.get("model"):
        raise _missing("model")
    if request.get("generate") is False:  # a prewarm may come before there is anything to say
        return
    if not any(request.get(name) for name in ("input", "previous_response_id", "conversation", "prompt")):
        code = "invalid_value" if "input" in request else "missing_required_parameter"
        raise ApiError(
            code, "'input' must be a non-empty string or a non-empty list of items.", param="input"
        )


def _check_tools(request: Json) -> None:
    names: set[tuple[str | None, str]] = set()
    for place, namespace, tool in named_tools(request.get("tools", ())):
        if (namespace, tool["name"]) in names:
            raise ApiError(
                "invalid_value", f"There are two tools named '{tool['name']}'.", param=f"{place}.name"
            )
        names.add((namespace, tool["name"]))
        parameters = tool.get("parameters")
        if parameters is not None:
            _check_parameters(parameters, f"{place}.parameters")


def _check_parameters(parameters: Json, place: str) -> None:
    try:
        size = len(orjson.dumps(parameters))
    except (orjson.JSONEncodeError, RecursionError):
        raise ApiError("invalid_value", f"'{place}' is nested too deeply.", param=place) from None
    if size > MAX_TOOL_SCHEMA_BYTES:
        raise ApiError(
            "invalid_value",
            f"'{place}' is {size} bytes; at most {MAX_TOOL_SCHEMA_BYTES} are allowed.",
            param=place,
        )
    if _root(parameters).get("type", "object") != "object":
        raise ApiError(
            "invalid_value", f"'{place}' must be a JSON Schema of type 'object'.", param=f"{place}.type"
        )


def _root(schema: Json) -> Json:
    """The schema, or what its root refers to within itself."""
    root = schema
    for _ in range(10):
        reference = root.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        found: Any = schema
        for step in reference[2:].split("/"):
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            return {}
        root = found
    return root


def _check_text_format(request: Json) -> None:
    found = (request.get("text") or {}).get("format") or {}
    if found.get("type") == "json_schema":
        for key in ("name", "schema"):
            if found.get(key) is None:
                path = f"text.format.{key}"
                raise ApiError(
                    "missing_required_parameter", f"Missing required parameter: '{path}'.", param=path
                )


def _check_combinations(request: Json) -> None:
    if request.get("store") is False:
        for field in ("background", "conversation"):
            if request.get(field):
                raise ApiError("invalid_value", f"'{field}' needs 'store' to be true.", param=field)
    if request.get("previous_response_id") and request.get("conversation"):
        raise ApiError(
            "invalid_value",
            "'previous_response_id' and 'conversation' exclude each other.",
            param="previous_response_id",
        )


def named_tools(tools: Any, place: str = "tools") -> list[tuple[str, str | None, Json]]:
    """Every function and custom tool with its path and its namespace (None outside of one)."""
    found: list[tuple[str, str | None, Json]] = []
    for index, tool in enumerate(tools):
        path = f"{place}[{index}]"
        if tool["type"] in ("function", "custom"):
            found.append((path, None, tool))
        elif tool["type"] == "namespace":
            inner = enumerate(tool["tools"])
            found.extend((f"{path}.tools[{position}]", tool["name"], each) for position, each in inner)
    return found
