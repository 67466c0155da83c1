"""Fills the marked blocks of README.md and docs/ from the code's own tables, or says which are stale.

    python -m scripts.docs [--check]

A block is what stands between `<!-- generated:NAME -->` and `<!-- end -->`; NAME is a row of BLOCKS.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from openresponses.adapters.echo import COMMANDS
from openresponses.catalog import AUTH, FIELDS, OWN_FILE, Catalog, Provider
from openresponses.cli.serve import greeting as greeting_of
from openresponses.http.openapi import OPERATIONS
from openresponses.protocol.errors import ERRORS
from openresponses.routing import Router
from openresponses.settings import TABLE, Setting, Settings

from . import commands, costs, events, features, fields, hosted, limits, observability

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"<!-- generated:([a-z-]+) -->\n(.*?)<!-- end -->", re.DOTALL)
APIS = {
    "openai": "OpenAI Responses",
    "anthropic": "Anthropic Messages",
    "gemini": "Gemini generateContent",
    "ollama": "Ollama chat",
    "chat": "Chat Completions",
    "bedrock": "Bedrock Converse",
    "echo": "built in",
}
ERROR_MEANINGS = {
    "invalid_value": "A value that is not allowed; `param` names it",
    "invalid_type": "A value of the wrong type",
    "invalid_json": "The body is not a JSON object",
    "missing_required_parameter": "A field that must be there is not",
    "unsupported_parameter": "A feature that this provider, or this gateway, has no place for",
    "unsupported_value": "A value that this provider has no place for",
    "context_length_exceeded": "The input is longer than the model's context window",
    "invalid_prompt": "The provider, or a content filter of yours, refuses the content of the input",
    "message_too_large": "An event does not fit into a message of the WebSocket, on AWS",
    "websocket_connection_limit_reached": "The WebSocket has been open for as long as one may be",
    "invalid_api_key": "No key, or one that is unknown, expired or disabled",
    "permission_denied": "This key may not do that, or its budget is in dollars and the model has no price",
    "not_found": "There is nothing at this path",
    "model_not_found": "No route for the model, its provider does not know it, or this tenant or key may not use it",
    "response_not_found": "No such stored response: never was, deleted, expired, or another tenant's",
    "item_not_found": "An `item_reference` that leads nowhere",
    "previous_response_not_found": "The same of `previous_response_id`, or of a turn before it",
    "conversation_not_found": "No such conversation",
    "method_not_allowed": "This path does not have this method",
    "conflict": "A request with this `Idempotency-Key` runs, or its response is not stored any more",
    "request_timeout": "The body did not come to its end in time",
    "request_too_large": "The body is over the limit",
    "rate_limit_exceeded": "The provider's rate limit, or a limit or budget of the gateway's; `Retry-After` says when",
    "insufficient_quota": "The account at the provider is spent",
    "server_error": "The gateway failed; its log has the `x-request-id`",
    "model_error": "The model's answer cannot be used, or the provider says that it failed",
    "provider_not_configured": "The provider has no key or base URL; the message names the setting",
    "provider_authentication_failed": "The provider refuses the gateway's key",
    "provider_unavailable": "The provider cannot be reached, or hung up in mid-answer",
    "provider_error": "The provider failed",
    "provider_invalid_response": "The provider sent what cannot be read",
    "server_is_overloaded": "Provider, gateway or store are overloaded, or it is stopping; `Retry-After` says when",
    "time_limit": "The connection has reached its time limit; the stream can be resumed",
    "provider_timeout": "The provider was silent for too long",
}


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def code(value: object) -> str:
    return f"`{value}`" if value not in (None, "") else ""


# --------------------------------------------------------------------------- providers


def _catalog() -> Catalog:
    return Catalog.load(None)


def _key(provider: Provider) -> str:
    if provider.auth == "none":
        return "none needed"
    if provider.auth == "sigv4":
        return "IAM"
    return code(provider.key_variable) + ("" if provider.key_required else " (optional)")


def providers() -> str:
    rows = [
        (code(p.name), APIS[p.adapter], _key(p), "" if p.adapter == "echo" else code(p.base_url_variable),
         "" if p.adapter == "echo" else code(p.base_url) or "none: must be set")
        for p in _catalog().providers.values()
    ]  # fmt: skip
    return table(("Provider", "API", "Key", "Base URL", "Default base URL"), rows)


def provider_variables() -> str:
    rows: list[tuple[str, str]] = []
    for p in _catalog().providers.values():
        if p.auth not in ("none", "sigv4"):
            needed = "" if p.key_required else ", if it wants one"
            rows.append((code(p.key_variable), f"Key of `{p.name}`{needed}"))
        if p.adapter != "echo":
            default = f"default `{p.base_url}`" if p.base_url else "has no default: must be set"
            rows.append((code(p.base_url_variable), f"Base URL of `{p.name}`; {default}"))
    return table(("Variable", "What"), rows)


def routes() -> str:
    import tomllib

    rows = tomllib.loads(OWN_FILE.read_text(encoding="utf-8"))["route"]
    return table(
        ("Model names", "Provider"), ((" ".join(map(code, r["match"])), code(r["provider"])) for r in rows)
    )


def models() -> str:
    rows = [(code(p.name), " ".join(map(code, p.models))) for p in _catalog().providers.values() if p.models]
    return table(("Provider", "Listed by `GET /v1/models`"), rows)


def config_file() -> str:
    rows = [
        (f"`[[{name}]]`", code(field), rule.expected, "yes" if rule.required else "")
        for name, fields in FIELDS.items()
        for field, rule in fields.items()
    ]
    return table(("Table", "Field", "Value", "Required"), rows)


def auth() -> str:
    return table(
        ("`auth`", "Header"),
        (
            (code(name), code(f"{found[0]}: {found[1]}KEY") if found else "none")
            for name, found in AUTH.items()
        ),
    )


# --------------------------------------------------------------------------- features


def _features(rows: tuple[features.Feature, ...], chosen: dict[str, str]) -> str:
    return table(("", *map(code, chosen)), features.matrix(rows, chosen))


def features_short() -> str:
    rows = (*features.INPUT, *features.TOOLS, *features.OUTPUT, *features.HOSTED)
    chosen = features.MODELS | {"groq": features.CHAT_MODELS["groq"]}
    return _features(tuple(row for row in rows if row.short), chosen)


def _of(rows: tuple[features.Feature, ...]) -> Callable[[], str]:
    both = (features.MODELS, features.CHAT_MODELS)
    return lambda: "\n".join(_features(rows, chosen) for chosen in both)


def feature_models() -> str:
    rows = (features.MODELS | features.CHAT_MODELS).items()
    return table(("Provider", "Asked for the model"), ((code(name), code(model)) for name, model in rows))


# --------------------------------------------------------------------------- the rest


def _default(row: Setting) -> str:
    if row.default is None:
        return "not set"
    if isinstance(row.default, bool):
        return code(int(row.default))
    return code(f"{row.default:g}" if isinstance(row.default, float) else row.default)


def settings() -> str:
    rows = [(code(r.variable), _default(r), r.unit or r.kind.expected, r.meaning) for r in TABLE]
    return table(("Variable", "Default", "Unit or values", "Meaning"), rows)


def errors() -> str:
    rows = [
        (
            code(name),
            kind.status,
            code(kind.type),
            "yes" if kind.retryable else "",
            ERROR_MEANINGS.get(name, ""),
        )
        for name, kind in sorted(ERRORS.items(), key=lambda row: row[1].status)
    ]
    return table(("`code`", "HTTP status", "`type`", "A retry can help", "When"), rows)


def echo() -> str:
    return table(
        ("Line", "What it does"),
        ((code(f"{name} {what}".strip()), does) for name, (what, does) in COMMANDS.items()),
    )


def endpoints() -> str:
    rows = [(code(f"{m.upper()} {path}"), row[1]) for path, ms in OPERATIONS.items() for m, row in ms.items()]
    others = [
        ("`GET /v1/responses`, upgraded", "A WebSocket: the same, as frames"),
        ("`GET /openapi.json`", "The HTTP requests as OpenAPI 3.1"),
        ("`GET /`", "The playground, a page for a browser"),
    ]
    return table(("Request", "What"), [*rows, *others])


def greeting() -> str:
    return f"```text\n{greeting_of('127.0.0.1', 4000, Router(Settings.load({})), {})}\n```\n"


def stream_events() -> str:
    rows = [
        (code(name), " ".join(map(code, fields)), meaning) for name, fields, meaning in events.catalogue()
    ]
    return table(("Event", "Fields", "Meaning"), rows)


def hosted_events() -> str:
    rows = [(code(name), " ".join(map(code, fields))) for name, fields in events.hosted()]
    return table(("Event", "Fields"), rows)


def limits_of(group: Callable[[], list[limits.Row]]) -> Callable[[], str]:
    return lambda: table(("What", "Limit"), group())


def fidelity_requests() -> str:
    from tests.traces.requests.reasons import REASONS

    return table(("Provider", "What", "Why"), ((code(row.dialect), row.what, row.why) for row in REASONS))


def fidelity_refusals() -> str:
    from tests.traces.requests.reasons import REFUSALS

    rows = ((code(row.dialect), row.what, row.why) for row in REFUSALS)
    return table(("Provider", "What", "Why"), rows)


def hosted_kinds() -> str:
    rows = ((code(name), *cells) for name, *cells in hosted.kinds())
    return table(("Tool", *map(code, hosted.PROVIDERS)), rows)


def hosted_options() -> str:
    rows = ((code(name), *cells) for name, *cells in hosted.options())
    return table(("Option", *map(code, hosted.PROVIDERS)), rows)


def hosted_items() -> str:
    rows = ((code(name), *cells, why) for name, *cells, why in hosted.items())
    return table(("Item", *map(code, hosted.PROVIDERS), "Not sent"), rows)


def request_fields() -> str:
    rows = fields.matrix()
    return table(
        ("Field", *map(code, fields.PROVIDERS), "By the gateway"),
        ((code(name), *cells, why) for name, *cells, why in rows),
    )


def faults() -> str:
    from . import faults

    return table(faults.HEAD, faults.rows())


def _line(name: str) -> Callable[[], str]:
    return lambda: table(("Field", "What"), observability.attribute_rows(name))


BLOCKS: dict[str, Callable[[], str]] = {
    "metrics": lambda: table(("CloudWatch", "Prometheus", "By", "What"), observability.metric_rows()),
    "log-fields": lambda: table(("Field", "What"), observability.field_rows()),
    "turn-line": _line("turn ended"),
    "sample-line": _line("sample ended"),
    "tool-line": _line("tool ended"),
    "greeting": greeting,
    "providers": providers,
    "provider-variables": provider_variables,
    "routes": routes,
    "models": models,
    "config-file": config_file,
    "auth": auth,
    "features-short": features_short,
    "feature-models": feature_models,
    "input": _of(features.INPUT),
    "tools": _of(features.TOOLS),
    "output": _of(features.OUTPUT),
    "knobs": _of(features.KNOBS),
    "hosted": _of(features.HOSTED),
    "settings": settings,
    "errors": errors,
    "echo": echo,
    "endpoints": endpoints,
    "events": stream_events,
    "hosted-events": hosted_events,
    **{f"limits-{name}": limits_of(group) for name, group in limits.GROUPS.items()},
    "costs": costs.table,
    "faults": faults,
    "fidelity-requests": fidelity_requests,
    "fidelity-refusals": fidelity_refusals,
    "request-fields": request_fields,
    "hosted-kinds": hosted_kinds,
    "hosted-options": hosted_options,
    "hosted-items": hosted_items,
    "commands": commands.reference,
}


def filled(text: str) -> str:
    """The page with every block as the code has it now. Raises KeyError for a block that BLOCKS does not know."""
    return BLOCK.sub(lambda found: f"<!-- generated:{found[1]} -->\n{BLOCKS[found[1]]()}<!-- end -->", text)


def main(arguments: list[str]) -> int:
    """Writes the pages; with --check only says which are stale, and returns 1 if any is."""
    stale = [(page, text) for page in PAGES if (text := filled(page.read_text())) != page.read_text()]
    for page, text in stale:
        if "--check" in arguments:
            print(f"{page.relative_to(ROOT)} is stale: run make docs", file=sys.stderr)
        else:
            page.write_text(text)
            print(f"{page.relative_to(ROOT)} brought up to date")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
