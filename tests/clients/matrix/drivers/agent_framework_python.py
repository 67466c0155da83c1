"""Microsoft's Agent Framework: an agent on its OpenAIChatClient, which speaks the Responses API."""

import base64

from agent_framework import Content, Message, tool
from agent_framework.openai import OpenAIChatClient
from common import INSTRUCTIONS, Sum, Weather, serve
from openai import AsyncOpenAI


def agent(task, weather=None, **options):
    client = AsyncOpenAI(base_url=f"{task.base_url}/v1", api_key="unused", max_retries=0)
    tools = [tool(weather.get_weather, approval_mode="never_require")] if weather else None
    chat = OpenAIChatClient(model=task.model, async_client=client)
    return chat.as_agent(instructions=INSTRUCTIONS, tools=tools, default_options=options or None)


async def text(task):
    response = await agent(task).run("Say hello.")
    usage = response.usage_details
    return {
        "text": response.text,
        "input_tokens": usage["input_token_count"],
        "output_tokens": usage["output_token_count"],
    }


error = text


async def deltas(stream):
    """Pieces of text; at the end of each it is told again as a whole, to replace them."""
    async for update in stream:
        for content in update.contents:
            if content.type == "text" and content.text and content.merge_mode == "append":
                yield content.text


async def stream(task):
    pieces = [piece async for piece in deltas(agent(task).run("Tell me.", stream=True))]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def told(response, weather):
    thoughts = [
        content.text or ""
        for message in response.messages
        for content in message.contents
        if content.type == "text_reasoning"
    ]
    return {"text": response.messages[-1].text, "ran": weather.ran, "reasoning": "".join(thoughts)}


async def tools(task, prompt="Weather in Oslo?", **options):
    weather = Weather()
    return told(await agent(task, weather, **options).run(prompt), weather)


async def stream_tools(task):
    weather = Weather()
    streamed = agent(task, weather).run("Weather in Oslo?", stream=True)
    async for _ in streamed:
        pass
    return told(await streamed.get_final_response(), weather)


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?")


def reasoning(task):
    effort = {"effort": "low", "summary": "auto"}
    return tools(
        task, store=False, include=["reasoning.encrypted_content"], reasoning=effort, max_tokens=4096
    )


async def structured(task):
    response = await agent(task).run("2 + 3 = ?", options={"response_format": Sum})
    return {"value": response.value.model_dump()}


async def conversation(task, **options):
    """Two turns of a session: by `previous_response_id`, or with `store: false` by the history."""
    asked = agent(task, **options)
    session = asked.create_session()
    await asked.run("I am Ada.", session=session)
    return {"text": (await asked.run("Who am I?", session=session)).text}


chain = conversation


def history(task):
    return conversation(task, store=False)


async def image(task):
    pixel = Content.from_data(data=base64.b64decode(task.image), media_type="image/png")
    message = Message(role="user", contents=[Content.from_text("What is it?"), pixel])
    return {"text": (await agent(task).run(message)).text}


async def cancel(task):
    async for piece in deltas(agent(task).run("Go on.", stream=True)):
        return {"text": piece}


if __name__ == "__main__":
    serve(globals())
