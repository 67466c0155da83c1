"""`openresponses explain`: what a request would become, without sending it."""

from __future__ import annotations

import json

import click

from .attachments import read_json
from .base import FAILED, CommandError, command
from .gateway import Gateway, Json, Target, gateway_options, with_gateway
from .terminal import note, shortened, table, write

STYLES = {"mapped": "green", "ignored": "yellow", "refused": "red", "unknown": "yellow"}


@command(
    examples=[
        "openresponses explain request.json --model claude-opus-4-6",
        'echo \'{"input": "Hello", "top_logprobs": 2}\' | openresponses explain - --model gemini-3.5-flash',
    ]
)
@click.argument("request", metavar="FILE|-")
@click.option("--model", "-m", help="Model, in place of the request's own.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON, with its texts whole.")
@gateway_options
def explain(target: Target, request: str, model: str | None, as_json: bool) -> int:
    """Show what a request becomes with its provider. The provider's request is printed, and where each field went.
    Nothing is sent, and no key and no server is needed."""
    body = read_json(request)
    if not isinstance(body, dict):
        raise CommandError("a request is a JSON object, as POST /v1/responses takes it")
    body |= {"model": model} if model else {}

    async def work(gateway: Gateway) -> Json:
        told = await gateway.explain(body)
        if as_json:
            print(json.dumps(told, indent=2, ensure_ascii=False))
        else:
            show(told)
        return told

    told = with_gateway(target, work, server=False)
    return FAILED if told.get("error") else 0


def show(told: Json) -> None:
    """The explanation for a person: the request as HTTP, then its fields."""
    sent = told["request"]
    if sent:
        lines = [f"{sent['method']} {sent['url'] or '(no address)'}"]
        lines += [f"{name}: {value}" for name, value in sent["headers"].items()]
        body = json.dumps(shortened(sent["body"]), indent=2, ensure_ascii=False)
        write("\n".join([*lines, "", body, "", ""]))
    elif told["error"]:
        error = told["error"]
        write(f"Refused with {error['status']} {error['code']}: {error['message']}\n\n")
    elif told["route"]:
        write(f"{told['route']} answers itself: no request is sent.\n\n")
    table(
        ("Field", "Outcome", "Where, or why"),
        [(row["path"], row["outcome"], row["detail"]) for row in told["fields"]],
        STYLES,
    )
    if told["ignored"]:
        write(f"\nx-openresponses-ignored: {', '.join(told['ignored'])}\n")
    if not told["complete"] and not told["error"]:
        write("\nThe request is large: not all of its fields were looked into.\n")
    if told["not_configured"]:
        note(told["not_configured"])
