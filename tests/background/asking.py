"""Background responses as a client handles them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from ..support import grammar
from ..support.client import Client

Json = dict[str, Any]

ENDED = {"completed", "incomplete", "failed", "cancelled"}


def create(client: Client, **body: Any) -> Json:
    reply = client.http.post(f"{client.base_url}/v1/responses", json={**body, "background": True})
    assert reply.status_code == 200, reply.text
    response: Json = reply.json()
    return response


def poll(
    client: Client, response_id: str, seen: Callable[[Json], object] = lambda _: None, seconds: float = 20
) -> Json:
    """The response when it has ended; `seen` gets every state of it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        reply = client.get(f"/responses/{response_id}")
        assert reply.status_code == 200, reply.text
        response: Json = reply.json()
        seen(response)
        if response["status"] in ENDED:
            return response
        time.sleep(0.05)
    raise AssertionError(f"{response_id} hangs")


def follow(client: Client, response_id: str, after: int = -1, *, leave_after: int = 0) -> list[Json]:
    """The events after `after`; all of them, or the first `leave_after`."""
    query = f"?stream=true&starting_after={after}" if after >= 0 else "?stream=true"
    events: list[Json] = []
    with httpx.stream("GET", f"{client.base_url}/v1/responses/{response_id}{query}", timeout=30) as reply:
        assert reply.status_code == 200
        if not leave_after:
            body = reply.read()
            return grammar.parse(body) if body != b"data: [DONE]\n\n" else []
        for line in reply.iter_lines():
            if line.startswith("data: {"):
                events.append(json.loads(line[6:]))
            if len(events) == leave_after:
                break
    return events


def cancel(client: Client, response_id: str) -> Json:
    reply = client.http.post(f"{client.base_url}/v1/responses/{response_id}/cancel")
    assert reply.status_code == 200, reply.text
    response: Json = reply.json()
    return response
