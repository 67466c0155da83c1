"""Whether a provider answers: it is asked for its models, once, which costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..catalog import Provider
    from ..routing import Router
    from ..secrets import Secrets

SECONDS = 10.0


class Reply(NamedTuple):
    """How a provider took the question, in words, and as a kind: "accepts", "refuses" (the key), "answers" (another
    status), "unreachable", "not configured"."""

    kind: str
    words: str


async def asked(router: Router, provider: Provider, secrets: Secrets, seconds: float = SECONDS) -> Reply:
    import httpx

    from ..protocol.errors import ApiError

    try:
        endpoint = await router.endpoint(provider, secrets)
        async with httpx.AsyncClient(timeout=seconds) as client:
            path = "tags" if provider.adapter == "ollama" else "models"
            answer = await client.get(f"{endpoint.base_url}/{path}", headers=endpoint.headers)
    except ApiError as error:
        return Reply("not configured", error.message)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Reply("unreachable", f"{provider.name} cannot be reached from here: {type(error).__name__}.")
    if answer.is_success:
        return Reply("accepts", f"{provider.name} accepts it.")
    refused = answer.status_code in (401, 403)
    words = f"{provider.name} {'refuses it' if refused else 'answers'} (HTTP {answer.status_code})."
    return Reply("refuses" if refused else "answers", words)
