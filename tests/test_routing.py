"""Routing: every prefix reaches its provider, a user's file lies on top of ours, nothing falls back in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from openresponses.catalog import Provider
from openresponses.protocol.errors import ApiError
from openresponses.routing import Route, Router, join_version
from openresponses.secrets import EnvironmentSecrets
from openresponses.settings import Settings, SettingsError


def router(tmp_path: Path, user: str = "") -> Router:
    """A router, with the user's file if there is one."""
    if not user:
        return Router(Settings())
    file = tmp_path / "mine.toml"
    file.write_text(user)
    return Router(Settings(config_path=str(file)))


def where(route: Route) -> tuple[str, str]:
    return route.provider.name, route.model


def refused(given: Router, model: str | None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        given.resolve(model)
    assert caught.value.param == "model"
    return caught.value


# --------------------------------------------------------------------------- our own rows

OPENAI = ["gpt-4o", "gpt-5.6-sol", "o1-pro", "o3", "o4-mini", "chatgpt-4o-latest", "codex-mini-latest"]
OLLAMA = [
    "llama3.2:1b",
    "mistral",
    "phi4",
    "qwen3:14b",
    "gemma3:1b",
    "deepseek-r1:8b",
    "gpt-oss:20b",
    "gpt-oss-safeguard",
]


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        *((model, "openai", model) for model in [*OPENAI, "computer-use-preview", "ft:gpt-4o:acme::1"]),
        *((model, "ollama", model) for model in OLLAMA),
        ("claude-opus-4-6", "anthropic", "claude-opus-4-6"),
        ("gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("deepseek-chat", "deepseek", "deepseek-chat"),
        ("grok-4", "xai", "grok-4"),
        ("echo", "echo", "echo"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("ollama/gpt-4o", "ollama", "gpt-4o"),
        ("groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"),
        ("openrouter/meta-llama/llama-3", "openrouter", "meta-llama/llama-3"),
        ("lmstudio/openai/gpt-oss-20b", "lmstudio", "openai/gpt-oss-20b"),
        ("vllm/anything", "vllm", "anything"),
        ("azure/my-deployment", "azure", "my-deployment"),
    ],
)
def test_where_a_name_goes(tmp_path: Path, model: str, provider: str, name: str) -> None:
    given = router(tmp_path)
    assert where(given.resolve(model)) == (provider, name)
    assert given.resolve(model) is given.resolve(model), "the second time it is remembered"


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("gtp-4o", "'gpt-4o'"),
        ("Claude-Opus-4-6", "'claude-opus-4-6'"),
        ("openia/gpt-4o", "'openai/gpt-4o'"),
        ("echoes", "'echo'"),
        ("meta-llama/llama-3", "provider/model"),
    ],
)
def test_no_match_names_close_ones(tmp_path: Path, model: str, hint: str) -> None:
    error = refused(router(tmp_path), model)
    assert (error.code, error.status) == ("model_not_found", 404)
    assert hint in error.message


@pytest.mark.parametrize(
    "model", ["gpt-4o?x=1", "gpt 4o", "gpt-4o\n", "gpt-4ö", "a" * 129, "gpt-4o#", "%2e%2e"]
)
def test_names_outside_the_grammar(tmp_path: Path, model: str) -> None:
    assert refused(router(tmp_path), model).code == "model_not_found"


@pytest.mark.parametrize(
    "model", ["gemini/../../v1/files", "gemini/..", "gemini/.", "openai/", "/gpt-4o", "openai//gpt-4o"]
)
def test_a_name_cannot_leave_its_path(tmp_path: Path, model: str) -> None:
    assert refused(router(tmp_path), model).code == "model_not_found"


@pytest.mark.parametrize("model", [None, ""])
def test_there_is_no_default_model(tmp_path: Path, model: str | None) -> None:
    assert refused(router(tmp_path), model).code == "missing_required_parameter"


def test_what_is_known_of_a_model(tmp_path: Path) -> None:
    profile = router(tmp_path).resolve("gpt-4o-mini").profile
    assert (profile.context_window, profile.max_output_tokens) == (128_000, 16_384)
    assert profile.options["encrypted_reasoning"] is False
    assert "encrypted_reasoning" not in router(tmp_path).resolve("gpt-5.4").profile.options
    unknown = router(tmp_path).resolve("echo/anything").profile
    assert (unknown.context_window, unknown.max_output_tokens, unknown.options) == (None, None, {})


# --------------------------------------------------------------------------- a user's rows

USER = """
[[provider]]
name = "house"
adapter = "chat"
base_url = "http://10.0.0.7:8000/v4"
key_required = false
models = ["tiny", "gpt-4o"]

[[provider]]
name = "openai"
base_url = "https://proxy.example.com"
key_variable = "PROXY_KEY"

[[route]]
match = ["gpt-4o-mini", "gpt-5*"]
provider = "house"

[[route]]
match = "gpt-5.4"
provider = "anthropic"

[[route]]
match = "meta-llama/*-turbo"
provider = "together"

[[alias]]
name = "fast"
target = "groq/llama-3.1-8b-instant"

[[alias]]
name = "gpt-4.1"
target = "gpt-4o"

[[alias]]
name = "gpt-4.1"
target = "gpt-5"

[[model]]
match = "gpt-4o*"
max_output_tokens = 1000
options = { encrypted_reasoning = true, extra = 1 }

[[model]]
match = "gpt-4o"
provider = "house"
context_window = 5
"""


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("gpt-4o-mini", "house", "gpt-4o-mini"),  # before our gpt-*
        ("gpt-5.4", "house", "gpt-5.4"),  # the first of the user's own two
        ("gpt-4o", "openai", "gpt-4o"),  # ours still stand behind
        ("openai/gpt-5", "openai", "gpt-5"),  # a provider's name comes before all routes
        ("meta-llama/llama-3-turbo", "together", "meta-llama/llama-3-turbo"),
        ("fast", "groq", "llama-3.1-8b-instant"),
        ("gpt-4.1", "openai", "gpt-4o"),  # of two aliases, the first
        ("house/tiny", "house", "tiny"),
    ],
)
def test_user_rows_overlap_ours_in_their_order(tmp_path: Path, model: str, provider: str, name: str) -> None:
    assert where(router(tmp_path, USER).resolve(model)) == (
        provider,
        name,
    )


def test_an_alias_of_an_alias_is_refused(tmp_path: Path) -> None:
    user = '[[alias]]\nname = "a"\ntarget = "echo"\n[[alias]]\nname = "b"\ntarget = "a"\n'
    with pytest.raises(SettingsError, match="number 2: target: no provider serves 'a'"):
        router(tmp_path, user).check()


def test_a_user_row_changes_only_the_fields_that_it_gives(tmp_path: Path) -> None:
    row = router(tmp_path, USER).providers["openai"]
    assert (row.base_url, row.key_variable) == ("https://proxy.example.com", "PROXY_KEY")
    assert (row.adapter, row.version, row.base_url_variable) == ("openai", "v1", "OPENAI_BASE_URL")
    assert row.models


def test_model_rows_are_merged_field_by_field(tmp_path: Path) -> None:
    given = router(tmp_path, USER)
    profile = given.resolve("gpt-4o").profile
    assert (profile.context_window, profile.max_output_tokens) == (128_000, 1000)
    assert profile.options == {"encrypted_reasoning": True, "extra": 1}
    assert given.resolve("house/gpt-4o").profile.context_window == 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[provider]", "not valid TOML"),
        ("[provider]\nname = 'x'", "provider: unknown; the tables are"),
        ("[[providers]]\nname = 'x'", "providers: unknown; the tables are [[provider]], [[route]]"),
        ("provider = [1]", "provider: write it as [[provider]]"),
        ("[[provider]]\nadapter = 'chat'", "[[provider]] number 1: name: is missing"),
        ("[[provider]]\nname = 'x'", "[[provider]] number 1: adapter: is missing"),
        ("[[provider]]\nname = 'x'\nadapter = 'soap'", "adapter: must be one of openai, anthropic"),
        (
            "[[provider]]\nname = 'x'\nadapter = 'no_such_file:It'",
            "'no_such_file:It' is no adapter: No module",
        ),
        ("[[provider]]\nname = 'x'\nadapter = 'json:JSONDecoder'", "is no adapter: it has no build()"),
        ("[[provider]]\nname = 'X.y'\nadapter = 'chat'", "name: must be lower-case"),
        (
            "[[provider]]\nname = 'x'\nadapter = 'chat'\nbase_url = 'ftp://x'",
            "base_url: must be an http(s) URL",
        ),
        (
            "[[provider]]\nname = 'x'\nadapter = 'chat'\nkey = 'sk-1'",
            "key: unknown; the fields are name, adapter",
        ),
        ("[[provider]]\nname = 'x'\nadapter = 'chat'\nkey_variable = 'sk-1'", "not the key itself"),
        ("[[provider]]\nname = 'x'\nadapter = 'chat'\nauth = 'basic'", "auth: must be one of bearer"),
        ("[[provider]]\nname = 'x'\nadapter = 'chat'\nheaders = {a = 1}", "headers: must be"),
        ("[[route]]\nmatch = 'x*'\nprovider = 'nowhere'", "provider: there is no provider 'nowhere'"),
        (
            "[[route]]\nmatch = 'a'\nprovider = 'echo'\n[[route]]\nprovider = 'echo'",
            "[[route]] number 2: match: is missing",
        ),
        ("[[route]]\nmatch = ['a[b]']\nprovider = 'echo'", "match: must be"),
        ("[[route]]\nmatch = 'x'\nprovider = 3", "provider: must be"),
        ("[[alias]]\nname = 'a'\ntarget = 'nope'", "[[alias]] number 1: target: no provider serves 'nope'"),
        ("[[model]]\nmatch = 'a'\ncontext_window = '8k'", "context_window: must be a whole number"),
        ("[[model]]\nmatch = 'a'\ncontext_window = true", "context_window: must be a whole number"),
        ("[[model]]\nmatch = 'a'\nmax_output_tokens = 0", "max_output_tokens: must be a whole number"),
        ("[[model]]\nmatch = 'a'\nprovider = 'nowhere'", "provider: there is no provider 'nowhere'"),
    ],
)
def test_a_wrong_file_is_one_line_that_says_where(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        router(tmp_path, text).check()
    message = str(caught.value)
    assert words in message and "\n" not in message and str(tmp_path / "mine.toml") in message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"OPENRESPONSES_CONFIG: cannot read .*nothing\.toml"):
        Router(Settings(config_path=str(tmp_path / "nothing.toml"))).check()


# --------------------------------------------------------------------------- endpoints


@pytest.mark.parametrize(
    ("base_url", "version", "joined"),
    [
        ("https://api.openai.com", "v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1", "v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "v1", "https://api.openai.com/v1"),
        ("https://example.com/gateway/openai", "v1", "https://example.com/gateway/openai/v1"),
        ("https://example.com/api/paas/v4", "v1", "https://example.com/api/paas/v4"),
        (
            "https://generativelanguage.googleapis.com",
            "v1beta",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta",
            "v1beta",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
        (
            "https://generativelanguage.googleapis.com/v1",
            "v1beta",
            "https://generativelanguage.googleapis.com/v1",
        ),
        ("http://127.0.0.1:11434", "api", "http://127.0.0.1:11434/api"),
        ("http://127.0.0.1:11434/api/", "api", "http://127.0.0.1:11434/api"),
        ("https://x.openai.azure.com", "openai/v1", "https://x.openai.azure.com/openai/v1"),
        ("https://x.openai.azure.com/openai", "openai/v1", "https://x.openai.azure.com/openai/v1"),
        ("https://x.openai.azure.com/openai/v1/", "openai/v1", "https://x.openai.azure.com/openai/v1"),
        ("https://v1.example.com", "v1", "https://v1.example.com/v1"),
        ("https://example.com/v1", "", "https://example.com/v1"),
        ("https://example.com/x", "", "https://example.com/x"),
    ],
)
def test_base_urls_work_with_and_without_the_version(base_url: str, version: str, joined: str) -> None:
    assert join_version(base_url, version) == joined


@pytest.mark.parametrize(
    ("provider", "environ", "base_url", "headers"),
    [
        ("openai", {"OPENAI_API_KEY": "k"}, "https://api.openai.com/v1", {"authorization": "Bearer k"}),
        (
            "anthropic",
            {"ANTHROPIC_API_KEY": " k\n", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1/v1/"},
            "http://127.0.0.1:1/v1",
            {"anthropic-version": "2023-06-01", "x-api-key": "k"},
        ),
        (
            "gemini",
            {"GEMINI_API_KEY": "k"},
            "https://generativelanguage.googleapis.com/v1beta",
            {"x-goog-api-key": "k"},
        ),
        ("ollama", {}, "http://127.0.0.1:11434/api", {}),
        ("ollama", {"OLLAMA_API_KEY": "k"}, "http://127.0.0.1:11434/api", {"authorization": "Bearer k"}),
        (
            "azure",
            {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_BASE_URL": "https://x.openai.azure.com"},
            "https://x.openai.azure.com/openai/v1",
            {"api-key": "k"},
        ),
    ],
)
async def test_endpoint(
    tmp_path: Path, provider: str, environ: dict[str, str], base_url: str, headers: dict[str, str]
) -> None:
    given = router(tmp_path)
    assert await given.endpoint(given.providers[provider], EnvironmentSecrets(environ)) == (
        base_url,
        headers,
        None,
    )


@pytest.mark.parametrize(
    ("provider", "environ", "setting"),
    [
        ("openai", {}, "OPENAI_API_KEY"),
        ("openai", {"OPENAI_API_KEY": "  "}, "OPENAI_API_KEY"),
        ("openai", {"OPENAI_API_KEY": "a\nb"}, "OPENAI_API_KEY"),
        ("openai", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "api.openai.com"}, "OPENAI_BASE_URL"),
        ("openai", {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://x/?a=b"}, "OPENAI_BASE_URL"),
        ("azure", {"AZURE_OPENAI_API_KEY": "k"}, "AZURE_OPENAI_BASE_URL"),
    ],
)
async def test_what_is_not_configured_is_named(
    tmp_path: Path, provider: str, environ: dict[str, str], setting: str
) -> None:
    given = router(tmp_path)
    with pytest.raises(ApiError) as caught:
        await given.endpoint(given.providers[provider], EnvironmentSecrets(environ))
    assert caught.value.code == "provider_not_configured"
    assert setting in caught.value.message and provider in caught.value.message
    assert environ.get("OPENAI_API_KEY", "").strip() in ("", "k") or "a\nb" not in caught.value.message


async def test_models_that_work_here(tmp_path: Path) -> None:
    given = router(tmp_path, USER)
    known = await given.models(EnvironmentSecrets({"PROXY_KEY": "k"}))
    names = [model.id for model in known]
    assert "gpt-4.1" in names and "fast" not in names, "groq has no key"
    assert "house/tiny" in names and "house/gpt-4o" in names and "gpt-4o" in names
    assert "openai/gpt-5" in names, "the user's route takes its plain name elsewhere"
    assert not any(name.startswith("claude-") for name in names)
    assert len(names) == len(set(names))
    for model in known:
        assert given.resolve(model.id).provider.name == model.provider


def test_every_row_of_ours_is_whole(tmp_path: Path) -> None:
    providers = router(tmp_path).providers
    assert len(providers) == 17
    for name, row in providers.items():
        assert isinstance(row, Provider) and row.key_variable and row.base_url_variable
        assert row.base_url or name == "azure"
