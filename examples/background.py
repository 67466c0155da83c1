"""A background job: ask, hang up, look again later; then read its events from the beginning, and cancel another.

Start the gateway (make run), then: pip install openai && python examples/background.py
"""

import os
import time

from openai import OpenAI

MODEL = os.environ.get("MODEL", "echo")

with OpenAI(
    base_url=os.environ.get("OPENRESPONSES_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ.get("OPENRESPONSES_API_KEY", "unused"),
) as client:
    job = client.responses.create(model=MODEL, input="Hello from far away.", background=True)
    while job.status in ("queued", "in_progress"):
        time.sleep(0.2)
        job = client.responses.retrieve(job.id)
    print(job.status, job.output_text)

    # A stream of one can be read again, from any event on: starting_after=N.
    started = client.responses.create(model=MODEL, input="Hello again.", background=True, stream=True)
    job_id = next(iter(started)).response.id
    started.close()
    for event in client.responses.retrieve(job_id, stream=True):
        if event.type == "response.output_text.delta":
            print(event.delta, end="")
    print()

    long = client.responses.create(model=MODEL, input="/slow 1\n/long 60", background=True)
    print(client.responses.cancel(long.id).status)
