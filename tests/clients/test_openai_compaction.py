"""The openai Python SDK: compacting a conversation, going on from what came back, and counting tokens."""

from __future__ import annotations

import json

import openai
import pytest

from ..support.gateway import Gateway
from ..support.speech import MODELS, USAGE, says

SUMMARY = "The launch is on Tuesday."


@pytest.mark.parametrize("dialect", MODELS)
def test_compact_and_go_on(gateway: Gateway, client: openai.OpenAI, dialect: str) -> None:
    gateway.scenario(says(dialect, "On Tuesday."), says(dialect, SUMMARY))
    first = client.responses.create(model=MODELS[dialect], input="When do we launch?")
    compacted = client.responses.compact(model=MODELS[dialect], previous_response_id=first.id)
    assert compacted.object == "response.compaction" and compacted.usage.total_tokens == sum(USAGE)
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    scenario = gateway.scenario(says(dialect, "Yes."))
    output = [item.to_dict(warnings=False) for item in compacted.output]
    again = {"role": "user", "content": "Really?"}
    told = client.responses.create(model=MODELS[dialect], input=[*output, again])  # type: ignore[list-item]
    assert told.output_text == "Yes."
    sent = json.dumps(scenario.requests[0].json)
    assert sent.find("When do we launch?") < sent.find(SUMMARY) < sent.find("Really?")


def test_count(gateway: Gateway, client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="echo", input="When do we launch?")
    assert counted.object == "response.input_tokens" and counted.input_tokens > 0
    raw = client.responses.input_tokens.with_raw_response.count(model="echo", input="When do we launch?")
    assert raw.headers["x-openresponses-estimate"] == "true"
