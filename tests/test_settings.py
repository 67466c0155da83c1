"""Settings: every variable is read, checked, documented; what is wrong is said in one line."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from openresponses.settings import TABLE, Settings, SettingsError


def test_the_table_is_the_dataclass() -> None:
    assert [row.field for row in TABLE] == [of.name for of in fields(Settings) if of.name != "environ"]
    assert len({row.variable for row in TABLE}) == len(TABLE)
    for row in TABLE:
        assert row.variable.startswith("OPENRESPONSES_") and row.meaning
        assert getattr(Settings(), row.field) == row.default


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("CONFIG", " ~/mine.toml ", "config_path", "~/mine.toml"),
        ("HISTORY_TTL_DAYS", "0.5", "history_ttl_days", 0.5),
        ("MAX_BODY_BYTES", "1024", "max_body_bytes", 1024),
        ("IDLE_TIMEOUT", "7", "idle_timeout", 7.0),
        ("MAX_TURN_SECONDS", "600", "max_turn_seconds", 600.0),
        ("MAX_RETRIES", "0", "max_retries", 0),
        ("REASONING_EVENTS", "Spec", "reasoning_events", "spec"),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("REQUIRE_KEYS", "on", "require_keys", True),
        ("REQUIRE_KEYS", "False", "require_keys", False),
        ("IDLE_TIMEOUT", "", "idle_timeout", 60.0),
        ("MAX_TURN_SECONDS", "  ", "max_turn_seconds", 3600.0),
    ],
)
def test_reading(variable: str, text: str, field: str, value: Any) -> None:
    environ = {f"OPENRESPONSES_{variable}": text, "OPENAI_API_KEY": "k"}
    settings = Settings.load(environ)
    assert getattr(settings, field) == value
    assert settings.environ is environ


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1 s"])
def test_a_duration_is_a_number_above_zero(text: str) -> None:
    with pytest.raises(
        SettingsError, match=r"OPENRESPONSES_IDLE_TIMEOUT must be a number above 0 \(seconds\), not '"
    ):
        Settings.load({"OPENRESPONSES_IDLE_TIMEOUT": text})


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("MAX_BODY_BYTES", "0", "a whole number, 1 or more (bytes)"),
        ("MAX_BODY_BYTES", "8M", "a whole number, 1 or more (bytes)"),
        ("MAX_RETRIES", "-1", "a whole number, 0 or more (retries)"),
        ("MAX_RETRIES", "1.5", "a whole number, 0 or more (retries)"),
        ("REQUIRE_KEYS", "maybe", "1 or 0"),
        ("LOG_LEVEL", "LOUD", "one of DEBUG, INFO, WARNING, ERROR"),
        ("REASONING_EVENTS", "raw", "one of summary, openai, spec"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(variable: str, text: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({f"OPENRESPONSES_{variable}": text})
    assert str(caught.value) == f"OPENRESPONSES_{variable} must be {expected}, not '{text}'."


def test_overrides_win() -> None:
    assert Settings.load({"OPENRESPONSES_MAX_BODY_BYTES": "9"}, max_body_bytes=5).max_body_bytes == 5


def test_provider_settings_are_not_shown() -> None:
    assert "sk-canary" not in repr(Settings.load({"OPENAI_API_KEY": "sk-canary"}))
