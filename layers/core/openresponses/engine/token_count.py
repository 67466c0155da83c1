"""How many tokens a context has: by the provider's own counting where it has one, else by an estimate that says so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, NamedTuple

import httpx
import orjson

from ..adapters.base import Counts, Turn, UpstreamRequest
from ..adapters.registry import adapter_named
from ..protocol.errors import ApiError
from ..protocol.ids import new_response_id
from ..routing import Route
from ..upstream.retry import with_retries
from .prompt import Prompt
from .services import Services
from .upstream_sample import explained

Json = dict[str, Any]
log = logging.getLogger(__name__)

FIELDS = (
    "model",
    "input",
    "previous_response_id",
    "conversation",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "reasoning",
    "text",
    "truncation",
)
NOT_THERE = frozenset({404, 405, 501})  # what a backend without this endpoint answers
LONGEST_WAIT = 20.0  # seconds that a provider's Retry-After may hold up a count

# The estimate: English and code have some 4 bytes a token, other scripts more bytes and more tokens.
BYTES_PER_TOKEN = 4
ITEM_TOKENS = 4  # what frames an item
MEDIA_TOKENS = 1000  # an image, or a page or two of a file
MEDIA_FIELDS = frozenset({"image_url", "file_data", "file_url", "video_url", "data", "result"})


class Count(NamedTuple):
    tokens: int
    estimated: bool


async def count_input(services: Services, request: Json, *, tenant: str, deadline: float | None) -> Count:
    """The input tokens of the turn that `request` (checked, of FIELDS) would take. Raises ApiError."""
    route = services.router.resolve(request["model"])
    prompt = Prompt(services, request, route, tenant=tenant, owner=new_response_id())
    # What the provider cannot be given has no number of tokens either; what MCP servers would list is not counted.
    turn = await prompt.first()
    prompt.build(turn)
    try:
        counted = await provider_count(services, route, turn, deadline=deadline)
    except ApiError as error:
        error.param = prompt.param(error.param)
        raise
    except TimeoutError:
        raise ApiError("provider_timeout", "The tokens were not counted in time.") from None
    return Count(estimate(turn), True) if counted is None else Count(counted, False)


async def provider_count(
    services: Services, route: Route, turn: Turn, *, deadline: float | None
) -> int | None:
    """The provider's own count of the turn's input; None where it counts nothing. Raises ApiError, TimeoutError."""
    adapter = adapter_named(route.provider.adapter)
    if not isinstance(adapter, Counts):
        return None
    request = adapter.count(turn)

    async def attempt(refresh: bool) -> int | None:
        try:
            async with asyncio.timeout(services.settings.first_byte_timeout):
                return await _ask(services, route, request, refresh=refresh)
        except TimeoutError:
            raise ApiError(
                "provider_timeout", f"{route.provider.name} did not count in time.", retryable=False
            ) from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            log.warning("%s: %s: %s", route.provider.name, type(error).__name__, error)
            raise ApiError("provider_unavailable", f"{route.provider.name} cannot be reached.") from None

    async with asyncio.timeout_at(deadline):
        return await with_retries(
            attempt,
            name=route.provider.name,
            budget=services.retry_budget,
            max_retries=services.settings.max_retries,
            first_delay=services.settings.retry_seconds,
            longest_wait=LONGEST_WAIT,
            deadline=deadline,
        )


async def _ask(services: Services, route: Route, request: UpstreamRequest, *, refresh: bool) -> int | None:
    adapter = adapter_named(route.provider.adapter)
    assert isinstance(adapter, Counts)
    endpoint = await services.router.endpoint(route.provider, services.secrets, refresh=refresh)
    answer = await services.upstream.post(endpoint, request)
    try:
        body = await answer.read()
    finally:
        await answer.aclose()
    if answer.status in NOT_THERE:
        return None
    if answer.status >= 300:
        raise explained(adapter, answer, body)
    try:
        return adapter.counted(orjson.loads(body))
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        raise ApiError(
            "provider_invalid_response", f"{route.provider.name} sent no number of tokens."
        ) from None


# --------------------------------------------------------------------------- the estimate


def estimate(turn: Turn) -> int:
    """Roughly the tokens of the turn's input, tools and instructions."""
    fixed = len((turn.instructions or "").encode()) + len(orjson.dumps(turn.tools)) * bool(turn.tools)
    form = (turn.request.get("text") or {}).get("format")
    fixed += len(orjson.dumps(form)) if form else 0
    return -(-fixed // BYTES_PER_TOKEN) + estimate_items(turn.input)


def estimate_items(items: Iterable[Json]) -> int:
    """Roughly the tokens of items."""
    return sum(ITEM_TOKENS + -(-_size(item) // BYTES_PER_TOKEN) for item in items)


# What a model is not shown of an item, or is in no proportion to its length.
UNCOUNTED = frozenset(
    {"type", "id", "call_id", "status", "role", "detail", "annotations", "logprobs", "encrypted_content"}
)


def _size(value: Any) -> int:
    """Bytes of the text in a value; media at a flat rate."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return sum(map(_size, value))
    if isinstance(value, dict):
        return sum(
            MEDIA_TOKENS * BYTES_PER_TOKEN if key in MEDIA_FIELDS and inner else _size(inner)
            for key, inner in value.items()
            if key not in UNCOUNTED
        )
    return 0
