"""What `doctor` asks a deployed gateway, by its address or by its stack."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .base import CommandError
from .checks import Finding
from .gateway import Target
from .place import Place, Stack, find_stack

if TYPE_CHECKING:
    import httpx

SECONDS = 15.0
WORDS = "/slow 0.3\none two three"  # echo waits so long before each word
SHORTEST_GAP = 0.1  # seconds between words that were not held back
NO_KEY = "make a key: openresponses keys create --tenant NAME; then give it with --key"


async def examined(target: Target, place: Place) -> list[Finding]:
    """Findings about the stack, if it is named, and about the gateway at its address."""
    found: list[Finding] = []
    url = target.url
    if place.stack:
        try:
            stack = await asyncio.to_thread(find_stack, place)
        except CommandError as error:
            return [Finding("fail", "stack", str(error), "name it with --stack, --region and --profile")]
        found = await asyncio.to_thread(_stack, stack)
        url = url or stack.outputs.get("Url")
    if not url:
        return [*found, Finding("fail", "gateway", "the stack has no output Url", "deploy it again")]
    import httpx

    headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        try:
            found.append(await _health(client, url))
            found.append(await _without_key(client, url))
            found.append(await _with_key(client, url, headers))
            if headers and found[-1].status == "ok":
                found.append(await _streaming(client, url, headers))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            step = "check the address, the network, and that it is deployed"
            found.append(Finding("fail", "gateway", f"{url} cannot be reached: {type(error).__name__}", step))
    return found


def _stack(stack: Stack) -> list[Finding]:
    """The stack's table and secret, with the operator's credentials."""
    from botocore.exceptions import BotoCoreError, ClientError

    found = []
    table = stack.outputs["TableName"]
    try:
        status = stack.client("dynamodb").describe_table(TableName=table)["Table"]["TableStatus"]
        healthy = status == "ACTIVE"
        step = "" if healthy else "wait until it is ACTIVE"
        found.append(Finding("ok" if healthy else "fail", "table", f"{table} is {status}", step))
    except (BotoCoreError, ClientError) as error:
        found.append(Finding("fail", "table", str(error), "check your AWS credentials"))
    try:
        names = sorted(stack.secrets())
        detail = ", ".join(names) or "no provider has a key"
        step = "" if names else "openresponses secrets set ANTHROPIC_API_KEY"
        found.append(Finding("ok" if names else "warn", "provider keys", detail, step))
    except (BotoCoreError, ClientError) as error:
        found.append(Finding("warn", "provider keys", str(error), "check your AWS credentials"))
    return found


async def _health(client: httpx.AsyncClient, url: str) -> Finding:
    reply = await client.get(f"{url.removesuffix('/v1')}/healthz")
    if reply.status_code == 200 and reply.content.strip() == b'{"status":"ok"}':
        return Finding("ok", "gateway", f"{url} answers")
    detail = f"{url} answers HTTP {reply.status_code}, but not as this gateway"
    return Finding("fail", "gateway", detail, "check the address; it ends in /v1")


async def _without_key(client: httpx.AsyncClient, url: str) -> Finding:
    reply = await client.get(f"{url}/models")
    if reply.status_code in (401, 403):
        return Finding("ok", "without a key", "refused")
    step = "set OPENRESPONSES_REQUIRE_KEYS=1 where others can reach it"
    return Finding("warn", "without a key", "answered: whoever reaches it can use your providers' keys", step)


async def _with_key(client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> Finding:
    if not headers:
        return Finding("warn", "key", "none was given: what a key may do was not looked at", NO_KEY)
    reply = await client.get(f"{url}/models", headers=headers)
    if reply.status_code == 200:
        owners = {str(row["owned_by"]) for row in reply.json()["data"]} - {"echo"}
        return Finding("ok", "key", f"accepted; models of {', '.join(sorted(owners)) or 'echo only'}")
    if reply.status_code in (401, 403):
        return Finding("fail", "key", f"refused (HTTP {reply.status_code})", NO_KEY)
    return Finding("fail", "key", f"HTTP {reply.status_code}: {reply.text[:100]}", "read the gateway's log")


async def _streaming(client: httpx.AsyncClient, url: str, headers: dict[str, str]) -> Finding:
    """Words that echo says one by one must arrive one by one."""
    body: dict[str, Any] = {"model": "echo", "input": WORDS, "stream": True, "store": False}
    arrived: list[float] = []
    last = ""
    async with client.stream("POST", f"{url}/responses", json=body, headers=headers) as reply:
        async for line in reply.aiter_lines():
            if line.startswith("event: response.output_text.delta"):
                arrived.append(time.monotonic())
            last = line or last
    gaps = [after - before for before, after in pairwise(arrived)]
    if last != "data: [DONE]" or not gaps:
        detail = f"the stream did not end as it should (HTTP {reply.status_code})"
        return Finding("fail", "streaming", detail, "read the gateway's log")
    if max(gaps) < SHORTEST_GAP:
        step = "take away what buffers before it: a proxy, an API without response streaming"
        return Finding("fail", "streaming", "words arrive together: the answer is held back on its way", step)
    return Finding("ok", "streaming", "words arrive as they are said")
