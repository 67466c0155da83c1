"""One event stream, read by readers that have nothing in common with ours: httpx-sse, the openai SDK, and Node's own
EventSource, which browsers have too. They get the same events, whatever the texts in them hold."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import httpx_sse
import openai
import pytest

from ..support import grammar
from ..support.gateway import Gateway
from .dice import ODD_TEXTS

Json = dict[str, Any]

SAID = " ".join(text for text in ODD_TEXTS if len(text) < 100 and "\x00" not in text)
NODE = """
const source = new EventSource(process.argv[1]);
const told = [];
const kinds = JSON.parse(process.argv[2]);
source.onmessage = event => { if (event.data === '[DONE]') { source.close(); console.log(JSON.stringify(told)); } };
source.onerror = () => { console.log('error'); process.exit(1); };
for (const kind of kinds) source.addEventListener(kind, event => told.push(JSON.parse(event.data)));
"""


def by_httpx_sse(url: str, _: set[str]) -> list[Json]:
    with httpx.Client(trust_env=False) as client, httpx_sse.connect_sse(client, "GET", url) as source:
        events = list(source.iter_sse())
    assert events.pop().data == "[DONE]"
    told = [event.json() for event in events]
    assert [event.event for event in events] == [event["type"] for event in told]
    return told


def by_openai(url: str, _: set[str]) -> list[Json]:
    base, response = url.partition("?")[0].split("/responses/")
    with openai.OpenAI(base_url=base, api_key="x") as client:
        return [event.to_dict() for event in client.responses.retrieve(response, stream=True)]


def by_node(url: str, kinds: set[str]) -> list[Json]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node")
    command = [node, "--experimental-eventsource", "-e", NODE, url, json.dumps(sorted(kinds))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    if "bad option" in done.stderr:
        pytest.skip("needs a node that has EventSource")
    assert done.returncode == 0, done.stdout + done.stderr
    told: list[Json] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def stream(server: Any, http: httpx.Client) -> tuple[str, list[Json]]:
    """The address of a stream that can be read again and again, and its events as our own strict reader sees them."""
    body = {"model": "echo", "input": f"/reason {SAID}\n{SAID}", "background": True}
    made = http.post(f"{server.url}/v1/responses", json=body).json()["id"]
    url = f"{server.url}/v1/responses/{made}?stream=true"
    events = grammar.parse(http.get(url).content)
    assert grammar.check_stream(events)["status"] == "completed"
    return url, events


@pytest.mark.parametrize("reader", [by_httpx_sse, by_openai, by_node])
def test_every_reader_gets_the_same_events(
    stream: tuple[str, list[Json]], reader: Callable[[str, set[str]], list[Json]]
) -> None:
    url, events = stream
    assert SAID.split()[0] in json.dumps(events, ensure_ascii=False)
    assert reader(url, {event["type"] for event in events}) == events


def test_a_stream_over_post_too(gateway: Gateway) -> None:
    body = {"model": "echo", "input": SAID, "stream": True}
    with httpx_sse.connect_sse(gateway.http, "POST", f"{gateway.base_url}/v1/responses", json=body) as source:
        events = [event.json() for event in source.iter_sse() if event.data != "[DONE]"]
    assert grammar.check_stream(events)["status"] == "completed"
