"""A tool loop of one's own: ask, run what the model calls, send the results, until it answers.

Start the gateway (make run), then: pip install openai && python examples/tool_loop.py
"""

import json
import os

from openai import OpenAI

MODEL = os.environ.get("MODEL", "echo")
TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def get_weather(city: str) -> str:
    return f"{city}: sunny, 21 °C"


with OpenAI(
    base_url=os.environ.get("OPENRESPONSES_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ.get("OPENRESPONSES_API_KEY", "unused"),
) as client:
    answer = client.responses.create(model=MODEL, input="What is the weather in Oslo?", tools=TOOLS)
    while calls := [item for item in answer.output if item.type == "function_call"]:
        results = []
        for call in calls:
            print(f"{call.name}({call.arguments})")
            output = get_weather(**json.loads(call.arguments))
            results.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
        # Only the results are sent: the gateway has kept the rest.
        answer = client.responses.create(
            model=MODEL, input=results, tools=TOOLS, previous_response_id=answer.id
        )
    print(answer.output_text)
