"""The context's items → Anthropic's `system` and `messages`.

Anthropic wants user and assistant to take turns, and after an assistant message with tool_use blocks one user message
that begins with the result of each. So:

- Items of one role in a row become one message. The results of a batch of calls stand together, in the order in which
  they were given, before anything else that the user said in between.
- A call without an output gets a result that says NO_OUTPUT; a call that was cut (its arguments are no JSON) and has no
  output is left out. Arguments that are no JSON object, with an output, are sent as `{"arguments": <text>}`.
- instructions and the system and developer messages at the head are `system`. In mid-conversation they stay in their
  place: as a message of role system where the model has that and the place allows it (after a user message or a hosted
  tool's result, before an assistant message or the end), else as user text in <system> tags.
- Provider state of ours (thinking, redacted thinking, blocks of hosted tools) is put back as it came, in its place.
  What may not stand there is left out: thinking at the end of a message, hosted calls that never got their result; one
  that still runs beside the client's calls stays, as long as only their results follow.
  Reasoning of other providers is left out.
- Trailing white space of a text that the assistant is to continue is cut: it would be refused.

Source: Anthropic's pages "Messages", "Handle tool calls", "Extended thinking", "Mid-conversation system messages".
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from ...protocol.errors import ApiError
from ..base import Turn
from ..messages import no_call_for
from . import content, hosted, unwrap
from .thinking import THINKING_TYPES
from .tools import Toolbox

Json = dict[str, Any]

NO_OUTPUT = "No output was provided for this call."
NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
SYSTEM_ROLES = frozenset({"system", "developer"})
SERVER_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})


def conversation(turn: Turn, box: Toolbox) -> tuple[list[Json], list[Json], list[str]]:
    """(system blocks, messages, ignored knobs) of the turn. Raises ApiError for content that has no place."""
    writer = _Writer(turn, box)
    for place, item in enumerate(turn.input):
        writer.add(place, item)
    writer.flush_results()
    writer.check_outputs()
    messages = _arranged(writer.messages, native_system=bool(turn.profile.options.get("system_messages")))
    if not messages:
        if not writer.from_items:
            raise ApiError("invalid_value", "'input' holds no content to answer.", param="input")
        messages = [{"role": "user", "content": [writer.system.pop()]}]  # a system message is all there is
    return writer.system, messages, writer.ignored


class _Writer:
    """Writes items as messages of roles user, assistant and system; neighbours of one role are one message."""

    def __init__(self, turn: Turn, box: Toolbox) -> None:
        self.turn = turn
        self.box = box
        self.system = content.text(turn.instructions or "")
        self.messages: list[Json] = []
        self.ignored: list[str] = []
        self.from_items = False  # whether some of `system` came from items
        self._head = True
        self._outputs = _outputs(turn.input)
        self._pending: list[tuple[str, tuple[int, Json] | None]] = []  # calls whose results come next
        self._ids: set[str] = set()
        self._states = [turn.state(item) if item.get("type") == "reasoning" else None for item in turn.input]
        self._covered = _covered(turn.input, self._states)

    def add(self, place: int, item: Json) -> None:
        kind = item.get("type") or "message"
        if kind == "message":
            self._message(place, item)
            return
        self._head = False
        if kind in OUTPUTS:
            self.flush_results()
        elif kind == "function_call":
            self._call(item, self._arguments(item))
        elif kind == "custom_tool_call":
            self._call(item, {unwrap.FIELD: item.get("input") or ""})
        elif kind == "reasoning":
            self.say("assistant", _blocks_of(self._states[place]))
        elif place not in self._covered:
            for role, blocks in hosted.as_content(item, f"input[{place}]"):
                self.say(role, blocks)

    def say(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if role != "assistant":
            self.flush_results()
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def flush_results(self) -> None:
        """The results of the calls made so far, in one user message."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        pending.sort(key=lambda call: call[1][0] if call[1] else len(self.turn.input))
        results = [self._result(call_id, found) for call_id, found in pending]
        self.messages.append({"role": "user", "content": results})

    def check_outputs(self) -> None:
        """Raises ApiError for an output that answers no call, or one that has its result already."""
        left = min((place for waiting in self._outputs.values() for place, _ in waiting), default=None)
        if left is not None:
            raise no_call_for(left, self.turn.input[left])

    def _message(self, place: int, item: Json) -> None:
        role, param = item["role"], f"input[{place}].content"
        if role in SYSTEM_ROLES:
            text = content.text(content.plain(item["content"], param))
            if self._head:
                self.system += text
                self.from_items = self.from_items or bool(text)
            else:
                self.say("system", text)
            return
        self._head = False
        if role == "assistant":
            self.say("assistant", content.text(content.plain(item["content"], param)))
        else:
            self.say("user", self._blocks(item["content"], param))

    def _blocks(self, parts: Any, param: str) -> list[Json]:
        for place, part in enumerate(parts if isinstance(parts, list) else ()):
            if part.get("detail") not in (None, "auto"):
                self.ignored.append(f"{param}[{place}].detail")
        return content.blocks(parts, param)

    # ---------------------------------------------------------------- calls and their results

    def _arguments(self, item: Json) -> Json | None:
        """The call's input; None for a call that was cut."""
        raw = item.get("arguments") or "{}"
        try:
            found = orjson.loads(raw)
        except orjson.JSONDecodeError:
            return {"arguments": raw} if self._outputs.get(item["call_id"]) else None
        callee = self.box.callees.get(self.box.wire(item["name"], item.get("namespace")))
        if callee and callee.field:
            return {callee.field: found}
        return found if isinstance(found, dict) else {"arguments": raw}

    def _call(self, item: Json, arguments: Json | None) -> None:
        if arguments is None:
            return
        wire, call_id = self.box.wire(item["name"], item.get("namespace")), self._unique(item["call_id"])
        self.say("assistant", [{"type": "tool_use", "id": call_id, "name": wire, "input": arguments}])
        waiting = self._outputs.get(item["call_id"])
        self._pending.append((call_id, waiting.pop(0) if waiting else None))

    def _unique(self, call_id: str) -> str:
        """The id in Anthropic's grammar, once in a conversation."""
        base = found = NOT_IN_IDS.sub("_", call_id)
        count = 1
        while found in self._ids:
            count += 1
            found = f"{base}_{count}"
        self._ids.add(found)
        return found

    def _result(self, call_id: str, found: tuple[int, Json] | None) -> Json:
        result: Json = {"type": "tool_result", "tool_use_id": call_id}
        if found is None:
            result["content"] = content.text(NO_OUTPUT)
        elif blocks := self._blocks(found[1].get("output"), f"input[{found[0]}].output"):
            result["content"] = blocks
        return result


def _outputs(items: list[Json]) -> dict[str, list[tuple[int, Json]]]:
    """Every output by the id of its call, with its place; the same id may come more than once."""
    found: dict[str, list[tuple[int, Json]]] = {}
    for place, item in enumerate(items):
        if item.get("type") in OUTPUTS:
            found.setdefault(item["call_id"], []).append((place, item))
    return found


def _blocks_of(state: Any) -> list[Json]:
    return [*state["blocks"]] if state else []


def _covered(items: list[Json], states: list[Any]) -> set[int]:
    """Places of hosted items whose blocks are in the provider state that follows them."""
    covered: set[int] = set()
    follows = False
    for place in range(len(items) - 1, -1, -1):
        if items[place].get("type") not in hosted.ITEM_TYPES:
            follows = any(hosted.is_server(block) for block in _blocks_of(states[place]))
        elif follows:
            covered.add(place)
    return covered


# --------------------------------------------------------------------------- the rules of arrangement


def _arranged(written: list[Json], *, native_system: bool) -> list[Json]:
    """The messages without what Anthropic refuses, system messages in the form that their place allows."""
    answered = {block.get("tool_use_id") for message in written for block in message["content"]}
    under_way = _under_way(written)
    kept = [
        message
        for message in written
        if _clean(message, None if message is under_way else answered, last=message is written[-1])
    ]
    messages: list[Json] = []
    for place, message in enumerate(kept):
        if message["role"] == "system":
            follower = kept[place + 1]["role"] if place + 1 < len(kept) else "assistant"
            if not (
                native_system and messages and _may_precede_system(messages[-1]) and follower == "assistant"
            ):
                message = {"role": "user", "content": [_marked(block) for block in message["content"]]}
        if messages and messages[-1]["role"] == message["role"]:
            messages[-1]["content"] += message["content"]
        else:
            messages.append(message)
    return messages


def _under_way(written: list[Json]) -> Json | None:
    """The assistant's message that is not at its end: the last one, if nothing but results of calls follows it."""
    for message in reversed(written):
        if message["role"] == "assistant":
            return message
        if any(block["type"] != "tool_result" for block in message["content"]):
            return None
    return None


def _may_precede_system(message: Json) -> bool:
    last: str = message["content"][-1]["type"]
    return message["role"] == "user" or last.endswith("_tool_result")


def _clean(message: Json, answered: set[Any] | None, *, last: bool) -> bool:
    """Takes out of an assistant message what may not stand in it; whether anything is left. `answered`: the ids of
    the hosted calls that have their result; None: they may still run."""
    if message["role"] != "assistant":
        return True
    blocks = [block for block in message["content"] if answered is None or not _unanswered(block, answered)]
    while blocks and blocks[-1]["type"] in THINKING_TYPES:
        blocks.pop()
    if last and blocks and blocks[-1]["type"] == "text":
        blocks[-1:] = content.text(blocks[-1].get("text", "").rstrip())
    message["content"] = blocks
    return bool(blocks)


def _unanswered(block: Json, answered: set[Any]) -> bool:
    return block["type"] in SERVER_CALLS and block.get("id") not in answered


def _marked(block: Json) -> Json:
    return {"type": "text", "text": f"<system>\n{block['text']}\n</system>"}
