"""A hosted search of Anthropic's that goes on beyond one answer: paused by the provider, or beside the client's call.

The call goes back as it came, what it finds comes with the next answer, and the client sees one search.
"""

from __future__ import annotations

from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.provider import SSE, Answer
from ..support.speech import named

Json = dict[str, Any]

SEARCH: Json = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "é\u2028"},
}
PAGE: Json = {
    "type": "web_search_result",
    "url": "https://a.example",
    "title": "A",
    "encrypted_content": "E==",
}
FOUND: Json = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [PAGE]}
CALL: Json = {"type": "tool_use", "id": "toolu_1", "name": "now", "input": {}}
CITED: Json = {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "cited_text": "a",
               "encrypted_index": "I"}  # fmt: skip
TEXT: Json = {"type": "text", "text": "So.", "citations": [CITED]}
NOW: Json = {
    "type": "function",
    "name": "now",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}
ASKED: Json = {"model": "claude-sonnet-4-6", "tools": [{"type": "web_search"}, NOW]}
MESSAGE: Json = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": [],
                 "stop_reason": None, "usage": {"input_tokens": 5, "output_tokens": 1}}  # fmt: skip


def answer(stop: str, *blocks: Json) -> Answer:
    events: list[Json] = [{"type": "message_start", "message": MESSAGE}]
    for index, block in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 2}})
    return Answer(named(*events, {"type": "message_stop"}), content_type=SSE)


@pytest.mark.parametrize("stream", [False, True])
def test_a_paused_search_is_one_answer(gateway: Gateway, stream: bool) -> None:
    scenario = gateway.scenario(answer("pause_turn", SEARCH), answer("end_turn", FOUND, TEXT))
    include = ["web_search_call.action.sources"]
    asked = {**ASKED, "input": "Look.", "include": include, "tool_choice": {"type": "web_search"}}
    told = gateway.ask(asked, stream=stream)
    choices = [request.json.get("tool_choice", {}).get("type") for request in scenario.requests]
    assert choices[0] == "tool" and choices[1] != "tool", "it has searched"
    assert scenario.requests[1].json["messages"][1:] == [{"role": "assistant", "content": [SEARCH]}]
    assert told.response["status"] == "completed"
    sources = [call["action"].get("sources") for call in told.of("web_search_call")]
    assert [{"type": "url", "url": PAGE["url"]}] in sources
    [message] = told.of("message")
    [note] = message["content"][0]["annotations"]
    assert (note["type"], note["url"], note["start_index"], note["end_index"]) == (
        "url_citation",
        PAGE["url"],
        0,
        3,
    )
    assert (told.response["usage"]["input_tokens"], told.response["usage"]["output_tokens"]) == (10, 4)


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_search_beside_the_clients_call(gateway: Gateway, stream: bool, stored: bool) -> None:
    scenario = gateway.scenario(
        answer("tool_use", SEARCH, CALL), answer("end_turn", FOUND, TEXT), answer("end_turn", TEXT)
    )
    include = ["reasoning.encrypted_content"]
    first = gateway.ask({**ASKED, "input": "Look.", "include": include, "store": stored}, stream=stream)
    [call] = first.of("function_call")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "noon"}
    more: Json = {"input": [result], "previous_response_id": first.response["id"]}
    if not stored:
        more = {"input": [{"role": "user", "content": "Look."}, *first.output, result]}
    second = gateway.ask({**ASKED, "include": include, "store": stored, **more}, stream=stream)
    assert scenario.requests[1].json["messages"][1]["content"] == [SEARCH, CALL]
    assert [part["text"] for item in second.of("message") for part in item["content"]] == ["So."]

    more = {"input": "And?", "previous_response_id": second.response["id"]}
    if not stored:
        history = [{"role": "user", "content": "Look."}, *first.output, result, *second.output]
        more = {"input": [*history, {"role": "user", "content": "And?"}]}
    gateway.ask({**ASKED, "store": stored, **more}, stream=stream)
    sent = [block for message in scenario.requests[2].json["messages"] for block in message["content"]]
    assert SEARCH in sent and FOUND in sent
