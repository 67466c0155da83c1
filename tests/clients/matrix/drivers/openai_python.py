"""The openai SDK."""

import json

import openai
from common import INSTRUCTIONS, WEATHER_TOOL, Sum, Weather, data_url, serve

INCLUDE = ["reasoning.encrypted_content"]


def client(task):
    return openai.OpenAI(base_url=f"{task.base_url}/v1", api_key="unused", max_retries=0)


def text(task):
    response = client(task).responses.create(model=task.model, input="Say hello.", instructions=INSTRUCTIONS)
    usage = response.usage
    return {
        "text": response.output_text,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    }


error = text


def stream(task):
    pieces = [
        event.delta
        for event in client(task).responses.create(model=task.model, input="Tell me.", stream=True)
        if event.type == "response.output_text.delta"
    ]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def outputs(response, weather):
    return [
        {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": weather.get_weather(**json.loads(call.arguments)),
        }
        for call in response.output
        if call.type == "function_call"
    ]


def loop(task, prompt, answer):
    """A tool loop by the full history."""
    weather, history = Weather(), [{"role": "user", "content": prompt}]
    thoughts = ""
    while True:
        response = answer(history)
        thoughts += "".join(
            part.text for item in response.output if item.type == "reasoning" for part in item.summary
        )
        results = outputs(response, weather)
        if not results:
            return {"text": response.output_text, "ran": weather.ran, "reasoning": thoughts}
        history += [*response.output, *results]


def tools(task, prompt="Weather in Oslo?", **more):
    create = client(task).responses.create
    return loop(
        task, prompt, lambda history: create(model=task.model, input=history, tools=[WEATHER_TOOL], **more)
    )


def stream_tools(task):
    api = client(task)

    def answer(history):
        with api.responses.stream(model=task.model, input=history, tools=[WEATHER_TOOL]) as events:
            return events.until_done().get_final_response()

    return loop(task, "Weather in Oslo?", answer)


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?")


def reasoning(task):
    effort = {"effort": "low", "summary": "auto"}
    return tools(task, store=False, include=INCLUDE, reasoning=effort, max_output_tokens=4096)


def structured(task):
    response = client(task).responses.parse(model=task.model, input="2 + 3 = ?", text_format=Sum)
    return {"value": response.output_parsed.model_dump()}


def chain(task):
    api = client(task).responses
    first = api.create(model=task.model, input="I am Ada.")
    second = api.create(model=task.model, input="Who am I?", previous_response_id=first.id)
    return {"text": second.output_text}


def history(task):
    api = client(task).responses
    told = [{"role": "user", "content": "I am Ada."}]
    told += api.create(model=task.model, input=told, store=False, include=INCLUDE).output
    told.append({"role": "user", "content": "Who am I?"})
    return {"text": api.create(model=task.model, input=told, store=False, include=INCLUDE).output_text}


def image(task):
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": data_url(task), "detail": "auto"},
    ]
    response = client(task).responses.create(model=task.model, input=[{"role": "user", "content": content}])
    return {"text": response.output_text}


def cancel(task):
    with client(task).responses.create(model=task.model, input="Go on.", stream=True) as events:
        for event in events:
            if event.type == "response.output_text.delta":
                return {"text": event.delta}
    return {}


if __name__ == "__main__":
    serve(globals())
