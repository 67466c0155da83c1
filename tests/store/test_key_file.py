"""Files of API keys: three forms, one meaning; what is wrong is told all at once, and never a key."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from openresponses.store.key_file import BadKeyFile, as_row, read_keys
from openresponses.store.keys import ApiKey, digest_of

NOW = 1_800_000_000
SECRET = "or-canary-0123456789-canary"
DIGEST = digest_of(SECRET)
GOOD = {"sha256": DIGEST, "tenant": "acme"}
LIMITS = {"requests_per_minute": 60, "models": ["claude-*"], "retention_days": 7}

KEYS = [
    ApiKey(DIGEST, "acme", "laptop, old", NOW - 5, NOW + 5, False, LIMITS, "ann"),
    ApiKey("0" * 64, "other", "", NOW, disabled=True),
]


def as_csv(rows: list[dict[str, Any]]) -> str:
    names = sorted({name for row in rows for name in row})
    text = io.StringIO()
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}
        )
    return text.getvalue()


FORMS = {
    "lines": lambda rows: "\n".join(map(json.dumps, rows)),
    "list": lambda rows: json.dumps(rows, indent=2),
    "csv": as_csv,
    "csv of a spreadsheet": lambda rows: "\ufeff" + as_csv(rows).replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read(form: str) -> None:
    assert read_keys(FORMS[form]([as_row(key) for key in KEYS]), NOW) == KEYS


def test_a_key_itself_becomes_its_digest() -> None:
    (key,) = read_keys(json.dumps([{"key": SECRET, "tenant": "acme"}]), NOW)
    assert key == ApiKey(DIGEST, "acme", "", NOW)
    assert read_keys(json.dumps([{**GOOD, "sha256": DIGEST.upper()}]), NOW) == [key]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (NOW, NOW),
        (str(NOW), NOW),
        (NOW + 0.5, NOW),
        ("2027-01-15", 1_799_971_200),
        ("2027-01-15T01:00:00+01:00", 1_799_971_200),
        ("2027-01-15T00:00:00Z", 1_799_971_200),
        (None, None),
    ],
)
def test_times(value: Any, seconds: int | None) -> None:
    assert read_keys(json.dumps([{**GOOD, "expires_at": value}]), NOW)[0].expires_at == seconds


WRONG: dict[str, tuple[Any, str]] = {
    "no key": ({"tenant": "acme"}, "one of sha256 and key"),
    "both": ({**GOOD, "key": SECRET}, "one of sha256 and key"),
    "a short digest": ({**GOOD, "sha256": DIGEST[:-1]}, "64 hexadecimal"),
    "a digest that is a number": ({**GOOD, "sha256": 7}, "64 hexadecimal"),
    "a key that can be guessed": ({"key": "hunter2", "tenant": "acme"}, "20 to 512"),
    "a key with a space": ({"key": SECRET + " x", "tenant": "acme"}, "20 to 512"),
    "no tenant": ({"sha256": DIGEST}, "a-z"),
    "a tenant in capitals": ({**GOOD, "tenant": "Acme"}, "a-z"),
    "a tenant that is a number": ({**GOOD, "tenant": 7}, "a-z"),
    "a name of two lines": ({**GOOD, "name": "a\nb"}, "name is not a line"),
    "a name with no end": ({**GOOD, "name": "a" * 201}, "name is not a line"),
    "an owner that is a list": ({**GOOD, "owner": ["ann"]}, "owner is not a line"),
    "an end in words": ({**GOOD, "expires_at": "tomorrow"}, "expires_at is neither"),
    "an end that is true": ({**GOOD, "expires_at": True}, "expires_at is neither"),
    "an end before all": ({**GOOD, "expires_at": -1}, "expires_at is neither"),
    "an end after all": ({**GOOD, "expires_at": 1e300}, "expires_at is neither"),
    "maybe disabled": ({**GOOD, "disabled": "maybe"}, "neither true nor false"),
    "disabled, as a number": ({**GOOD, "disabled": 1}, "neither true nor false"),
    "limits that are text": ({**GOOD, "limits": "many"}, "not a JSON object"),
    "limits that are a list": ({**GOOD, "limits": [1]}, "not a JSON object"),
    "an unknown limit": ({**GOOD, "limits": {"rpm": 1}}, "requests_per_minute"),
    "a wrong limit": ({**GOOD, "limits": {"requests_per_minute": "many"}}, "requests_per_minute is not"),
    "a wrong retention": ({**GOOD, "limits": {"retention_days": 0}}, "days above 0"),
    "an endless retention": ({**GOOD, "limits": {"retention_days": float("inf")}}, "days above 0"),
    "a retention beyond all dates": ({**GOOD, "limits": {"retention_days": 10**15}}, "days above 0"),
    "an unknown field": ({**GOOD, "note": SECRET}, "another field"),
    "not an object": (SECRET, "not an object"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_told_without_it(what: str) -> None:
    row, words = WRONG[what]
    with pytest.raises(BadKeyFile, match=words) as refused:
        read_keys(json.dumps([GOOD, row]), NOW)
    assert str(refused.value).startswith("entry 2: ") and "canary" not in str(refused.value)


BROKEN = {
    "nothing": ("", "no key"),
    "a header": ("sha256,tenant\n", "no key"),
    "no header": (f"{SECRET},acme\n{SECRET},acme\n", "line 2: has another field"),
    "too many cells": (f"sha256,tenant\n{DIGEST},acme,{SECRET}\n", "line 2: has another field"),
    "half a list": ("[{", "not JSON"),
    "half a line": (json.dumps(GOOD) + '\n{"key": "' + SECRET, "line 2 is not JSON"),
    "a list that is deep": ("[" * 100_000, "not JSON"),
    "a quote that is open": (f'sha256,tenant\n"{DIGEST},acme\n', "neither JSON nor CSV"),
    "twice": (json.dumps([GOOD, GOOD]), "entry 2: .* twice"),
    "an object around it": (json.dumps({"keys": [GOOD]}), "another field"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_files_that_are_broken(what: str) -> None:
    text, words = BROKEN[what]
    with pytest.raises(BadKeyFile, match=words) as refused:
        read_keys(text, NOW)
    assert "canary" not in str(refused.value)


def test_all_problems_are_told_at_once_but_not_without_end() -> None:
    with pytest.raises(BadKeyFile) as refused:
        read_keys(json.dumps([{}] * 50), NOW)
    assert len(refused.value.problems) == 50
    assert "entry 20:" in str(refused.value) and "entry 21:" not in str(refused.value)
    assert str(refused.value).endswith("and 30 more")
