"""Another tenant's id is answered as one that nobody has: the same status, the same body but for the id. On every route
and for every kind of id; the Lambda path runs these tests again (tests/lambda/test_tenants_again.py)."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from ..support.client import checked_error
from ..support.gateway import Server
from ..support.sockets import Socket
from .front import Front
from .owned import ID, KEY, MALFORMED, OWN, PROBES, TEXT, unknown

Json = dict[str, Any]

# Headers that some proxy, or some other gateway, would name a tenant with.
SPOOFED = {
    "x-tenant": "first",
    "x-tenant-id": "first",
    "tenant": "first",
    "openresponses-tenant": "first",
    "x-openresponses-tenant": "first",
    "openai-organization": "first",
    "openai-project": "first",
    "x-forwarded-user": "first",
    "x-amzn-requestcontext": json.dumps({"authorizer": {"tenant": "first"}}),
    "x-api-key": "first",
    "cookie": "tenant=first",
}


@pytest.fixture(scope="module")
def own(front: Front) -> str:
    """A conversation of the second tenant's."""
    made: str = front.second.post("/v1/conversations").json()["id"]
    return made


def asked(front: Front, own: str, probe: Any, wanted: str, **more: Any) -> httpx.Response:
    request = {**probe(wanted), **more}
    return front.second.request(**{**request, "url": request["url"].replace(OWN, own)})


def told(reply: httpx.Response, wanted: str) -> tuple[int, str]:
    """Status and body, without what differs anyway: the id asked for, ids of what was made, times."""
    text = reply.text.replace(wanted, "ID")
    body = (
        json.loads(text) if reply.headers["content-type"].startswith("application/json") else {"text": text}
    )
    for name in ("created_at", "completed_at"):
        body.pop(name, None)
    return reply.status_code, ID.sub("ID", json.dumps(body))


def check_refused(reply: httpx.Response, *more: int) -> None:
    """An error; the playground explains a request by naming the error that it would come to."""
    if reply.url.path == "/playground/explain" and reply.status_code != 404:  # it is off on AWS
        assert reply.status_code == 200 and reply.json()["error"]["status"] in (400, 404), reply.text
    else:
        assert reply.status_code in (400, 404, *more), reply.text
        checked_error(reply)


def test_every_route_has_its_probes() -> None:
    """A new route fails here until it is said how ids are tried at it."""
    app: Any = Server({}).make_app(settings_of(playground=True))
    while not hasattr(app, "routes"):
        app = app._app
    found = {
        (method, route.path)
        for route in app.routes
        for method in getattr(route, "methods", None) or {"WEBSOCKET"}
        if method != "HEAD"
    }
    assert found == PROBES.keys()


def settings_of(**given: Any) -> Any:
    from openresponses.settings import Settings

    return Settings.load({}, **given)


@pytest.mark.parametrize("route", [route for route, probes in PROBES.items() if probes], ids=" ".join)
def test_another_tenants_id_is_an_unknown_id(front: Front, own: str, route: tuple[str, str]) -> None:
    for probe in PROBES[route]:
        strange: dict[str, tuple[int, str]] = {}
        for kind, wanted in front.owned.ids.items():
            nobody = unknown(wanted)
            if nobody not in strange:
                strange[nobody] = told(asked(front, own, probe, nobody), nobody)
            reply = asked(front, own, probe, wanted)
            assert told(reply, wanted) == strange[nobody], f"{kind} {probe(kind)}"
            assert TEXT not in reply.text
            check_refused(reply)


@pytest.mark.parametrize("route", [route for route, probes in PROBES.items() if probes], ids=" ".join)
def test_a_malformed_id_is_a_clear_error(front: Front, own: str, route: tuple[str, str]) -> None:
    for probe in PROBES[route]:
        for wanted in MALFORMED:
            reply = asked(front, own, probe, wanted)
            check_refused(reply, 405)


def test_spoofed_headers_change_nothing(front: Front) -> None:
    wanted = front.owned.ids["response"]
    for name, value in SPOOFED.items():
        reply = front.second.get(f"/v1/responses/{wanted}", headers={name: value})
        assert reply.status_code == 404, name
        made = front.second.post("/v1/responses", json={"model": "echo", "input": "x"}, headers={name: value})
        assert front.second.get(f"/v1/responses/{made.json()['id']}").status_code == 200, name
        assert front.first.get(f"/v1/responses/{made.json()['id']}").status_code == 404, name


def test_sealed_content_is_of_its_tenant(front: Front) -> None:
    """A compaction of another tenant's is refused as one that was changed."""
    token = front.owned.tokens["compaction"]
    changed = token[:-8] + ("A" * 8 if token[-8:] != "A" * 8 else "B" * 8)
    replies = [
        front.second.post(
            path, json={"model": "echo", "input": [{"type": "compaction", "encrypted_content": content}]}
        )
        for path in ("/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact")
        for content in (token, changed)
    ]
    for foreign, broken in zip(replies[::2], replies[1::2], strict=True):
        assert told(foreign, token) == told(broken, changed) and foreign.status_code == 400
    body = {"model": "echo", "input": [{"type": "compaction", "encrypted_content": token}]}
    assert front.first.post("/v1/responses", json=body).status_code == 200


def test_an_idempotency_key_is_of_its_tenant(front: Front) -> None:
    for text in (TEXT, "other words"):
        headers = {"idempotency-key": KEY + text}
        body = {"model": "echo", "input": text}
        replies = [
            client.post("/v1/responses", json=body, headers=headers) for client in (front.first, front.second)
        ]
        ids = {reply.json()["id"] for reply in replies}
        assert len(ids) == 2 and not any("x-openresponses-replayed" in reply.headers for reply in replies)
    body = {"model": "echo", "input": "not the same"}
    assert front.second.post("/v1/responses", json=body, headers={"idempotency-key": KEY}).status_code == 200


def test_over_a_websocket(front: Front) -> None:
    """A turn refers to nothing of another tenant's, nor to what lives in another connection alone."""
    if not front.bearers:
        pytest.skip("WebSockets have a front door of their own here: tests/websocket/test_api_gateway.py")
    url = str(front.first.base_url).rstrip("/")
    with Socket(url, front.bearers[0]) as first, Socket(url, front.bearers[1]) as second:
        local = first.ask(model="echo", input=TEXT, store=False).response["id"]
        for wanted in (*front.owned.ids.values(), local):
            for field in ("previous_response_id", "conversation"):
                refusals = []
                for id in (wanted, unknown(wanted)):
                    envelope = second.ask(model="echo", input="x", **{field: id}).envelope
                    refusals.append(json.dumps(envelope).replace(id, "ID"))
                assert refusals[0] == refusals[1] and TEXT not in refusals[0]
        for client in (front.first, front.second):
            assert client.get(f"/v1/responses/{local}").status_code == 404
        again = first.ask(model="echo", input="x", previous_response_id=local)
        assert again.response["status"] == "completed"


def test_what_was_tried_has_changed_nothing(front: Front) -> None:
    """Runs last: all of the first tenant's is there still, as it was."""
    ids = front.owned.ids
    assert TEXT in front.first.get(f"/v1/responses/{ids['response']}").text
    assert front.first.get(f"/v1/conversations/{ids['conversation']}").json()["metadata"] == {}
    listed = front.first.get(f"/v1/conversations/{ids['conversation']}/items?order=asc").json()["data"]
    assert listed[0]["id"] == ids["conversation item"] and len(listed) == 3
    body = {"model": "echo", "input": "And?", "previous_response_id": ids["continued"]}
    assert front.first.post("/v1/responses", json=body).status_code == 200
    assert front.first.get(f"/v1/responses/{ids['deleted']}").status_code == 404
