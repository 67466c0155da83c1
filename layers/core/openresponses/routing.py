"""Routing: which provider serves a model name, and how it is reached. Its tables are `models.toml`, read by `catalog`.

Router.resolve(model)     -> Route: provider row, the model's name there, its profile; other routes, if it fails
Router.endpoint(provider) -> Endpoint: base URL and headers, with the key
Router.models()           -> the names that work here, for GET /v1/models
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

from .adapters.base import ModelProfile
from .catalog import AUTH, BASE_URL, NAME, Catalog, KnownModel, Place, Provider
from .protocol.errors import ApiError
from .secrets import Secrets
from .settings import Settings
from .upstream.endpoint import Endpoint
from .upstream.sigv4 import Signer

MAX_RESOLVED = 1000
VERSION_SEGMENT = re.compile(r"v\d+\w*")
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")


class Route(NamedTuple):
    """Where a request goes: the provider, the model's name there, and what is known of the model; and where it may go
    instead, in this order, when that provider fails before it has said anything."""

    provider: Provider
    model: str
    profile: ModelProfile
    fallbacks: tuple[Route, ...] = ()

    def __str__(self) -> str:
        return f"{self.provider.name}/{self.model}"


class Router:
    """Answers from the catalog, which is read at first use.

    Every method may raise SettingsError, one line that names the file, the table and the field.
    """

    def __init__(self, settings: Settings) -> None:
        self._config_path = settings.config_path
        self._environ = settings.environ
        self._resolved: dict[str, Route] = {}

    @cached_property
    def _catalog(self) -> Catalog:
        return Catalog.load(self._config_path)

    @property
    def providers(self) -> Mapping[str, Provider]:
        """All providers by name."""
        return self._catalog.providers

    def check(self) -> None:
        """Reads the tables now, so that what is wrong with them is known at the start."""
        _ = self._catalog

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The `[[tool]]` rows."""
        return self._catalog.tools

    @property
    def middlewares(self) -> list[dict[str, Any]]:
        """The `[[middleware]]` rows."""
        return self._catalog.middlewares

    @property
    def mcp(self) -> list[dict[str, Any]]:
        """The `[[mcp]]` rows."""
        return self._catalog.mcp

    def resolve(self, model: str | None) -> Route:
        """The route of a model name: an alias, else `provider/model`, else the first matching row.

        Raises ApiError "model_not_found", never falls back to a default.
        """
        if model in self._resolved:
            return self._resolved[model]
        if not model:
            raise ApiError("missing_required_parameter", "`model` is required.", param="model")
        if not _is_model_name(model):
            raise ApiError(
                "model_not_found",
                "A model name has up to 128 letters, digits and . _ : / @ -, and no empty or dotted path segment.",
                param="model",
            )
        found = self._catalog.find_asked(model)
        if found is None:
            raise ApiError("model_not_found", self._not_found(model), param="model")
        others = (self._catalog.find(name) for name in found.fallback)
        route = self._route(found)._replace(fallbacks=tuple(self._route(other) for other in others if other))
        if len(self._resolved) < MAX_RESOLVED:
            self._resolved[model] = route
        return route

    def _route(self, place: Place) -> Route:
        return Route(place.provider, place.model, self._catalog.profile(place.provider, place.model))

    def _not_found(self, model: str) -> str:
        from difflib import get_close_matches

        catalog = self._catalog
        first, slash, rest = model.partition("/")
        known = {known.id.lower(): known.id for known in catalog.known_models()}
        close = [known[name] for name in get_close_matches(model.lower(), known, n=3)]
        if slash:
            close += [f"{name}/{rest}" for name in get_close_matches(first.lower(), catalog.providers, n=1)]
        hint = f" Did you mean {' or '.join(repr(name) for name in close)}?" if close else ""
        return (
            f"No provider serves the model {model!r}.{hint} Any model of a provider works as provider/model."
        )

    async def endpoint(self, provider: Provider, secrets: Secrets, *, refresh: bool = False) -> Endpoint:
        """Base URL and headers of a provider. `refresh` reads the key afresh, after the provider refused it.

        Raises ApiError "provider_not_configured", naming the setting that is missing or wrong.
        """
        base_url = await secrets.get(provider.base_url_variable) or provider.base_url
        if not base_url:
            raise _not_configured(provider, f"has no base URL: set {provider.base_url_variable}.")
        if not BASE_URL.fullmatch(base_url):
            raise _not_configured(
                provider, f"needs an http(s) URL without a query in {provider.base_url_variable}."
            )
        signer = None
        if provider.auth == "sigv4":
            region = self._region(provider)
            base_url, signer = base_url.replace("{region}", region), Signer(provider.service, region)
        headers = dict(provider.headers)
        if auth := AUTH[provider.auth]:
            read = secrets.refresh if refresh else secrets.get
            key = await read(provider.key_variable)
            if key is None and provider.key_required:
                raise _not_configured(provider, f"has no key: set {provider.key_variable}.")
            if key and not (key.isascii() and key.isprintable()):
                raise _not_configured(provider, f"needs a key of printable ASCII in {provider.key_variable}.")
            if key:
                headers[auth[0]] = auth[1] + key
        return Endpoint(join_version(base_url, provider.version), headers, signer)

    def _region(self, provider: Provider) -> str:
        for variable in REGION_VARIABLES:
            if region := self._environ.get(variable, "").strip():
                return region
        raise _not_configured(provider, "has no AWS region: set AWS_REGION.")

    async def is_configured(self, provider: Provider, secrets: Secrets) -> bool:
        """Whether the provider has what it needs: its key, its base URL. Says nothing of whether they work."""
        try:
            await self.endpoint(provider, secrets)
        except ApiError as error:
            if error.code != "provider_not_configured":
                raise
            return False
        return True

    async def models(self, secrets: Secrets) -> list[KnownModel]:
        """The known names that work here: aliases and models of the providers that are configured."""
        ready = {p.name for p in self.providers.values() if await self.is_configured(p, secrets)}
        return [known for known in self._catalog.known_models() if known.provider in ready]


def _not_configured(provider: Provider, what: str) -> ApiError:
    return ApiError("provider_not_configured", f"The provider {provider.name!r} {what}")


def _is_model_name(name: str) -> bool:
    # "." and ".." would walk out of the path that an adapter puts the name into.
    return bool(NAME.fullmatch(name)) and not {"", ".", ".."} & set(name.split("/"))


def join_version(base_url: str, version: str) -> str:
    """The base URL with the version's segments appended, as far as it does not end in them already.

    A base URL that ends in a version of its own (`/v4`) stays as it is.
    """
    base = base_url.rstrip("/")
    _, _, path = base.partition("://")
    have, want = path.split("/")[1:], version.split("/") if version else []
    if have and VERSION_SEGMENT.fullmatch(have[-1]):
        return base
    overlap = next(n for n in range(len(want), -1, -1) if have[len(have) - n :] == want[:n])
    return "/".join([base, *want[overlap:]])
