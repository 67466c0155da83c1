"""The seam between the gateway and a provider: the Adapter protocol, the turn it is given, the deltas it gives back.

An adapter is pure translation: no I/O, no clock, no ids. It never builds events; it says what the provider said, as
deltas, in the order in which it was said, and `engine.assembler` makes a legal event stream of them.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

from ..protocol.errors import ApiError
from ..protocol.state import Shape, fits, unseal

Json = dict[str, Any]

# --------------------------------------------------------------------------- what an adapter is given


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """What the model table knows of a model: limits and quirks, as data (`models.toml`, section `[[model]]`).

    `context_window` and `max_output_tokens` are in tokens. `options` holds the quirks that only the provider's own
    adapter reads; each adapter names those it knows in its first lines. `price` is in US dollars per million tokens:
    `input`, `output`, and `cached_input` if that is not `input`; empty: not known.
    """

    context_window: int | None = None
    max_output_tokens: int | None = None
    options: Json = field(default_factory=dict)
    price: Mapping[str, float] = field(default_factory=dict)

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float | None:
        """Of these tokens, in millionths of a dollar, the input with its cached ones. None without a price."""
        price = self.price
        if not price:
            return None
        cost = (input_tokens - cached_tokens) * price["input"] + output_tokens * price["output"]
        return cost + cached_tokens * price.get("cached_input", price["input"])

    def cost_of(self, usage: Json | None) -> float | None:
        """Of a response's usage, in dollars. None without usage or price."""
        if usage is None:
            return None
        cached = usage.get("input_tokens_details", {}).get("cached_tokens", 0)
        cost = self.cost(usage["input_tokens"], usage["output_tokens"], cached)
        return None if cost is None else round(cost / 1_000_000, 9)


@dataclass(slots=True)
class Turn:
    """One sample to take: everything an adapter needs to build a provider request.

    request     the client's request, validated, without its null fields: temperature, top_p, max_output_tokens,
                reasoning, text, tool_choice, parallel_tool_calls, top_logprobs, ... are read from here
    input       the whole context in order: earlier turns, then this one's input; items are the protocol's dicts.
                Item references are resolved. A message's content is always a list of parts here, also where the
                client sent a string (`input_text`, for the assistant `output_text`). Never change an item in place.
                Without `additional_tools` items, unless the adapter `places_tools`.
    tools       the tools of this sample, `function` and `custom` and hosted kinds, in the client's order
    tool_choice "auto", "none", "required", {"type": "function" | "custom", "name": ...} or a hosted tool's
                {"type": ...}; `allowed_tools` is already resolved into mode (here) and `allowed`
    allowed     names of the function and custom tools that may be called; None: all of them
    state_shape the adapter's
    """

    provider: str
    model: str
    profile: ModelProfile
    request: Json
    instructions: str | None
    input: list[Json]
    tools: list[Json]
    tool_choice: str | Json = "auto"
    allowed: frozenset[str] | None = None
    state_shape: Shape = object

    def state(self, item: Json) -> Any | None:
        """The provider state in a reasoning item, as this provider gave it; None if it has none or another's. Raises
        ApiError for one that no adapter has made."""
        token = item.get("encrypted_content")
        if not token:
            return None
        found = unseal(token)
        if not found or found[0] != self.provider or found[1] is None:
            return None
        if not fits(found[1], self.state_shape):
            place = next(n for n, each in enumerate(self.input) if each is item)
            message = f"'encrypted_content' is none that {self.provider} has given."
            raise ApiError("invalid_value", message, param=f"input[{place}].encrypted_content")
        return found[1]


@dataclass(slots=True)
class UpstreamRequest:
    """What to send to the provider.

    path      below the provider's base URL and version, e.g. "/messages"
    body      the JSON body; key order is kept, so equal turns give equal bytes (prompt caches depend on it)
    headers   beyond content type and authentication, which the provider's row decides
    framing   how the provider streams
    ignored   paths of the client's tuning knobs that this provider has no place for; named to the client in
              `x-openresponses-ignored`. A *feature* that has no place is an ApiError "unsupported_parameter" instead.
    """

    path: str
    body: Json
    headers: dict[str, str] = field(default_factory=dict)
    framing: Literal["sse", "ndjson", "aws-eventstream"] = "sse"
    ignored: list[str] = field(default_factory=list)


# --------------------------------------------------------------------------- what an adapter gives back: the deltas


@dataclass(frozen=True, slots=True)
class Started:
    """The provider took the request. `model` as the provider names it."""

    model: str | None = None
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """A new message begins. Only needed to give its phase; TextDelta and RefusalDelta open a message by themselves."""

    phase: str | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str
    logprobs: list[Json] | None = None


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    text: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """A citation on the open (or last) text part; offsets are characters from the beginning of that part."""

    annotation: Json


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Reasoning text. `raw` tells the model's own thoughts from a summary of them."""

    text: str
    raw: bool = False


@dataclass(frozen=True, slots=True)
class ProviderState:
    """State for this provider alone: joins the open reasoning item, or makes one. Replaces what that item had."""

    payload: Json | str


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The open content part or summary part is complete; its item stays open."""


@dataclass(frozen=True, slots=True)
class ItemEnd:
    """The open message or reasoning item is complete, or the tool call or hosted item named by `key`."""

    key: Hashable = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A call of the client's tool. `key` names it among the calls of this sample (index, id: any hashable).

    `call_id` is the provider's id for pairing the result; None: the assembler makes one. Several calls may be open
    at once; opening one closes an open message or reasoning item.

    `caller`: what made the call, where the provider says so (OpenAI: a program of its model's); it stays on the item.

    Two kinds are the engine's own. "mcp": a call that it runs on an MCP server, whose label is the namespace. Its item
    stays open until it is given complete (HostedItemEnded). "search": of the tool search that the client runs.
    """

    key: Hashable
    name: str
    call_id: str | None = None
    kind: Literal["function", "custom", "mcp", "search"] = "function"
    namespace: str | None = None
    caller: Json | None = None


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call's arguments (JSON text), or of a custom call's input (free text)."""

    key: Hashable
    text: str


@dataclass(frozen=True, slots=True)
class HostedItemStarted:
    """An item of a tool that the provider ran itself (web_search_call, ...), in OpenAI's shape, without its id."""

    key: Hashable
    item: Json


@dataclass(frozen=True, slots=True)
class HostedItemEvent:
    """An event of that item's own life, e.g. "response.web_search_call.searching", with its extra fields."""

    key: Hashable
    type: str
    fields: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostedItemEnded:
    """That item, complete."""

    key: Hashable
    item: Json


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens so far, in our terms: input includes those read from a cache and written to one, output includes
    reasoning. The last one counts."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        return (
            self.input_tokens,
            self.output_tokens,
            self.cached_tokens,
            self.reasoning_tokens,
            self.cache_write_tokens,
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(*map(operator.add, self.counts, other.counts))


UNKNOWN_USAGE = Usage(0, 0)  # by its identity: what was counted so far cannot be told


def usage_of(read: Callable[[Any], Usage], counts: Any) -> Usage:
    """What `read` makes of a provider's counts; of counts that are none, a usage that the engine takes for no usage."""
    try:
        return read(counts)
    except (AttributeError, LookupError, TypeError, ValueError):
        return Usage(-1, -1)


@dataclass(frozen=True, slots=True)
class Finished:
    """The provider's own end of the answer; nothing but Usage may follow.

    reason   None: completed. "max_output_tokens", "content_filter": incomplete. "pause": the provider wants the same
             turn sent again with what it said so far (Anthropic's pause_turn).
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider failed in mid-answer, or said something that cannot be read."""

    error: ApiError


Delta = (
    Started
    | MessageStarted
    | TextDelta
    | RefusalDelta
    | Annotation
    | ReasoningDelta
    | ProviderState
    | PartEnd
    | ItemEnd
    | ToolCallStarted
    | ToolCallDelta
    | HostedItemStarted
    | HostedItemEvent
    | HostedItemEnded
    | Usage
    | Finished
    | Failed
)

# --------------------------------------------------------------------------- the adapter itself


class Reader(Protocol):
    """Reads one answer of the provider; keeps what it needs to know between frames.

    The engine stops reading at Failed, and at the end of the stream fails the turn if there was no Finished.

    A reader may have a `stopped`: whether the provider has told why it stopped, though only the end of the stream shows
    that nothing follows. The engine then waits for little more, and takes a broken connection for that end.
    """

    def frame(self, event: str, data: Json) -> Iterable[Delta]:
        """One frame of the stream: the SSE event name ("" if it has none) and its JSON object."""
        ...

    def whole(self, data: Any) -> Iterable[Delta]:
        """A complete, unstreamed answer (JSON), for backends that ignore the wish to stream. Ends with Finished."""
        ...

    def end(self) -> Iterable[Delta]:
        """The stream has ended: what can only be said now (a provider whose only end is EOF says Finished here)."""
        ...


class Adapter(Protocol):
    """What every adapter has. One may have beside it what Counts, RunsMcp and Answers say, and three attributes:

    state_shape     what its ProviderState is like, so that a client's own inventions are refused; if it has no such
                    attribute, it must read any JSON
    openai_fields   names of those fields of `adapters.openai_fields` that it can send; none if it has no such attribute
    places_tools    True where its provider takes tools in mid-conversation: it is given the `additional_tools` items
                    among the input, too. Their tools are in the turn's in any case
    """

    def build(self, turn: Turn) -> UpstreamRequest:
        """The provider's request for this turn. Raises ApiError naming the parameter it cannot honour."""
        ...

    def reader(self, turn: Turn) -> Reader:
        """A fresh reader for the answer to that request."""
        ...

    def explain(self, status: int, body: bytes) -> ApiError:
        """The provider's error reply (HTTP status >= 400), as ours."""
        ...


@runtime_checkable
class Counts(Protocol):
    """What an adapter has beside, where its provider counts the tokens of a request without answering it."""

    def count(self, turn: Turn) -> UpstreamRequest:
        """The request that asks how many tokens this turn's input has. Raises ApiError as `build` does."""
        ...

    def counted(self, body: Json) -> int:
        """The number in the provider's reply. Raises LookupError, TypeError or ValueError if it has none."""
        ...

    def explain(self, status: int, body: bytes) -> ApiError: ...


@runtime_checkable
class RunsMcp(Protocol):
    """What an adapter has beside, where its provider calls MCP servers itself."""

    def runs_mcp(self, tool: Json) -> bool:
        """Whether the provider can do all that this tool of type `mcp` asks for."""
        ...


class Answers(Protocol):
    """What an adapter has that is its own provider: it answers instead of sending a request."""

    def reader(self, turn: Turn) -> Reader: ...

    def answer(self, turn: Turn) -> Iterable[tuple[float, Json]]:
        """The frames of the answer, each with the seconds to wait before it."""
        ...


def answers_itself(adapter: Adapter) -> TypeGuard[Answers]:
    """Whether the adapter has what Answers says. Asked once a sample, where to check a protocol takes too long."""
    return hasattr(adapter, "answer")


# --------------------------------------------------------------------------- shared by adapters

SECRETS = re.compile(
    r"\b(?:sk|rk|pk|gsk|xai|key)-[\w*.-]{6,}|\bAIza[\w-]{10,}|\borg-\w{6,}|\bproj_\w{6,}|\bBearer\s+\S+"
    r"|\barn:aws[\w:/.-]+|\bprojects/\d{6,}",
)


def redact(message: str) -> str:
    """A provider's message without keys and account ids."""
    return SECRETS.sub("[redacted]", message)


# What a provider's HTTP status means when its body says nothing more precise.
STATUS_CODES: dict[int, str] = {
    400: "invalid_value",
    401: "provider_authentication_failed",
    402: "insufficient_quota",
    403: "provider_authentication_failed",
    404: "model_not_found",
    408: "provider_timeout",
    413: "request_too_large",
    422: "invalid_value",
    424: "model_error",
    429: "rate_limit_exceeded",
    500: "provider_error",
    502: "provider_unavailable",
    503: "server_is_overloaded",
    504: "provider_timeout",
    529: "server_is_overloaded",
}


def provider_error(
    status: int, message: str, *, code: str | None = None, retry_after: float | None = None
) -> ApiError:
    """An ApiError for a provider's error reply: by `code` where the adapter knows better, else by the status. What is
    no error of HTTP's, as a redirect, would be the same a second time."""
    fallback = "invalid_value" if 400 <= status < 500 else "provider_error"
    code = code or STATUS_CODES.get(status, fallback)
    again = None if status >= 400 else False
    message = redact(message) or f"The provider answered {status}."
    return ApiError(code, message, retry_after=retry_after, retryable=again)
