"""any-llm, on its openai provider."""

import json

import any_llm
from common import INSTRUCTIONS, WEATHER_TOOL, Sum, Weather, data_url, serve
from openai_python import outputs


def ask(task, given, **more):
    return any_llm.responses(
        task.model, given, provider="openai", api_key="unused", api_base=f"{task.base_url}/v1",
        client_args={"max_retries": 0}, **more,
    )  # fmt: skip


def text_of(response):
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    return "".join(part.text for part in parts)


def text(task):
    response = ask(task, "Say hello.", instructions=INSTRUCTIONS)
    usage = response.usage
    return {
        "text": text_of(response),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


error = text


def stream(task):
    events = ask(task, "Tell me.", stream=True)
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def whole(answer):
    """The response; of a stream, the one in its last event."""
    return answer if hasattr(answer, "output") else [event for event in answer][-1].response


def tools(task, prompt="Weather in Oslo?", **more):
    weather, history, thoughts = Weather(), [{"role": "user", "content": prompt}], ""
    while True:
        response = whole(ask(task, history, tools=[WEATHER_TOOL], **more))
        thoughts += "".join(
            part.text for item in response.output if item.type == "reasoning" for part in item.summary
        )
        results = outputs(response, weather)
        if not results:
            return {"text": text_of(response), "ran": weather.ran, "reasoning": thoughts}
        history += [*(item.model_dump(mode="json") for item in response.output), *results]


def stream_tools(task):
    return tools(task, stream=True)


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?")


def reasoning(task):
    effort = {"effort": "low", "summary": "auto"}
    return tools(
        task, store=False, include=["reasoning.encrypted_content"], reasoning=effort, max_output_tokens=4096
    )


def structured(task):
    response = ask(task, "2 + 3 = ?", response_format=Sum)
    return {"value": json.loads(text_of(response))}


def chain(task):
    first = ask(task, "I am Ada.")
    return {"text": text_of(ask(task, "Who am I?", previous_response_id=first.id))}


def history(task):
    told = [{"role": "user", "content": "I am Ada."}]
    told += [item.model_dump(mode="json") for item in ask(task, told).output]
    return {"text": text_of(ask(task, [*told, {"role": "user", "content": "Who am I?"}]))}


def image(task):
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": data_url(task), "detail": "auto"},
    ]
    return {"text": text_of(ask(task, [{"role": "user", "content": content}]))}


async def cancel(task):
    events = await any_llm.aresponses(
        task.model, "Go on.", provider="openai", api_key="unused", api_base=f"{task.base_url}/v1", stream=True
    )
    async for event in events:
        if event.type == "response.output_text.delta":
            await events.aclose()
            return {"text": event.delta}


if __name__ == "__main__":
    serve(globals())
