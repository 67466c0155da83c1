"""What both generators throw: odd texts and values, and damage to JSON and to its bytes.

Everything is drawn from a `random.Random`: one with a seed of its own for each case of `make fuzz`, so that a case can
be made again from its number, or Hypothesis's, which then shrinks what fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

Json = dict[str, Any]

# Stands in every text that plays a prompt, an output or an argument: nothing of it may come back in an error or a log.
CANARY = "canary-of-the-fuzzer"

ODD_TEXTS = (
    "", " ", "\x00", "\x7f", "\r\n", "\n\ndata: {}\n\n", "event: response.completed\ndata: {}",
    "data: [DONE]", ": hi",
    "\u2028", "\u2029", "\x85", "\ufeff", "\ufffd", "\uffff", "\U0010ffff", "\u202e", "e\u0301",
    "\U0001f9d1\u200d\U0001f680",
    "../../etc/passwd", "%00", "%2e%2e%2f", "{}", "[]", "null",
    "'; DROP TABLE responses; --", "${jndi:ldap://x}", "x" * 300,
    "\ud7ff", "İ", "ß", "\u0660\u0661", "²", "NaN", "Infinity", "-0", "9" * 5000, "x-evil: 1\r\nset-cookie: a=b",
)  # fmt: skip
NONSENSE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 0.1, -0.0, 1e300, 5e-324, "", "x", [],
    {}, [None], [[]], {"type": "x"}, {"type": None}, {"type": {}}, {"type": []}, {"": ""}, {"id": 1}, {"$ref": "#"},
)  # fmt: skip


def text(dice: Random) -> str:
    kind = dice.random()
    if kind < 0.6:
        return dice.choice(("Hello", "Go on.", "What is it?")) + " " + CANARY
    if kind < 0.9:
        return dice.choice(ODD_TEXTS)
    return "".join(dice.choice(ODD_TEXTS[1:]) for _ in range(dice.randrange(1, 5)))


def nonsense(dice: Random) -> Any:
    if dice.random() < 0.3:
        return dice.choice(ODD_TEXTS)
    if dice.random() < 0.05:
        return nested(dice.choice((50, 190, 250, 400)), dice.choice(("list", "object")))
    # a fresh copy: what is made may be damaged further
    return json.loads(json.dumps(dice.choice(NONSENSE)))


def nested(depth: int, kind: str) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value}
    return value


# --------------------------------------------------------------------------- damage to a value


def spots(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything within the value, without recursion: values may be deep."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        at = waiting.pop()
        keys = list(at) if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ()
        for key in keys:
            found.append((at, key))
            waiting.append(at[key])
    return found


def _replace(dice: Random, container: Any, key: Any) -> None:
    container[key] = nonsense(dice)


def _remove(dice: Random, container: Any, key: Any) -> None:
    del container[key]


def _wrap(dice: Random, container: Any, key: Any) -> None:
    container[key] = [container[key]] if dice.random() < 0.5 else {dice.choice(("type", "x")): container[key]}


def _unwrap(dice: Random, container: Any, key: Any) -> None:
    inner = container[key]
    if isinstance(inner, dict | list) and inner:
        container[key] = dice.choice(list(inner.values()) if isinstance(inner, dict) else inner)


def _rename(dice: Random, container: Any, key: Any) -> None:
    if isinstance(container, dict):
        container[dice.choice((*ODD_TEXTS, "type", "id", "x"))] = container.pop(key)


def _repeat(dice: Random, container: Any, key: Any) -> None:
    inner = container[key]
    if (isinstance(inner, str) and len(inner) < 1000) or (isinstance(inner, list) and len(inner) < 20):
        container[key] = inner * dice.choice((2, 10, 100))


def _odd_text(dice: Random, container: Any, key: Any) -> None:
    if isinstance(container[key], str):
        at = dice.randrange(len(container[key]) + 1)
        container[key] = container[key][:at] + dice.choice(ODD_TEXTS) + container[key][at:]


def _swap(dice: Random, container: Any, key: Any) -> None:
    other = dice.choice(list(container) if isinstance(container, dict) else range(len(container)))
    container[key], container[other] = container[other], container[key]


DAMAGES: tuple[Callable[[Random, Any, Any], None], ...] = (
    _replace, _replace, _remove, _wrap, _unwrap, _rename, _repeat, _odd_text, _odd_text, _swap,
)  # fmt: skip


def damage(dice: Random, value: Any) -> None:
    """Changes something within the value, if there is anything."""
    if places := spots(value):
        dice.choice(DAMAGES)(dice, *dice.choice(places))


# --------------------------------------------------------------------------- damage to bytes


def written(value: Any) -> bytes:
    """As JSON; what JSON cannot say is written as Python does (NaN, surrogates)."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except (UnicodeEncodeError, RecursionError):
        return b"{}"


def _flip(dice: Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]


def _cut(dice: Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data))]


def _insert(dice: Random, data: bytes) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice(FRAGMENTS) + data[at:]


def _for_a_value(dice: Random, data: bytes) -> bytes:
    """A fragment where a value stood."""
    at = data.find(b":", dice.randrange(len(data))) + 1
    ends = [place for mark in (b",", b"}") if (place := data.find(mark, at)) > 0]
    return data[:at] + dice.choice(FRAGMENTS) + data[min(ends, default=len(data)) :]


def _twice(dice: Random, data: bytes) -> bytes:
    """The object's keys twice, the second time perhaps with other values."""
    inner = data[1:-1]
    return b"{" + inner + b"," + (inner if dice.random() < 0.5 else b'"model":1,"input":2,"type":3') + b"}"


FRAGMENTS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e-999", b"1" * 400, b"0x10", b"01", b"'a'",
    b"undefined", b"//", b"/**/",
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\u0000"', b'"\x00"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"',
    b'"\\x"', b'"\n"',
    b"[" * 3000, b'{"a":' * 3000, b"[" * 200 + b"]" * 200, b"\xef\xbb\xbf", b"\x1f\x8b", b"\x00", b",", b"}",
    b"]", b"null",
)  # fmt: skip
BYTE_DAMAGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    _flip,
    _flip,
    _cut,
    _insert,
    _for_a_value,
    _twice,
)


def damaged_bytes(dice: Random, data: bytes) -> bytes:
    return dice.choice(BYTE_DAMAGES)(dice, data) if data else dice.choice(FRAGMENTS)
