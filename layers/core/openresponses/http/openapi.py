"""The gateway's own OpenAPI document, for `GET /openapi.json`: made from the tables that requests are checked with."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from .. import __version__
from ..engine import compaction, counting
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
}
PARTS = {"CompactResponse": compaction.FIELDS, "CountInputTokens": counting.FIELDS}


@cache
def document() -> Json:
    """The document, OpenAPI 3.1."""
    request = CREATE_RESPONSE.json_schema(ref_template="#/components/schemas/{model}")
    schemas = request.pop("$defs", {}) | {"CreateResponse": request, "Error": ERROR}
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
    content: Json = {"application/json": {"schema": {"type": "object"}}}
    operation: Json = {"operationId": operation_id, "summary": summary, "parameters": parameters}
    if schema := BODIES.get(operation_id):
        body = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
        operation["requestBody"] = {"required": True, "content": {"application/json": body}}
    if operation_id == "createResponse":
        content["text/event-stream"] = {"schema": {"type": "string"}}
    error = {
        "description": "Error",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
    return {**operation, "responses": {"200": {"description": "OK", "content": content}, "default": error}}
