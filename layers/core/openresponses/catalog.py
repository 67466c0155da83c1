"""The catalog: providers, routes, aliases and models as `models.toml` and the user's own file give them.

Reads, checks and merges the tables, and answers by their order. A wrong row is a SettingsError of one line that names
the file, the table and the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple, Self

from .adapters.base import ModelProfile
from .adapters.registry import ADAPTERS, adapter_named
from .settings import SettingsError

Json = dict[str, Any]
Rows = dict[str, list[Json]]

OWN_FILE = Path(__file__).with_name("models.toml")
# How a key is sent: the header, and what stands before the key.
AUTH: dict[str, tuple[str, str] | None] = {
    "bearer": ("authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
    "api-key": ("api-key", ""),
    "sigv4": None,
    "none": None,
}
# No dots: the name stands in the tokens of `protocol.state`.
PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
BASE_URL = re.compile(r"https?://[^\s/?#]+[^\s?#]*")


@dataclass(frozen=True, slots=True)
class Provider:
    """A row of `[[provider]]`; its fields are explained in `models.toml`."""

    name: str
    adapter: str
    base_url: str | None = None
    version: str = ""
    auth: str = "bearer"
    service: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    key_variable: str = ""
    key_required: bool = True
    base_url_variable: str = ""
    models: tuple[str, ...] = ()
    request_id_header: str = ""

    @property
    def needs_key(self) -> bool:
        return self.key_required and self.auth not in ("none", "sigv4")


class Place(NamedTuple):
    """Where a name leads: the provider, the model's name there, and the names to try where that one fails."""

    provider: Provider
    model: str
    fallback: tuple[str, ...] = ()


class KnownModel(NamedTuple):
    """A name that works in `model`, and the provider that serves it."""

    id: str
    provider: str


def matches(patterns: Iterable[str], name: str) -> bool:
    """Whether a pattern matches the name; `*` stands for any characters, and nothing else is special."""
    for pattern in patterns:
        head, star, tail = pattern.partition("*")
        if not tail:
            if name.startswith(head) if star else name == head:
                return True
        elif fnmatchcase(name, pattern):
            return True
    return False


class Catalog:
    """The tables, merged. All lookups go by the order of the rows, the user's first."""

    def __init__(self, providers: Mapping[str, Provider], rows: Rows) -> None:
        self.providers = providers
        self.aliases: dict[str, Json] = {row["name"]: row for row in reversed(rows["alias"])}
        self.tools = rows["tool"]
        self.middlewares = rows["middleware"]
        self.mcp = rows["mcp"]
        self._routes = rows["route"]
        self._models = rows["model"]

    @classmethod
    def load(cls, config_path: str | None) -> Self:
        """Our tables, with those of the file at `config_path` on top. Raises SettingsError."""
        files = [OWN_FILE]
        if config_path:
            files.insert(0, Path(config_path).expanduser())
        tables = [_read(file) for file in files]
        rows = {table: [row for one in tables for row in one[table]] for table in FIELDS}
        merged: dict[str, Json] = {}
        for one in reversed(tables):
            for row in one["provider"]:
                merged[row["name"]] = merged.get(row["name"], {}) | row
        for file, one in zip(files, tables, strict=True):
            _check_names(file, one, merged)
            _check_tools(file, one["tool"])
            _check_middlewares(file, one["middleware"])
        catalog = cls({name: _provider(row) for name, row in merged.items()}, rows)
        for file, one in zip(files, tables, strict=True):
            catalog._check_targets(file, one)
        return catalog

    def find(self, name: str) -> Place | None:
        """Where a name leads; aliases are resolved already. A name with a provider in it goes to that one alone."""
        first, slash, rest = name.partition("/")
        if slash and (provider := self.providers.get(first)):
            return Place(provider, rest)
        for row in self._routes:
            if matches(row["match"], name):
                return Place(self.providers[row["provider"]], name, tuple(row.get("fallback", ())))
        return None

    def find_asked(self, name: str) -> Place | None:
        """Where the name that a client asks for leads. An alias may have a fallback of its own."""
        alias = self.aliases.get(name)
        if alias is None:
            return self.find(name)
        place = self.find(alias["target"])
        return place._replace(fallback=tuple(alias["fallback"])) if place and "fallback" in alias else place

    def profile(self, provider: Provider, model: str) -> ModelProfile:
        """What the `[[model]]` rows say: each field, and each option, from the first row that has it."""
        found: Json = {}
        options: Json = {}
        for row in self._models:
            if row.get("provider") not in (None, provider.name, provider.adapter):
                continue
            if matches(row["match"], model):
                options = row.get("options", {}) | options
                found = row | found
        window, output = found.get("context_window"), found.get("max_output_tokens")
        return ModelProfile(window, output, options, found.get("price", {}))

    def known_models(self) -> Iterator[KnownModel]:
        """Aliases, then every provider's models, under the shortest name that reaches it."""
        for alias in self.aliases:
            if found := self.find_asked(alias):
                yield KnownModel(alias, found.provider.name)
        for provider in self.providers.values():
            for model in provider.models:
                found = self.find(model)
                plain = found is not None and found.provider is provider and model not in self.aliases
                yield KnownModel(model if plain else f"{provider.name}/{model}", provider.name)

    def _check_targets(self, file: Path, rows: Rows) -> None:
        """Every name that an alias or a fallback leads to is served."""
        for table, name in (("alias", "target"), ("alias", "fallback"), ("route", "fallback")):
            for number, row in enumerate(rows[table], 1):
                targets = row.get(name, ())
                for target in [targets] if isinstance(targets, str) else targets:
                    if self.find(target) is None:
                        raise _wrong(file, table, number, name, f"no provider serves {target!r}")


def _provider(row: Json) -> Provider:
    variable = row["name"].upper().replace("-", "_")
    names: Json = {"key_variable": f"{variable}_API_KEY", "base_url_variable": f"{variable}_BASE_URL"}
    return Provider(**(names | row | {"models": tuple(row.get("models", ()))}))


# --------------------------------------------------------------------------------------- reading and checking


class Field(NamedTuple):
    """What a field of a table must be: its type, and in words and code what more is asked of it."""

    type: type
    expected: str
    ok: Callable[[Any], object] = lambda value: True
    required: bool = False


def _strings(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda values: all(isinstance(value, str) and pattern.fullmatch(value) for value in values)


def _price(values: Json) -> bool:
    amounts = all(type(value) in (int, float) and value >= 0 for value in values.values())
    return amounts and {"input", "output"} <= set(values) <= {"input", "cached_input", "output"}


def _headers(values: Json) -> bool:
    return all(isinstance(value, str) and (key + value).isascii() for key, value in values.items())


GLOB = re.compile(r"[\w.:/@*-]+", re.ASCII)
NAME = re.compile(r"[\w.:/@-]{1,128}", re.ASCII)
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
PYTHON = re.compile(r"[\w.]+:\w+")

MATCH = Field(list, "a name or a list of names, with * for any characters", _strings(GLOB), required=True)
FALLBACK = Field(list, "a list of model names", _strings(NAME))
TOKENS = Field(int, "a whole number of tokens above 0", lambda value: value > 0)
FIELDS: dict[str, dict[str, Field]] = {
    "provider": {
        "name": Field(str, "lower-case letters, digits and -", PROVIDER_NAME.fullmatch, required=True),
        "adapter": Field(
            str,
            "one of " + ", ".join(ADAPTERS) + ", or module:Class",
            lambda name: name in ADAPTERS or PYTHON.fullmatch(name),
        ),
        "base_url": Field(str, "an http(s) URL without a query", BASE_URL.fullmatch),
        "version": Field(str, "path segments, as v1", re.compile(r"[\w.-]+(/[\w.-]+)*|").fullmatch),
        "auth": Field(str, "one of " + ", ".join(AUTH), AUTH.__contains__),
        "service": Field(str, "the service's name in signatures", re.compile(r"[a-z-]+").fullmatch),
        "headers": Field(dict, "a table of header values", _headers),
        "key_variable": Field(str, "a variable's name, not the key itself", VARIABLE.fullmatch),
        "key_required": Field(bool, "true or false"),
        "base_url_variable": Field(str, "a variable's name", VARIABLE.fullmatch),
        "models": Field(list, "a list of model names", _strings(NAME)),
        "request_id_header": Field(str, "a header's name", re.compile(r"[a-z0-9-]+").fullmatch),
    },
    "route": {
        "match": MATCH,
        "provider": Field(str, "a provider's name", required=True),
        "fallback": FALLBACK,
    },
    "alias": {
        "name": Field(str, "a model name", NAME.fullmatch, required=True),
        "target": Field(str, "a model name", NAME.fullmatch, required=True),
        "fallback": FALLBACK,
    },
    "model": {
        "match": MATCH,
        "provider": Field(str, "a provider's or an adapter's name"),
        "context_window": TOKENS,
        "max_output_tokens": TOKENS,
        "options": Field(dict, "a table"),
        "price": Field(
            dict, "a table of input, output and cached_input, in US dollars per million tokens", _price
        ),
    },
    "tool": {
        "name": Field(str, "a function name", re.compile(r"[\w-]{1,64}", re.ASCII).fullmatch, required=True),
        "python": Field(str, "module:function", PYTHON.fullmatch),
        "url": Field(str, "an http(s) URL", re.compile(r"https?://\S+").fullmatch),
        "lambda": Field(str, "a function's ARN", re.compile(r"arn:aws[\w-]*:lambda:\S+").fullmatch),
        "headers": Field(dict, "a table of header values", _headers),
        "key_variable": Field(str, "a variable's name, not the key itself", VARIABLE.fullmatch),
        "description": Field(str, "a text for the model"),
        "parameters": Field(
            dict, "a JSON Schema of type object", lambda value: value.get("type") == "object"
        ),
        "timeout": Field(float, "seconds, as 30.0", lambda value: value > 0),
        "always": Field(bool, "true or false"),
    },
}
FIELDS["mcp"] = {
    "label": Field(
        str,
        "a label for requests to name it by",
        re.compile(r"[a-zA-Z][\w-]{0,63}", re.ASCII).fullmatch,
        True,
    ),
    "url": Field(str, "an http(s) URL", re.compile(r"https?://\S+").fullmatch, required=True),
    "headers": FIELDS["tool"]["headers"],
    "key_variable": FIELDS["tool"]["key_variable"],
    "description": FIELDS["tool"]["description"],
    "allowed_tools": Field(
        list, "a list of tool names", lambda names: all(isinstance(name, str) for name in names)
    ),
    "approval": Field(str, "always, never or writes", ("always", "never", "writes").__contains__),
    "timeout": FIELDS["tool"]["timeout"],
    "always": FIELDS["tool"]["always"],
}
TOOL_KINDS = ("python", "url", "lambda")
FIELDS["middleware"] = {
    "use": Field(str, "the name of one that ships", re.compile(r"[a-z_]+").fullmatch),
    "python": Field(str, "module:Class", PYTHON.fullmatch),
    "tenants": Field(
        list, "a list of tenants' names, with * for any characters", _strings(re.compile(r"[a-z0-9*-]+"))
    ),
}
WITH_OPTIONS = frozenset({"middleware"})  # tables whose rows have fields of their own beside these


def _wrong(file: Path, table: str, number: int, field: str, what: str) -> SettingsError:
    return SettingsError(f"{file}: [[{table}]] number {number}: {field}: {what}.")


def _read(file: Path) -> Rows:
    """A file's rows by table, each checked by itself."""
    import tomllib

    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"OPENRESPONSES_CONFIG: cannot read {file}: {error.strerror}.") from None
    except ValueError as error:
        raise SettingsError(f"{file}: not valid TOML: {error}.") from None
    rows: Rows = {table: [] for table in FIELDS}
    for table, found in data.items():
        if table not in FIELDS or not isinstance(found, list):
            known = ", ".join(f"[[{name}]]" for name in FIELDS)
            raise SettingsError(f"{file}: {table}: unknown; the tables are {known}.")
        rows[table] = [_checked(file, table, number, row) for number, row in enumerate(found, 1)]
    return rows


def _checked(file: Path, table: str, number: int, row: Any) -> Json:
    if not isinstance(row, dict):
        raise SettingsError(f"{file}: {table}: write it as [[{table}]].")
    fields = FIELDS[table]
    if isinstance(row.get("match"), str):
        row["match"] = [row["match"]]
    for name, value in row.items():
        if name not in fields:
            if table in WITH_OPTIONS:
                continue
            raise _wrong(file, table, number, name, "unknown; the fields are " + ", ".join(fields))
        wanted = fields[name]
        if type(value) is not wanted.type or not wanted.ok(value):
            raise _wrong(file, table, number, name, f"must be {wanted.expected}")
    for name, wanted in fields.items():
        if wanted.required and name not in row:
            raise _wrong(file, table, number, name, "is missing")
    return row


def _check_names(file: Path, rows: Rows, providers: Mapping[str, Json]) -> None:
    """What only the merged tables can tell: every provider is whole, and every provider that is named exists."""
    for number, row in enumerate(rows["provider"], 1):
        if "adapter" not in providers[row["name"]]:
            raise _wrong(file, "provider", number, "adapter", "is missing")
        _check_own_adapter(file, number, row.get("adapter", ""))
    for table, known in (("route", {*providers}), ("model", {*providers, *ADAPTERS})):
        for number, row in enumerate(rows[table], 1):
            if (name := row.get("provider")) is not None and name not in known:
                raise _wrong(file, table, number, "provider", f"there is no provider {name!r}")


def _check_own_adapter(file: Path, number: int, name: str) -> None:
    """An operator's own adapter is imported now, so that what is wrong with it is told before the first turn."""
    if ":" not in name:
        return
    try:
        adapter_named(name)
    except (ImportError, AttributeError, TypeError) as error:
        raise _wrong(file, "provider", number, "adapter", f"{name!r} is no adapter: {error}") from None


def _check_tools(file: Path, rows: list[Json]) -> None:
    for number, row in enumerate(rows, 1):
        if sum(kind in row for kind in TOOL_KINDS) != 1:
            raise _wrong(file, "tool", number, "python", "give one of " + ", ".join(TOOL_KINDS))


def _check_middlewares(file: Path, rows: list[Json]) -> None:
    for number, row in enumerate(rows, 1):
        if ("use" in row) == ("python" in row):
            raise _wrong(file, "middleware", number, "use", "give this or python")
