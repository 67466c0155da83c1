"""Asks the gateway over HTTP and checks the form of every answer on the way: headers, schema, grammar."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

from . import grammar, schema

Json = dict[str, Any]

# What may differ between two answers to the same request.
VOLATILE = ("created_at", "completed_at")


@dataclass
class Told:
    """What the gateway answered: `response` for a turn, `error` for an HTTP error; `events` if it streamed."""

    status: int
    headers: httpx.Headers
    response: Json = field(default_factory=dict)
    error: Json = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)

    @property
    def output(self) -> list[Json]:
        return self.response["output"]  # type: ignore[no-any-return]

    @property
    def text(self) -> str:
        parts = (part for item in self.output if item["type"] == "message" for part in item["content"])
        return "".join(part.get("text", "") for part in parts)

    def of(self, kind: str) -> list[Json]:
        return [item for item in self.output if item["type"] == kind]


class Client:
    def __init__(self, base_url: str, http: httpx.Client) -> None:
        self.base_url = base_url
        self.http = http

    def ask(
        self,
        body: Json,
        *,
        stream: bool = False,
        headers: dict[str, str] | None = None,
        any_kinds: bool = False,
    ) -> Told:
        """One turn, its answer checked in form. `any_kinds`: the provider may make up kinds of items, which are told as
        they come."""
        reply = self.http.post(
            f"{self.base_url}/v1/responses", json={**body, "stream": stream}, headers=headers
        )
        assert reply.headers.get("x-request-id"), "no x-request-id"
        if reply.status_code != 200:
            return Told(reply.status_code, reply.headers, error=checked_error(reply))
        if not stream:
            assert reply.headers["content-type"].startswith("application/json")
            response = reply.json()
            (grammar.check_any_end if any_kinds else grammar.check_end)(response)
            return Told(200, reply.headers, response)
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = grammar.parse(reply.content)
        check = grammar.check_any_stream if any_kinds else grammar.check_stream
        return Told(200, reply.headers, check(events), events=events)

    def get(self, path: str) -> httpx.Response:
        return self.http.get(f"{self.base_url}/v1{path}")

    def delete(self, path: str) -> httpx.Response:
        return self.http.delete(f"{self.base_url}/v1{path}")


def checked_error(reply: httpx.Response) -> Json:
    """The error object of an HTTP error, checked in form."""
    assert reply.headers["content-type"].startswith("application/json"), reply.headers
    body = reply.json()
    schema.check_error(body)
    error: Json = body["error"]
    if reply.status_code == 429:
        assert int(reply.headers["retry-after"]) >= 0
    return error


def comparable(response: Json) -> Json:
    """The response without its times, and with its ids by order of appearance."""
    names: dict[str, str] = {}

    def plain(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: plain(part, name) for name, part in value.items() if name not in VOLATILE}
        if isinstance(value, list):
            return [plain(part) for part in value]
        if key in ("id", "call_id", "item_id") and isinstance(value, str):
            return names.setdefault(value, f"#{len(names)}")
        return value

    result: Json = plain(response)
    return result
