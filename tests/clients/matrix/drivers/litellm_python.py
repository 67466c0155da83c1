"""litellm as a client: its `responses`, with the openai provider."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no download at import

import litellm
from common import serve
from responses_function import ResponsesFunction

litellm.telemetry = False


def known(task):
    """What litellm does not know of a model it refuses (reasoning) or plays itself (streaming)."""
    row = {
        "litellm_provider": "openai",
        "mode": "responses",
        "supports_native_streaming": True,
        "supports_reasoning": True,
    }
    litellm.register_model({task.model: row})


def ask(task, given, **more):
    known(task)
    return litellm.responses(
        model=f"openai/{task.model}", input=given, api_base=f"{task.base_url}/v1", api_key="unused", max_retries=0,
        num_retries=0, **more,
    )  # fmt: skip


async def cancel(task):
    known(task)
    events = await litellm.aresponses(
        model=f"openai/{task.model}",
        input="Go on.",
        api_base=f"{task.base_url}/v1",
        api_key="unused",
        stream=True,
    )
    async for event in events:
        if event.type == "response.output_text.delta":
            await events.response.aclose()
            return {"text": event.delta}


if __name__ == "__main__":
    serve({**ResponsesFunction(ask, structured_by="text_format").scenarios(), "cancel": cancel})
