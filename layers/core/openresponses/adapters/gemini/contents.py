"""Items as `contents`: roles, calls and their results, signatures back in their places.

What Gemini asks of contents: the roles user and model; the results of all calls of one model turn in the one user turn
behind it, in the order of the calls; a model turn with calls never first.

Provider state (`ProviderState` of `read.py`) says where it belongs by `on`:

    thought    the reasoning item itself was a thought part; `signature`, if any, was on it
    next       `signature` was on the function call that follows
    previous   `signature` was on the part before: a text, a call, an image
    instead    `parts` stand for the hosted item before (code execution, a search by Gemini 3)
    here       `parts` stood here by themselves (an empty text with a signature)

It is only given back to the `model` that made it: another one refuses the signature.
Source: https://ai.google.dev/gemini-api/docs/thought-signatures.
"""

from __future__ import annotations

from typing import Any

import orjson

from ...protocol.errors import ApiError, quoted
from ..base import Json, Turn
from ..messages import CLIENT_CALLS, LEFT_OUT, OUTPUTS, Part, answered, dump, has_parts, no_call_for, text_of
from ..tools import wire_name
from .media import IN_RESULTS, media_part, mime_of

# Documented for calls that the model did not make itself, or whose signature is lost.
SKIP_VALIDATION = "skip_thought_signature_validator"
# Gemini refuses contents that are empty or begin with the model's turn.
NOTHING_SAID: Json = {"role": "user", "parts": [{"text": ""}]}
SYSTEM_ROLES = ("system", "developer")


class Contents:
    """`system`: parts of the systemInstruction; `contents`: the turns."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.options = turn.profile.options
        self.system: list[Json] = []
        self.contents: list[Json] = []
        self.ignored: set[str] = set()
        self._results: dict[str, list[tuple[Any, int]]] = {}  # by call id: outputs and their places, in order
        self._calls: list[tuple[str, str]] = []  # of the model's open turn: call id, name
        self._signature: str | None = None  # of the call that follows
        self._hosted_from: int | None = None  # where the parts of the hosted item just written begin
        self._write()

    # ---------------------------------------------------------------- the way through

    def _write(self) -> None:
        items = self.turn.input
        head = next((n for n, item in enumerate(items) if item.get("role") not in SYSTEM_ROLES), len(items))
        head = (
            head if head < len(items) else 0
        )  # contents may not be empty: nothing but system messages is sent there
        if self.turn.instructions:
            self.system.append({"text": self.turn.instructions})
        for n in range(head):
            self.system += self._parts(items[n]["content"], f"input[{n}].content")
        for n, item in enumerate(items):
            if item["type"] in OUTPUTS:
                output = item.get("output", "")
                told = dump(output) if isinstance(output, list) and not has_parts(item) else output
                self._results.setdefault(answered(item), []).append((told, n))
        for n, item in enumerate(items[head:], head):
            self._item(n, item, f"input[{n}]")
        self._answer_calls()
        left = min((n for waiting in self._results.values() for _, n in waiting), default=None)
        if left is not None:
            raise no_call_for(left, items[left])
        if self.system and not self.options.get("system", True):
            first = {"role": "user", "parts": self.system}
            self.contents, self.system = [first, *self.contents], []
            self._join_first()
        if not self.contents or self.contents[0]["role"] == "model":
            self.contents.insert(0, NOTHING_SAID)

    def _join_first(self) -> None:
        if len(self.contents) > 1 and self.contents[1]["role"] == "user":
            self.contents[:2] = [
                {"role": "user", "parts": [*self.contents[0]["parts"], *self.contents[1]["parts"]]}
            ]

    def _item(self, place: int, item: Json, path: str) -> None:
        kind = item["type"]
        hosted_from, self._hosted_from = self._hosted_from, None
        if kind == "message":
            self._message(item, path)
        elif kind == "reasoning":
            self._reasoning(item, hosted_from)
        elif kind == "function_call":
            self._call(
                item["call_id"], wire_name(item["name"], item.get("namespace")), _arguments(item["arguments"])
            )
        elif kind == "custom_tool_call":
            self._call(
                item["call_id"], wire_name(item["name"], item.get("namespace")), {"input": item["input"]}
            )
        elif kind in CLIENT_CALLS:
            asked = {key: item[key] for key in CLIENT_CALLS[kind] if item.get(key) is not None}
            self._call(item.get("call_id") or item["id"], kind.removesuffix("_call"), asked)
        elif kind == "mcp_call":
            output = item.get("output") if item.get("error") is None else dump({"error": item["error"]})
            self._results.setdefault(item["id"], []).append((output or "", place))
            self._call(item["id"], wire_name(item["name"], None), _arguments(item.get("arguments") or ""))
        elif kind in HOSTED:
            self._hosted_from = len(self._turn("model")) if hosted_from is None else hosted_from
            self._turn("model").extend(HOSTED[kind](item))
        elif kind in OUTPUTS:
            self._answer_calls()
        elif kind not in LEFT_OUT:
            raise ApiError("unsupported_value", f"Gemini cannot be given a {kind!r} item.", param=path)

    def _turn(self, role: str) -> list[Json]:
        """The parts of the open turn; a new turn if the role changes."""
        if role == "user":
            self._answer_calls()
        return self._append(role)

    def _append(self, role: str) -> list[Json]:
        if not self.contents or self.contents[-1]["role"] != role:
            self.contents.append({"role": role, "parts": []})
        parts: list[Json] = self.contents[-1]["parts"]
        return parts

    # ---------------------------------------------------------------- messages

    def _message(self, item: Json, path: str) -> None:
        role = item["role"]
        parts = self._parts(item["content"], f"{path}.content")
        if not parts:
            return
        if role == "assistant":
            self._turn("model").extend(parts)
        elif role == "user":
            self._turn("user").extend(parts)
        else:
            marked = [
                {"text": f"<{role}>\n{part['text']}\n</{role}>"} if "text" in part else part for part in parts
            ]
            self._turn("user").extend(marked)

    def _parts(self, content: list[Json], path: str) -> list[Json]:
        """Content parts; empty texts, which Gemini refuses, are left out."""
        made = []
        for n, part in enumerate(content):
            text = text_of(part)
            if text:
                made.append({"text": text})
            elif text is None:
                made.append(self._media(Part(f"{path}[{n}]", part)))
        return made

    def _media(self, part: Part) -> Json:
        if part.part.get("detail", "auto") != "auto":
            self.ignored.add(f"{part.path}.detail")
        return media_part(part, url_input=self.options.get("url_input", True))

    # ---------------------------------------------------------------- reasoning and its state

    def _reasoning(self, item: Json, hosted_from: int | None) -> None:
        """What Gemini gave is given back where it was; other reasoning, and that of another model, is left out."""
        state = self.turn.state(item)
        if state is None or state.get("model") != self.turn.model:
            return
        on, signature = state.get("on"), state.get("signature")
        text = "".join(part.get("text", "") for part in item.get("summary") or ())
        parts = self._turn("model") if text or on in ("instead", "here") else []
        if text:
            own = {"thoughtSignature": signature} if signature and on == "thought" else {}
            parts.append({"text": text, "thought": True, **own})
        if on == "next":
            self._signature = signature
        elif on == "previous":
            if self.contents and self.contents[-1]["role"] == "model" and self.contents[-1]["parts"]:
                last = self.contents[-1]["parts"]
                last[-1] = {**last[-1], "thoughtSignature": signature}
        elif on == "instead":
            if hosted_from is not None:
                del parts[hosted_from:]
            parts.extend(state.get("parts", ()))
        elif on == "here":
            parts.extend(state.get("parts", ()))

    # ---------------------------------------------------------------- calls and results

    def _call(self, call_id: str, name: str, arguments: Json) -> None:
        signature, self._signature = self._signature, None
        if signature is None and not self._calls and self.options.get("signatures"):
            signature = SKIP_VALIDATION
        call = {
            **({"id": call_id} if self.options.get("call_ids", True) else {}),
            "name": name,
            "args": arguments,
        }
        signed = {"thoughtSignature": signature} if signature else {}
        self._turn("model").append({"functionCall": call, **signed})
        self._calls.append((call_id, name))

    def _answer_calls(self) -> None:
        """The model's turn is over: the results of its calls, then the media that have no place inside them."""
        calls, self._calls, self._signature = self._calls, [], None
        if not any(self._results.get(call_id) for call_id, _ in calls):
            return  # Gemini takes calls that nobody answered, but not some of them
        media: list[Json] = []
        for call_id, name in calls:
            waiting = self._results.get(call_id)
            if not waiting:
                raise ApiError(
                    "invalid_value", f"No tool output found for the call {quoted(call_id)}.", param="input"
                )
            output, place = waiting.pop(0)
            made = self._result(call_id, name, output, f"input[{place}].output", media)
            self._append("user").append(made)
        if media:
            self._append("user").extend(media)

    def _result(self, call_id: str, name: str, output: Any, path: str, media: list[Json]) -> Json:
        """A functionResponse. Text that is a JSON object is the response itself, any other is its `output`."""
        if isinstance(output, dict) and output.get("image_url"):
            output = [{"type": "input_image", "image_url": output["image_url"]}]
        parts = self._parts(output, path) if isinstance(output, list) else []
        texts = [part["text"] for part in parts if "text" in part] if isinstance(output, list) else [output]
        inside: list[Json] = []
        for part in parts:
            if "text" not in part:
                fits = self.options.get("tool_media") and mime_of(part) in IN_RESULTS
                (inside if fits else media).append(part)
        response = _response(texts[0] if len(texts) == 1 else texts) if texts else {"output": ""}
        made = {
            **({"id": call_id} if self.options.get("call_ids", True) else {}),
            "name": name,
            "response": response,
        }
        return {"functionResponse": {**made, "parts": inside} if inside else made}


def _response(output: Any) -> Json:
    if isinstance(output, str) and output.lstrip().startswith("{"):
        try:
            parsed = orjson.loads(output)
        except orjson.JSONDecodeError:
            return {"output": output}
        return parsed if isinstance(parsed, dict) else {"output": output}
    return {"output": output}


def _arguments(text: str) -> Json:
    """A call's arguments as the object that Gemini takes."""
    try:
        value = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        value = text
    return value if isinstance(value, dict) else {"arguments": value}


# --------------------------------------------------------------------------- items of tools that a provider ran


def _code(item: Json) -> list[Json]:
    logs = [output.get("logs", "") for output in item.get("outputs") or () if output.get("type") == "logs"]
    outcome = "OUTCOME_FAILED" if item.get("status") == "failed" else "OUTCOME_OK"
    return [
        {"executableCode": {"language": "PYTHON", "code": item.get("code") or ""}},
        {"codeExecutionResult": {"outcome": outcome, "output": "".join(logs)}},
    ]


def _image(item: Json) -> list[Json]:
    mime = f"image/{item.get('output_format') or 'png'}"
    return [{"inlineData": {"mimeType": mime, "data": item["result"]}}] if item.get("result") else []


def _nothing(_: Json) -> list[Json]:
    """What a search found stands in the text behind it."""
    return []


HOSTED = {
    "code_interpreter_call": _code,
    "image_generation_call": _image,
    "web_search_call": _nothing,
    "file_search_call": _nothing,
}
