"""Adapters by the name that a provider row gives; imported when first used, because a turn needs one of them."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from .base import Adapter

ADAPTERS = {
    "openai": "OpenAIAdapter",
    "anthropic": "AnthropicAdapter",
    "gemini": "GeminiAdapter",
    "ollama": "OllamaAdapter",
    "chat": "ChatAdapter",
    "bedrock": "BedrockAdapter",
    "echo": "EchoAdapter",
}


@cache
def adapter_named(name: str) -> Adapter:
    """The adapter of that name; KeyError if there is none."""
    adapter: Adapter = getattr(import_module(f".{name}", __package__), ADAPTERS[name])()
    return adapter
