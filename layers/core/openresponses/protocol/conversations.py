"""The bodies of the conversation routes, checked like those of responses. Source: OpenAI's Conversations API."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from .errors import ApiError
from .items import Item
from .request import Metadata, validation_error
from .sources import check_sources

Json = dict[str, Any]
STRICT = ConfigDict(strict=True)
MAX_ITEMS = 20  # in one request

Items = Annotated[list[Item], Field(max_length=MAX_ITEMS)]


@with_config(STRICT)
class CreateConversation(TypedDict):
    items: NotRequired[Items | None]
    metadata: NotRequired[Metadata | None]


@with_config(STRICT)
class AddItems(TypedDict):
    items: Items


@with_config(STRICT)
class UpdateConversation(TypedDict):
    metadata: Metadata | None


CREATE: TypeAdapter[Any] = TypeAdapter(CreateConversation)
ADD: TypeAdapter[Any] = TypeAdapter(AddItems)
UPDATE: TypeAdapter[Any] = TypeAdapter(UpdateConversation)


def parse_conversation(value: Json) -> Json:
    """The checked body of `POST /v1/conversations`, without nulls. Raises ApiError."""
    body = _checked(CREATE, value)
    _check_items(body.get("items") or [])
    return {key: given for key, given in body.items() if given is not None}


def parse_items(value: Json) -> list[Json]:
    """The items of `POST /v1/conversations/{id}/items`. Raises ApiError."""
    items: list[Json] = _checked(ADD, value)["items"]
    if not items:
        raise ApiError("invalid_value", "'items' must not be empty.", param="items")
    _check_items(items)
    return items


def parse_metadata(value: Json) -> Json:
    """The metadata of `POST /v1/conversations/{id}`; null empties it. Raises ApiError."""
    return _checked(UPDATE, value)["metadata"] or {}


def _checked(adapter: TypeAdapter[Any], value: Json) -> Json:
    try:
        checked: Json = adapter.validate_python(value)
    except ValidationError as error:
        raise validation_error(error, value) from None
    return checked


def _check_items(items: list[Json]) -> None:
    for index, item in enumerate(items):
        if item.get("type", "message" if "role" in item else None) in (None, "item_reference"):
            path = f"items[{index}]"
            raise ApiError(
                "invalid_value", f"'{path}' must be an item, not a reference to one.", param=f"{path}.type"
            )
    check_sources(items, "items")
