"""Haystack's OpenAIResponsesChatGenerator."""

import gc
from contextlib import suppress

from common import INSTRUCTIONS, WEATHER_SCHEMA, Sum, Weather, serve
from haystack.components.generators.chat import OpenAIResponsesChatGenerator
from haystack.dataclasses import ChatMessage, ImageContent
from haystack.tools import Tool
from haystack.utils import Secret

REASONS = {
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "reasoning": {"effort": "low", "summary": "auto"},
    "max_output_tokens": 4096,
}


def ask(task, messages, **more):
    """The answer to a prompt or to messages."""
    generator = OpenAIResponsesChatGenerator(
        model=task.model,
        api_base_url=f"{task.base_url}/v1",
        api_key=Secret.from_token("unused"),
        max_retries=0,
        **more,
    )
    messages = [ChatMessage.from_user(messages)] if isinstance(messages, str) else messages
    [reply] = generator.run(messages=messages)["replies"]
    return reply


def text(task):
    reply = ask(task, [ChatMessage.from_system(INSTRUCTIONS), ChatMessage.from_user("Say hello.")])
    usage = reply.meta["usage"]
    return {
        "text": reply.text,
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
    }


error = text


def stream(task):
    pieces = []
    reply = ask(task, "Tell me.", streaming_callback=lambda chunk: pieces.append(chunk.content))
    return {"text": reply.text, "pieces": len([piece for piece in pieces if piece])}


def tools(task, prompt="Weather in Oslo?", **more):
    weather = Weather()
    tool = Tool(
        name="get_weather",
        description="The weather in a city.",
        parameters=WEATHER_SCHEMA,
        function=weather.get_weather,
    )
    messages, thoughts = [ChatMessage.from_user(prompt)], ""
    while True:
        reply = ask(task, messages, tools=[tool], **more)
        thoughts += reply.reasoning.reasoning_text if reply.reasoning else ""
        if not reply.tool_calls:
            return {"text": reply.text, "ran": weather.ran, "reasoning": thoughts}
        messages.append(reply)
        messages += [
            ChatMessage.from_tool(tool.invoke(**call.arguments), origin=call) for call in reply.tool_calls
        ]


def stream_tools(task):
    return tools(task, streaming_callback=lambda chunk: None)


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?", tools_strict=True)


def reasoning(task):
    return tools(task, generation_kwargs=REASONS)


def structured(task):
    reply = ask(task, "2 + 3 = ?", generation_kwargs={"text_format": Sum})
    return {"value": Sum.model_validate_json(reply.text).model_dump()}


def chain(task):
    first = ask(task, "I am Ada.")
    return {"text": ask(task, "Who am I?", generation_kwargs={"previous_response_id": first.meta["id"]}).text}


def history(task):
    told = [ChatMessage.from_user("I am Ada.")]
    told += [ask(task, told), ChatMessage.from_user("Who am I?")]
    return {"text": ask(task, told).text}


def image(task):
    pixel = ImageContent(base64_image=task.image, mime_type="image/png")
    return {"text": ask(task, [ChatMessage.from_user(content_parts=["What is it?", pixel])]).text}


class Left(Exception):
    """The callback's way to stop."""


def cancel(task):
    def leave(chunk):
        if chunk.content:
            raise Left

    with suppress(Left):
        ask(task, "Go on.", streaming_callback=leave)
    gc.collect()  # Haystack does not close the stream: it ends with the last reference to it
    return {}


if __name__ == "__main__":
    serve(globals())
