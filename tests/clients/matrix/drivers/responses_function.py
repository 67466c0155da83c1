"""What a client does whose whole interface is one function: `responses.create` of OpenAI's SDK, by another name."""

import json

from common import INSTRUCTIONS, WEATHER_TOOL, Sum, Weather, data_url
from openai_python import outputs


class ResponsesFunction:
    """`ask(task, input, **more)` calls it; `structured_by` is its parameter for a model of the answer."""

    def __init__(self, ask, *, structured_by):
        self._ask = ask
        self._structured_by = structured_by

    def scenarios(self):
        """The scenarios by name, but for `cancel`, which needs the client's own stream."""
        return {
            name: getattr(self, name) for name in vars(type(self)) if name[0] != "_" and name != "scenarios"
        }

    def text(self, task):
        response = self._ask(task, "Say hello.", instructions=INSTRUCTIONS)
        usage = response.usage
        return {
            "text": _text_of(response),
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
        }

    error = text

    def stream(self, task):
        events = self._ask(task, "Tell me.", stream=True)
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        return {"text": "".join(pieces), "pieces": len(pieces)}

    def tools(self, task, prompt="Weather in Oslo?", **more):
        weather, history, thoughts = Weather(), [{"role": "user", "content": prompt}], ""
        while True:
            response = _whole(self._ask(task, history, tools=[WEATHER_TOOL], **more))
            thoughts += "".join(_summary(item) for item in response.output if item.type == "reasoning")
            results = outputs(response, weather)
            if not results:
                return {"text": _text_of(response), "ran": weather.ran, "reasoning": thoughts}
            history += [*(item.model_dump(mode="json") for item in response.output), *results]

    def stream_tools(self, task):
        return self.tools(task, stream=True)

    def parallel(self, task):
        return self.tools(task, "Weather in Oslo and Lima?")

    def reasoning(self, task):
        effort = {"effort": "low", "summary": "auto"}
        include = ["reasoning.encrypted_content"]
        return self.tools(task, store=False, include=include, reasoning=effort, max_output_tokens=4096)

    def structured(self, task):
        response = self._ask(task, "2 + 3 = ?", **{self._structured_by: Sum})
        return {"value": json.loads(_text_of(response))}

    def chain(self, task):
        first = self._ask(task, "I am Ada.")
        return {"text": _text_of(self._ask(task, "Who am I?", previous_response_id=first.id))}

    def history(self, task):
        told = [{"role": "user", "content": "I am Ada."}]
        told += [item.model_dump(mode="json") for item in self._ask(task, told).output]
        return {"text": _text_of(self._ask(task, [*told, {"role": "user", "content": "Who am I?"}]))}

    def image(self, task):
        content = [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": data_url(task), "detail": "auto"},
        ]
        return {"text": _text_of(self._ask(task, [{"role": "user", "content": content}]))}


def _text_of(response):
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    return "".join(part.text for part in parts)


def _whole(answer):
    """The response; of a stream, the one in its last event."""
    return answer if hasattr(answer, "output") else [event for event in answer][-1].response


def _summary(item):
    return "".join(part["text"] if isinstance(part, dict) else part.text for part in item.summary)
