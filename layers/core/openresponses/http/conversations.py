"""The routes of conversations and their items.

Source: OpenAI's Conversations API; the specification has none.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..engine.caller import Caller
from ..engine.context import normalize_input, visible
from ..engine.conversation import conversation_items, conversation_not_found
from ..protocol.errors import ApiError, quoted
from ..protocol.ids import CONVERSATION_ID, new_conversation_id
from ..protocol.pages import page
from ..protocol.request import parse_json
from ..store.conversations import Conversation, Conversations
from .body import read_body
from .gateway import Gateway
from .replies import JsonResponse, included

Json = dict[str, Any]

LIST = "/v1/conversations"
ONE = f"{LIST}/{{conversation_id}}"
ITEMS = f"{ONE}/items"
ITEM = f"{ITEMS}/{{item_id}}"


def bodies() -> ModuleType:
    """The checks of the bodies: made when a conversation is first written, because they cost start-up time."""
    from ..protocol import conversations

    return conversations


class ConversationRoutes:
    """Handlers over a gateway's store."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def routes(self) -> list[BaseRoute]:
        return [
            Route(LIST, self.create, methods=["POST"]),
            Route(ONE, self.get, methods=["GET"]),
            Route(ONE, self.update, methods=["POST"]),
            Route(ONE, self.delete, methods=["DELETE"]),
            Route(ITEMS, self.list_items, methods=["GET"]),
            Route(ITEMS, self.add_items, methods=["POST"]),
            Route(ITEM, self.get_item, methods=["GET"]),
            Route(ITEM, self.delete_item, methods=["DELETE"]),
        ]

    @property
    def _store(self) -> Conversations:
        return self._gateway.store.conversations

    async def create(self, request: Request) -> Response:
        caller = await self._gateway.authenticate(request)
        retention = caller.retention
        retention.require_storage()
        body = bodies().parse_conversation(await self._body(request, empty={}))
        services = self._gateway.services
        now = int(services.clock())
        lifetime = retention.lifetime or services.settings.history_ttl_days * 86400
        conversation = Conversation(
            new_conversation_id(), body.get("metadata", {}), now, int(now + lifetime), retention.lifetime
        )
        owner = conversation.id.removeprefix("conv_")
        await self._store.create(caller.tenant, conversation, normalize_input(body.get("items", []), owner))
        return JsonResponse(shown(conversation))

    async def get(self, request: Request) -> Response:
        return JsonResponse(shown((await self._found(request))[1]))

    async def update(self, request: Request) -> Response:
        caller, conversation = await self._found(request)
        caller.retention.require_storage()
        metadata = bodies().parse_metadata(await self._body(request))
        if not await self._store.set_metadata(caller.tenant, conversation.id, metadata):
            raise _not_found(conversation.id)
        return await self.get(request)

    async def delete(self, request: Request) -> Response:
        caller, wanted = await self._named(request)
        if not await self._store.delete(caller.tenant, wanted):
            raise _not_found(wanted)
        return JsonResponse({"id": wanted, "object": "conversation.deleted", "deleted": True})

    # ---------------------------------------------------------------- items

    async def list_items(self, request: Request) -> Response:
        caller, wanted = await self._named(request)
        items = await self._items(caller.tenant, wanted)
        return JsonResponse(
            page([visible(item, included(request)) for item in items], dict(request.query_params))
        )

    async def add_items(self, request: Request) -> Response:
        caller, conversation = await self._found(request)
        caller.retention.require_storage()
        owner = new_conversation_id().removeprefix("conv_")
        items = normalize_input(bodies().parse_items(await self._body(request)), owner)
        known = {item["id"] for item in await self._items(caller.tenant, conversation.id)}
        for index, item in enumerate(items):
            if item["id"] in known:
                problem = f"The conversation already has an item with id {quoted(item['id'])}."
                raise ApiError("invalid_value", problem, param=f"items[{index}].id")
            known.add(item["id"])
        if not await self._store.append(caller.tenant, conversation.id, items):
            raise _not_found(conversation.id)
        return JsonResponse(page(items, {"order": "asc", "limit": "100"}))

    async def get_item(self, request: Request) -> Response:
        caller, wanted = await self._named(request)
        item_id = request.path_params["item_id"]
        for item in await self._items(caller.tenant, wanted):
            if item["id"] == item_id:
                return JsonResponse(visible(item, included(request)))
        raise _item_not_found(item_id)

    async def delete_item(self, request: Request) -> Response:
        caller, conversation = await self._found(request)
        item_id = request.path_params["item_id"]
        if not await self._store.remove(caller.tenant, conversation.id, item_id):
            raise _item_not_found(item_id)
        return JsonResponse(shown(conversation))

    # ---------------------------------------------------------------- what they share

    async def _body(self, request: Request, *, empty: Json | None = None) -> Json:
        data = await read_body(request, self._gateway.settings.max_body_bytes)
        return empty if empty is not None and not data else parse_json(data)

    async def _named(self, request: Request) -> tuple[Caller, str]:
        """Who asks, and the id in the path."""
        caller = await self._gateway.authenticate(request)
        wanted = request.path_params["conversation_id"]
        if not CONVERSATION_ID.fullmatch(wanted):
            raise _not_found(wanted)
        return caller, wanted

    async def _found(self, request: Request) -> tuple[Caller, Conversation]:
        """Who asks, and the conversation that the path names. Raises ApiError."""
        caller, wanted = await self._named(request)
        conversation = await self._store.get(caller.tenant, wanted)
        if conversation is None:
            raise _not_found(wanted)
        return caller, conversation

    async def _items(self, tenant: str, wanted: str) -> list[Json]:
        return await conversation_items(self._store, tenant, wanted)


def shown(conversation: Conversation) -> Json:
    """A conversation as clients see it."""
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created_at,
        "metadata": conversation.metadata,
    }


def _not_found(wanted: str) -> ApiError:
    return conversation_not_found(wanted, "conversation_id")


def _item_not_found(item_id: str) -> ApiError:
    return ApiError("item_not_found", f"Item with id {quoted(item_id)} not found.", param="item_id")
