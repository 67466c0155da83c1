"""Why a provider request may differ from the recorded one: the named reasons, also those of docs/fidelity.md.

A difference is explained by a row whose `place` matches its path without positions, and whose `recorded` and `sent`, if
given, match the values as JSON (NOTHING where there is none). A row that explains nothing is a failure, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NamedTuple

from .difference import MISSING, Difference

NOTHING = r"^$"
TYPES = r'"type": "(?:{})"'


class Reason(NamedTuple):
    dialect: str
    what: str
    why: str
    place: str
    recorded: str = ""
    sent: str = ""

    def explains(self, difference: Difference) -> bool:
        return bool(
            re.fullmatch(self.place, difference.place)
            and re.search(self.recorded, _text(difference.recorded))
            and re.search(self.sent, _text(difference.sent))
        )


class Refusal(NamedTuple):
    """A request that the gateway refuses with this `param` (positions left out)."""

    dialect: str
    what: str
    why: str
    param: str


def _text(value: object) -> str:
    return "" if value is MISSING else json.dumps(value)


NO_FIELD = "The Responses API has no field for it"
NO_TOOL = "The Responses API has no such tool"
STREAMS = "The gateway always reads a stream"

REASONS = (
    # ----------------------------------------------------------------- Anthropic
    Reason("anthropic", "`stream`", STREAMS, r"stream", sent="true"),
    Reason("anthropic", "`stop_sequences`, `top_k`", NO_FIELD, r"stop_sequences|top_k", sent=NOTHING),
    Reason(
        "anthropic", "`context_management`, `task_budget`", NO_FIELD,
        r"context_management|output_config(\.task_budget)?", r'edits|task_budget|"tokens"', NOTHING,
    ),
    Reason("anthropic", "`citations` of a document", NO_FIELD, r"messages\[\]\.content\[\]\.citations", '"enabled"'),
    Reason(
        "anthropic", "`citations` of an earlier answer",
        "They stand in the annotations, whose form has no place for Anthropic's `encrypted_index`",
        r"messages\[\]\.content\[\]\.citations", "encrypted_index", NOTHING,
    ),
    Reason(
        "anthropic", "`is_error` of a tool's result", NO_FIELD + "; what went wrong stands in the output",
        r"messages\[\]\.content\[\]\.is_error", "true", NOTHING,
    ),
    Reason(
        "anthropic", "blocks `search_result`, `tool_reference`, `tool_addition`",
        "The Responses API has no such part", r"messages\[\](\.content\[\](\.content\[\])?)?",
        TYPES.format("search_result|tool_reference|tool_addition"), NOTHING,
    ),
    Reason(
        "anthropic", "blocks `container_upload`", "A container that is named takes no more files",
        r"messages\[\]\.content\[\]", TYPES.format("container_upload"), NOTHING,
    ),
    Reason(
        "anthropic", "tools `web_fetch`, `advisor`, `memory`", NO_TOOL, r"tools(\[\])?",
        "web_fetch|advisor|memory", NOTHING,
    ),
    Reason(
        "anthropic", "versions of hosted tools", "A client names the tool, the model table its version",
        r"tools\[\]\.(type|name)", "web_search|code_execution|tool_search", "web_search|code_execution|tool_search",
    ),
    Reason(
        "anthropic", "`allowed_callers`, `max_uses`", NO_FIELD, r"tools\[\]\.(allowed_callers|max_uses)", sent=NOTHING,
    ),
    Reason(
        "anthropic", "`defer_loading` without a `tool_search`", "Without the search the model would never see the tool",
        r"tools\[\]\.defer_loading", "true", NOTHING,
    ),
    Reason(
        "anthropic", "places of `cache_control`", "`prompt_cache_key` asks for caching, the gateway places it",
        r"cache_control|(system|tools|messages\[\]\.content)\[\]\.cache_control(\.ttl)?", r"^$|ephemeral|5m",
    ),
    Reason(
        "anthropic", "thinking budgets", "`reasoning.effort` has levels, and each its budget",
        r"thinking\.budget_tokens", r"^\d+$", r"^\d+$",
    ),
    Reason(
        "anthropic", "thinking of newer models", "Where the model has adaptive thinking, it is used",
        r"thinking(\.type|\.budget_tokens|\.display)?|output_config", r'^$|^"enabled"$|"disabled"|^\d+$',
        r'^$|adaptive|effort|summarized',
    ),
    Reason(
        "anthropic", "effort levels", "A level that the model has not is the next higher one",
        r"output_config\.effort", "xhigh", "max",
    ),
    Reason(
        "anthropic", "`output_config.format` with a schema or a model that has it not",
        "The answer is the arguments of a forced tool, beside which Anthropic does not think",
        r"output_config|tools|tool_choice|thinking", r"^$|format|budget_tokens", r'^$|"answer"',
    ),
    # ----------------------------------------------------------------- Gemini
    Reason("gemini", "`cachedContent`", NO_FIELD, r"cachedContent", sent=NOTHING),
    Reason(
        "gemini", "`safetySettings`, `modelArmorConfig`", NO_FIELD, r"safetySettings|modelArmorConfig", sent=NOTHING,
    ),
    Reason(
        "gemini", "`topK`, `seed`, `stopSequences`", NO_FIELD,
        r"generationConfig\.(topK|seed|stopSequences)|generationConfig", r"^[\d.]+$|^\[|stopSequences",
    ),
    Reason(
        "gemini", "spoken answers", "The Responses API has no audio output", r"generationConfig", "AUDIO",
    ),
    Reason(
        "gemini", "`responseModalities` of image models", "Text is taken as well as images",
        r"generationConfig\.responseModalities\[\]", NOTHING, "TEXT",
    ),
    Reason(
        "gemini", "`includeThoughts`", "Asked for where the model thinks, so that clients see reasoning",
        r"generationConfig(\.thinkingConfig(\.includeThoughts)?)?", r"^$|^false$", r"includeThoughts|^true$|^$",
    ),
    Reason(
        "gemini", "thinking budgets", "`reasoning.effort` has levels, and each its budget",
        r"generationConfig\.thinkingConfig\.thinkingBudget", r"^\d+$", r"^\d+$",
    ),
    Reason(
        "gemini", "thinking of models that do not", "The model table knows of no thinking: the effort is ignored",
        r"generationConfig\.thinkingConfig", "thinkingBudget", NOTHING,
    ),
    Reason(
        "gemini", "ids of calls", "A call without an id gets one, and its result the same: parallel calls need it",
        r"contents\[\]\.parts\[\]\.function(Call|Response)\.id", NOTHING, "call_",
    ),
    Reason("gemini", "`videoMetadata`", NO_FIELD, r"contents\[\]\.parts\[\]\.videoMetadata", sent=NOTHING),
    Reason(
        "gemini", "`mimeType` of a file in Google's Files API", "A part without a file name has none; Google knows it",
        r"contents\[\]\.parts\[\]\.fileData\.mimeType", "video/mp4", NOTHING,
    ),
    Reason(
        "gemini", "a file of unknown type in a tool's result", "It follows the result: only some types may stand in it",
        r"contents\[\]\.parts\[\](\.functionResponse\.parts)?", r"^$|fileUri", r"^$|fileUri",
    ),
    Reason(
        "gemini", "`includeServerSideToolInvocations`", "Sent where functions stand beside Google's tools",
        r"toolConfig", "includeServerSideToolInvocations", NOTHING,
    ),
    Reason("gemini", "tool `urlContext`", NO_TOOL, r"tools", "urlContext", NOTHING),
    # ----------------------------------------------------------------- OpenAI
    Reason("openai", "`stream`", STREAMS, r"stream", sent="true"),
    Reason(
        "openai", "`store`, `background`", "Conversations are kept by the gateway", r"store|background",
        sent="false|^$",
    ),
    Reason(
        "openai", "`previous_response_id`", "The gateway sends the conversation itself", r"previous_response_id",
        sent=NOTHING,
    ),
    Reason(
        "openai", "`truncation`", "The gateway truncates, not OpenAI", r"truncation", "^$|auto", "disabled",
    ),
    Reason(
        "openai", "`include`", "Encrypted reasoning is always asked for, to be replayed", r"include(\[\])?", NOTHING,
        "encrypted_content",
    ),
    Reason(
        "openai", "ids of items", "Nothing is stored at OpenAI that they could name", r"input\[\]\.id", sent=NOTHING,
    ),
    Reason("openai", "`status` of items", "It has no meaning in an input", r"input\[\]\.status", "completed", NOTHING),
    # ----------------------------------------------------------------- Chat Completions
    Reason("chat", "`stream`, `stream_options`", STREAMS, r"stream|stream_options", sent="true"),
    Reason("chat", "`enable_thinking`", "A field of some servers only", r"enable_thinking", sent=NOTHING),
    # ----------------------------------------------------------------- Ollama
    Reason("ollama", "`stream`", STREAMS, r"stream", sent="true"),
    Reason("ollama", "`truncate`", "The gateway truncates, not Ollama: a conversation that is too long is an error",
           r"truncate", NOTHING, "false"),
    Reason("ollama", '`format: ""`', "It asks for nothing", r"format", '""', NOTHING),
    Reason("ollama", "`seed`", NO_FIELD, r"options\.seed", sent=NOTHING),
    Reason("ollama", "`think` among the options", "It has no effect there", r"options\.think", sent=NOTHING),
    Reason(
        "ollama", "ids of calls", "A call without an id gets one, and its result the same",
        r"messages\[\]\.(tool_call_id|tool_calls\[\]\.id)", NOTHING, "call_",
    ),
    Reason(
        "ollama", "`type` of a call", "Ollama has no such field", r"messages\[\]\.tool_calls\[\]\.type", sent=NOTHING,
    ),
)  # fmt: skip

REFUSALS = (
    Refusal("anthropic", "files of Anthropic's Files API in a container", "A `file_id` names OpenAI's files",
            "tools[].container.file_ids"),
    Refusal("anthropic", "files of Anthropic's Files API", "A `file_id` names OpenAI's files",
            "input[].output[].file_id"),
    Refusal("gemini", "JSON from an image model", "The model has no JSON mode", "text.format"),
    Refusal("openai", "a `temperature` below 0", "OpenAI refuses it too", "temperature"),
    Refusal("openai", "a tool in the form of Chat Completions", "OpenAI refuses it too", "tools[].name"),
    Refusal("openai", "a result whose call lies in a response that OpenAI stored", "It names no call in the context",
            "input[].call_id"),
)  # fmt: skip


def reason_for(difference: Difference, dialect: str) -> Reason | None:
    return next((row for row in REASONS if row.dialect == dialect and row.explains(difference)), None)


def unexplained(found: Iterable[Difference], dialect: str) -> list[Difference]:
    return [difference for difference in found if reason_for(difference, dialect) is None]
