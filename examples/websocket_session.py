"""A WebSocket session: several turns on one connection, which remembers them without storing any.

Start the gateway (make run), then: pip install 'openai[realtime]' && python examples/websocket_session.py
"""

import os

from openai import OpenAI

MODEL = os.environ.get("MODEL", "echo")

with (
    OpenAI(
        base_url=os.environ.get("OPENRESPONSES_URL", "http://127.0.0.1:4000") + "/v1",
        api_key=os.environ.get("OPENRESPONSES_API_KEY", "unused"),
    ) as client,
    client.responses.connect() as connection,
):
    previous = None
    for question in ("My name is Alice.", "What is my name?"):
        more = {"previous_response_id": previous} if previous else {}
        connection.response.create(model=MODEL, input=question, store=False, **more)
        for event in connection:
            if event.type == "response.output_text.delta":
                print(event.delta, end="", flush=True)
            elif event.type in ("response.completed", "response.incomplete", "response.failed", "error"):
                break
        print()
        previous = event.response.id
