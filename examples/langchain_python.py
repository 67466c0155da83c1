"""LangChain: a chat model with a tool, and a second turn by the id of the first.

Start the gateway (make run), then: pip install langchain-openai && python examples/langchain_python.py
"""

import os

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: sunny, 21 °C"


chat = ChatOpenAI(
    model=os.environ.get("MODEL", "echo"),
    base_url=os.environ.get("OPENRESPONSES_URL", "http://127.0.0.1:4000") + "/v1",
    api_key=os.environ.get("OPENRESPONSES_API_KEY", "unused"),
    use_responses_api=True,
    use_previous_response_id=True,
    output_version="responses/v1",
)
model = chat.bind_tools([get_weather])

messages = [HumanMessage("What is the weather in Oslo?")]
answer = model.invoke(messages)
while answer.tool_calls:
    messages += [answer, *(get_weather.invoke(call) for call in answer.tool_calls)]
    answer = model.invoke(messages)
print(answer.text)
