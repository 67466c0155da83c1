"""Gemini, `models.streamGenerateContent` of Google's Gemini API (v1beta).

    build.py     the request: generation config, tools, what has no place
    contents.py  items as contents: roles, media, calls and results, signatures in their places
    read.py      the answer: parts as deltas, citations, finish reasons
    explain.py   errors
    ../schema.py JSON Schema in Gemini's dialects

Options of a model (`models.toml`), with what holds for a model without them:

    effort            {}     effort -> thinkingBudget (integer) or thinkingLevel (string); empty: does not think
    signatures        false  refuses a function call without its thought signature
    call_ids          true   function calls and results carry ids
    json_schema       true   takes parametersJsonSchema and responseJsonSchema; false: the older Schema object
    structured_output true   has a JSON mode
    combine           false  takes Google's tools, functions and a response schema together
    validated         false  has the function calling mode VALIDATED
    functions         true   calls functions
    tool_media        false  takes media inside function responses
    url_input         true   fetches files from https URLs
    system            true   has systemInstruction
    search            true   has Google Search
    code_execution    true   has code execution
    sampling          true   lets temperature and topP be set
    penalties         false  lets presencePenalty and frequencyPenalty be set
    logprobs          true   gives logprobs
    image_output      false  answers with images
"""

from __future__ import annotations

from typing import ClassVar

from ...protocol.state import Shape
from ..base import Json, Reader, Turn, UpstreamRequest
from .build import build, count
from .explain import explain
from .read import GeminiReader

__all__ = ["GeminiAdapter"]


class GeminiAdapter:
    """See `adapters.base.Adapter`."""

    state_shape: ClassVar[Shape] = {"model?": str, "on?": str, "parts?": [dict]}

    def build(self, turn: Turn) -> UpstreamRequest:
        return build(turn)

    def reader(self, turn: Turn) -> Reader:
        return GeminiReader(turn)

    def count(self, turn: Turn) -> UpstreamRequest:
        return count(turn)

    def counted(self, body: Json) -> int:
        return int(body["totalTokens"])

    explain = staticmethod(explain)
