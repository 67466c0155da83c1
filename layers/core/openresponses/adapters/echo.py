"""The built-in provider: answers by itself, without a key or a network, so that every feature can be tried offline.

It repeats what it was told, remembers the conversation, and acts out what the input asks for. A line of the last user
message that begins with a command of COMMANDS is obeyed; the other lines are the text. Without a command:

- a tool is called if tool_choice demands it, or if the text has a word of its name ("weather" → get_weather), with
  arguments that satisfy its schema; once a tool's result is the last item, the answer tells it
- a JSON schema as text.format is answered with a small instance of it
- images and files are described

Equal turns give equal answers. A token is a word here: max_output_tokens cuts after so many words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..protocol.errors import ApiError
from ..protocol.state import Shape
from .base import (
    Annotation,
    Delta,
    Failed,
    Finished,
    ItemEnd,
    Json,
    MessageStarted,
    ProviderState,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    Turn,
    UpstreamRequest,
    Usage,
    provider_error,
)
from .echo_schema import example
from .messages import dump, given_knobs, text_of, wants_logprobs

# Command -> (what follows it, what it does).
COMMANDS: dict[str, tuple[str, str]] = {
    "/tool": ("NAME [JSON or text]", "calls a tool; several lines make parallel calls"),
    "/reason": ("TEXT", "thinks TEXT first, with provider state that the next turn recalls"),
    "/refuse": ("[TEXT]", "refuses, with TEXT as the reason"),
    "/slow": ("SECONDS", "waits so long before each word, at most 10"),
    "/long": ("N", "says N words, at most 100000"),
    "/cite": ("URL", "cites URL as the source of the answer"),
    "/image": ("", "describes the images of the message"),
    "/incomplete": ("", "breaks off as if max_output_tokens were reached"),
    "/filter": ("", "breaks off as if a content filter had struck"),
    "/error": (
        "rate_limit | overloaded | server | context | stream",
        "fails before the answer, or within it",
    ),
}
# /error KIND -> our code, seconds to wait, words.
ERRORS: dict[str, tuple[str, float | None, str]] = {
    "rate_limit": ("rate_limit_exceeded", 1.5, "Rate limit reached. Please try again in 1.5s."),
    "overloaded": ("server_is_overloaded", 1.0, "The echo provider acts as if it were overloaded."),
    "server": ("model_error", None, "The echo provider acts as if it had failed."),
    "context": ("context_length_exceeded", None, "The input exceeds the context window of this model."),
    "stream": ("model_error", None, "The echo provider acts as if it had failed in mid-answer."),
}
COMMAND = re.compile(rf"^({'|'.join(COMMANDS)})(?:[ \t]+(.*))?$", re.MULTILINE)
NAME_WORD = re.compile(r"[a-z]{4,}")
COMMON = {
    "call",
    "tool",
    "fetch",
    "find",
    "list",
    "read",
    "make",
    "create",
    "send",
    "what",
    "this",
    "that",
    "with",
}
LOREM = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit")
REMEMBERED = 20  # earlier user messages told again
MAX_QUOTE = 200
MAX_PAUSE = 10.0
MAX_WORDS = 100_000

Timed = tuple[float, Json]


class EchoAdapter:
    """Beside the Adapter's methods, `answer`: the frames that a provider would send, which `reader` reads."""

    state_shape: ClassVar[Shape] = {"thought?": str}

    def build(self, turn: Turn) -> UpstreamRequest:
        """Nothing is sent; says which knobs it has no use for."""
        used = ("max_output_tokens", "top_logprobs")
        return UpstreamRequest(
            "", {}, ignored=[path for path, _ in given_knobs(turn.request) if path not in used]
        )

    def answer(self, turn: Turn) -> Iterable[Timed]:
        """(seconds to wait before it, frame) of each frame. Raises ApiError where the input asks for it."""
        return _Answer(turn).frames()

    def reader(self, turn: Turn) -> EchoReader:
        return EchoReader()

    def explain(self, status: int, body: bytes) -> ApiError:
        return provider_error(status, "")


# --------------------------------------------------------------------------- what was asked


@dataclass(slots=True)
class _Script:
    """The last user message, read: its text without commands, and the commands' arguments."""

    text: str
    commands: dict[str, list[str]] = field(default_factory=dict)

    def get(self, command: str) -> str | None:
        found = self.commands.get(command)
        return found[-1] if found else None

    def number(self, command: str, limit: float) -> float:
        given = (self.get(command) or "").split()
        try:
            return min(max(float(given[0]), 0.0), limit) if given else 0.0
        except ValueError:
            raise ApiError("invalid_value", f"{command} needs a number.", param="input") from None


def _read_script(text: str) -> _Script:
    script = _Script(COMMAND.sub("", text).strip())
    for command, argument in COMMAND.findall(text):
        script.commands.setdefault(command, []).append(argument.strip())
    return script


def _message_text(item: Json) -> str:
    return "\n".join(text for part in item["content"] if (text := text_of(part)))


# --------------------------------------------------------------------------- what is said


class _Answer:
    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        messages = [item for item in turn.input if item["type"] == "message"]
        self.users = [item for item in messages if item["role"] == "user"]
        self.last = turn.input[-1] if turn.input else {"type": "message"}
        # A tool's result is answered as such, not with the commands that led to it once more.
        self.results = self._results()
        self.script = _read_script("" if self.results or not self.users else _message_text(self.users[-1]))
        self.pause = self.script.number("/slow", MAX_PAUSE)
        self.phase = "final_answer" if any("phase" in item for item in messages) else None
        self.spent = 0
        self.thought = 0

    def frames(self) -> Iterator[Timed]:
        failure = self.script.get("/error")
        if failure is not None and failure != "stream":
            raise _acted_error(failure)
        yield 0.0, {"started": self.turn.model}
        yield from self.reasoning()
        refusal = self.script.get("/refuse")
        calls = self.calls() if failure is None and refusal is None else []
        if calls:
            for number, (name, argument, tool) in enumerate(calls):
                yield self.pause, {"call": number, "name": name, "arguments": argument, "kind": tool["type"],
                                   "namespace": tool.get("namespace")}  # fmt: skip
                self.spent += len(argument.split())
            yield 0.0, self.usage()
            yield 0.0, {"finished": None}
        elif refusal is not None:
            yield self.pause, {"refusal": refusal or "I'm sorry, but I cannot help with that."}
            self.spent += 1
            yield 0.0, self.usage()
            yield 0.0, {"finished": None}
        else:
            yield from self.message(failure == "stream")

    def reasoning(self) -> Iterator[Timed]:
        thought = self.script.get("/reason")
        if thought is None:
            return
        for word in _words(thought or "Thinking."):
            self.thought += 1
            yield self.pause, {"reasoning": word}
        yield 0.0, {"state": {"thought": thought}}

    def message(self, fails: bool) -> Iterator[Timed]:
        words = _words(self.text())
        limit = self.turn.request.get("max_output_tokens", MAX_WORDS)
        reason = None
        if len(words) + self.thought > limit:
            words, reason = words[: max(limit - self.thought, 0)], "max_output_tokens"
        if "/incomplete" in self.script.commands or "/filter" in self.script.commands or fails:
            words = words[: max(1, len(words) // 2)]
            reason = "content_filter" if "/filter" in self.script.commands else "max_output_tokens"
        if self.phase:
            yield 0.0, {"phase": self.phase}
        logprobs = wants_logprobs(self.turn.request)
        for word in words:
            self.spent += 1
            yield self.pause, {"text": word, "logprobs": logprobs}
        if fails:
            yield 0.0, {"error": "stream"}
            return
        if url := self.script.get("/cite"):
            yield 0.0, {"cite": url, "length": sum(map(len, words))}
        yield 0.0, self.usage()
        yield 0.0, {"finished": reason}

    def text(self) -> str:
        form = (self.turn.request.get("text") or {}).get("format") or {}
        if form.get("type") == "json_schema":
            return dump(example(form["schema"], self.script.text))
        if form.get("type") == "json_object":
            return dump({"echo": self.script.text})
        if count := int(self.script.number("/long", MAX_WORDS)):
            return " ".join(LOREM[n % len(LOREM)] for n in range(count))
        if self.results:
            return " ".join(f"{name} returned: {output}" for name, output in self.results)
        said = [f"You said: {self.script.text}"] if self.script.text else []
        return " ".join([*said, *self.seen(), *self.recalled()]) or "You said nothing."

    def seen(self) -> Iterator[str]:
        """What there is besides text in the last message."""
        parts = self.users[-1]["content"] if self.users else []
        images = [part for part in parts if part["type"] == "input_image"]
        for part in images:
            yield f"I see an image: {_describe(part.get('image_url') or part.get('file_id') or '')}."
        if "/image" in self.script.commands and not images:
            yield "I see no image."
        for part in parts:
            if part["type"] in ("input_file", "input_audio", "input_video"):
                yield f"I got {part['type'].removeprefix('input_')}: {part.get('filename') or 'without a name'}."

    def recalled(self) -> Iterator[str]:
        for item in self.turn.input:
            state = self.turn.state(item) if item["type"] == "reasoning" else None
            if state and state.get("thought"):
                yield f"I thought: {_quote(state['thought'])}."
        earlier = [_quote(_read_script(_message_text(item)).text) for item in self.users[:-1]]
        told = [quote for quote in earlier if quote != "“”"][-REMEMBERED:]
        if told:
            yield f"Earlier you said: {', '.join(told)}."

    # ---------------------------------------------------------------- tools

    def calls(self) -> list[tuple[str, str, Json]]:
        """(name, arguments or input, tool) of each call to make."""
        tools = list(_offered(self.turn))
        choice = self.turn.tool_choice
        if self.results or choice == "none":
            return []
        asked = [line.partition(" ") for line in self.script.commands.get("/tool", [])]
        if asked:
            return [self.call(name, argument.strip(), tools) for name, _, argument in asked]
        if isinstance(choice, dict):
            chosen = [tool for tool in tools if tool["name"] == choice.get("name")]
        else:
            words = set(NAME_WORD.findall(self.script.text.lower()))
            chosen = [
                tool for tool in tools if words & (set(NAME_WORD.findall(tool["name"].lower())) - COMMON)
            ]
            if not chosen and choice == "required":
                chosen = tools
        return [self.call(tool["name"], "", [tool]) for tool in chosen[:1]]

    def call(self, name: str, argument: str, tools: list[Json]) -> tuple[str, str, Json]:
        tool = next((tool for tool in tools if tool["name"] == name), None)
        if tool is None:
            raise ApiError("invalid_value", "/tool names a tool that is not in 'tools'.", param="input")
        if not argument and tool["type"] == "custom":
            argument = self.script.text
        elif not argument:
            argument = dump(example(tool.get("parameters") or {}, self.script.text))
        return name, argument, tool

    def _results(self) -> list[tuple[str, str]]:
        """(tool, output) of the results that end the input."""
        names = {
            item["call_id"]: item["name"] for item in self.turn.input if "call_id" in item and "name" in item
        }
        found: list[tuple[str, str]] = []
        for item in reversed(self.turn.input):
            if not item["type"].endswith("_call_output"):
                break
            found.append((names.get(item.get("call_id"), "The tool"), _output_text(item.get("output"))))
        return found[::-1]

    # ---------------------------------------------------------------- counting

    def usage(self) -> Json:
        texts = [self.turn.instructions or "", *map(_item_text, self.turn.input)]
        count = sum(len(text.split()) for text in texts)
        return {"usage": [count, self.spent + self.thought, self.thought]}


def _offered(turn: Turn) -> Iterator[Json]:
    """The function and custom tools that may be called, also those in namespaces."""
    for tool in turn.tools:
        inner = tool["tools"] if tool["type"] == "namespace" else [tool]
        space = {"namespace": tool["name"]} if tool["type"] == "namespace" else {}
        for each in inner:
            if each["type"] in ("function", "custom") and (
                turn.allowed is None or each["name"] in turn.allowed
            ):
                yield {**each, **space}


def _acted_error(kind: str) -> ApiError:
    if kind not in ERRORS:
        raise ApiError("invalid_value", f"/error takes one of: {', '.join(ERRORS)}.", param="input")
    code, retry_after, message = ERRORS[kind]
    return ApiError(code, message, retry_after=retry_after)


def _words(text: str) -> list[str]:
    """The text in pieces of a word each; joined they are the text."""
    return re.findall(r"\s*\S+|\s+$", text)


def _quote(text: str) -> str:
    text = " ".join(text.split())
    return f"“{text[:MAX_QUOTE]}…”" if len(text) > MAX_QUOTE else f"“{text}”"


def _describe(url: str) -> str:
    if not url.startswith("data:"):
        return url
    head, _, data = url[5:].partition(",")
    return f"{head.partition(';')[0]}, {len(data.rstrip('=')) * 3 // 4} bytes"


def _output_text(output: Any) -> str:
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return " ".join(_part_text(part) for part in output)
    return dump(output)


def _part_text(part: Any) -> str:
    if not isinstance(part, dict) or "type" not in part:
        return dump(part)
    text = text_of(part)
    return text if text and isinstance(text, str) else f"[{part['type']}]"


def _item_text(item: Json) -> str:
    if item["type"] == "message":
        return _message_text(item)
    return " ".join(str(item[key]) for key in ("arguments", "input", "output") if key in item)


# --------------------------------------------------------------------------- the reader


class EchoReader:
    """Reads the frames of `answer`: each has one key that says what it is."""

    def frame(self, event: str, data: Json) -> Iterator[Delta]:
        if "text" in data:
            yield TextDelta(data["text"], _logprobs(data["text"]) if data["logprobs"] else None)
        elif "started" in data:
            yield Started(data["started"])
        elif "phase" in data:
            yield MessageStarted(data["phase"])
        elif "reasoning" in data:
            yield ReasoningDelta(data["reasoning"])
        elif "state" in data:
            yield ProviderState(data["state"])
            yield ItemEnd()
        elif "refusal" in data:
            yield RefusalDelta(data["refusal"])
        elif "call" in data:
            key = data["call"]
            yield ToolCallStarted(key, data["name"], kind=data["kind"], namespace=data["namespace"])
            for piece in _words(data["arguments"]):
                yield ToolCallDelta(key, piece)
            yield ItemEnd(key)
        elif "cite" in data:
            url = data["cite"]
            place = {"start_index": 0, "end_index": data["length"]}
            yield Annotation({"type": "url_citation", "url": url, "title": url, **place})
        elif "usage" in data:
            words_in, words_out, thought = data["usage"]
            yield Usage(words_in, words_out, reasoning_tokens=thought)
        elif "error" in data:
            yield Failed(_acted_error(data["error"]))
        elif "finished" in data:
            yield Finished(data["finished"])

    def whole(self, data: Any) -> Iterator[Delta]:
        for frame in data:
            yield from self.frame("", frame)

    def end(self) -> Iterator[Delta]:
        yield from ()


def _logprobs(word: str) -> list[Json]:
    """Of a model that is always certain."""
    return [{"token": word, "logprob": 0.0, "bytes": list(word.encode()), "top_logprobs": []}]
