"""OpenAI's SDK for Python: a turn, a streamed turn that remembers it, an answer as an object.

Start the gateway (make run), then: pip install openai && python examples/openai_python.py
"""

import os

from openai import OpenAI
from pydantic import BaseModel

MODEL = os.environ.get("MODEL", "echo")
client = OpenAI(
    base_url=os.environ.get("OPENRESPONSES_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ.get("OPENRESPONSES_API_KEY", "unused"),
)


class Person(BaseModel):
    name: str
    age: int


with client:
    first = client.responses.create(model=MODEL, input="My name is Alice.")
    print(first.output_text)

    question = "What is my name?"
    with client.responses.stream(model=MODEL, input=question, previous_response_id=first.id) as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
        print()

    parsed = client.responses.parse(model=MODEL, input="Ann is 36.", text_format=Person)
    print(repr(parsed.output_parsed))
