"""openai-agents: an agent, run to its end and streamed."""

import openai
from agents import Agent, ModelSettings, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from common import INSTRUCTIONS, Sum, Weather, data_url, serve

set_tracing_disabled(True)


def agent(task, weather=None, **more):
    client = openai.AsyncOpenAI(base_url=f"{task.base_url}/v1", api_key="unused", max_retries=0)
    model = OpenAIResponsesModel(model=task.model, openai_client=client)
    tools = [function_tool(weather.get_weather)] if weather else []
    return Agent(name="Helper", instructions=INSTRUCTIONS, model=model, tools=tools, **more)


async def text(task):
    result = await Runner.run(agent(task), "Say hello.")
    usage = result.context_wrapper.usage
    return {
        "text": result.final_output,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


error = text


def deltas(event):
    if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
        yield event.data.delta


async def stream(task):
    result = Runner.run_streamed(agent(task), "Tell me.")
    pieces = [delta async for event in result.stream_events() for delta in deltas(event)]
    return {"text": "".join(pieces), "pieces": len(pieces)}


async def tools(task, prompt="Weather in Oslo?", **more):
    weather = Weather()
    result = await Runner.run(agent(task, weather, **more), prompt)
    thoughts = [
        part.text
        for item in result.new_items
        if item.type == "reasoning_item"
        for part in item.raw_item.summary
    ]
    return {"text": result.final_output, "ran": weather.ran, "reasoning": "".join(thoughts)}


async def stream_tools(task):
    weather = Weather()
    result = Runner.run_streamed(agent(task, weather), "Weather in Oslo?")
    async for _ in result.stream_events():
        pass
    return {"text": result.final_output, "ran": weather.ran}


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?")


def reasoning(task):
    settings = ModelSettings(
        store=False, max_tokens=4096, reasoning={"effort": "low", "summary": "auto"},
        response_include=["reasoning.encrypted_content"],
    )  # fmt: skip
    return tools(task, model_settings=settings)


async def structured(task):
    result = await Runner.run(agent(task, output_type=Sum), "2 + 3 = ?")
    return {"value": result.final_output.model_dump()}


async def chain(task):
    first = await Runner.run(agent(task), "I am Ada.")
    second = await Runner.run(agent(task), "Who am I?", previous_response_id=first.last_response_id)
    return {"text": second.final_output}


async def history(task):
    first = await Runner.run(agent(task), "I am Ada.")
    told = [*first.to_input_list(), {"role": "user", "content": "Who am I?"}]
    return {"text": (await Runner.run(agent(task), told)).final_output}


async def image(task):
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": data_url(task), "detail": "auto"},
    ]
    return {"text": (await Runner.run(agent(task), [{"role": "user", "content": content}])).final_output}


async def cancel(task):
    result = Runner.run_streamed(agent(task), "Go on.")
    async for event in result.stream_events():
        for delta in deltas(event):
            result.cancel()
            return {"text": delta}
    return {}


if __name__ == "__main__":
    serve(globals())
