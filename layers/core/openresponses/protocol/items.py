"""Input items, their content parts and tools: which kinds there are and what each must hold.

The shapes are TypedDicts, checked by pydantic and passed on as plain dicts: what a client sent beyond them stays on the
item, because providers and later versions of the protocol know keys that we do not.
Source: the specification's *Param schemas; OpenAI's Responses API for the kinds the specification does not have.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Discriminator, Field, Tag, with_config
from typing_extensions import TypedDict

from .ids import LONGEST_CALL_ID

MAX_INPUT_ITEMS = 1000
MAX_TOOLS = 128
MAX_TOOL_SCHEMA_BYTES = 64 * 1024

CONFIG = ConfigDict(strict=True, extra="allow")

Status = Literal[
    "in_progress", "completed", "incomplete", "failed", "searching", "generating", "interpreting", "calling"
]
CallId = Annotated[str, Field(min_length=1, max_length=LONGEST_CALL_ID)]
ToolName = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_.:/-]+$")]

# --------------------------------------------------------------------------- content parts


@with_config(CONFIG)
class TextPart(TypedDict):
    type: str
    text: str


@with_config(CONFIG)
class RefusalPart(TypedDict):
    type: str
    refusal: str


@with_config(CONFIG)
class ImagePart(TypedDict):
    type: str
    image_url: NotRequired[str | None]
    file_id: NotRequired[str | None]
    detail: NotRequired[Literal["low", "high", "auto", "original"] | None]


@with_config(CONFIG)
class FilePart(TypedDict):
    type: str
    filename: NotRequired[str | None]
    file_data: NotRequired[str | None]
    file_url: NotRequired[str | None]
    file_id: NotRequired[str | None]


@with_config(CONFIG)
class VideoPart(TypedDict):
    type: str
    video_url: str


@with_config(CONFIG)
class InputAudio(TypedDict):
    data: str
    format: str


@with_config(CONFIG)
class AudioPart(TypedDict):
    type: str
    input_audio: InputAudio


TEXT_PARTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
# Kinds of parts -> members of the union; in brackets, lest an error's path take one for a key of the client's.
PART_TAGS = {
    **dict.fromkeys(TEXT_PARTS, "<text>"),
    "refusal": "<refusal>",
    "input_image": "<image>",
    "input_file": "<file>",
    "input_video": "<video>",
    "input_audio": "<audio>",
}


def part_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    return PART_TAGS.get(kind) if isinstance(kind, str) else None


def string_or_list(value: Any) -> str | None:
    return "<string>" if isinstance(value, str) else "<list>" if isinstance(value, list) else None


def text_tag(value: Any) -> str | None:
    return "<text>" if part_tag(value) == "<text>" else None


Part = Annotated[
    Annotated[TextPart, Tag("<text>")]
    | Annotated[RefusalPart, Tag("<refusal>")]
    | Annotated[ImagePart, Tag("<image>")]
    | Annotated[FilePart, Tag("<file>")]
    | Annotated[VideoPart, Tag("<video>")]
    | Annotated[AudioPart, Tag("<audio>")],
    Discriminator(part_tag),
]
Reasoned = Annotated[Annotated[TextPart, Tag("<text>")], Discriminator(text_tag)]
Content = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[Part], Tag("<list>")], Discriminator(string_or_list)
]

# --------------------------------------------------------------------------- items


@with_config(CONFIG)
class MessageItem(TypedDict):
    type: NotRequired[Literal["message"] | None]
    id: NotRequired[str | None]
    role: Literal["user", "assistant", "system", "developer"]
    content: Content
    status: NotRequired[Status | None]
    phase: NotRequired[Literal["commentary", "final_answer"] | None]


@with_config(CONFIG)
class FunctionCallItem(TypedDict):
    type: str
    id: NotRequired[str | None]
    call_id: CallId
    name: ToolName
    arguments: str
    namespace: NotRequired[str | None]
    status: NotRequired[Status | None]


@with_config(CONFIG)
class CustomToolCallItem(TypedDict):
    type: str
    id: NotRequired[str | None]
    call_id: CallId
    name: ToolName
    input: str
    namespace: NotRequired[str | None]
    status: NotRequired[Status | None]


@with_config(CONFIG)
class ToolOutputItem(TypedDict):
    type: str
    id: NotRequired[str | None]
    call_id: CallId
    output: Content
    status: NotRequired[Status | None]


@with_config(CONFIG)
class ReasoningItem(TypedDict):
    type: str
    id: NotRequired[str | None]
    summary: NotRequired[list[Reasoned] | None]
    content: NotRequired[list[Reasoned] | None]
    encrypted_content: NotRequired[str | None]
    status: NotRequired[Status | None]


@with_config(CONFIG)
class ItemReference(TypedDict):
    type: NotRequired[Literal["item_reference"] | None]
    id: str


@with_config(CONFIG)
class CompactionItem(TypedDict):
    type: str
    id: NotRequired[str | None]
    encrypted_content: str


@with_config(CONFIG)
class OtherItem(TypedDict):
    """An item of a hosted or client-side tool of OpenAI's: kept as it is."""

    type: str
    id: NotRequired[str | None]
    call_id: NotRequired[CallId | None]
    name: NotRequired[str | None]
    approval_request_id: NotRequired[str | None]


@with_config(CONFIG)
class McpListedTool(TypedDict):
    name: str
    description: NotRequired[str | None]
    input_schema: dict[str, Any]
    annotations: NotRequired[dict[str, Any] | None]


@with_config(CONFIG)
class McpListToolsItem(TypedDict):
    type: str
    id: NotRequired[str | None]
    server_label: str
    tools: list[McpListedTool]


@with_config(CONFIG)
class McpCallItem(TypedDict):
    """A call on an MCP server, or the request to approve one."""

    type: str
    id: NotRequired[str | None]
    server_label: str
    name: str
    arguments: str
    approval_request_id: NotRequired[str | None]
    output: NotRequired[str | None]


@with_config(CONFIG)
class McpApprovalResponse(TypedDict):
    type: str
    id: NotRequired[str | None]
    approval_request_id: str
    approve: bool
    reason: NotRequired[str | None]


# Items beyond the specification that clients send back, under OpenAI's names.
OTHER_ITEMS = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "computer_call",
    "computer_call_output",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_list_tools",
    "mcp_call",
    "mcp_approval_request",
    "mcp_approval_response",
    "tool_search_call",
    "tool_search_output",
    "program",
    "program_output",
    "compaction_trigger",
    "configuration_update",
)
ITEM_TAGS = {
    "message": "<message>",
    "function_call": "<function_call>",
    "function_call_output": "<tool_output>",
    "custom_tool_call": "<custom_tool_call>",
    "custom_tool_call_output": "<tool_output>",
    "reasoning": "<reasoning>",
    "item_reference": "<item_reference>",
    "compaction": "<compaction>",
    "compaction_summary": "<compaction>",
    "additional_tools": "<additional_tools>",
    **dict.fromkeys(OTHER_ITEMS, "<other>"),
    "tool_search_output": "<tool_search_output>",
    "mcp_list_tools": "<mcp_list_tools>",
    "mcp_call": "<mcp_call>",
    "mcp_approval_request": "<mcp_call>",
    "mcp_approval_response": "<mcp_approval_response>",
}


def item_tag(value: Any) -> str | None:
    """The kind of an item; messages and references may lack their type."""
    if not isinstance(value, dict):
        return None
    kind = value.get("type")
    if kind is None:
        return "<message>" if "role" in value else "<item_reference>" if "id" in value else None
    return ITEM_TAGS.get(kind) if isinstance(kind, str) else None


# --------------------------------------------------------------------------- tools


@with_config(CONFIG)
class FunctionTool(TypedDict):
    type: str
    name: ToolName
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


@with_config(CONFIG)
class CustomFormat(TypedDict):
    type: Literal["text", "grammar"]
    syntax: NotRequired[Literal["lark", "regex"] | None]
    definition: NotRequired[str | None]


@with_config(CONFIG)
class CustomTool(TypedDict):
    type: str
    name: ToolName
    description: NotRequired[str | None]
    format: NotRequired[CustomFormat | None]


def inner_tool_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    return f"<{kind}>" if kind in ("function", "custom") else None


@with_config(CONFIG)
class NamespaceTool(TypedDict):
    type: str
    name: ToolName
    description: NotRequired[str | None]
    tools: list[
        Annotated[
            Annotated[FunctionTool, Tag("<function>")] | Annotated[CustomTool, Tag("<custom>")],
            Discriminator(inner_tool_tag),
        ]
    ]


@with_config(CONFIG)
class McpFilter(TypedDict):
    tool_names: NotRequired[list[str] | None]
    read_only: NotRequired[bool | None]


@with_config(CONFIG)
class McpApproval(TypedDict):
    always: NotRequired[McpFilter | None]
    never: NotRequired[McpFilter | None]


def list_or_filter(value: Any) -> str | None:
    return "<list>" if isinstance(value, list) else "<filter>" if isinstance(value, dict) else None


def word_or_filter(value: Any) -> str | None:
    return "<word>" if isinstance(value, str) else "<filter>" if isinstance(value, dict) else None


@with_config(CONFIG)
class McpTool(TypedDict):
    """A server by its address, by a provider's connector, or by its label alone, where the operator configured it."""

    type: str
    server_label: Annotated[str, Field(min_length=1, max_length=128)]
    server_url: NotRequired[str | None]
    connector_id: NotRequired[str | None]
    server_description: NotRequired[str | None]
    authorization: NotRequired[str | None]
    headers: NotRequired[dict[str, str] | None]
    allowed_tools: NotRequired[
        Annotated[
            Annotated[list[str], Tag("<list>")] | Annotated[McpFilter, Tag("<filter>")],
            Discriminator(list_or_filter),
        ]
        | None
    ]
    require_approval: NotRequired[
        Annotated[
            Annotated[Literal["always", "never"], Tag("<word>")] | Annotated[McpApproval, Tag("<filter>")],
            Discriminator(word_or_filter),
        ]
        | None
    ]


@with_config(CONFIG)
class HostedTool(TypedDict):
    type: str


HOSTED_TOOLS = (
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
    "file_search",
    "code_interpreter",
    "image_generation",
    "computer",
    "computer_use",
    "computer_use_preview",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
    "programmatic_tool_calling",
)
TOOL_TAGS = {
    "function": "<function>",
    "custom": "<custom>",
    "namespace": "<namespace>",
    "mcp": "<mcp>",
    **dict.fromkeys(HOSTED_TOOLS, "<hosted>"),
}


def tool_tag(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    return TOOL_TAGS.get(kind) if isinstance(kind, str) else None


Tool = Annotated[
    Annotated[FunctionTool, Tag("<function>")]
    | Annotated[CustomTool, Tag("<custom>")]
    | Annotated[NamespaceTool, Tag("<namespace>")]
    | Annotated[McpTool, Tag("<mcp>")]
    | Annotated[HostedTool, Tag("<hosted>")],
    Discriminator(tool_tag),
]


@with_config(CONFIG)
class ToolSearchOutput(TypedDict):
    type: str
    id: NotRequired[str | None]
    call_id: NotRequired[CallId | None]
    tools: list[Tool]


@with_config(CONFIG)
class AdditionalTools(TypedDict):
    """Tools that come in the input instead of in `tools` (Codex); they are offered like the others."""

    type: str
    id: NotRequired[str | None]
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS)]


Item = Annotated[
    Annotated[MessageItem, Tag("<message>")]
    | Annotated[FunctionCallItem, Tag("<function_call>")]
    | Annotated[CustomToolCallItem, Tag("<custom_tool_call>")]
    | Annotated[ToolOutputItem, Tag("<tool_output>")]
    | Annotated[ReasoningItem, Tag("<reasoning>")]
    | Annotated[ItemReference, Tag("<item_reference>")]
    | Annotated[CompactionItem, Tag("<compaction>")]
    | Annotated[AdditionalTools, Tag("<additional_tools>")]
    | Annotated[ToolSearchOutput, Tag("<tool_search_output>")]
    | Annotated[McpListToolsItem, Tag("<mcp_list_tools>")]
    | Annotated[McpCallItem, Tag("<mcp_call>")]
    | Annotated[McpApprovalResponse, Tag("<mcp_approval_response>")]
    | Annotated[OtherItem, Tag("<other>")],
    Discriminator(item_tag),
]
