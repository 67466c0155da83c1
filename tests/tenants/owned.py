"""What one tenant has: an id of every kind, and how another tenant may try to reach it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

Json = dict[str, Any]

TEXT = "the words of the first tenant"
LONG = {"model": "echo", "input": "/slow 1\nthe words of the first tenant", "background": True}
KEY = "an idempotency key"
# Not asked, as there is no call to approve; and an address (of a sink of DNS), so that no name is looked up.
MCP = {"type": "mcp", "server_label": "s", "server_url": "https://192.31.196.1/mcp"}
# What an id of ours looks like in a body.
ID = re.compile(r"\b[a-z]+_[0-9a-f]{32}(_i?\d+)?\b")


@dataclass
class Owned:
    """`ids`: kind → id. `tokens`: kind → content that was sealed for this tenant."""

    ids: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)


def make(client: httpx.Client, *, background: bool) -> Owned:
    """One of each kind."""
    owned = Owned()

    def created(kind: str, **body: Any) -> Json:
        reply = client.post("/v1/responses", json={"model": "echo", "input": TEXT, **body})
        assert reply.status_code == 200, reply.text
        told: Json = reply.json()
        owned.ids[kind] = told["id"]
        return told

    told = created("response")
    owned.ids["message"] = told["output"][0]["id"]
    owned.ids["input item"] = client.get(f"/v1/responses/{told['id']}/input_items").json()["data"][0]["id"]
    created("continued", previous_response_id=told["id"])
    conversation = client.post(
        "/v1/conversations", json={"items": [{"role": "user", "content": TEXT}]}
    ).json()
    owned.ids["conversation"] = conversation["id"]
    listed = client.get(f"/v1/conversations/{conversation['id']}/items").json()
    owned.ids["conversation item"] = listed["data"][0]["id"]
    owned.ids["conversation response"] = created("in a conversation", conversation=conversation["id"])["id"]
    created("deleted")
    assert client.delete(f"/v1/responses/{owned.ids['deleted']}").status_code == 200
    compacted = client.post("/v1/responses/compact", json={"model": "echo", "input": TEXT}).json()
    compaction = next(item for item in compacted["output"] if item["type"] == "compaction")
    owned.tokens["compaction"] = compaction["encrypted_content"]
    owned.ids["compaction item"] = compaction["id"]
    reply = client.post(
        "/v1/responses", json={"model": "echo", "input": TEXT}, headers={"idempotency-key": KEY}
    )
    owned.ids["idempotent"] = reply.json()["id"]
    if background:
        created("background", background=True)
        owned.ids["cancelled"] = client.post("/v1/responses", json=LONG).json()["id"]
        client.post(f"/v1/responses/{owned.ids['cancelled']}/cancel")
    return owned


def unknown(wanted: str) -> str:
    """An id of the same form that nobody has."""
    return re.sub(r"[0-9a-f]{32}", "0" * 31 + "a", wanted)


MALFORMED = ("x", "resp_", "../resp_1", "resp_" + "g" * 32, "conv_" + "0" * 31, "%00", "a b")

Probe = Callable[[str], Json]  # an id → what to ask: method, url, and what goes with it


def _get(path: str) -> Probe:
    return lambda wanted: {"method": "GET", "url": path.replace("{}", wanted)}


def _delete(path: str) -> Probe:
    return lambda wanted: {"method": "DELETE", "url": path.replace("{}", wanted)}


def _post(path: str, body: Callable[[str], Json] = lambda wanted: {}) -> Probe:
    return lambda wanted: {"method": "POST", "url": path.replace("{}", wanted), "json": body(wanted)}


def _ways_to_refer(path: str) -> list[Probe]:
    """A body of a create request, in all the ways in which it can name something."""

    def body(**fields: Any) -> Json:
        return {"model": "echo", "input": "Go on.", **fields}

    def reference(wanted: str) -> Json:
        return body(input=[{"role": "user", "content": "x"}, {"type": "item_reference", "id": wanted}])

    streams = [{}, {"stream": True}] if path == "/v1/responses" else [{}]

    def approval(wanted: str) -> Json:
        said = {"type": "mcp_approval_response", "approval_request_id": wanted, "approve": True}
        return body(input=[said], tools=[MCP])

    def output(wanted: str) -> Json:
        return body(input=[{"type": "function_call_output", "call_id": wanted, "output": "x"}])

    ways: list[Callable[[str], Json]] = [
        lambda wanted: body(previous_response_id=wanted),
        reference,
        output,
    ]
    if path != "/v1/responses/compact":  # where they are ignored
        ways += [
            approval,
            lambda wanted: body(conversation=wanted),
            lambda wanted: body(conversation={"id": wanted}),
        ]
    return [
        _post(path, lambda wanted, way=way, more=more: {**way(wanted), **more})  # type: ignore[misc]
        for way in ways
        for more in streams
    ]


ITEMS = [{"role": "user", "content": "x"}]
OWN = "OWN"  # the asking tenant's own conversation
# Method and path of every route → how each id is tried there. A route that names nothing has none, and says so here.
PROBES: dict[tuple[str, str], list[Probe]] = {
    ("POST", "/v1/responses"): [
        *_ways_to_refer("/v1/responses"),
        _post("/v1/responses", lambda wanted: {"model": "echo", "background": True, "input": "x",
                                               "previous_response_id": wanted}),
    ],
    ("WEBSOCKET", "/v1/responses"): [],  # test_over_a_websocket
    ("WEBSOCKET", "/{path:path}"): [],
    ("POST", "/v1/responses/compact"): _ways_to_refer("/v1/responses/compact"),
    ("POST", "/v1/responses/input_tokens"): _ways_to_refer("/v1/responses/input_tokens"),
    ("GET", "/v1/responses/{response_id}"): [
        _get("/v1/responses/{}"),
        _get("/v1/responses/{}?stream=true"),
        _get("/v1/responses/{}?stream=true&starting_after=0"),
        _get("/v1/responses/{}?include[]=reasoning.encrypted_content"),
    ],
    ("DELETE", "/v1/responses/{response_id}"): [_delete("/v1/responses/{}")],
    ("GET", "/v1/responses/{response_id}/input_items"): [
        _get("/v1/responses/{}/input_items"),
        _get("/v1/responses/{}/input_items?limit=1&order=asc"),
    ],
    ("POST", "/v1/responses/{response_id}/cancel"): [_post("/v1/responses/{}/cancel")],
    ("POST", "/v1/conversations"): [
        _post("/v1/conversations", lambda wanted: {"items": [{"type": "item_reference", "id": wanted}]})
    ],
    ("GET", "/v1/conversations/{conversation_id}"): [_get("/v1/conversations/{}")],
    ("POST", "/v1/conversations/{conversation_id}"): [
        _post("/v1/conversations/{}", lambda _: {"metadata": {"a": "b"}})
    ],
    ("DELETE", "/v1/conversations/{conversation_id}"): [_delete("/v1/conversations/{}")],
    ("GET", "/v1/conversations/{conversation_id}/items"): [
        _get("/v1/conversations/{}/items"),
        _get(f"/v1/conversations/{OWN}/items?after={{}}"),
        _get(f"/v1/conversations/{OWN}/items?before={{}}"),
    ],
    ("POST", "/v1/conversations/{conversation_id}/items"): [
        _post("/v1/conversations/{}/items", lambda _: {"items": ITEMS}),
        _post(f"/v1/conversations/{OWN}/items", lambda wanted: {"items": [{"type": "item_reference", "id": wanted}]}),
    ],
    ("GET", "/v1/conversations/{conversation_id}/items/{item_id}"): [
        _get("/v1/conversations/{}/items/x"),
        _get(f"/v1/conversations/{OWN}/items/{{}}"),
    ],
    ("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}"): [
        _delete("/v1/conversations/{}/items/x"),
        _delete(f"/v1/conversations/{OWN}/items/{{}}"),
    ],
    ("GET", "/v1/models"): [],
    ("GET", "/v1/models/{model:path}"): [],
    ("GET", "/healthz"): [],
    ("GET", "/openapi.json"): [],
    ("GET", "/"): [],
    ("GET", "/assets/{file}"): [],
    ("POST", "/playground/explain"): _ways_to_refer("/playground/explain"),
}  # fmt: skip
