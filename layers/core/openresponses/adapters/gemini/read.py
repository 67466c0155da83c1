"""The answer: the parts of GenerateContentResponse chunks as deltas.

A stream has no end but EOF, and its finish reason may come more than once, with content or without: what the answer was
is said in `end`. What belongs to a text but comes before or behind it (citations, signatures) is held until the text is
left. Places of provider state are explained in `contents.py`.

Source: https://ai.google.dev/api/generate-content.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from ...protocol.errors import ApiError
from ..base import (
    Delta,
    Failed,
    Finished,
    HostedItemEnded,
    HostedItemEvent,
    HostedItemStarted,
    ItemEnd,
    Json,
    ProviderState,
    ReasoningDelta,
    Started,
    TextDelta,
    Turn,
    Usage,
    redact,
    usage_of,
)
from ..messages import dump
from ..tools import CallReader, ToolTable
from .build import ANSWER, answers_by_call
from .explain import read_error
from .grounding import Grounding
from .partial import place

FILTERED = ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "LANGUAGE",
            "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION")  # fmt: skip
# finishReason -> why the answer is incomplete, None if it is not. Every other reason is a failure of the model.
REASONS: dict[str, str | None] = {
    "STOP": None,
    "MAX_TOKENS": "max_output_tokens",
    **dict.fromkeys(FILTERED, "content_filter"),
}
UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
SERVICE_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
# Keys of a part that say something about its content and are none.
ABOUT = frozenset({"thought", "thoughtSignature", "videoMetadata", "partMetadata", "mediaResolution"})
# toolCall.toolType -> the item that shows it.
SEARCHES = {
    "GOOGLE_SEARCH_WEB": "web_search_call",
    "GOOGLE_SEARCH_IMAGE": "web_search_call",
    "FILE_SEARCH": "file_search_call",
}


class GeminiReader:
    """See `adapters.base.Reader`."""

    def __init__(self, turn: Turn) -> None:
        self._model = turn.model
        self._calls = CallReader(ToolTable(turn.tools))
        self._answers_by_call = answers_by_call(turn)
        self._started = False
        self._finish: str | None = None
        self._finish_message = ""
        self._blocked = False
        self._keys = 0
        self._thinking = False  # thoughts are open, their state is not yet said
        self._text: list[str] = []  # the open text
        self._state: Json | None = None  # to be said when the text is left
        self._grounding = Grounding()
        self._partial: tuple[Hashable, str, Json] | None = None  # the open call: key, name, arguments so far
        self._group: list[Json] = []  # parts of Google's own tools, as they stood
        self._hosted: dict[Hashable, Json] = {}  # their items that are open, by key

    # ---------------------------------------------------------------- the Reader protocol

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        if data.get("error"):
            return [Failed(read_error(data))]
        out: list[Delta] = []
        usage = data.get("usageMetadata")
        if not self._started:
            self._started = True
            tier = usage.get("serviceTier") if isinstance(usage, dict) else None
            out.append(Started(data.get("modelVersion"), SERVICE_TIERS.get(str(tier).lower())))
        counted = (
            not isinstance(usage, dict) or "promptTokenCount" in usage or "candidatesTokenCount" in usage
        )
        if usage and counted:
            out.append(usage_of(_usage, usage))
        for candidate in (data.get("candidates") or ())[:1]:
            self._candidate(candidate, out)
        if (data.get("promptFeedback") or {}).get("blockReason"):
            self._blocked = True
        return out

    def whole(self, data: Any) -> Iterable[Delta]:
        """A GenerateContentResponse, or the array of chunks that streamGenerateContent gives without `alt=sse`."""
        for chunk in data if isinstance(data, list) else [data]:
            if not isinstance(chunk, dict):
                yield Failed(
                    ApiError("provider_invalid_response", "Gemini's answer is not a GenerateContentResponse.")
                )
                return
            for delta in self.frame("", chunk):
                yield delta
                if isinstance(delta, Failed):
                    return
        yield from self.end()

    def end(self) -> Iterable[Delta]:
        if self._finish is None and not self._blocked:
            return []
        reason = "content_filter" if self._blocked else REASONS.get(self._finish or "")
        complete = reason is None
        out: list[Delta] = []
        self._close_partial(out, complete=complete)
        if complete:
            self._leave(out)
        else:
            # The item that was cut is the last one: no state may follow it, and Gemini does not ask for that of a text.
            self._cite(out)
        if self._blocked or self._finish in REASONS:
            out.append(Finished(reason))
        else:
            message = self._finish_message or f"Gemini stopped with {self._finish}."
            out.append(Failed(ApiError("model_error", redact(message))))
        return out

    # ---------------------------------------------------------------- candidates and parts

    def _candidate(self, candidate: Json, out: list[Delta]) -> None:
        self._grounding.add(candidate)
        parts = (candidate.get("content") or {}).get("parts") or ()
        chosen = candidate.get("logprobsResult")
        for index, part in enumerate(parts):
            self._part(part, index, out)
        if chosen:
            self._logprobs(chosen, out)
        reason = candidate.get("finishReason")
        if reason and reason != UNSPECIFIED:  # of a stream maybe in every chunk: its end is the answer's
            self._finish = reason
            self._finish_message = candidate.get("finishMessage") or ""

    def _part(self, part: Json, index: int, out: list[Delta]) -> None:
        if "text" in part:
            if part.get("thought"):
                self._thought(part, out)
            else:
                self._say(part["text"], part, index, out)
            return
        for kind, read in PARTS.items():
            if kind in part:
                read(self, part, out)
                return
        content = part.keys() - ABOUT
        if content:
            message = f"Gemini answered with an unknown part: {', '.join(sorted(content)):.100}."
            out.append(Failed(ApiError("provider_invalid_response", message)))
        elif "thoughtSignature" in part:
            self._say("", part, index, out)

    # ---------------------------------------------------------------- texts and thoughts

    def _thought(self, part: Json, out: list[Delta]) -> None:
        if not self._thinking:
            self._leave(out)
        if part["text"]:
            out.append(ReasoningDelta(part["text"]))
            self._thinking = True
        if "thoughtSignature" in part:
            self._say_state({"on": "thought", "signature": part["thoughtSignature"]}, out)

    def _say(self, text: str, part: Json, index: int, out: list[Delta]) -> None:
        signature = part.get("thoughtSignature")
        if text:
            if not self._text or self._state:
                self._leave(out)
                self._grounding.search(out, self._next_key)
            self._grounding.begin_part(index, self._text)
            self._text.append(text)
            out.append(TextDelta(text))
            if signature:
                self._state = {"on": "previous", "signature": signature}
        elif signature:
            if self._state or not self._text:
                self._leave(out)
            self._state = {"on": "here", "parts": [{**part, "text": ""}]}

    def _logprobs(self, chosen: Json, out: list[Delta]) -> None:
        """The tokens of this chunk's text, with its last piece."""
        place = next((n for n in range(len(out) - 1, -1, -1) if isinstance(out[n], TextDelta)), None)
        found = out[place] if place is not None else None
        if place is not None and isinstance(found, TextDelta):
            out[place] = TextDelta(found.text, _logprobs(chosen))
        elif self._text:
            out.append(TextDelta("", _logprobs(chosen)))

    def _say_state(self, state: Json, out: list[Delta]) -> None:
        """State ends its reasoning item: what comes next has a place of its own."""
        out.append(ProviderState({"model": self._model, **state}))
        out.append(ItemEnd())
        self._thinking = False

    def _leave(self, out: list[Delta]) -> None:
        """Something else comes: what is open is complete, and what was held is said."""
        self._close_partial(out)
        self._leave_group(out)
        if self._thinking:
            self._say_state({"on": "thought"}, out)
        self._cite(out)
        self._text = []
        if self._state:
            state, self._state = self._state, None
            self._say_state(state, out)

    def _cite(self, out: list[Delta]) -> None:
        if self._text:
            self._grounding.cite(self._text, out)
            self._grounding.search(out, self._next_key)

    def _next_key(self) -> Hashable:
        self._keys += 1
        return self._keys

    # ---------------------------------------------------------------- function calls

    def _call(self, part: Json, out: list[Delta]) -> None:
        call = part["functionCall"]
        signature = part.get("thoughtSignature")
        if call.get("name"):
            self._begin_call(call, signature, out)
        elif self._partial is None and (call.get("args") or call.get("partialArgs")):
            out.append(Failed(ApiError("provider_invalid_response", "Gemini called a tool without a name.")))
        elif signature:
            self._state = {"on": "previous", "signature": signature}
        if self._partial:
            for piece in call.get("partialArgs") or ():
                place(self._partial[2], piece)
            if not call.get("willContinue"):
                self._close_partial(out)

    def _begin_call(self, call: Json, signature: str | None, out: list[Delta]) -> None:
        if self._thinking and signature and not self._state:
            self._say_state({"on": "next", "signature": signature}, out)
            signature = None
        self._leave(out)
        if signature:
            self._say_state({"on": "next", "signature": signature}, out)
        key = self._next_key()
        if not (self._answers_by_call and call["name"] == ANSWER):
            out.append(self._calls.start(key, call["name"], call.get("id")))
        self._partial = (key, call["name"], dict(call.get("args") or {}))

    def _close_partial(self, out: list[Delta], *, complete: bool = True) -> None:
        if self._partial is None:
            return
        (key, name, arguments), self._partial = self._partial, None
        if self._answers_by_call and name == ANSWER:
            out.append(TextDelta(dump(arguments)))
            return
        if arguments:
            out.extend(self._calls.arguments(key, dump(arguments)))
        if complete:
            out.extend(self._calls.end(key))

    # ---------------------------------------------------------------- Google's own tools

    def _enter_group(self, part: Json, out: list[Delta]) -> None:
        if not self._group:
            self._leave(out)
        self._group.append(part)

    def _leave_group(self, out: list[Delta]) -> None:
        group, self._group = self._group, []
        hosted, self._hosted = self._hosted, {}
        for key, item in hosted.items():
            out.append(HostedItemEnded(key, {**item, "status": "completed"}))
        shown = any("executableCode" in part or _shown(part) for part in group)
        if any(
            "thoughtSignature" in part or any("id" in value for value in _contents(part)) for part in group
        ):
            self._say_state({"on": "instead" if shown else "here", "parts": group}, out)

    def _code(self, part: Json, out: list[Delta]) -> None:
        self._enter_group(part, out)
        code = part["executableCode"]
        key, text = self._next_key(), code.get("code") or ""
        item: Json = {"type": "code_interpreter_call", "status": "in_progress", "code": text,
                "container_id": code.get("id") or "gemini", "outputs": []}  # fmt: skip
        out.append(HostedItemStarted(key, {**item, "code": ""}))
        name = "response.code_interpreter_call"
        out.append(HostedItemEvent(key, f"{name}.in_progress"))
        out.append(HostedItemEvent(key, f"{name}_code.delta", {"delta": text}))
        out.append(HostedItemEvent(key, f"{name}_code.done", {"code": text}))
        out.append(HostedItemEvent(key, f"{name}.interpreting"))
        self._hosted[key] = item

    def _code_result(self, part: Json, out: list[Delta]) -> None:
        if not any(item["type"] == "code_interpreter_call" for item in self._hosted.values()):
            self._code({"executableCode": {"language": "PYTHON", "code": ""}}, out)
            self._group.pop()
        self._enter_group(part, out)
        result = part["codeExecutionResult"]
        key = [key for key, item in self._hosted.items() if item["type"] == "code_interpreter_call"][0]  # noqa: RUF015
        item = self._hosted.pop(key)
        failed = result.get("outcome") not in (None, "OUTCOME_OK")
        outputs = [{"type": "logs", "logs": result["output"]}] if result.get("output") else []
        out.append(HostedItemEvent(key, "response.code_interpreter_call.completed"))
        out.append(
            HostedItemEnded(key, {**item, "status": "failed" if failed else "completed", "outputs": outputs})
        )

    def _tool_call(self, part: Json, out: list[Delta]) -> None:
        self._enter_group(part, out)
        call = part["toolCall"]
        kind = SEARCHES.get(call.get("toolType", ""))
        if not kind:
            return
        key = call.get("id") or self._next_key()
        queries = [str(query) for query in (call.get("args") or {}).get("queries") or ()]
        self._hosted[key] = item = _search_item(kind, queries)
        self._grounding.searched = True
        out.append(HostedItemStarted(key, item))
        out.append(HostedItemEvent(key, f"response.{kind}.in_progress"))
        out.append(HostedItemEvent(key, f"response.{kind}.searching"))

    def _tool_response(self, part: Json, out: list[Delta]) -> None:
        self._enter_group(part, out)
        key = part["toolResponse"].get("id")
        if item := self._hosted.pop(key, None):
            out.append(HostedItemEvent(key, f"response.{item['type']}.completed"))
            out.append(HostedItemEnded(key, {**item, "status": "completed"}))

    # ---------------------------------------------------------------- media

    def _media(self, part: Json, out: list[Delta]) -> None:
        """An image is an image_generation_call. Sound has no place in a response, so it is an error, not silence."""
        data = part["inlineData"]
        mime = str(data.get("mimeType") or "")
        if part.get("thought"):
            return  # a draft of the image that follows
        if not mime.startswith("image/"):
            message = f"Gemini answered with {mime:.80}, which a response cannot carry."
            out.append(Failed(ApiError("model_error", message)))
            return
        self._leave(out)
        key = self._next_key()
        item: Json = {"type": "image_generation_call", "status": "in_progress", "result": None}
        out.append(HostedItemStarted(key, item))
        out.append(HostedItemEvent(key, "response.image_generation_call.in_progress"))
        out.append(HostedItemEvent(key, "response.image_generation_call.completed"))
        form = mime.removeprefix("image/").partition(";")[0]
        done = {**item, "status": "completed", "result": data.get("data") or "", "output_format": form}
        out.append(HostedItemEnded(key, done))
        if "thoughtSignature" in part:
            self._state = {"on": "previous", "signature": part["thoughtSignature"]}


PARTS = {
    "functionCall": GeminiReader._call,
    "executableCode": GeminiReader._code,
    "codeExecutionResult": GeminiReader._code_result,
    "toolCall": GeminiReader._tool_call,
    "toolResponse": GeminiReader._tool_response,
    "inlineData": GeminiReader._media,
}


def _contents(part: Json) -> list[Json]:
    return [value for value in part.values() if isinstance(value, dict)]


def _shown(part: Json) -> bool:
    return part.get("toolCall", {}).get("toolType") in SEARCHES or "codeExecutionResult" in part


def _search_item(kind: str, queries: list[str]) -> Json:
    if kind == "file_search_call":
        return {"type": kind, "status": "in_progress", "queries": queries, "results": None}
    action = {"type": "search", "query": queries[0] if queries else "", "queries": queries}
    return {"type": kind, "status": "in_progress", "action": action}


def _usage(usage: Json) -> Usage:
    """Thoughts count beside the candidates, tool results beside the prompt; cached tokens are of the prompt."""
    thoughts = usage.get("thoughtsTokenCount") or 0
    return Usage(
        input_tokens=(usage.get("promptTokenCount") or 0) + (usage.get("toolUsePromptTokenCount") or 0),
        output_tokens=(usage.get("candidatesTokenCount") or 0) + thoughts,
        cached_tokens=usage.get("cachedContentTokenCount") or 0,
        reasoning_tokens=thoughts,
    )


def _logprobs(chosen: Json) -> list[Json]:
    tops = chosen.get("topCandidates") or []
    made = []
    for n, entry in enumerate(chosen.get("chosenCandidates") or ()):
        top = (tops[n].get("candidates") or ()) if n < len(tops) else ()
        made.append({**_logprob(entry), "top_logprobs": [_logprob(other) for other in top]})
    return made


def _logprob(entry: Json) -> Json:
    token = entry.get("token") or ""
    return {"token": token, "logprob": entry.get("logProbability") or 0.0, "bytes": list(token.encode())}
