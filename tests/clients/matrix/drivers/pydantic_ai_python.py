"""pydantic-ai's OpenAIResponsesModel."""

import base64

from common import INSTRUCTIONS, Sum, Weather, serve
from openai import AsyncOpenAI
from pydantic_ai import Agent, BinaryContent, NativeOutput, ThinkingPart
from pydantic_ai.models.openai import OpenAIResponsesModel, OpenAIResponsesModelSettings
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers.openai import OpenAIProvider

# pydantic-ai knows OpenAI's reasoning models by their names, and no others.
REASONS = OpenAIModelProfile(openai_supports_encrypted_reasoning_content=True)


def agent(task, weather=None, **more):
    client = AsyncOpenAI(base_url=f"{task.base_url}/v1", api_key="unused", max_retries=0)
    model = OpenAIResponsesModel(task.model, provider=OpenAIProvider(openai_client=client), profile=REASONS)
    tools = [weather.get_weather] if weather else []
    return Agent(model, instructions=INSTRUCTIONS, tools=tools, **more)


async def text(task):
    result = await agent(task).run("Say hello.")
    usage = result.usage() if callable(result.usage) else result.usage
    return {"text": result.output, "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}


error = text


async def stream(task):
    async with agent(task).run_stream("Tell me.") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def thoughts(result):
    parts = [
        part for message in result.all_messages() for part in message.parts if isinstance(part, ThinkingPart)
    ]
    return "".join(part.content for part in parts)


async def tools(task, prompt="Weather in Oslo?", **more):
    weather = Weather()
    result = await agent(task, weather, **more).run(prompt)
    return {"text": result.output, "ran": weather.ran, "reasoning": thoughts(result)}


async def stream_tools(task):
    weather = Weather()
    async with agent(task, weather).iter("Weather in Oslo?") as run:
        async for node in run:
            if Agent.is_model_request_node(node):
                async with node.stream(run.ctx) as events:
                    async for _ in events:
                        pass
    return {"text": run.result.output, "ran": weather.ran}


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?")


def reasoning(task):
    settings = OpenAIResponsesModelSettings(
        openai_store=False, max_tokens=4096, openai_reasoning_effort="low", openai_reasoning_summary="auto"
    )
    return tools(task, model_settings=settings)


async def structured(task):
    return {"value": (await agent(task, output_type=NativeOutput(Sum)).run("2 + 3 = ?")).output.model_dump()}


async def chain(task):
    settings = OpenAIResponsesModelSettings(openai_previous_response_id="auto")
    first = await agent(task).run("I am Ada.")
    second = await agent(task, model_settings=settings).run("Who am I?", message_history=first.all_messages())
    return {"text": second.output}


async def history(task):
    first = await agent(task).run("I am Ada.")
    return {"text": (await agent(task).run("Who am I?", message_history=first.all_messages())).output}


async def image(task):
    pixel = BinaryContent(data=base64.b64decode(task.image), media_type="image/png")
    return {"text": (await agent(task).run(["What is it?", pixel])).output}


async def cancel(task):
    async with agent(task).run_stream("Go on.") as result:
        async for piece in result.stream_text(delta=True, debounce_by=None):
            return {"text": piece}


if __name__ == "__main__":
    serve(globals())
