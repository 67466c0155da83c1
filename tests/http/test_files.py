"""Images, files, sound and video, provider by provider: the content arrives, or a 400 names it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ..support.gateway import Gateway
from ..support.speech import says

Json = dict[str, Any]

PLACE = "input[0].content[1]"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n picture").decode()
PDF = base64.b64encode(b"%PDF-1.4 pages").decode()
TEXT = base64.b64encode(b"Plain words.").decode()
ZIP = base64.b64encode(b"PK\x03\x04 parts").decode()
WAV = base64.b64encode(b"RIFF sound").decode()
MP4 = base64.b64encode(b"ftyp moves").decode()
PAGE = "https://example.com/files/page"

# A part, and what of it the provider's request must hold.
KINDS: dict[str, tuple[Json, str]] = {
    "image as data URL": ({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}, PNG),
    "image by URL": ({"type": "input_image", "image_url": f"{PAGE}.png"}, f"{PAGE}.png"),
    "image by file_id": ({"type": "input_image", "file_id": "file-1"}, "file-1"),
    "PDF as data URL": (
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}, PDF,
    ),
    "PDF as base64": ({"type": "input_file", "filename": "a.pdf", "file_data": PDF}, PDF),
    "PDF by URL": ({"type": "input_file", "file_url": f"{PAGE}.pdf"}, f"{PAGE}.pdf"),
    "text as data URL": (
        {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;base64,{TEXT}"}, TEXT,
    ),
    "text as base64": ({"type": "input_file", "filename": "a.txt", "file_data": TEXT}, TEXT),
    "text by URL": ({"type": "input_file", "file_url": f"{PAGE}.txt"}, f"{PAGE}.txt"),
    "image as file": (
        {"type": "input_file", "filename": "a.png", "file_data": f"data:image/png;base64,{PNG}"}, PNG,
    ),
    "office file": (
        {"type": "input_file", "filename": "a.docx", "file_data": "data:application/vnd.openxmlformats-officedocument"
         f".wordprocessingml.document;base64,{ZIP}"}, ZIP,
    ),
    "file by file_id": ({"type": "input_file", "file_id": "file-1"}, "file-1"),
    "sound": ({"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}, WAV),
    "video as data URL": ({"type": "input_video", "video_url": f"data:video/mp4;base64,{MP4}"}, MP4),
    "video by URL": ({"type": "input_video", "video_url": f"{PAGE}.mp4"}, f"{PAGE}.mp4"),
}  # fmt: skip

PROVIDERS = {
    "openai": ("gpt-5.4", "openai"),
    "anthropic": ("claude-opus-4-6", "anthropic"),
    "gemini": ("gemini-3.5-flash", "gemini"),
    "ollama": ("ollama/qwen3", "ollama"),
    "vllm": ("vllm/Qwen/Qwen3-8B", "chat"),
    "groq": ("groq/openai/gpt-oss-120b", "chat"),
    "mistral": ("mistral/mistral-large-latest", "chat"),
    "openrouter": ("openrouter/openai/gpt-5.4", "chat"),
    "deepseek": ("deepseek-chat", "chat"),
}
# In the order of PROVIDERS: y the content is sent, - it is refused.
TAKES = {
    "image as data URL": "yyyyyyyy-",
    "image by URL":      "yyy-yyyy-",
    "image by file_id":  "y--------",
    "PDF as data URL":   "yyy---yy-",
    "PDF as base64":     "yyy---yy-",
    "PDF by URL":        "yyy---yy-",
    "text as data URL":  "yyyyyyyyy",
    "text as base64":    "yyyyyyyyy",
    "text by URL":       "y-y---yy-",
    "image as file":     "yyy---yy-",
    "office file":       "y-----yy-",
    "file by file_id":   "y--------",
    "sound":             "y-y-y--y-",
    "video as data URL": "y-y-y--y-",
    "video by URL":      "y-y-y--y-",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("row", PROVIDERS)
def test_a_part_is_sent_or_refused(gateway: Gateway, row: str, kind: str) -> None:
    (model, dialect), (part, content) = PROVIDERS[row], KINDS[kind]
    scenario = gateway.scenario(says(dialect, "Fine."))
    text = {"type": "input_text", "text": "Look:"}
    told = gateway.ask({"model": model, "input": [{"role": "user", "content": [text, part]}]})
    if TAKES[kind][list(PROVIDERS).index(row)] == "-":
        assert told.status == 400 and not scenario.requests
        assert told.error["param"].startswith(PLACE), told.error
        assert told.error["code"] in ("unsupported_value", "unsupported_parameter", "invalid_value")
        return
    assert told.status == 200, told.error
    sent = json.dumps(scenario.requests[0].json)
    assert content in sent or base64.b64decode(content).decode(errors="replace") in sent
    assert sent.index("Look:") < max(sent.find(content), sent.find("Plain words."))


@pytest.mark.parametrize("row", [name for name in PROVIDERS if name != "deepseek"])
@pytest.mark.parametrize("kind", ["image as data URL", "PDF as data URL", "text as data URL"])
def test_the_same_in_a_tools_result(gateway: Gateway, row: str, kind: str) -> None:
    (model, dialect), (part, content) = PROVIDERS[row], KINDS[kind]
    scenario = gateway.scenario(says(dialect, "Fine."))
    call = {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"}
    output = {
        "type": "function_call_output",
        "call_id": "call_1",
        "output": [{"type": "input_text", "text": "It:"}, part],
    }
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
    told = gateway.ask(
        {"model": model, "tools": [tool], "input": [{"role": "user", "content": "Hi"}, call, output]}
    )
    if TAKES[kind][list(PROVIDERS).index(row)] == "-":
        assert told.status == 400 and told.error["param"].startswith("input[2].output[1]"), told.error
        return
    assert told.status == 200, told.error
    sent = json.dumps(scenario.requests[0].json)
    assert content in sent or base64.b64decode(content).decode(errors="replace") in sent
    assert "It:" in sent
