"""LlamaIndex's OpenAIResponses."""

import asyncio

from common import INSTRUCTIONS, Sum, Weather, data_url, serve
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ThinkingBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAIResponses


class Gateway(OpenAIResponses):
    """LlamaIndex looks a model's name up among OpenAI's, to see whether it calls functions."""

    @property
    def metadata(self):
        return super().metadata.model_copy(update={"is_function_calling_model": True})


def model(task, **more):
    return Gateway(
        model=task.model,
        api_base=f"{task.base_url}/v1",
        api_key="unused",
        max_retries=0,
        context_window=100_000,
        **more,
    )


def user(text):
    return ChatMessage(role="user", content=text)


def text(task):
    answer = model(task, instructions=INSTRUCTIONS).chat([user("Say hello.")])
    usage = answer.raw.usage
    return {
        "text": answer.message.content,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


error = text


def stream(task):
    pieces = [chunk.delta for chunk in model(task).stream_chat([user("Tell me.")]) if chunk.delta]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def loop(task, prompt="Weather in Oslo?", streaming=False, **more):
    """A tool loop by the full history."""
    weather, llm = Weather(), model(task, **more)
    tool = FunctionTool.from_defaults(weather.get_weather)
    history, thoughts = [user(prompt)], ""
    while True:
        if streaming:
            *_, answer = llm.stream_chat_with_tools([tool], chat_history=history)
        else:
            answer = llm.chat_with_tools([tool], chat_history=history, allow_parallel_tool_calls=True)
        history.append(answer.message)
        thoughts += "".join(
            block.content or "" for block in answer.message.blocks if isinstance(block, ThinkingBlock)
        )
        calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        if not calls:
            return {"text": answer.message.content, "ran": weather.ran, "reasoning": thoughts}
        for call in calls:
            told = tool.call(**call.tool_kwargs).content
            kwargs = {"tool_call_id": call.tool_id, "name": call.tool_name}
            history.append(ChatMessage(role="tool", content=told, additional_kwargs=kwargs))


def tools(task):
    return loop(task)


def stream_tools(task):
    return loop(task, streaming=True)


def parallel(task):
    return loop(task, "Weather in Oslo and Lima?")


def reasoning(task):
    effort = {"effort": "low", "summary": "auto"}
    include = ["reasoning.encrypted_content"]
    return loop(
        task,
        max_output_tokens=4096,
        include=include,
        reasoning_options=effort,
        additional_kwargs={"reasoning": effort},
    )


def structured(task):
    return {"value": model(task).structured_predict(Sum, PromptTemplate("2 + 3 = ?")).model_dump()}


def chain(task):
    llm = model(task, track_previous_responses=True)
    llm.chat([user("I am Ada.")])
    return {"text": llm.chat([user("Who am I?")]).message.content}


def history(task):
    llm, told = model(task), [user("I am Ada.")]
    told += [llm.chat(told).message, user("Who am I?")]
    return {"text": llm.chat(told).message.content}


def image(task):
    message = ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), ImageBlock(url=data_url(task))])
    return {"text": model(task).chat([message]).message.content}


async def cancel(task):
    """A task that is cancelled while it waits for more."""
    said = []

    async def read():
        async for chunk in await model(task).astream_chat([user("Go on.")]):
            said.append(chunk.delta)

    reading = asyncio.create_task(read())
    while not any(said):
        await asyncio.sleep(0.01)
    reading.cancel()
    await asyncio.wait([reading])
    return {"text": "".join(filter(None, said))}


if __name__ == "__main__":
    serve(globals())
