"""A WebSocket client that checks every frame it gets: form, schema, grammar."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from websockets.sync.client import ClientConnection, connect

from . import grammar, schema

Json = dict[str, Any]


@dataclass
class Turn:
    """The answer to one `response.create`: `events` and the terminal `response`, or the error `envelope`."""

    events: list[Json] = field(default_factory=list)
    response: Json = field(default_factory=dict)
    envelope: Json = field(default_factory=dict)

    @property
    def text(self) -> str:
        parts = (
            part for item in self.response["output"] if item["type"] == "message" for part in item["content"]
        )
        return "".join(part.get("text", "") for part in parts)

    @property
    def refusal(self) -> tuple[int, str, str | None]:
        """Status, code and param of the envelope."""
        error = self.envelope["error"]
        return self.envelope["status"], error["code"], error["param"]


class Socket:
    """One connection. `send` and `receive` are frames, `ask` is a whole turn."""

    def __init__(self, base_url: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        url = base_url.replace("http", "ws", 1) + "/v1/responses"
        self.connection: ClientConnection = connect(
            url, additional_headers=headers, max_size=None, proxy=None, **options
        )

    def send(self, message: Json | str | bytes) -> None:
        self.connection.send(json.dumps(message) if isinstance(message, dict) else message)

    def create(self, **body: Any) -> None:
        self.send({"type": "response.create", **body})

    def frame(self, timeout: float = 20) -> Json:
        data = self.connection.recv(timeout)
        assert isinstance(data, str), "a frame is text"
        frame: Json = json.loads(data)
        return frame

    def answer(self, timeout: float = 20) -> Turn:
        """The frames up to the one that ends a turn, checked."""
        turn = Turn()
        while True:
            frame = self.frame(timeout)
            if frame["type"] == "error":
                assert not turn.events, "a turn that was begun ends with its terminal event alone"
                schema.check("WebSocketErrorEvent", frame)
                turn.envelope = frame
                return turn
            turn.events.append(frame)
            if frame["type"] in grammar.TERMINAL:
                turn.response = grammar.check_stream(turn.events, error_event=False)
                return turn

    def ask(self, **body: Any) -> Turn:
        self.create(**body)
        return self.answer()

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
