"""The provider formats: how a recorded request is put in the terms of the Responses API, and its one spelling."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from . import anthropic, chat, gemini, openai
from .items import Json


class Dialect(NamedTuple):
    as_responses: Callable[[Json, str], Json]
    spelled: Callable[[Json], Json]


DIALECTS = {
    "anthropic": Dialect(anthropic.as_responses, anthropic.spelled),
    "gemini": Dialect(gemini.as_responses, gemini.spelled),
    "openai": Dialect(openai.as_responses, openai.spelled),
    "chat": Dialect(chat.chat_as_responses, chat.spelled),
    "ollama": Dialect(chat.ollama_as_responses, chat.spelled),
}
