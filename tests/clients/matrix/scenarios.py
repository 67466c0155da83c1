"""The scenarios: what a client is told to do, what the model behind the gateway says, and what must come of it.

A scenario is a function name of the drivers, the model's answers in order, what the driver must report, and what the
provider must have been asked. `{opaque}` in `sent` is the family's reasoning state, which must come back as it was.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ...support.provider import Answer, Received, Script
from ...support.speech import CALL_IDS, MODELS, USAGE, Call, says

Json = dict[str, Any]

FAMILIES = ("openai", "anthropic", "gemini", "ollama")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SUM = {"addends": [2, 3], "total": 5}
OSLO: Call = ("get_weather", {"city": "Oslo"})
LIMA: Call = ("get_weather", {"city": "Lima"})
BAD_REQUEST = '{"error":{"message":"slow down","status":"RESOURCE_EXHAUSTED","type":"rate_limit_error"}}'


@dataclass(frozen=True)
class Said:
    """What the model says, in whatever dialect it is asked in; `status` is an HTTP failure, `broken` a lost line."""

    text: str = ""
    calls: Sequence[Call] = ()
    reasoning: str = ""
    status: int = 200
    broken: bool = False
    hangs: bool = False

    def script(self, family: str, turn: int) -> Script:
        if self.status != 200:
            body = BAD_REQUEST if family != "ollama" else '{"error":"slow down"}'
            return Answer(body.encode(), self.status)

        def answer(request: Received) -> Answer:
            forced = request.json.get("tool_choice") or {}
            if (
                isinstance(forced, dict) and forced.get("type") == "tool"
            ):  # structured output by a forced tool
                return says(family, calls=[(forced["name"], json.loads(self.text))])
            spoken = says(family, self.text, calls=self.calls, reasoning=self.reasoning)
            body = spoken.body
            for call_id in CALL_IDS:  # each call has an id of its own
                body = body.replace(call_id.encode(), f"{call_id}{turn}".encode())
            if not (self.broken or self.hangs):
                return replace(spoken, body=body)
            half = body[: len(body) // 2]
            return Answer(half, content_type=spoken.content_type, ending="abort" if self.broken else "hang")

        return answer


@dataclass(frozen=True)
class Scenario:
    """One column of the table.

    said       the model's answers, in order
    expected   what the driver must report; `at_least`: numbers that it must reach; `fails`: it must report an error,
               and `expected` is of that
    driver     the driver's function, if it is not named as the scenario
    asked      words that the provider's first request must hold; `sent`: its last
    model      a name to ask for, instead of the family's own
    upstream_closed   whether the gateway must hang up on the provider
    """

    name: str
    what: str
    said: Sequence[Said]
    expected: Json
    driver: str = ""
    sent: Sequence[str] = ()
    asked: Sequence[str] = ()
    at_least: Json = field(default_factory=dict)
    model: str = ""
    fails: bool = False
    upstream_closed: bool = False

    def scripts(self, family: str) -> list[Script]:
        return [said.script(family, turn) for turn, said in enumerate(self.said)]

    def task(self, family: str, base_url: str) -> Json:
        """What the driver is told."""
        model = self.model.format(provider=MODELS[family].split("/")[0]) or MODELS[family]
        return {"scenario": self.driver or self.name, "base_url": base_url, "model": model, "image": PIXEL}


USED = {"input_tokens": USAGE[0], "output_tokens": USAGE[1]}
WEATHER = ("Weather in Oslo?", "sunny in Oslo")
TWICE = ("Weather in Oslo and Lima?", "sunny in Oslo", "sunny in Lima")

SCENARIOS = (
    Scenario("text", "an answer, with usage", [Said("Hello, world.")], {"text": "Hello, world.", **USED},
             asked=["Say hello.", "Be brief."]),
    Scenario("stream", "text as it comes", [Said("Streaming works, piece by piece.")],
             {"text": "Streaming works, piece by piece."}, at_least={"pieces": 3}, asked=["Tell me."]),
    Scenario("tools", "a tool loop", [Said("Let me look.", [OSLO]), Said("Sunny in Oslo.")],
             {"text": "Sunny in Oslo.", "ran": ["Oslo"]}, asked=["get_weather"], sent=WEATHER),
    Scenario("stream_tools", "a tool loop, streamed", [Said("Let me look.", [OSLO]), Said("Sunny in Oslo.")],
             {"text": "Sunny in Oslo.", "ran": ["Oslo"]}, asked=["get_weather"], sent=WEATHER),
    Scenario("parallel", "parallel tool calls", [Said("", [OSLO, LIMA]), Said("Sunny in both.")],
             {"text": "Sunny in both.", "ran": ["Lima", "Oslo"]}, sent=TWICE),
    Scenario("structured", "structured output", [Said(json.dumps(SUM))], {"value": SUM}, asked=["addends"]),
    Scenario("chain", "a second turn by previous_response_id", [Said("Hello Ada."), Said("You are Ada.")],
             {"text": "You are Ada."}, sent=["I am Ada.", "Hello Ada.", "Who am I?"]),
    Scenario("history", "a second turn by the full history", [Said("Hello Ada."), Said("You are Ada.")],
             {"text": "You are Ada."}, sent=["I am Ada.", "Hello Ada.", "Who am I?"]),
    Scenario("reasoning", "reasoning is shown",
             [Said("", [OSLO], reasoning="I need the weather."), Said("Sunny in Oslo.")],
             {"text": "Sunny in Oslo.", "ran": ["Oslo"], "reasoning": "I need the weather."}, sent=WEATHER),
    Scenario("state", "the reasoning's state comes back to the provider",
             [Said("", [OSLO], reasoning="I need the weather."), Said("Sunny in Oslo.")],
             {"text": "Sunny in Oslo.", "ran": ["Oslo"]}, driver="reasoning", sent=[*WEATHER, "{opaque}"]),
    Scenario("image", "an image", [Said("A pixel.")], {"text": "A pixel."}, asked=[PIXEL]),
    Scenario("rate_limit", "429 as the client's own error", [Said(status=429)], {"status": 429}, driver="error",
             fails=True),
    Scenario("unknown_model", "404 as the client's own error", [], {"status": 404}, driver="error",
             model="no-such-model", fails=True),
    Scenario("broken", "an answer that breaks off is an error", [Said("This is never finished, ever.", broken=True)],
             {}, driver="stream", fails=True),
    Scenario("cancel", "the client leaves, the provider's call ends",
             [Said("This goes on and on and on.", hangs=True)], {}, upstream_closed=True),
)  # fmt: skip

# Codex brings its own tools. The last part of the model's name decides which: with `gpt-5.5` a shell and
# `apply_patch`, a custom tool; with `gpt-6-sol` `exec`, a custom tool in a namespace, which runs JavaScript.
PATCH = "*** Begin Patch\n*** Add File: two.txt\n+two\n*** End Patch"
SHELL: Call = ("exec_command", {"cmd": "echo one > one.txt && echo wrote-$((1 + 1))"})
SCRIPT = f"""text(await tools.exec_command({json.dumps(SHELL[1])}));
text(await tools.apply_patch({json.dumps(PATCH)}));
"""
FILES = {"one.txt": "one\n", "two.txt": "two\n"}
CLASSIC, CODE = "{provider}/gpt-5.5", "{provider}/gpt-6-sol"
CODEX = (
    Scenario("tools", "a shell command, then a patch",
             [Said("First one.", [SHELL]), Said("Now two.", [("apply_patch", PATCH)]), Said("Both are there.")],
             {"text": "Both are there.", "files": FILES}, model=CLASSIC, sent=["wrote-2", "two.txt"]),
    Scenario("stream_tools", "the same in code mode",
             [Said("", [("functions__exec", SCRIPT)]), Said("Both are there.")],
             {"text": "Both are there.", "files": FILES}, driver="tools", model=CODE, sent=["wrote-2"]),
    Scenario("parallel", "parallel tool calls",
             [Said("", [("exec_command", {"cmd": "echo one > one.txt; echo first-$((1 + 1))"}),
                        ("exec_command", {"cmd": "echo two > two.txt; echo second-$((1 + 1))"})]),
              Said("Both are there.")],
             {"text": "Both are there.", "files": FILES}, driver="tools", model=CLASSIC, sent=["first-2", "second-2"]),
    Scenario("reasoning", "reasoning is shown", [Said("", [SHELL], reasoning="I need a file."), Said("There it is.")],
             {"text": "There it is.", "reasoning": "I need a file."}, driver="tools", model=CLASSIC),
    Scenario("state", "the reasoning's state comes back to the provider",
             [Said("", [SHELL], reasoning="I need the weather."), Said("There it is.")],
             {"text": "There it is."}, driver="tools", model=CLASSIC, sent=["wrote-2", "{opaque}"]),
)  # fmt: skip


def scenario_of(client: str, name: str) -> Scenario:
    """The scenario as this client plays it."""
    played = (*CODEX, *SCENARIOS) if client.startswith("Codex") else SCENARIOS
    return next(scenario for scenario in played if scenario.name == name)


# What comes back to the provider where its reasoning has a state (or, with Ollama, is itself replayed).
OPAQUE = {
    "openai": "b3BhcXVl",
    "anthropic": "c2lnbmF0dXJl",
    "gemini": "c2lnbmF0dXJl",
    "ollama": "I need the weather.",
}
