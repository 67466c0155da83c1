"""The official compliance suite of Open Responses on every provider route: `make conformance SUITE=path`.

    python -m tests.conformance.suite SUITE [ROUTE …]

SUITE is a checkout of the specification's repository with its node modules installed; it runs by bun. Without routes
every provider is played by a scripted server in its own wire format, so no key is needed, and the table of
docs/conformance.md is written. A ROUTE, as `anthropic/claude-sonnet-4-6`, is asked for real, with the keys of the
environment or of `.env`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..support.gateway import ROWS, Server, environment
from ..support.provider import Answer, Provider, Received
from ..support.speech import MODELS, says

Json = dict[str, Any]

PAGE = Path(__file__).resolve().parents[2] / "docs/conformance.md"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"
# Which wire format a request's path belongs to: each provider's API has paths of its own.
PATHS = {
    "/chat/completions": "chat",
    "/messages": "anthropic",
    "GenerateContent": "gemini",
    "/api/chat": "ollama",
    "/converse-stream": "bedrock",
    "/responses": "openai",
}
# Providers of AWS's and Microsoft's, with the variables that lead them to the scripted server.
CLOUDS = {
    "bedrock/anthropic.claude-test-v1:0": "BEDROCK_BASE_URL",
    "bedrock-chat/test-model": "BEDROCK_CHAT_BASE_URL",
    "bedrock-responses/test-model": "BEDROCK_RESPONSES_BASE_URL",
    "azure/test-model": "AZURE_OPENAI_BASE_URL",
}
ROUTES = ("echo", *(MODELS.get(row, f"{row}/test-model") for row in ROWS), MODELS["ollama"], *CLOUDS)
# What a provider has not: the suite's case, and what is so.
WITHOUT = {
    "deepseek/test-model": {"Image Input": "DeepSeek's API takes no images: refused with a 400 that says so"}
}
TEXT = "One, two, three: hello there, friend."
SECONDS = 180


def answer(asked: Received) -> Answer:
    """What any of the providers says: a call of the tool that it is offered, else a text."""
    dialect = next(name for path, name in PATHS.items() if path.lower() in asked.path.lower())
    tools = list(_functions(asked.json)) if asked.body else []
    if tools:
        return says(dialect, calls=[(tools[0], {"location": "San Francisco, CA"})])
    return says(dialect, TEXT)


def _functions(value: Any) -> Iterator[str]:
    """Names of the functions that a request offers, wherever its dialect puts them."""
    tools = value.get("tools") or (value.get("toolConfig") or {}).get("tools") or ()
    for tool in tools:
        for one in tool.get("functionDeclarations") or [tool]:
            found = one.get("function") or one.get("toolSpec") or one
            if "name" in found:
                yield found["name"]


@contextmanager
def played() -> Iterator[str]:
    """The URL of a gateway behind which one scripted server plays every provider."""
    provider = Provider().start()
    provider.play(answer)
    environ = environment(provider.url) | {
        **dict.fromkeys(CLOUDS.values(), provider.url),
        "AZURE_OPENAI_API_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    os.environ.update({name: value for name, value in environ.items() if name.startswith("AWS_")})
    server = Server(environ).start()
    try:
        yield server.url
    finally:
        server.stop()
        provider.stop()


@contextmanager
def real() -> Iterator[str]:
    """The URL of a gateway with the keys of this environment."""
    from dotenv import dotenv_values

    kept = {name: value for name, value in dotenv_values(".env").items() if value}
    server = Server(
        kept | dict(os.environ), first_byte_timeout=60.0, idle_timeout=60.0, max_retries=2
    ).start()
    try:
        yield server.url
    finally:
        server.stop()


def run(suite: Path, url: str, route: str) -> Json:
    """The suite's own report: `summary` and `results`. Raises SystemExit if it gives none."""
    command = ["npx", "--no-install", "bun", "bin/compliance-test.ts", "-u", f"{url}/v1", "-k", "unused"]
    done = subprocess.run(
        [*command, "-m", route, "--json"], cwd=suite, capture_output=True, text=True, timeout=SECONDS
    )
    try:
        report: Json = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"The suite gave no report: {(done.stderr or done.stdout)[-500:]}")
    return report


def row(route: str, report: Json) -> str:
    """A line of the table."""
    summary = report["summary"]
    known = WITHOUT.get(route, {})
    others = [
        f"{one['name']}: {known.get(one['name'], one['status'])}"
        for one in report["results"]
        if one["status"] != "passed"
    ]
    return f"| `{route}` | {summary['passed']} of {summary['total']} | {'; '.join(others)} |"


def holds(route: str, report: Json) -> bool:
    """Whether all passed but what the provider has not."""
    missed = {one["name"] for one in report["results"] if one["status"] != "passed"}
    return bool(report["results"]) and missed <= set(WITHOUT.get(route, {}))


def write(page: Path, rows: Iterable[str]) -> None:
    block = "\n".join([BEGIN, "| Route | Passed | Else |", "|---|---|---|", *rows, END])
    page.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, page.read_text(), flags=re.DOTALL))


def main(arguments: list[str]) -> int:
    """Runs every route and prints its line; 1 if one did not pass that can."""
    if not arguments or not (Path(arguments[0]) / "bin/compliance-test.ts").exists():
        print("Give the suite: make conformance SUITE=path/to/openresponses", file=sys.stderr)
        return 2
    suite, asked = Path(arguments[0]), arguments[1:]
    rows = []
    passed = True
    with real() if asked else played() as url:
        for route in asked or ROUTES:
            report = run(suite, url, route)
            rows.append(row(route, report))
            passed = passed and holds(route, report)
            print(rows[-1], flush=True)
    if not asked:
        write(PAGE, rows)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
