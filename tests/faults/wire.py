"""What the six wire formats are made of, so that a fault can stand at any byte of an answer.

An answer is its HTTP head and its frames; everything is sent raw, so that each fault decides on every byte, and the
provider closes the connection behind each answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ..support.provider import Answer, Received
from ..support.speech import data, dumps, enveloped, message, named, says

Json = dict[str, Any]

TEXT = "Hello there, world"
FIRST_WORD = "Hello"
# Seconds after which the gateway has read what was sent: a reset takes unread bytes with it.
READ = 0.1


@dataclass(frozen=True)
class Dialect:
    """One wire format.

    adapter      its adapter, as in the provider table
    end_mark     bytes of the frame that ends an answer
    reasons      that frame's reason for an end that is cut: (bytes of a whole answer, what stands in their place)
    """

    name: str
    adapter: str
    end_mark: bytes
    reasons: dict[str, tuple[bytes, bytes]]

    @cached_property
    def content_type(self) -> str:
        return says(self.name).content_type

    @cached_property
    def frames(self) -> list[bytes]:
        return self.split(says(self.name, TEXT).body)

    def split(self, body: bytes) -> list[bytes]:
        """The frames of a body, each with its end."""
        if self.name != "bedrock":
            return re.findall(
                rb".+?\n" if self.name == "ollama" else rb".+?(?:\r\n\r\n|\n\n)", body, re.DOTALL
            )
        frames = []
        while body:
            size = int.from_bytes(body[:4], "big")
            frames.append(body[:size])
            body = body[size:]
        return frames

    @property
    def first(self) -> int:
        """The place of the frame with the first word."""
        return next(n for n, frame in enumerate(self.frames) if FIRST_WORD.encode() in frame)

    @property
    def last(self) -> int:
        """The place of the frame that ends the answer; counts may follow it."""
        return next(n for n, frame in enumerate(self.frames) if self.end_mark in frame)

    def with_json(self, frame: bytes, change: Callable[[bytes], bytes]) -> bytes:
        """A frame whose JSON is changed; one that has none as it is."""
        if self.name == "bedrock":
            names = 12 + int.from_bytes(frame[4:8], "big")
            return enveloped(frame[12:names], change(frame[names:-4]))
        start, end = frame.find(b"{"), frame.rfind(b"}") + 1
        return frame[:start] + change(frame[start:end]) + frame[end:] if start >= 0 else frame

    def frame(self, value: str) -> bytes:
        """A frame with this text, whatever it is."""
        if self.name == "ollama":
            return value.encode() + b"\n"
        return b"data: " + value.encode() + b"\n\n"

    def error(self, kind: str) -> bytes:
        """A frame that tells of an error in the provider's way; `kind` is "overloaded", "internal" or "throttled"."""
        return ERROR_FRAMES[self.name](kind)


STATUS = {"overloaded": 503, "internal": 500, "throttled": 429}
OPENAI_CODES = {
    "overloaded": "server_is_overloaded",
    "internal": "server_error",
    "throttled": "rate_limit_exceeded",
}
ANTHROPIC_TYPES = {"overloaded": "overloaded_error", "internal": "api_error", "throttled": "rate_limit_error"}
GEMINI_STATUSES = {"overloaded": "UNAVAILABLE", "internal": "INTERNAL", "throttled": "RESOURCE_EXHAUSTED"}
BEDROCK_EXCEPTIONS = {
    "overloaded": "serviceUnavailableException",
    "internal": "internalServerException",
    "throttled": "throttlingException",
}
# Ollama's mid-stream errors are words alone.
OLLAMA_WORDS = {
    "overloaded": "server busy, please try again.  maximum pending requests exceeded",
    "internal": "llama runner process has terminated: exit status 2",
    "throttled": "too many requests",
}
ERROR_FRAMES = {
    "openai": lambda kind: named(
        {"type": "error", "sequence_number": 9, "code": OPENAI_CODES[kind], "message": "No.", "param": None}
    ),
    "anthropic": lambda kind: named(
        {"type": "error", "error": {"type": ANTHROPIC_TYPES[kind], "message": "No."}}
    ),
    "gemini": lambda kind: data(
        {"error": {"code": STATUS[kind], "message": "No.", "status": GEMINI_STATUSES[kind]}}
    ),
    "ollama": lambda kind: dumps({"error": OLLAMA_WORDS[kind]}).encode() + b"\n",
    "chat": lambda kind: data(
        {"error": {"message": "No.", "type": OPENAI_CODES[kind], "code": STATUS[kind]}}
    ),
    "bedrock": lambda kind: message(BEDROCK_EXCEPTIONS[kind], {"message": "No."}, exception=True),
}
DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("openai", "openai", b'"type": "response.completed"', {}),
        Dialect("anthropic", "anthropic", b"message_stop",
                {"max_output_tokens": (b"end_turn", b"max_tokens")}),
        Dialect("gemini", "gemini", b"finishReason",
                {"max_output_tokens": (b'"STOP"', b'"MAX_TOKENS"'), "content_filter": (b'"STOP"', b'"SAFETY"')}),
        Dialect("ollama", "ollama", b'"done": true', {"max_output_tokens": (b'"stop"', b'"length"')}),
        Dialect("chat", "chat", b'"finish_reason": "stop"',
                {"max_output_tokens": (b'"stop"', b'"length"'), "content_filter": (b'"stop"', b'"content_filter"')}),
        Dialect("bedrock", "bedrock", b"messageStop", {}),
    )
}  # fmt: skip


def asked_model(request: Received) -> str:
    """The model that a request of any dialect names."""
    in_path = re.search(r"/models?/([^/:]+)", request.path)
    return in_path[1] if in_path else str(request.json["model"])


# --------------------------------------------------------------------------- answers, byte by byte


def head(content_type: str | None, *fields: str, status: str = "200 OK", chunked: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", "connection: close", *fields]
    lines += [f"content-type: {content_type}"] if content_type else []
    lines += ["transfer-encoding: chunked"] if chunked else []
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""


END = b"0\r\n\r\n"


Part = bytes | Callable[[Dialect], bytes]
Make = Callable[[Dialect], Answer]


def head_of(dialect: Dialect) -> bytes:
    return head(dialect.content_type)


def right(dialect: Dialect) -> bytes:
    """The whole body."""
    return b"".join(dialect.frames)


def until_first_word(dialect: Dialect) -> bytes:
    """The body up to the first word."""
    return b"".join(dialect.frames[: dialect.first + 1])


def after_first_word(dialect: Dialect) -> bytes:
    return b"".join(dialect.frames[dialect.first + 1 :])


def chunked(part: Part) -> Callable[[Dialect], bytes]:
    return lambda dialect: chunk(bytes_of(part, dialect))


def bytes_of(part: Part, dialect: Dialect) -> bytes:
    return part if isinstance(part, bytes) else part(dialect)


def sends(*parts: Part, pause: float = 0.0, ending: Literal["end", "hang", "abort"] = "end") -> Make:
    """These bytes and no others."""
    return lambda dialect: Answer(
        pieces=[bytes_of(part, dialect) for part in parts], pause=pause, ending=ending, raw=True
    )


def body(*parts: Part, fields: tuple[str, ...] = (), content_type: str | None = "") -> Make:
    """A complete HTTP message; `content_type` "": the dialect's own, None: none."""

    def make(dialect: Dialect) -> Answer:
        kind = dialect.content_type if content_type == "" else content_type
        whole = b"".join(bytes_of(part, dialect) for part in parts)
        return Answer(pieces=[head(kind, *fields) + chunk(whole) + END], raw=True)

    return make


def reply(status: int, said: bytes | Json | list[Json] = b"", *fields: str) -> Make:
    """An error reply."""
    content = said if isinstance(said, bytes) else dumps(said).encode()
    length = f"content-length: {len(content)}"
    return sends(head("application/json", length, *fields, status=f"{status} Said", chunked=False) + content)
