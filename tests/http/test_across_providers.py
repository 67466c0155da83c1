"""One conversation, a turn on each provider: every request is one that its provider takes, and all of it is there.

Each turn shows an image, is answered with reasoning, a word and two parallel calls, gets their results in the other
order, one with an image in it, and ends in a text. What another provider keeps for itself stays away.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ..support import valid
from ..support.gateway import Gateway
from ..support.provider import Answer
from ..support.speech import says

Json = dict[str, Any]

MODELS = {
    "openai": "gpt-5.4",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-3-flash-preview",
    "ollama": "ollama/qwen3",
    "chat": "vllm/Qwen/Qwen3-8B",
}
ORDERS = [
    ("openai", "anthropic", "gemini", "ollama", "chat"),
    ("chat", "ollama", "gemini", "anthropic", "openai"),
    ("gemini", "openai", "chat", "anthropic", "ollama"),
    ("anthropic", "gemini", "anthropic", "openai", "gemini"),
    ("ollama", "chat", "openai", "gemini", "anthropic"),
]
TOOLS: list[Json] = [
    {
        "type": "function",
        "name": name,
        "description": f"Tool {name}",
        "parameters": {"type": "object", "properties": {"n": {"type": "string"}}, "required": ["n"]},
        "strict": False,
    }
    for name in ("look", "listen")
]
STATE = "reasoning.encrypted_content"


def picture(name: str) -> str:
    """A data URL whose bytes are a picture's as far as anyone looks, and tell which one it is."""
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG " + name.encode()).decode()


def pictured(name: str) -> str:
    return picture(name).partition(",")[2]


def marked(answer: Answer, dialect: str) -> Answer:
    """The answer with provider state that tells whose it is."""
    body = answer.body.replace(b"c2lnbmF0dXJl", f"state-of-{dialect}".encode())
    return Answer(body.replace(b"b3BhcXVl", f"state-of-{dialect}".encode()), content_type=answer.content_type)


def call_ids(answer: Answer, turn: int) -> Answer:
    """Every call of a conversation has an id of its own, as providers give them."""
    body = answer.body.replace(b"call_", f"call_{turn}_".encode())
    return Answer(body, content_type=answer.content_type)


class Conversation:
    """Goes on from turn to turn, by what it keeps itself or by `previous_response_id`."""

    def __init__(self, gateway: Gateway, by: str) -> None:
        self.gateway = gateway
        self.by = by
        self.items: list[Json] = []
        self.previous: str | None = None

    def turn(self, number: int, dialect: str) -> list[Json]:
        """The two provider requests of one turn."""
        calls = [("look", {"n": f"argument {number}a"}), ("listen", {"n": f"argument {number}b"})]
        first = says(dialect, f"remark {number}", calls=calls, reasoning=f"thought of {dialect}")
        second = says(dialect, f"answer {number}")
        scenario = self.gateway.scenario(marked(call_ids(first, number), dialect), second)
        question = [{"type": "input_text", "text": f"question {number}"},
                    {"type": "input_image", "image_url": picture(f"shown {number}")}]  # fmt: skip
        output = self.ask(dialect, [{"type": "message", "role": "user", "content": question}])
        made = [item for item in output if item["type"] == "function_call"]
        assert [call["name"] for call in made] == ["look", "listen"]
        inner = [{"type": "input_text", "text": f"result {number}b"},
                 {"type": "input_image", "image_url": picture(f"found {number}")}]  # fmt: skip
        self.ask(dialect, [
            {"type": "function_call_output", "call_id": made[1]["call_id"], "output": inner},
            {"type": "function_call_output", "call_id": made[0]["call_id"], "output": f"result {number}a"},
        ])  # fmt: skip
        return [request.json for request in scenario.requests]

    def ask(self, dialect: str, given: list[Json]) -> list[Json]:
        body: Json = {
            "model": MODELS[dialect],
            "tools": TOOLS,
            "include": [STATE],
            "reasoning": {"effort": "low"},
        }
        if self.by == "items":
            body |= {"input": [*self.items, *given], "store": False}
        else:
            body |= {"input": given, "previous_response_id": self.previous}
        told = self.gateway.ask(body, stream=len(self.items) % 2 == 0)
        assert told.status == 200, told.error
        self.items += [*given, *told.output]
        self.previous = told.response["id"]
        return told.output


@pytest.mark.parametrize("by", ["items", "previous_response_id"])
@pytest.mark.parametrize("order", ORDERS, ids=["-".join(order) for order in ORDERS])
def test_a_conversation_goes_from_provider_to_provider(
    gateway: Gateway, order: tuple[str, ...], by: str
) -> None:
    conversation = Conversation(gateway, by)
    said: list[str] = []
    shown: list[str] = []
    for number, dialect in enumerate(order):
        opening, closing = conversation.turn(number, dialect)
        said += [f"question {number}"]
        shown += [pictured(f"shown {number}")]
        check(dialect, opening, order, said, shown)
        said += [
            f"remark {number}",
            f"argument {number}a",
            f"argument {number}b",
            f"result {number}a",
            f"result {number}b",
        ]
        shown += [pictured(f"found {number}")]
        check(dialect, closing, order, said, shown)
        assert f"state-of-{dialect}" in json.dumps(closing) or dialect in ("chat", "ollama")
        assert f"thought of {dialect}" in json.dumps(closing), "its own reasoning comes back"
        said += [f"answer {number}"]


def check(dialect: str, body: Json, order: tuple[str, ...], said: list[str], shown: list[str]) -> None:
    valid.check(dialect, body)
    text = json.dumps(body)
    for other in set(order) - {dialect}:
        assert f"state-of-{other}" not in text and f"thought of {other}" not in text, (
            f"{other}'s state was sent"
        )
    for word in said:
        assert text.count(word) == 1, f"{word!r} stands there {text.count(word)} times"
    for image in shown:
        assert text.count(image) == 1, "an image is lost"
    questions = [word for word in said if word.startswith(("question", "remark", "answer"))]
    places = [text.index(word) for word in questions]
    assert places == sorted(places), "the order of what was said is another one"
