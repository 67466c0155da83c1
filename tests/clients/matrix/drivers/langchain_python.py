"""LangChain's ChatOpenAI on the Responses API."""

from common import INSTRUCTIONS, Sum, Weather, data_url, serve
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


def chat(task, **more):
    return ChatOpenAI(
        model=task.model, base_url=f"{task.base_url}/v1", api_key="unused", max_retries=0, use_responses_api=True,
        output_version="responses/v1", **more,
    )  # fmt: skip


def text(task):
    answer = chat(task).invoke([SystemMessage(INSTRUCTIONS), HumanMessage("Say hello.")])
    usage = answer.usage_metadata
    return {
        "text": answer.text,
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
    }


error = text


def stream(task):
    pieces = [piece for chunk in chat(task).stream("Tell me.") if (piece := chunk.text)]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def gathered(model, messages):
    whole = None
    for chunk in model.stream(messages):
        whole = chunk if whole is None else whole + chunk
    return whole


def loop(task, prompt="Weather in Oslo?", answer=lambda model, messages: model.invoke(messages), **more):
    """A tool loop by the full history; `answer(model, messages)` is one turn."""
    weather = Weather()
    get_weather = tool(weather.get_weather)
    model = chat(task, **more).bind_tools([get_weather])
    messages, thoughts = [HumanMessage(prompt)], ""
    while True:
        message = answer(model, messages)
        messages.append(message)
        thoughts += "".join(
            block.get("reasoning", "") for block in message.content_blocks if block["type"] == "reasoning"
        )
        if not message.tool_calls:
            return {"text": message.text, "ran": weather.ran, "reasoning": thoughts}
        messages += [
            ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])
            for call in message.tool_calls
        ]


def tools(task):
    return loop(task)


def stream_tools(task):
    return loop(task, answer=gathered)


def parallel(task):
    return loop(task, "Weather in Oslo and Lima?")


def reasoning(task):
    effort = {"effort": "low", "summary": "auto"}
    return loop(task, reasoning=effort, include=["reasoning.encrypted_content"], store=False, max_tokens=4096)


def structured(task):
    model = chat(task).with_structured_output(Sum, method="json_schema")
    return {"value": model.invoke("2 + 3 = ?").model_dump()}


def chain(task):
    model = chat(task, use_previous_response_id=True)
    first = model.invoke("I am Ada.")
    return {"text": model.invoke([HumanMessage("I am Ada."), first, HumanMessage("Who am I?")]).text}


def history(task):
    model, messages = chat(task), [HumanMessage("I am Ada.")]
    messages += [model.invoke(messages), HumanMessage("Who am I?")]
    return {"text": model.invoke(messages).text}


def image(task):
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(task)}},
    ]
    return {"text": chat(task).invoke([HumanMessage(content)]).text}


def cancel(task):
    chunks = chat(task).stream("Go on.")
    for chunk in chunks:
        if chunk.text:
            chunks.close()
            return {"text": chunk.text}
    return {}


if __name__ == "__main__":
    serve(globals())
