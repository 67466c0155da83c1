"""The gateway that a command speaks to: the one at --url, else the local server if it runs, else one in this process.

Every failure is a RequestFailed, one line that says what to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import click

from . import local
from .base import CommandError, RequestFailed

if TYPE_CHECKING:
    import httpx

Json = dict[str, Any]

LOCAL_URL = "http://127.0.0.1:4000/v1"
IN_PROCESS_URL = "http://in-process/v1"
PROBE_SECONDS = 0.5
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 330.0  # beyond what any front door lets a request take
TRY_ANOTHER = "`openresponses doctor` shows whether the provider answers; --model asks another one."
# An error's code → what to do, where its message alone does not say it.
NEXT_STEPS = {
    "insufficient_quota": "The provider's account is used up: look at its billing page.",
    "model_not_found": "`openresponses models` lists what works.",
    "provider_authentication_failed": "`openresponses doctor` shows which provider key is refused.",
    "provider_error": TRY_ANOTHER,
    "provider_timeout": TRY_ANOTHER,
    "provider_unavailable": TRY_ANOTHER,
    "rate_limit_exceeded": "Wait, then try again.",
    "server_error": "Run `openresponses serve` in another terminal, and ask again: its log shows the cause.",
    "server_is_overloaded": "Wait, then try again.",
}


class Target(NamedTuple):
    """Which gateway is meant, and the key for it. `by_option`: the address was an option of the command."""

    url: str | None
    key: str | None
    by_option: bool = False

    @classmethod
    def given(cls, url: str | None, key: str | None) -> Target:
        """What the options say, else the environment and `.env`. Raises CommandError."""
        environ, by_option = local.environment(), url is not None
        url = url or environ.get("OPENRESPONSES_URL")
        if url is not None:
            if not _is_address(url):
                raise CommandError(f"--url is an address like {LOCAL_URL}, not {url!r}")
            url = url.rstrip("/")
            url = url if url.endswith("/v1") else f"{url}/v1"
        return cls(url, key or environ.get("OPENRESPONSES_API_KEY"), by_option)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port  # ValueError beyond 65535
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and parts.hostname
    return bool(known) and port != 0 and not parts.query and not parts.fragment


def gateway_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --url and --key to a command, which is given them as `target`."""

    @wraps(function)
    def run(url: str | None, key: str | None, **given: Any) -> Any:
        return function(target=Target.given(url, key), **given)

    decorated: Callable[..., Any] = click.option(
        "--key", help="Key for it. [default: OPENRESPONSES_API_KEY]"
    )(run)
    return click.option(
        "--url",
        help="A gateway's address. [default: OPENRESPONSES_URL, else the local server, else none is needed]",
    )(decorated)


class Gateway:
    """Asks over HTTP. `name` is how a person knows it, `is_local` whether it is the one of this machine."""

    def __init__(self, client: httpx.AsyncClient, name: str, *, is_local: bool) -> None:
        self._client = client
        self.name = name
        self.is_local = is_local

    async def get(self, path: str) -> Json:
        return await self._json("GET", path)

    async def post(self, path: str, body: Json) -> Json:
        return await self._json("POST", path, body)

    async def explain(self, body: Json) -> Json:
        """Beside the API, where the gateway has its playground."""
        root = str(self._client.base_url).removesuffix("v1/")
        return await self._json("POST", f"{root}playground/explain", body)

    async def delete(self, path: str) -> Json:
        return await self._json("DELETE", path)

    async def events(self, body: Json) -> AsyncGenerator[Json]:
        """The events of a response, as they come. Closing it early hangs up. Raises RequestFailed."""
        import httpx
        import orjson

        from ..upstream.framing import DONE, FrameError, SseDecoder

        decoder = SseDecoder()
        try:
            async with self._client.stream("POST", "responses", json={**body, "stream": True}) as reply:
                if reply.status_code != 200:
                    await reply.aread()
                    raise self._failed(reply)
                if not reply.headers.get("content-type", "").startswith("text/event-stream"):
                    raise self._stranger("no event stream")
                async for chunk in reply.aiter_raw():
                    for _, data in decoder.feed(chunk):
                        if data != DONE:
                            yield orjson.loads(data)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        except (FrameError, orjson.JSONDecodeError):
            raise self._stranger("no event stream") from None

    async def _json(self, method: str, path: str, body: Json | None = None) -> Json:
        import httpx

        try:
            reply = await self._client.request(method, path, json=body)
            if reply.status_code != 200:
                raise self._failed(reply)
            found = reply.json()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise self._stranger("no JSON") from None
        if not isinstance(found, dict):
            raise self._stranger("no JSON object")
        return found

    # ---------------------------------------------------------------- what went wrong, in a line

    def _unreachable(self, error: httpx.HTTPError) -> RequestFailed:
        import httpx

        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return RequestFailed(
                f"no gateway answers at {self.name}: start one with `openresponses serve`, or correct --url"
            )
        return RequestFailed(f"the connection to {self.name} broke ({type(error).__name__}): try again")

    def _failed(self, reply: httpx.Response) -> RequestFailed:
        try:
            return failure(reply.json()["error"], self.name)
        except (ValueError, LookupError, TypeError, AttributeError):
            if reply.status_code in (401, 403):
                return failure({"code": "invalid_api_key"}, self.name)
            next_step = "try again" if reply.status_code >= 500 else "is it this gateway's address?"
            return RequestFailed(f"{self.name} answered HTTP {reply.status_code}: {next_step}")

    def _stranger(self, what: str) -> RequestFailed:
        return RequestFailed(f"{self.name} sent {what}: is it this gateway?")


def failure(error: Json, name: str) -> RequestFailed:
    """An error object of the API, as a line that ends with the next step."""
    if error.get("code") == "invalid_api_key":
        return RequestFailed(f"{name} wants another key: give it with --key or OPENRESPONSES_API_KEY")
    place = f" [{error['param']}]" if error.get("param") and error["param"] not in error["message"] else ""
    said = " ".join(f"{error['message']}{place}".split())
    hint = NEXT_STEPS.get(error.get("code") or "")
    if hint and said[-1:] not in (*".!?", ""):
        said += "."
    return RequestFailed(" ".join(filter(None, (said, hint))))


@asynccontextmanager
async def connected(target: Target, *, server: bool = True) -> AsyncIterator[Gateway]:
    """The gateway that is meant; without `server`, never the local server."""
    import httpx

    headers = {"authorization": f"Bearer {target.key}"} if target.key else {}
    timeout = httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    async with AsyncExitStack() as stack:
        url, name, transport = target.url, target.url or "the local server", None
        if url is None and server and await is_running():
            url = LOCAL_URL
        if url is None:
            url, name, transport = (
                IN_PROCESS_URL,
                "the gateway",
                await stack.enter_async_context(_in_process()),
            )
        try:
            client = httpx.AsyncClient(
                base_url=url,
                headers=headers,
                timeout=timeout,
                transport=transport,
                trust_env=target.url is not None,
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise CommandError(f"--url or --key cannot be used: {error}") from None
        stack.push_async_callback(client.aclose)
        yield Gateway(client, name, is_local=target.url is None)


async def is_running() -> bool:
    """Whether the local server answers, and not something else on its port."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=PROBE_SECONDS, trust_env=False) as client:
            reply = await client.get(LOCAL_URL.removesuffix("/v1") + "/healthz")
        return bool(reply.json() == {"status": "ok"})
    except (httpx.HTTPError, ValueError):
        return False


def _in_process() -> Any:
    from ..settings import Settings
    from .in_process import InProcess

    environ = local.environment()
    settings = Settings.load(environ, playground=True)
    # Its warnings are the server's log; here the answer says what went wrong.
    logging.getLogger("openresponses").addHandler(logging.NullHandler())
    return InProcess(local.gateway_app(settings, environ))


def with_gateway(target: Target, work: Callable[[Gateway], Awaitable[Any]], *, server: bool = True) -> Any:
    """Does `work` with the gateway that is meant; its result."""

    async def run() -> Any:
        async with connected(target, server=server) as gateway:
            return await work(gateway)

    try:
        return asyncio.run(run())
    except (LookupError, TypeError, AttributeError) as error:
        if target.url is None:
            raise
        # Somebody else's server, or another version of this one: what it says has not the shape of ours.
        told = f"{type(error).__name__}: {error}"
        raise RequestFailed(
            f"{target.url} said what makes no sense here ({told}): is it this gateway?"
        ) from error
