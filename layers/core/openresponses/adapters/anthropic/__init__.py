"""Anthropic's Messages API (`POST /v1/messages`), both directions.

    request.py    a turn → the request body: limits, sampling, structured output, cache breakpoints
    messages.py   the context's items → `system` and `messages`, under Anthropic's rules of alternation
    content.py    content parts → content blocks: text, images, documents
    tools.py      tools and tool_choice; which hosted tools map, are ignored, are refused
    thinking.py   reasoning.effort → thinking budgets, adaptive thinking, effort
    schema.py     JSON Schemas: what Anthropic takes as they are, what has to be rewritten or wrapped
    reader.py     the answer, streamed or whole → deltas
    hosted.py     blocks of tools that Anthropic ran ↔ items in OpenAI's shapes
    unwrap.py     a custom tool's text out of streamed JSON
    errors.py     error objects → ApiError

Options of a model that this adapter reads (`models.toml`, `[[model]]` → `options`), with what an unknown model gets:

    thinking            "none" | "budget" (default) | "adaptive": how the model is asked to think
    thinking_off        "omit" (default) | "disabled" | "never": how it is told not to; "never": it always thinks
    display             true: its thinking is shown only if asked for (`display: "summarized"`)
    block_binding       true: it refuses thinking blocks whose prefix changed, unless told to drop them
    efforts             the levels of `output_config.effort` it takes; default none
    sampling            "both" (default) | "one" | "none": temperature and top_p together, one of them, neither
    structured_outputs  true: native `output_config.format` and `strict` tools
    system_messages     true: takes role "system" in mid-conversation
    forced_tools        false: refuses every forced tool_choice; default true
    web_search          the version of its web search tool; default "web_search_20250305"
    code_execution      the version of its code execution tool; default "code_execution_20250825"
    tool_search         true: has the tool search tool, and functions with `defer_loading`
"""

from __future__ import annotations

from typing import Any, ClassVar

from ...protocol.errors import ApiError
from ...protocol.state import Shape
from ..base import Reader, Turn, UpstreamRequest
from . import errors, request, tools
from .reader import MessageReader


class AnthropicAdapter:
    """The Adapter for the Messages API."""

    state_shape: ClassVar[Shape] = {"blocks": [{"type": str, "id?": str, "tool_use_id?": str}]}

    def build(self, turn: Turn) -> UpstreamRequest:
        """The request body. Raises ApiError for a feature that the model or the API has no place for."""
        return request.build(turn)

    def reader(self, turn: Turn) -> Reader:
        return MessageReader(turn)

    def count(self, turn: Turn) -> UpstreamRequest:
        return request.count(turn)

    def counted(self, body: dict[str, Any]) -> int:
        return int(body["input_tokens"])

    def runs_mcp(self, tool: dict[str, Any]) -> bool:
        return tools.runs_mcp(tool)

    def explain(self, status: int, body: bytes) -> ApiError:
        """An error reply of the API, as ours."""
        return errors.explain(status, body)
