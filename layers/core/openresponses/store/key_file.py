"""API keys as a file, to move them from one store to another: JSON lines, a JSON list, or CSV. Never keys themselves.

sha256       the key's SHA-256 in hex; or `key`, the key itself, of which the SHA-256 is taken
tenant       needed, as is one of the two above
name, owner  text
issued_at, expires_at   Unix seconds, or a day or time in ISO 8601 (UTC unless it says otherwise)
disabled     true or false
limits       a JSON object; in CSV its text
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..protocol.errors import ApiError
from ..tenants import EXPECTED, TENANT
from .keys import ApiKey, digest_of
from .limits import LIMITS, wrong_limit
from .retention import Retention

Json = dict[str, Any]

FIELDS = ("sha256", "key", "tenant", "name", "owner", "issued_at", "expires_at", "disabled", "limits")
RETENTION = ("retention_days", "zero_retention")
SHA256 = re.compile(r"[0-9a-f]{64}")
KEY = re.compile(r"[!-~]{20,512}")  # what is shorter could be guessed from its SHA-256
LONGEST_TEXT = 200
MOST_PROBLEMS = 20  # that are told at once


class BadKeyFile(ValueError):
    """The file cannot be taken over; `problems` has a line for each thing that is wrong, without a key."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        more = len(problems) - MOST_PROBLEMS
        told = problems[:MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        super().__init__("; ".join(told))


def as_row(key: ApiKey) -> Json:
    """What a file says of a key, without what does not apply."""
    row = {
        "sha256": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "owner": key.owner,
        "issued_at": key.issued_at,
        "expires_at": key.expires_at,
        "disabled": key.disabled,
        "limits": dict(key.limits),
    }
    return {name: value for name, value in row.items() if value not in ("", None, False, {})}


def read_keys(text: str, now: int) -> list[ApiKey]:
    """The keys in a file; `now` is when those were issued that do not say. Raises BadKeyFile."""
    keys: dict[str, ApiKey] = {}
    problems: list[str] = []
    for place, row in _rows(text):
        try:
            key = _key(row, now)
        except ValueError as error:
            problems.append(f"{place}: {error}")
            continue
        if key.id in keys:
            problems.append(f"{place}: the key {key.short_id} is there twice")
        keys[key.id] = key
    if not keys and not problems:
        problems.append("there is no key in it")
    if problems:
        raise BadKeyFile(problems)
    return list(keys.values())


# ------------------------------------------------------------------------------- the three forms


def _rows(text: str) -> Iterator[tuple[str, Any]]:
    """(where, what stands there) of each key. Raises BadKeyFile where the form itself is broken."""
    text = text.lstrip("\ufeff \r\n\t")
    if text.startswith("["):
        for number, row in enumerate(_parsed(text, "the list"), 1):
            yield f"entry {number}", row
    elif text.startswith("{"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"line {number}", _parsed(line, f"line {number}")
    else:
        reader = csv.DictReader(io.StringIO(text), restkey="", strict=True)
        try:
            for cells in reader:
                yield f"line {reader.line_num}", {k: v for k, v in cells.items() if v not in ("", None)}
        except csv.Error:
            raise BadKeyFile([f"line {reader.line_num}: this is neither JSON nor CSV"]) from None


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadKeyFile([f"{place} is not JSON"]) from None


# ------------------------------------------------------------------------------- one key


def _key(row: Any, now: int) -> ApiKey:
    """Raises ValueError that says what is wrong."""
    if not isinstance(row, dict):
        raise ValueError("not an object")
    if not row.keys() <= set(FIELDS):  # which, is not told: in a CSV file without a header it would be a key
        raise ValueError(f"has another field than {', '.join(FIELDS)}")
    tenant = row.get("tenant")
    if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
        raise ValueError(EXPECTED)
    return ApiKey(
        _digest(row),
        tenant,
        _text(row, "name"),
        _time(row, "issued_at") or now,
        _time(row, "expires_at"),
        _truth(row, "disabled"),
        _limits(row),
        _text(row, "owner"),
    )


def _digest(row: Json) -> str:
    digest, key = row.get("sha256"), row.get("key")
    if (digest is None) == (key is None):
        raise ValueError("one of sha256 and key is needed")
    if key is not None:
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise ValueError("key is not 20 to 512 visible ASCII characters")
        return digest_of(key)
    if not isinstance(digest, str) or not SHA256.fullmatch(digest.lower()):
        raise ValueError("sha256 is not 64 hexadecimal digits")
    return digest.lower()


def _text(row: Json, name: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not (value.isprintable()):
        raise ValueError(f"{name} is not a line of at most {LONGEST_TEXT} characters")
    return value


def _time(row: Json, name: str) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, str) and not value.isdecimal():
            when = datetime.fromisoformat(value)
            value = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, bool) or not 0 < float(value) < 2**40:
            raise ValueError
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} is neither Unix seconds nor a time in ISO 8601") from None


def _truth(row: Json, name: str) -> bool:
    value = row.get(name, False)
    known = {True: True, False: False, "true": True, "false": False}
    if not isinstance(value, bool | str) or (value := known.get(value)) is None:
        raise ValueError(f"{name} is neither true nor false")
    return bool(value)


def _limits(row: Json) -> Mapping[str, Any]:
    value = row.get("limits", {})
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("limits is not a JSON object") from None
    if not isinstance(value, dict):
        raise ValueError("limits is not a JSON object")
    if not value.keys() <= {*LIMITS, *RETENTION}:
        raise ValueError(f"limits has another field than {', '.join([*LIMITS, *RETENTION])}")
    if wrong := wrong_limit(value):
        raise ValueError(f"the limit {wrong[0]} is not {wrong[1]}")
    try:
        Retention.of(value)
    except ApiError:
        raise ValueError("the retention limits are not a number of days above 0, and true or false") from None
    return value
