"""Whether a delta is what adapters/base.py says: providers send values of any type, and readers pass on what they read.

Asked once a delta, where the engine takes it from a reader; what lies behind relies on the types. Content that is not
well-formed fails the turn. What is said beside the content, its counts and the model's name, is left out instead: the
answer is whole without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..adapters import base
from ..adapters.shapes import is_annotation, is_event, is_item

NUMBER = (int, float)
# What every JSON reader knows exactly; the sum over a turn's samples fits in 64 bits, too.
MOST_TOKENS = 2**53 - 1


def _text(delta: base.TextDelta) -> bool:
    return type(delta.text) is str and (delta.logprobs is None or all(map(_logprob, delta.logprobs)))


def _logprob(entry: Any) -> bool:
    return (
        type(entry) is dict
        and type(entry.get("token")) is str
        and type(entry.get("logprob")) in NUMBER
        and type(entry.get("bytes")) is list
        and all(type(byte) is int for byte in entry["bytes"])
        and type(entry.get("top_logprobs", [])) is list
        and all(map(_logprob, entry.get("top_logprobs", ())))
    )


def _has_text(delta: base.RefusalDelta | base.ReasoningDelta | base.ToolCallDelta) -> bool:
    return type(delta.text) is str


def _text_or_none(value: Any) -> bool:
    return value is None or type(value) is str


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_TOKENS


def _call(call: base.ToolCallStarted) -> bool:
    names = _text_or_none(call.call_id) and _text_or_none(call.namespace)
    return (
        type(call.name) is str
        and call.name != ""
        and names
        and (call.caller is None or type(call.caller) is dict)
    )


def _usage(usage: base.Usage) -> bool:
    return all(map(_count, usage.counts))


def _always(_: base.Delta) -> bool:
    return True


WELL_FORMED: dict[type, Callable[[Any], bool]] = {
    base.Started: lambda delta: _text_or_none(delta.model) and _text_or_none(delta.service_tier),
    base.MessageStarted: lambda delta: _text_or_none(delta.phase),
    base.TextDelta: _text,
    base.RefusalDelta: _has_text,
    base.Annotation: lambda delta: is_annotation(delta.annotation),
    base.ReasoningDelta: _has_text,
    base.ProviderState: lambda delta: type(delta.payload) in (dict, str),
    base.PartEnd: _always,
    base.ItemEnd: _always,
    base.ToolCallStarted: _call,
    base.ToolCallDelta: _has_text,
    base.HostedItemStarted: lambda delta: is_item(delta.item),
    base.HostedItemEvent: lambda delta: is_event(delta.type, delta.fields),
    base.HostedItemEnded: lambda delta: is_item(delta.item),
    base.Usage: _usage,
    base.Finished: lambda delta: _text_or_none(delta.reason),
    base.Failed: _always,
}
BESIDE_CONTENT = (base.Started, base.Usage)
