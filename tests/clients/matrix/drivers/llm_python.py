"""llm, configured as its users do: extra-openai-models.yaml with `responses: true`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = tempfile.TemporaryDirectory(prefix="llm-")
os.environ["LLM_USER_PATH"] = HOME.name

import base64  # noqa: E402

import llm  # noqa: E402
from common import INSTRUCTIONS, Sum, Weather, serve  # noqa: E402

NAME = "gateway"
FEATURES = {
    "responses": True,
    "reasoning": True,
    "supports_schema": True,
    "supports_tools": True,
    "vision": True,
}


def model(task):
    row = {"model_id": NAME, "model_name": task.model, "api_base": f"{task.base_url}/v1", **FEATURES}
    (Path(HOME.name) / "extra-openai-models.yaml").write_text(json.dumps([row]))  # JSON is YAML
    found = llm.get_model(NAME)
    found.key = "unused"
    return found


def text(task):
    response = model(task).prompt("Say hello.", system=INSTRUCTIONS, stream=False)
    said, usage = response.text(), response.usage()
    return {"text": said, "input_tokens": usage.input, "output_tokens": usage.output}


error = text


def stream(task):
    pieces = [piece for piece in model(task).prompt("Tell me.") if piece]
    return {"text": "".join(pieces), "pieces": len(pieces)}


def tools(task, prompt="Weather in Oslo?", stream=False, **more):
    weather = Weather()
    chain = model(task).chain(prompt, tools=[weather.get_weather], stream=stream, **more)
    said = chain.text()
    return {"text": said.removeprefix("Let me look.").strip(), "ran": weather.ran}


def stream_tools(task):
    return tools(task, stream=True)


def parallel(task):
    return tools(task, "Weather in Oslo and Lima?")


def reasoning(task):
    weather, thoughts = Weather(), []
    chain = model(task).chain(
        "Weather in Oslo?", tools=[weather.get_weather], stream=True,
        options={"reasoning_effort": "low", "reasoning_summary": "auto", "max_tokens": 4096},
    )  # fmt: skip
    said = []
    for event in chain.stream_events():
        (thoughts if event.type == "reasoning" else said).append(
            event.chunk if event.type in ("reasoning", "text") else ""
        )
    return {"text": "".join(said), "ran": weather.ran, "reasoning": "".join(thoughts)}


def structured(task):
    return {"value": json.loads(model(task).prompt("2 + 3 = ?", schema=Sum, stream=False).text())}


def history(task):
    talk = model(task).conversation()
    talk.prompt("I am Ada.", stream=False).text()
    return {"text": talk.prompt("Who am I?", stream=False).text()}


def image(task):
    pixel = llm.Attachment(type="image/png", content=base64.b64decode(task.image))
    return {"text": model(task).prompt("What is it?", attachments=[pixel], stream=False).text()}


def cancel(task):
    """Its command, ended in mid-answer."""
    model(task)  # writes its configuration
    command = [sys.executable, "-m", "llm", "prompt", "--no-log", "--model", NAME, "Go on."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        said = process.stdout.read(1)
        process.terminate()
    return {"text": said.decode()}


if __name__ == "__main__":
    serve(globals())
