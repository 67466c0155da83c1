"""The request: generation config, tools and the choice among them, and what has no place.

Sources: https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/function-calling.
"""

from __future__ import annotations

from ...protocol.errors import ApiError
from ..base import Json, Turn, UpstreamRequest
from ..messages import check_hosted, described_schema, given_knobs, schema_format, wants_logprobs
from ..schema import JSON, OPENAPI, rewrite
from ..tools import ToolTable, WireTool
from .contents import Contents

# Our knob -> Gemini's, and the option that says whether the model has it (with what holds without the option).
CONFIG: dict[str, tuple[str, str, bool]] = {
    "temperature": ("temperature", "sampling", True),
    "top_p": ("topP", "sampling", True),
    "presence_penalty": ("presencePenalty", "penalties", False),
    "frequency_penalty": ("frequencyPenalty", "penalties", False),
    "max_output_tokens": ("maxOutputTokens", "", True),
}
# Told elsewhere in this file.
ELSEWHERE = {"top_logprobs", "reasoning.effort", "reasoning.summary", "service_tier"}
# Values that ask for what Gemini does anyway.
DEFAULTS = {("text.verbosity", "medium"), ("presence_penalty", 0), ("frequency_penalty", 0)}
SERVICE_TIERS = {"flex", "priority"}
FUNCTIONS = ("function", "custom", "namespace")
# The function whose arguments are the answer, where a model has no JSON mode beside functions.
ANSWER = "final_answer"


def build(turn: Turn) -> UpstreamRequest:
    """See `adapters.base.Adapter.build`."""
    return _Builder(turn).request()


def count(turn: Turn) -> UpstreamRequest:
    """The request that counts this turn's input tokens (`models.countTokens`)."""
    body = {name: value for name, value in build(turn).body.items() if name != "serviceTier"}
    asked = {"model": f"models/{turn.model}", **body}
    return UpstreamRequest(f"/models/{turn.model}:countTokens", {"generateContentRequest": asked})


def answers_by_call(turn: Turn) -> bool:
    """Whether the answer comes as a call of ANSWER: a schema and functions that this model does not take together."""
    form = schema_format(turn.request)
    if form is None or form["type"] != "json_schema" or turn.profile.options.get("combine"):
        return False
    return turn.tool_choice != "none" and any(tool["type"] in FUNCTIONS for tool in turn.tools)


class _Builder:
    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.options = turn.profile.options
        self.table = ToolTable(turn.tools)
        self.ignored: list[str] = []
        self.dialect = JSON if self.options.get("json_schema", True) else OPENAPI
        self.answers_by_call = answers_by_call(turn)

    def request(self) -> UpstreamRequest:
        contents = Contents(self.turn)
        body: Json = {"contents": contents.contents}
        if contents.system:
            body["systemInstruction"] = {"parts": contents.system}
        if tools := self.tools():
            body["tools"] = tools
            if config := self.tool_config(tools):
                body["toolConfig"] = config
        if config := self.generation_config():
            body["generationConfig"] = config
        if self.turn.request.get("service_tier") in SERVICE_TIERS:
            body["serviceTier"] = self.turn.request["service_tier"]
        self.ignored += sorted(contents.ignored)
        path = f"/models/{self.turn.model}:streamGenerateContent?alt=sse"
        return UpstreamRequest(path, body, ignored=self.ignored)

    # ---------------------------------------------------------------- generation config

    def generation_config(self) -> Json:
        config: Json = {}
        for path, value in given_knobs(self.turn.request):
            if (path, value) in DEFAULTS or path in ELSEWHERE:
                continue
            field, option, default = CONFIG.get(path, ("", "", False))
            if field and (not option or self.options.get(option, default)):
                config[field] = value
            else:
                self.ignored.append(path)
        if self.turn.request.get("service_tier", "auto") not in {"auto", "default", *SERVICE_TIERS}:
            self.ignored.append("service_tier")
        self.logprobs(config)
        self.format(config)
        if self.options.get("image_output"):
            config["responseModalities"] = ["TEXT", "IMAGE"]
        if thinking := self.thinking():
            config["thinkingConfig"] = thinking
        return config

    def logprobs(self, config: Json) -> None:
        if not wants_logprobs(self.turn.request):
            return
        if not self.options.get("logprobs", True):
            raise ApiError("unsupported_parameter", "This model gives no logprobs.", param="top_logprobs")
        config["responseLogprobs"] = True
        if top := self.turn.request.get("top_logprobs"):
            config["logprobs"] = top

    def format(self, config: Json) -> None:
        form = schema_format(self.turn.request)
        if form is None or self.answers_by_call:
            return
        if not self.options.get("structured_output", True):
            raise ApiError("unsupported_parameter", "This model has no JSON mode.", param="text.format")
        if self.table.functions and self.turn.tool_choice != "none" and not self.options.get("combine"):
            message = "This model takes no JSON mode together with tools."
            raise ApiError("unsupported_parameter", message, param="text.format")
        config["responseMimeType"] = "application/json"
        if form["type"] == "json_schema":
            field = "responseJsonSchema" if self.dialect is JSON else "responseSchema"
            config[field] = rewrite(described_schema(form), self.dialect, "text.format.schema").schema

    def thinking(self) -> Json:
        """Effort as the model's own measure; thoughts are asked for, so that reasoning is shown, unless it is off."""
        reasoning = self.turn.request.get("reasoning") or {}
        efforts = self.options.get("effort") or {}
        effort = reasoning.get("effort")
        if not efforts:
            asked = [key for key in ("effort", "summary") if reasoning.get(key) not in (None, "none")]
            self.ignored += [f"reasoning.{key}" for key in asked]
            return {}
        if effort is None:
            return {"includeThoughts": True}
        if effort not in efforts:
            message = f"This model has the efforts {', '.join(efforts)}; not {effort!r}."
            raise ApiError("unsupported_value", message, param="reasoning.effort")
        measure = efforts[effort]
        if measure == 0:
            return {"thinkingBudget": 0}
        return {
            "includeThoughts": True,
            "thinkingBudget" if isinstance(measure, int) else "thinkingLevel": measure,
        }

    # ---------------------------------------------------------------- tools

    def tools(self) -> list[Json]:
        functions = list(self.table.functions.values())
        if functions and not self.options.get("functions", True):
            raise ApiError("unsupported_parameter", "This model calls no functions.", param="tools")
        found = [self.hosted(path, tool) for path, tool in self.table.hosted]
        hosted = [tool for tool in found if tool and self.turn.tool_choice != "none"]
        if hosted and functions and not self.options.get("combine"):
            message = "This model does not take Google's tools together with functions."
            raise ApiError("unsupported_parameter", message, param="tools")
        declared = [self.declaration(tool) for tool in functions]
        if self.answers_by_call:
            declared.append(self.answer())
        return [*hosted, *([{"functionDeclarations": declared}] if declared else [])]

    def declaration(self, tool: WireTool) -> Json:
        declared: Json = {"name": tool.name}
        if tool.description:
            declared["description"] = tool.description
        if tool.parameters.get("properties") or self.dialect is JSON:
            declared[self.parameters] = rewrite(
                tool.parameters, self.dialect, f"{tool.path}.parameters"
            ).schema
        return declared

    @property
    def parameters(self) -> str:
        return "parametersJsonSchema" if self.dialect is JSON else "parameters"

    def answer(self) -> Json:
        form = schema_format(self.turn.request) or {}
        if form["schema"].get("type") != "object":
            message = "Together with tools, this model takes a schema of type 'object' only."
            raise ApiError("unsupported_value", message, param="text.format.schema.type")
        told = form.get("description") or "Gives the final answer. Call it once no other tool is needed."
        schema = rewrite(form["schema"], self.dialect, "text.format.schema").schema
        return {"name": ANSWER, "description": told, self.parameters: schema}

    def hosted(self, path: str, tool: Json) -> Json | None:
        """Google's tool for a hosted one; None if it is left out. Raises ApiError where it counts."""
        kind = tool["type"]
        if kind.startswith("web_search") and self.searches:
            return self.search(path, tool)
        if kind == "code_interpreter" and self.options.get("code_execution", True):
            container = tool.get("container")
            if isinstance(container, str) or (container or {}).get("file_ids"):
                raise ApiError(
                    "unsupported_value", "Gemini has no containers to name.", param=f"{path}.container"
                )
            if (container or {}).get("memory_limit"):
                self.ignored.append(f"{path}.container.memory_limit")
            return {"codeExecution": {}}
        if kind == "file_search":
            return self.file_search(path, tool)
        if kind == "image_generation" and self.options.get("image_output"):
            return None  # the model does so by itself
        check_hosted(path, tool, self.turn, self.ignored)
        return None

    @property
    def searches(self) -> bool:
        """A model that takes one kind of tools only gets the functions: the search is the optional one."""
        alone = self.table.functions and not self.options.get("combine")
        return bool(self.options.get("search", True) and not alone)

    def search(self, path: str, tool: Json) -> Json:
        if (tool.get("filters") or {}).get("allowed_domains"):
            message = "Google Search cannot be limited to domains."
            raise ApiError("unsupported_parameter", message, param=f"{path}.filters.allowed_domains")
        knobs = {"user_location": None, "search_context_size": "medium"}
        self.ignored += [
            f"{path}.{key}" for key, usual in knobs.items() if tool.get(key) not in (None, usual)
        ]
        return {"googleSearch": {}}

    def file_search(self, path: str, tool: Json) -> Json:
        stores = tool.get("vector_store_ids") or []
        if not stores or not all(str(store).startswith("fileSearchStores/") for store in stores):
            message = "Gemini searches its own stores only ('fileSearchStores/...')."
            raise ApiError("unsupported_value", message, param=f"{path}.vector_store_ids")
        if tool.get("filters"):
            raise ApiError("unsupported_parameter", "Gemini takes no such filters.", param=f"{path}.filters")
        if tool.get("ranking_options"):
            self.ignored.append(f"{path}.ranking_options")
        top = {"topK": tool["max_num_results"]} if tool.get("max_num_results") else {}
        return {"fileSearch": {"fileSearchStoreNames": stores, **top}}

    # ---------------------------------------------------------------- the choice among them

    def tool_config(self, tools: list[Json]) -> Json:
        config: Json = {}
        if calling := self.calling(tools):
            config["functionCallingConfig"] = calling
        if self.table.functions and len(tools) > 1:
            # Without it, Gemini 3 refuses its own tools beside functions.
            config["includeServerSideToolInvocations"] = True
        return config

    def calling(self, tools: list[Json]) -> Json | None:
        """FunctionCallingConfig: names may be limited under ANY and VALIDATED; under AUTO the gateway does it alone."""
        choice = self.turn.tool_choice
        names = self.table.allowed(self.turn.allowed)
        limited = self.turn.allowed is not None and len(names) < len(self.table.functions)
        if isinstance(choice, dict) and choice["type"] not in ("function", "custom"):
            raise ApiError(
                "unsupported_parameter", "Gemini's own tools cannot be forced.", param="tool_choice"
            )
        if not self.table.functions:
            if choice == "required":
                raise ApiError(
                    "unsupported_parameter", "Gemini's own tools cannot be forced.", param="tool_choice"
                )
            return None
        if choice == "none" or (limited and not names and not self.answers_by_call):
            return {"mode": "NONE"}
        if isinstance(choice, dict):
            return {"mode": "ANY", "allowedFunctionNames": names}
        if self.answers_by_call:
            return {"mode": "ANY", "allowedFunctionNames": [*names, *([ANSWER] if choice == "auto" else [])]}
        if choice == "required":
            return (
                {"mode": "ANY", "allowedFunctionNames": names}
                if self.turn.allowed is not None
                else {"mode": "ANY"}
            )
        if limited and self.options.get("validated"):
            return {"mode": "VALIDATED", "allowedFunctionNames": names}
        strict = any(tool.tool.get("strict") for tool in self.table.functions.values())
        return {"mode": "VALIDATED"} if strict and self.options.get("validated") else None
