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
    """The adapter of that name, or the operator's own, as `module:Class`. Raises KeyError if there is none of that
    name; ImportError, AttributeError or TypeError if `module:Class` is no adapter."""
    if ":" not in name:
        adapter: Adapter = getattr(import_module(f".{name}", __package__), ADAPTERS[name])()
        return adapter
    module, _, kind = name.partition(":")
    own: Adapter = getattr(import_module(module), kind)()
    if missing := [method for method in ("build", "reader", "explain") if not hasattr(own, method)]:
        raise TypeError(f"it has no {missing[0]}()")
    return own
