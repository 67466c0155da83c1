"""`openresponses ask`: one question, one answer, for people and for scripts."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from typing import Any

import click

from .answer import Answer, ended, reason_of, text_of
from .attachments import file_part, image_part, message, read_schema
from .base import CommandError, RequestFailed, command
from .gateway import Gateway, Json, Target, gateway_options, with_gateway
from .last import last, remember
from .terminal import note, progress, write

ECHO = "echo"
NOT_STORED = (
    "openresponses: the answer was not stored, so nothing can go on from it: the key keeps nothing, "
    "or `openresponses doctor` shows why"
)
model_option = click.option(
    "--model", "-m", envvar="OPENRESPONSES_MODEL", help="Model. [default: OPENRESPONSES_MODEL, else echo]"
)


@command(
    examples=[
        'openresponses ask "What is the capital of France?" --model claude-opus-4-6',
        'git diff | openresponses ask "Write a commit message" --model gpt-5.4',
        "openresponses ask --json-schema person.json --file cv.pdf --model gpt-5.4 > person.json",
    ]
)
@click.argument("prompt", nargs=-1)
@model_option
@click.option("--instructions", "-i", help="Instructions for the model.")
@click.option("--image", multiple=True, metavar="PATH|URL", help="Image to look at; may be repeated.")
@click.option("--file", multiple=True, metavar="PATH|URL", help="File to read, as a PDF; may be repeated.")
@click.option(
    "--json-schema", metavar="PATH", help="Answer with JSON that satisfies the schema in this file."
)
@click.option("--previous", metavar="ID", help="Continue this response.")
@click.option("--continue", "goes_on", is_flag=True, help="Continue the last answer that `ask` was given.")
@click.option("--raw", is_flag=True, help="Print the events, one JSON object a line.")
@click.option("--json", "whole", is_flag=True, help="Print the whole response, as JSON.")
@click.option("--no-stream", is_flag=True, help="Print the answer when it is complete.")
@gateway_options
def ask(target: Target, prompt: tuple[str, ...], **given: Any) -> None:
    """Ask a question. What is piped into it is put behind the question, or is the question."""
    body = request(target, " ".join(prompt), given)
    if given["model"] is None:
        note("Answered by the built-in echo; --model chooses another, `openresponses models` lists them.")

    async def work(gateway: Gateway) -> Json:
        if given["raw"]:
            return await print_events(gateway, body)
        if given["whole"] or given["no_stream"] or given["json_schema"]:
            return await print_whole(gateway, body, given)
        answer = Answer("stderr" if sys.stderr.isatty() else None)
        async with aclosing(gateway.events(body)) as events:
            return await answer.show(events)

    response = with_gateway(target, work)
    if response.get("store"):
        remember(target, response["id"])
    else:
        print(NOT_STORED, file=sys.stderr)
    if reason := reason_of(response):
        print(f"openresponses: the answer is {reason}", file=sys.stderr)


def request(target: Target, prompt: str, given: dict[str, Any]) -> Json:
    """The request body. Raises CommandError."""
    if given["previous"] and given["goes_on"]:
        raise CommandError("--previous and --continue exclude each other")
    piped = "" if sys.stdin.isatty() else _read_stdin()
    text = "\n\n".join(filter(None, (prompt, piped)))
    parts = [image_part(path) for path in given["image"]] + [file_part(path) for path in given["file"]]
    if not text and not parts:
        raise CommandError('nothing is asked: openresponses ask "What is the capital of France?"')
    body: Json = {"model": given["model"] or ECHO, "input": message(text, parts)}
    if given["instructions"]:
        body["instructions"] = given["instructions"]
    if given["json_schema"]:
        body["text"] = {"format": read_schema(given["json_schema"])}
    if previous := last(target) if given["goes_on"] else given["previous"]:
        body["previous_response_id"] = previous
    return body


def _read_stdin() -> str:
    if sys.stdin.closed:
        return ""
    try:
        return sys.stdin.buffer.read().decode().strip()
    except UnicodeDecodeError:
        raise CommandError("standard input is not text in UTF-8; give files with --file or --image") from None


async def print_events(gateway: Gateway, body: Json) -> Json:
    answer: Json | None = None
    async for event in gateway.events(body):
        print(json.dumps(event, ensure_ascii=False), flush=True)
        answer = event.get("response", answer)
    return ended(answer)


async def print_whole(gateway: Gateway, body: Json, given: dict[str, Any]) -> Json:
    with progress(f"Asking {body['model']}"):
        response = await gateway.post("responses", body)
    if given["whole"]:
        print(json.dumps(response, indent=2, ensure_ascii=False))
        return response
    text = text_of(response)
    write(f"{text}\n")
    if given["json_schema"] and not _is_json(text):
        raise RequestFailed("the answer is not JSON: give the model more room, or choose another")
    return response


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
