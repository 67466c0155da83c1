"""Differences from the oracle's plain reading that are intended: slug → words of the difference, each with its why."""

from __future__ import annotations

EXPLAINED: dict[str, tuple[str, ...]] = {
    # a fixture that its project shortened by hand: the deltas contradict the done text, so neither is the truth
    "ai-responses-openai-shell-container-1-0": ("text: ",),
    # speech, which a response has no place for: said so, not dropped
    "ruby-llm-speech-basic-functionality-gemini-gemini-2-5-flash-preview-tts-can-speak-0": (
        "a response cannot carry",
    ),
}
