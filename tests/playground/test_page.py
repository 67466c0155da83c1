"""The playground in a real Chromium: what a person does with it, and what must then be seen.

The small sample of `make test` is the first tests of each file; the others are slow.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.docs import ROOT
from tests.support.gateway import Server

from .chromium import CONTROL, SHIFT, Browser, Page

slow = pytest.mark.slow
JS_CLIENTS = ROOT / "tests/clients/js/node_modules"
DONE = "completed"


def stream(*events: dict[str, Any]) -> str:
    """A stream of a gateway's, for `Page.answer`."""
    lines = [json.dumps({"sequence_number": n, **event}) for n, event in enumerate(events)]
    return "".join(f"data: {line}\n\n" for line in lines) + "data: [DONE]\n\n"


def item(n: int, **fields: Any) -> list[dict[str, Any]]:
    """The events of an item that came whole."""
    fields = {"id": f"item_{n}", "status": "completed", **fields}
    return [
        {"type": f"response.output_item.{e}", "output_index": n, "item": fields} for e in ("added", "done")
    ]


def send(page: Page, text: str) -> None:
    page.write("#message", text)
    page.press("Enter", CONTROL)


def ended(page: Page, turn: int, status: str = DONE) -> None:
    """Waits until a turn, counted from 0 among those in sight, has ended so."""
    page.wait(
        f"document.querySelectorAll('.turn')[{turn}].querySelector('.figures').textContent.includes(' {status}')"
        f" && document.querySelectorAll('.turn')[{turn}].getAttribute('aria-busy') === 'false'"
    )


def inspected(page: Page, status: str = DONE) -> None:
    """Waits until the inspector says so, too: it draws a little later, and what is below its figures moves then."""
    page.wait(f"document.querySelector('#numbers dd')?.textContent.startsWith('{status}')")


def ask(page: Page, text: str, turn: int = 0, status: str = DONE) -> None:
    send(page, text)
    ended(page, turn, status)
    inspected(page, status)


def sent(page: Page) -> list[dict[str, Any]]:
    """The bodies that went to POST /v1/responses, in order."""
    posts = [r for r in page.requests if r["method"] == "POST" and r["url"].endswith("/v1/responses")]
    return [json.loads(request["postData"]) for request in posts]


def answer(page: Page, turn: int) -> str:
    return page.texts(".turn .answer")[turn]


def figures(page: Page) -> dict[str, str]:
    return dict(zip(page.texts("#numbers dt"), page.texts("#numbers dd"), strict=True))


# --------------------------------------------------------------------------- a turn


def test_a_turn_appears_as_it_streams(page: Page) -> None:
    """Text while it runs; then reasoning, citation, figures, and every event with its time."""
    send(page, "/reason Let me see.\n/cite https://example.com/page\n/slow 0.1\none two three four five")
    page.wait("/You said: one(?!.*five)/s.test(document.querySelector('.answer').textContent)")
    ended(page, 0)
    assert page.text(".thoughts") == "Let me see."
    assert page.text(".message .text") == "You said: one two three four five"
    link = page.evaluate(
        "(({href, rel, target}) => [href, rel, target])(document.querySelector('.sources a'))"
    )
    assert link == ["https://example.com/page", "noopener noreferrer", "_blank"]

    inspected(page)
    told = figures(page)
    assert re.fullmatch(r"\d+ ms", told["First token"]) and told["Route"] == "echo/echo"
    assert re.fullmatch(r"\d+ in, \d+ out.*", told["Tokens"]) and told["Response"].startswith("resp_")
    rows = page.texts("#events [role=option] .type")
    assert rows[:2] == ["created", "in_progress"] and "output_text.annotation.added" in rows
    assert "reasoning_summary_text.delta" in rows
    times = [int(re.sub(r"\D", "", at)) for at in page.texts("#events .at")]
    assert times == sorted(times) and times[-1] - times[0] >= 500
    page.click("#events [role=option]:nth-child(2)")
    assert json.loads(page.text("#event"))["type"] == "response.in_progress"
    assert "Answer completed" in page.text("#announcer") and "one two three" in page.text("#announcer")


def test_a_call_is_answered_in_place_and_the_conversation_branched(page: Page) -> None:
    page.click("#example-tool")
    page.write("#instructions", "Be brief.")
    send(page, "What is the weather in Tokyo?")
    page.wait("document.activeElement.closest('.results')")  # the field has the focus
    assert page.text(".call .name") == "get_weather" and '"Tokyo"' in page.text(".call .given")
    page.type("18 degrees")
    page.press("Enter", CONTROL)
    ended(page, 1)
    first, second = sent(page)
    assert first["instructions"] == second["instructions"] == "Be brief."
    assert first["tools"][0]["name"] == "get_weather"
    [output] = second["input"]
    assert (output["type"], output["output"]) == ("function_call_output", "18 degrees")
    assert output["call_id"].startswith("call_") and second["previous_response_id"].startswith("resp_")
    assert "18 degrees" in answer(page, 1)
    assert page.evaluate("document.querySelector('form.results').hidden")

    page.evaluate("document.querySelector('.turn footer button').click()")
    assert page.evaluate("document.querySelectorAll('.turn').length") == 1
    assert "turn 1" in page.text("#continuing")
    assert not page.evaluate("document.querySelector('form.results').hidden")
    page.write(".results textarea", "30 degrees")
    page.click(".results button")
    ended(page, 1)
    assert "30 degrees" in answer(page, 1)
    assert sent(page)[2]["previous_response_id"] == second["previous_response_id"]
    assert page.texts(".branches button") == ["1. 18 degrees", "2. 30 degrees"]
    page.click(".branches button")
    assert "18 degrees" in answer(page, 1) and "30 degrees" not in answer(page, 1)


def test_cancel_and_errors(page: Page) -> None:
    send(page, "/slow 0.1\n/long 300")
    page.wait("document.querySelector('.message')")
    page.press("Escape")
    ended(page, 0, "stopped")
    assert len(answer(page, 0).split()) < 100
    assert page.evaluate(
        "!document.getElementById('send').hidden && document.getElementById('cancel').hidden"
    )
    page.wait("!document.querySelector('.turn footer button').hidden")

    page.write("#other", '{"temperature": 7}')
    ask(page, "hello", 1, "failed")
    shown = dict(zip(page.texts(".error dt"), page.texts(".error dd"), strict=True))
    assert (shown["code"], shown["param"], shown["status"]) == ("invalid_value", "temperature", "400")
    assert "temperature" in page.text(".turn:last-of-type .error p") and shown["request"].startswith("req_")
    assert page.evaluate("document.getElementById('message').value") == "hello"  # not lost

    page.write("#other", "{")
    page.press("Enter", CONTROL)
    assert page.focused() == "textarea#other" and "Not JSON" in page.text("#other-error")
    assert page.evaluate("document.getElementById('other').getAttribute('aria-invalid')") == "true"
    assert len(sent(page)) == 2
    page.write("#other", "")
    ask(page, "/error stream", 1, "failed")
    assert "model_error" in page.text(".turn:last-of-type .error dl")


def test_a_picture_is_dropped_and_the_copied_curl_runs(page: Page, files: dict[str, Path]) -> None:
    page.drop("#transcript", files["picture"], files["document"])
    page.wait("document.querySelectorAll('#attachments li').length === 2")
    assert page.evaluate("document.getElementById('drop').hidden")
    ask(page, '/image it\'s "one" dot\n$HOME `id`')
    image, file = sent(page)[0]["input"][0]["content"][1:]
    assert image["type"] == "input_image" and image["image_url"].startswith("data:image/png;base64,iVBOR")
    assert (file["type"], file["filename"]) == ("input_file", "page.pdf")
    assert "I see an image" in answer(page, 0)
    assert page.texts("#attachments li") == []

    page.click("#tab-code")
    page.click("#copy")
    page.wait("document.getElementById('copy').textContent === 'Copied'")
    copied = page.evaluate("navigator.clipboard.readText()")
    done = subprocess.run(["bash", "-euc", copied], capture_output=True, text=True, timeout=20, check=True)
    events = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("data: {")]
    assert events[-1]["type"] == "response.completed"
    text = events[-1]["response"]["output"][0]["content"][0]["text"]
    assert text == page.text(".message .text") and "$HOME `id`" in text


# --------------------------------------------------------------------------- more of the same


@slow
def test_parallel_calls_are_answered_together(page: Page) -> None:
    page.write("#tools", json.dumps([{"type": "function", "name": name} for name in ("left", "right")]))
    send(page, "/tool left {}\n/tool right {}")
    page.wait("document.activeElement.closest('.results')?.querySelectorAll('textarea').length === 2")
    page.type("L")
    page.write(".results label:nth-of-type(2) textarea", "R")
    page.press("Enter", CONTROL)
    ended(page, 1)
    outputs = sent(page)[1]["input"]
    assert [item["output"] for item in outputs] == ["L", "R"]
    assert len({item["call_id"] for item in outputs}) == 2


@slow
def test_a_message_takes_the_results_with_it(page: Page) -> None:
    page.click("#example-tool")
    send(page, "What is the weather in Tokyo?")
    page.wait("document.activeElement.closest('.results')")
    page.type("rain")
    ask(page, "and then?", 1)
    assert [item["type"] for item in sent(page)[1]["input"]] == ["function_call_output", "message"]


@slow
def test_a_custom_tool_is_answered_in_its_own_form(page: Page) -> None:
    page.write("#tools", '{"type": "custom", "name": "shell"}')
    send(page, "/tool shell ls -l")
    page.wait("document.activeElement.closest('.results')")
    assert page.text(".call .given") == "ls -l"
    page.type("total 0")
    page.press("Enter", CONTROL)
    ended(page, 1)
    assert sent(page)[1]["input"][0]["type"] == "custom_tool_call_output"


@slow
def test_a_conversation_goes_on_without_a_store(page: Page) -> None:
    page.write("#other", '{"store": false}')
    ask(page, "My name is Alice.")
    ask(page, "What is my name?", 1)
    ask(page, "Again?", 2)
    last = sent(page)[2]
    assert "previous_response_id" not in last and len(last["input"]) == 5
    assert "Alice" in answer(page, 2)
    assert page.texts(".turn .said") == ["My name is Alice.", "What is my name?", "Again?"]


@slow
def test_a_running_turn_is_inspected_and_left_alone(page: Page) -> None:
    """An event is looked at, and another turn, while events come; the turn goes on."""
    ask(page, "Hello")
    send(page, "/slow 0.02\n/long 150")
    page.wait("document.querySelectorAll('#events [role=option]').length > 12")
    page.click("#events [role=option]:nth-child(5)")
    page.wait("document.getElementById('event').textContent")
    page.evaluate("document.querySelector('.turn footer button').click()")  # branch from the first turn
    assert page.evaluate("document.querySelectorAll('.turn').length") == 1
    page.click(".branches button")
    ended(page, 1)
    assert len(answer(page, 1).split()) == 150
    ask(page, "Once more", 2)


@slow
def test_what_was_stopped_can_be_continued_and_a_chat_begun_anew(page: Page) -> None:
    send(page, "/slow 0.1\n/long 300")
    page.wait("document.querySelector('.message')")
    page.click("#cancel")
    ended(page, 0, "stopped")
    ask(page, "Go on", 1)
    assert sent(page)[1]["previous_response_id"].startswith("resp_")
    send(page, "/slow 0.1\n/long 300")
    page.wait("document.querySelectorAll('.turn')[2].querySelector('.message')")
    page.click("#new")
    page.wait("document.querySelector('.empty') && document.getElementById('cancel').hidden")
    ask(page, "Hello")
    assert "previous_response_id" not in sent(page)[-1] and "Alice" not in answer(page, 0)


@slow
def test_a_background_response_is_cancelled_at_the_server(page: Page, gateway_url: str) -> None:
    page.click("#background")
    send(page, "/slow 0.1\n/long 300")
    page.wait("document.querySelector('.message')", 15)
    page.press("Escape")
    ended(page, 0, "cancelled")
    assert any(request["url"].endswith("/cancel") for request in page.requests)
    inspected(page, "cancelled")
    stored = httpx.get(f"{gateway_url}/v1/responses/{figures(page)['Response']}", trust_env=False).json()
    assert stored["status"] == "cancelled"
    ask(page, "Hello", 0)  # beside it, as a cancelled one has no successors
    assert "previous_response_id" not in sent(page)[-1]


@slow
def test_fenced_code_stands_apart_and_the_text_is_all_there(page: Page) -> None:
    said = "Look:\n\n```python\nprint('<b>')\n```\nand\n```\nopen"
    page.answer(
        "/v1/responses",
        content_type="text/event-stream",
        body=stream(
            *item(0, type="message", content=[{"type": "output_text", "text": said}]),
            {"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}},
        ),
    )
    ask(page, "Show me code.")
    assert page.text(".message .text") == said
    assert page.texts(".message code") == ["```python\nprint('<b>')\n```\n", "```\nopen"]


@slow
def test_what_came_of_calls_that_ran_elsewhere_is_shown(page: Page) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    server: dict[str, Any] = {"type": "mcp_call", "server_label": "handbook", "arguments": "{}"}
    items: list[dict[str, Any]] = [
        {**server, "name": "search", "output": '{"pages": 3}'},
        {**server, "name": "read", "error": {"type": "mcp_tool_execution_error", "content": "no page 9"}},
        {"type": "code_interpreter_call", "code": "6 * 7", "outputs": [{"type": "logs", "logs": "42"}]},
    ]
    partial = {"output_index": 3, "partial_image_b64": pixel}
    page.answer(
        "/v1/responses",
        content_type="text/event-stream",
        body=stream(
            *(event for n, one in enumerate(items) for event in item(n, **one)),
            item(3, type="image_generation_call", status="in_progress")[0],
            {"type": "response.image_generation_call.partial_image", **partial},
            {"type": "response.incomplete", "response": {"id": "resp_1", "status": "incomplete"}},
        ),
    )
    ask(page, "Look it up.", status="incomplete")
    for result, words in zip(page.texts(".call .came"), ('"pages": 3', "no page 9", "42"), strict=True):
        assert words in result
    assert page.evaluate("document.querySelector('.image img').naturalWidth") == 1


@slow
def test_a_refusal_and_an_answer_that_was_cut(page: Page) -> None:
    ask(page, "/refuse I would rather not.")
    assert page.text(".refusal") == "I would rather not."
    page.write("#max-tokens", "2")
    ask(page, "one two three", 1, "incomplete (max_output_tokens)")
    page.write("#max-tokens", "0")
    page.press("Enter", CONTROL)
    assert page.focused() == "input#max-tokens" and page.text("#max-tokens-error")


@slow
def test_files_are_pasted_and_chosen_and_removed(page: Page, files: dict[str, Path]) -> None:
    page.evaluate(
        """(() => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array([1, 2])], "pasted.png", {type: "image/png"}));
        document.getElementById("message").dispatchEvent(
          new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})); })()"""
    )
    page.wait("document.querySelectorAll('#attachments li').length === 1")
    node = page.call("DOM.getDocument")["root"]["nodeId"]
    chooser = page.call("DOM.querySelector", nodeId=node, selector="#files")["nodeId"]
    page.call("DOM.setFileInputFiles", files=[str(files["document"])], nodeId=chooser)
    page.wait("document.querySelectorAll('#attachments li').length === 2")
    page.click("#attachments button")
    assert page.texts("#attachments bdi") == ["page.pdf"]
    ask(page, "Read it.")
    assert [part["type"] for part in sent(page)[0]["input"][0]["content"]] == ["input_text", "input_file"]


@slow
def test_a_body_that_is_too_large_is_an_error_and_stays_in_the_message(page: Page, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(b"0" * (9 << 20))
    page.drop("#transcript", large)
    page.wait("document.querySelectorAll('#attachments li').length === 1", 20)
    ask(page, "Read it.", 0, "failed")
    assert page.texts("#attachments bdi") == ["large.bin"]
    assert page.text(".error dl").startswith(("coderequest_too_large", "codenetwork"))


@slow
def test_a_model_by_name(page: Page) -> None:
    page.evaluate(
        "(() => { const one = document.getElementById('model'); one.value = 'other…';"
        " one.dispatchEvent(new Event('change')); })()"
    )
    page.press("Enter", CONTROL)
    assert page.focused() == "input#model-name"
    page.type("echo/echo")
    ask(page, "Hello")
    assert sent(page)[0]["model"] == "echo/echo"
    page.write("#model-name", "no-such-model")
    ask(page, "Hello", 1, "failed")
    assert "model_not_found" in page.text(".turn:last-of-type .error") and "Hello" in page.text(".turn .said")


@slow
def test_models_that_cannot_be_listed(page: Page) -> None:
    """It is said, and one can be named all the same, on a phone too."""
    error = {"error": {"message": "The store cannot be reached.", "code": "server_error"}}
    page.answer("/v1/models", status=500, content_type="application/json", body=json.dumps(error))
    page.resize(390, 844)
    page.call("Page.navigate", url=page.url)
    page.wait("document.getElementById('models-error')?.textContent.includes('The store cannot be reached.')")
    assert page.evaluate("document.getElementById('model-name').offsetWidth") > 150
    page.write("#model-name", "echo")
    ask(page, "Hello")


@slow
def test_a_hundred_thousand_events_are_no_burden(page: Page) -> None:
    send(page, "/long 20000")
    page.wait("document.querySelector('.figures').textContent.includes(' completed')", 60)
    page.wait("document.querySelector('#events .rows').offsetHeight > 20000 * 24")
    assert page.evaluate("document.querySelectorAll('#events [role=option]').length") < 100
    page.evaluate("document.getElementById('events').focus()")
    page.press("End")
    assert json.loads(page.text("#event"))["type"] == "response.completed"
    assert page.text("#events [aria-selected=true] .type") == "completed"


@slow
def test_everything_by_keyboard(page: Page) -> None:
    """The order of the focus is that of reading; nothing needs a pointer."""
    assert page.focused() == "textarea#message"
    page.type("Hello")
    page.press("Tab")
    page.press("Tab")
    assert page.focused() == "button#send"
    page.press("Enter")
    ended(page, 0)
    page.press("Tab", SHIFT)
    order = []
    for _ in range(40):
        page.press("Tab")
        order.append(page.focused())
        if order[-1] == "button#tab-events":
            break
    assert [one for one in order if one in ("select#inspected", "button#tab-events")] == [
        "select#inspected",
        "button#tab-events",
    ]
    page.press("ArrowRight")
    page.press("ArrowRight")
    assert page.focused() == "button#tab-code" and "curl" in page.text("#panel-code pre")
    assert page.evaluate("document.getElementById('panel-events').hidden")
    page.evaluate("document.activeElement.blur(); document.body.focus()")
    unlabelled = page.evaluate(
        """[...document.querySelectorAll("button, input, select, textarea")].map((one) => one.outerHTML).filter(
          (_, n, all) => { const one = document.querySelectorAll("button, input, select, textarea")[n];
          return !(one.labels?.length || one.ariaLabel || one.textContent.trim()); })"""
    )
    assert unlabelled == []


@slow
def test_the_copied_programs_run(page: Page, tmp_path: Path) -> None:
    """Python with OpenAI's SDK as it is installed; JavaScript where Node.js and the SDK are, else its syntax alone."""
    page.write("#instructions", 'Say "no" \\ é 漢 😀 or\nNone, true')
    page.click("#example-tool")
    page.write(
        "#other", '{"store": true, "metadata": {"a": "b"}, "x_own": [null, true, {}, []], "temperature": 0.5}'
    )
    page.click("#tab-code")

    def copied(language: str) -> str:
        found = f"[...document.querySelectorAll('.choice button')].find((one) => one.textContent === '{language}')"
        page.evaluate(f"{found}.click()")
        page.click("#copy")
        page.wait("document.getElementById('copy').textContent === 'Copied'")
        text: str = page.evaluate("navigator.clipboard.readText()")
        return text

    page.write("#message", "/cite https://example.com\nquotes ' \" \\ 😀")
    program = tmp_path / "program.py"
    program.write_text(copied("Python"))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "You said: quotes ' \" \\ 😀"), done.stderr
    script = tmp_path / "program.mjs"
    script.write_text(copied("JavaScript"))
    if not (node := shutil.which("node")):
        return
    if JS_CLIENTS.exists():
        (tmp_path / "node_modules").symlink_to(JS_CLIENTS)
        done = subprocess.run([node, script], capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout) == (0, "You said: quotes ' \" \\ 😀"), done.stderr
    else:
        assert subprocess.run([node, "--check", script], timeout=30).returncode == 0


@slow
def test_what_a_turn_costs(browser: Browser, tmp_path: Path) -> None:
    """By the model's price, where the operator has said it."""
    config = tmp_path / "models.toml"
    config.write_text('[[model]]\nmatch = ["echo"]\nprice = {input = 1000000, output = 2000000}\n')
    server = Server({"OPENRESPONSES_CONFIG": str(config)}).start()
    page = browser.page(server.url + "/")
    ask(page, "one two")
    page.wait("[...document.querySelectorAll('#numbers dd')].some((one) => one.textContent.startsWith('$'))")
    read, written = map(int, re.findall(r"(\d+) (?:in|out)", figures(page)["Tokens"]))
    assert figures(page)["Cost"] == f"${read + 2 * written:.4f}"
    page.check()
    page.close()
    server.stop()


@slow
def test_what_the_provider_is_sent_is_shown(browser: Browser) -> None:
    server = Server({"ANTHROPIC_API_KEY": "sk-ant-of-the-test", "OPENAI_API_KEY": "sk-of-the-test"}).start()
    page = browser.page(server.url + "/")
    page.evaluate("document.getElementById('model').value = 'claude-opus-4-6'")
    page.write("#message", "Hello")
    page.write("#other", '{"top_logprobs": 0, "seed": 7, "service_tier": "flex"}')
    page.click("#tab-provider")
    page.wait("document.querySelector('#panel-provider table')")
    rows = dict(
        zip(
            page.texts("#panel-provider td:first-child"),
            page.texts("#panel-provider td:nth-child(2)"),
            strict=True,
        )
    )
    assert rows["input[0].content[0].text"] == "mapped" and rows["seed"] == "unknown"
    request = page.text("#panel-provider pre")
    assert request.startswith("POST https://api.anthropic.com/v1/messages") and '"text": "Hello"' in request
    assert "sk-ant-of-the-test" not in page.evaluate("document.documentElement.outerHTML")
    page.check()
    page.close()
    server.stop()
