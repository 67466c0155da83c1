"""What the model is asked in a turn: its context, its tools, and the request that a provider is given of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..adapters import openai_fields
from ..adapters.base import Turn, UpstreamRequest
from ..adapters.registry import adapter_named
from ..protocol.errors import ApiError
from ..routing import Route
from .client_search import as_functions
from .context import Context, load_context
from .mcp import mcp_tools
from .services import Services
from .summaries import with_summaries
from .tools import Toolset, resolve_tools, tools_given

if TYPE_CHECKING:
    from .mcp.tools import McpTools

Json = dict[str, Any]


class Prompt:
    """The question of one turn, as the provider of `route` is asked it.

    `owner`: the id of the response, or of what else the input's items belong to. After load() there are
    loaded    the context as it is kept
    context   the same as the model is shown it
    toolset   the tools, as far as they are known
    mcp       those of the servers that are called here, None if there are none
    and after each build() `ignored`: paths of the request's knobs that the provider has no place for.
    """

    loaded: Context
    toolset: Toolset

    def __init__(self, services: Services, request: Json, route: Route, *, tenant: str, owner: str) -> None:
        self._services = services
        self._request = request
        self._tenant = tenant
        self._owner = owner
        self.route = route
        self.adapter = adapter_named(route.provider.adapter)
        self.context: Context | None = None
        self.mcp: McpTools | None = None
        self.ignored: list[str] = []

    async def aclose(self) -> None:
        if self.mcp:
            await self.mcp.aclose()

    async def load(self) -> None:
        """Reads the context. Raises ApiError."""
        services = self._services
        self.loaded = await load_context(services.store, self._tenant, self._request, self._owner)
        self.context = self.loaded
        self.mcp = await mcp_tools(services, self._tenant, self._request, self.route)
        if any(item["type"] == "mcp_approval_response" for item in self.loaded.own):
            self._check_approvals()
        self._resolve()

    def _check_approvals(self) -> None:
        from .mcp.history import require_servers

        tools = tools_given(self._request, self.loaded.items)
        labels = {tool["server_label"] for tool in tools if tool["type"] == "mcp"}
        require_servers(self.loaded, labels.union(self.mcp.labels if self.mcp else ()))

    async def first(self) -> Turn:
        """What the first sample is given. Raises ApiError."""
        if self.context is None:
            await self.load()
        return self.turn((await self.take(self.route)).items)

    async def prepare(self) -> UpstreamRequest:
        """The first sample's request, without sending it. Raises ApiError."""
        return self.build(await self.first())

    async def take(self, route: Route) -> Context:
        """Goes by `route` from now on; the context as its provider sees it. Raises ApiError."""
        self.route = route
        self.adapter = adapter_named(route.provider.adapter)
        sealer = self._services.sealer
        self.context = await with_summaries(self.loaded, sealer, self._tenant, route.provider.name)
        return self.context

    async def take_listed(self) -> None:
        """Resolves the tools once the MCP servers have listed theirs. Those that the provider cannot be given are left
        out: they are no reason to fail. Raises ApiError."""
        assert self.mcp is not None
        self._resolve()
        while True:
            try:
                await self.prepare()
                return
            except ApiError:
                if not self.mcp.leave_out():
                    raise
                self._resolve()

    def _resolve(self) -> None:
        self._asked = self.mcp.request if self.mcp else self._request
        local = self.mcp.tools if self.mcp else None
        self.toolset = resolve_tools(self._asked, self.loaded.items, self._services.tools, local)

    def turn(self, items: list[Json], toolset: Toolset | None = None) -> Turn:
        """A sample with these items. `toolset`: other tools than those of the first one."""
        toolset = toolset or self.toolset
        told = self.mcp.told(items) if self.mcp else items
        tools = toolset.tools
        if not getattr(self.adapter, "places_tools", False):
            told = [item for item in told if item["type"] != "additional_tools"]
            tools, told = as_functions(tools, told)
        return Turn(
            provider=self.route.provider.name,
            model=self.route.model,
            profile=self.route.profile,
            request=self._asked,
            instructions=self._request.get("instructions"),
            input=told,
            tools=tools,
            tool_choice=toolset.choice,
            allowed=toolset.allowed,
            state_shape=getattr(self.adapter, "state_shape", object),
        )

    def build(self, turn: Turn) -> UpstreamRequest:
        """The provider's request. Raises ApiError, whose param is a path in the client's request."""
        try:
            request = openai_fields.build(self.adapter, turn)
        except RecursionError:
            raise ApiError("invalid_value", "The request is nested too deeply.") from None
        except ApiError as error:
            error.param = self.param(error.param)
            raise
        # What an earlier turn gave was named in its answer.
        asked = (self.param(path) for path in request.ignored)
        self.ignored = [path for path in asked if path and path != "previous_response_id"]
        self.ignored += self.mcp.ignored if self.mcp else []
        return request

    def param(self, param: str | None) -> str | None:
        """A path in what the adapter was given, as the path in the client's request."""
        if self.mcp:
            param = self.mcp.param(param)
        return self.context.param(param) if self.context else param
