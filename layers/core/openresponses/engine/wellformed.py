"""Whether a delta is what adapters/base.py says: providers send values of any type, and readers pass on what they read.

Asked once a delta, where the engine takes it from a reader; what lies behind relies on the types. Content that is not
well-formed fails the turn. What is said beside the content, its counts and the model's name, is left out instead: the
answer is whole without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..adapters import base


def _has_text(delta: base.TextDelta | base.RefusalDelta | base.ReasoningDelta | base.ToolCallDelta) -> bool:
    return type(delta.text) is str


def _text_or_none(value: Any) -> bool:
    return value is None or type(value) is str


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _call(call: base.ToolCallStarted) -> bool:
    return type(call.name) is str and _text_or_none(call.call_id) and _text_or_none(call.namespace)


def _item(delta: base.HostedItemStarted | base.HostedItemEnded) -> bool:
    return type(delta.item) is dict and type(delta.item.get("type")) is str


def _usage(usage: base.Usage) -> bool:
    counts = usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens
    return all(map(_count, counts))


def _always(_: base.Delta) -> bool:
    return True


WELL_FORMED: dict[type, Callable[[Any], bool]] = {
    base.Started: lambda delta: _text_or_none(delta.model) and _text_or_none(delta.service_tier),
    base.MessageStarted: lambda delta: _text_or_none(delta.phase),
    base.TextDelta: _has_text,
    base.RefusalDelta: _has_text,
    base.Annotation: lambda delta: type(delta.annotation) is dict,
    base.ReasoningDelta: _has_text,
    base.ProviderState: lambda delta: type(delta.payload) in (dict, str),
    base.PartEnd: _always,
    base.ItemEnd: _always,
    base.ToolCallStarted: _call,
    base.ToolCallDelta: _has_text,
    base.HostedItemStarted: _item,
    base.HostedItemEvent: lambda delta: type(delta.type) is str and type(delta.fields) is dict,
    base.HostedItemEnded: _item,
    base.Usage: _usage,
    base.Finished: _always,
    base.Failed: _always,
}
BESIDE_CONTENT = (base.Started, base.Usage)
