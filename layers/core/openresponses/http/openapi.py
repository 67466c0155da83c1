"""The gateway's own OpenAPI document, for `GET /openapi.json`: made from the tables that requests are checked with."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from .. import __version__
from ..engine import compaction, token_count
from ..protocol.errors import ERRORS
from ..protocol.request import CREATE_RESPONSE

Json = dict[str, Any]

RESPONSE_ID = {"name": "response_id", "in": "path", "required": True, "schema": {"type": "string"}}
CONVERSATION_ID = {**RESPONSE_ID, "name": "conversation_id"}
ITEM_ID = {**RESPONSE_ID, "name": "item_id"}
INCLUDE = {
    "name": "include",
    "in": "query",
    "schema": {"type": "array", "items": {"type": "string"}},
    "description": "`reasoning.encrypted_content` shows provider state.",
}
RESUME = [
    {
        "name": "stream",
        "in": "query",
        "schema": {"type": "boolean"},
        "description": "The events of a background response, then those still to come.",
    },
    {
        "name": "starting_after",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0},
        "description": "The sequence number after which the stream begins.",
    },
]
PAGE = [
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    },
    {
        "name": "order",
        "in": "query",
        "schema": {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
    },
    {"name": "after", "in": "query", "schema": {"type": "string"}},
    {"name": "before", "in": "query", "schema": {"type": "string"}},
]
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message", "param"],
            "properties": {
                "type": {"type": "string", "enum": sorted({kind.type for kind in ERRORS.values()})},
                "code": {"type": "string", "enum": sorted(ERRORS)},
                "message": {"type": "string"},
                "param": {"type": ["string", "null"]},
            },
        }
    },
}
# Path -> method -> (operation id, summary, parameters). A reply is JSON unless it says otherwise.
OPERATIONS: dict[str, dict[str, tuple[str, str, list[Json]]]] = {
    "/v1/responses": {
        "post": ("createResponse", "Create a response; an event stream if `stream` is true", [])
    },
    "/v1/responses/compact": {"post": ("compactResponse", "A conversation, compacted to go on from", [])},
    "/v1/responses/input_tokens": {"post": ("countInputTokens", "How many tokens a request's input has", [])},
    "/v1/responses/{response_id}": {
        "get": ("getResponse", "A stored response", [RESPONSE_ID, INCLUDE, *RESUME]),
        "delete": ("deleteResponse", "Delete a stored response", [RESPONSE_ID]),
    },
    "/v1/responses/{response_id}/input_items": {
        "get": ("listInputItems", "The input items of a stored response", [RESPONSE_ID, INCLUDE, *PAGE])
    },
    "/v1/responses/{response_id}/cancel": {
        "post": ("cancelResponse", "Stop a background response", [RESPONSE_ID])
    },
    "/v1/conversations": {"post": ("createConversation", "Create a conversation", [])},
    "/v1/conversations/{conversation_id}": {
        "get": ("getConversation", "A conversation", [CONVERSATION_ID]),
        "post": ("updateConversation", "Replace its metadata", [CONVERSATION_ID]),
        "delete": ("deleteConversation", "Delete it with its items", [CONVERSATION_ID]),
    },
    "/v1/conversations/{conversation_id}/items": {
        "get": ("listConversationItems", "The items of a conversation", [CONVERSATION_ID, INCLUDE, *PAGE]),
        "post": ("addConversationItems", "Append items", [CONVERSATION_ID]),
    },
    "/v1/conversations/{conversation_id}/items/{item_id}": {
        "get": ("getConversationItem", "One item", [CONVERSATION_ID, ITEM_ID, INCLUDE]),
        "delete": ("deleteConversationItem", "Remove one item", [CONVERSATION_ID, ITEM_ID]),
    },
    "/v1/models": {"get": ("listModels", "Model names that work here", [])},
    "/v1/models/{model}": {
        "get": (
            "getModel",
            "Whether a model name works, and its provider",
            [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}],
        )
    },
    "/healthz": {"get": ("health", "Whether the gateway runs", [])},
}

# Operation id -> the schema of its body; and those that are a part of a create request.
BODIES = {
    "createResponse": "CreateResponse",
    "compactResponse": "CompactResponse",
    "countInputTokens": "CountInputTokens",
    "createConversation": "CreateConversation",
    "updateConversation": "UpdateConversation",
    "addConversationItems": "AddItems",
}
OPTIONAL_BODIES = {"createConversation"}
PARTS = {"CompactResponse": compaction.FIELDS, "CountInputTokens": token_count.FIELDS}


def _told(kind: str, **fields: Json) -> Json:
    """An object that names its kind and has these fields."""
    properties = {"object": {"const": kind}, **fields}
    return {"type": "object", "required": list(properties), "properties": properties}


STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
NULLABLE: Json = {"type": ["string", "null"]}
OBJECTS: Json = {"type": "array", "items": {"type": "object"}}
MODEL = _told("model", id=STRING, created=INTEGER, owned_by=STRING)
CONVERSATION = _told("conversation", id=STRING, created_at=INTEGER, metadata={"type": "object"})
LIST = _told("list", data=OBJECTS, first_id=NULLABLE, last_id=NULLABLE, has_more={"type": "boolean"})
RESPONSE = _told("response", id=STRING, created_at=INTEGER, status=STRING, model=STRING, output=OBJECTS)
# Operation id → what it answers; an object where nothing more is said.
ANSWERS: dict[str, Json] = {
    **dict.fromkeys(("createResponse", "getResponse", "cancelResponse"), RESPONSE),
    **dict.fromkeys(("listInputItems", "listConversationItems", "addConversationItems"), LIST),
    **dict.fromkeys(
        ("createConversation", "getConversation", "updateConversation", "deleteConversationItem"),
        CONVERSATION,
    ),
    "compactResponse": _told("response.compaction", id=STRING, created_at=INTEGER, output=OBJECTS),
    "countInputTokens": _told("response.input_tokens", input_tokens=INTEGER),
    "deleteResponse": _told("response", id=STRING, deleted={"const": True}),
    "deleteConversation": _told("conversation.deleted", id=STRING, deleted={"const": True}),
    "listModels": _told("list", data={"type": "array", "items": MODEL}),
    "getModel": MODEL,
    "health": {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}},
}


def _schemas() -> Json:
    """The schemas of request bodies, with those that they refer to."""
    from ..protocol import conversations

    bodies = {
        "CreateResponse": CREATE_RESPONSE,
        "CreateConversation": conversations.CREATE,
        "UpdateConversation": conversations.UPDATE,
        "AddItems": conversations.ADD,
    }
    found: Json = {}
    for name, checked in bodies.items():
        schema = checked.json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {}) | {name: schema}
    return found


@cache
def document() -> Json:
    """The document, OpenAPI 3.1."""
    schemas = {**_schemas(), "Error": ERROR}
    request = schemas["CreateResponse"]
    schemas |= {name: _part(request, fields) for name, fields in PARTS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenResponses", "version": __version__},
        "paths": {
            path: {method: _operation(*row) for method, row in methods.items()}
            for path, methods in OPERATIONS.items()
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}, {}],
    }


def _part(request: Json, fields: Collection[str]) -> Json:
    """A body that has only these fields of a create request."""
    properties = {name: schema for name, schema in request["properties"].items() if name in fields}
    return {"type": "object", "properties": properties, "required": ["model"]}


def _operation(operation_id: str, summary: str, parameters: list[Json]) -> Json:
    content: Json = {"application/json": {"schema": ANSWERS.get(operation_id, {"type": "object"})}}
    operation: Json = {"operationId": operation_id, "summary": summary, "parameters": parameters}
    if schema := BODIES.get(operation_id):
        body = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
        required = operation_id not in OPTIONAL_BODIES
        operation["requestBody"] = {"required": required, "content": {"application/json": body}}
    if operation_id in ("createResponse", "getResponse"):
        content["text/event-stream"] = {"schema": {"type": "string"}}
    error = {
        "description": "Error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {**operation, "responses": {"200": {"description": "OK", "content": content}, "default": error}}
