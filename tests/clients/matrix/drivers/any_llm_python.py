"""any-llm, on its openai provider."""

import any_llm
from common import serve
from responses_function import ResponsesFunction


def ask(task, given, **more):
    return any_llm.responses(
        task.model, given, provider="openai", api_key="unused", api_base=f"{task.base_url}/v1",
        client_args={"max_retries": 0}, **more,
    )  # fmt: skip


async def cancel(task):
    events = await any_llm.aresponses(
        task.model, "Go on.", provider="openai", api_key="unused", api_base=f"{task.base_url}/v1", stream=True
    )
    async for event in events:
        if event.type == "response.output_text.delta":
            await events.aclose()
            return {"text": event.delta}


if __name__ == "__main__":
    serve({**ResponsesFunction(ask, structured_by="response_format").scenarios(), "cancel": cancel})
