"""`openresponses keys` and `… secrets` with --store, and the local server that checks and uses them."""

from __future__ import annotations

import io
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from openresponses import cli
from openresponses.http.auth import bearer_owner, token_verifier
from openresponses.oidc import TokenVerifier
from openresponses.protocol.errors import ApiError
from openresponses.secrets import FileSecrets
from openresponses.settings import Settings, SettingsError
from openresponses.store.keys import digest_of
from openresponses.store.sqlite_keys import SQLiteKeys
from starlette.requests import HTTPConnection

from tests.support.gateway import KEY
from tests.support.issuer import AUDIENCE, Issuer
from tests.support.provider import Answer, Provider
from tests.test_cli import START_SECONDS, Serve, serve

__all__ = ["serve"]  # a fixture

Run = Callable[..., str]
REQUIRED = {"OPENRESPONSES_REQUIRE_KEYS": "1"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command on the store `history.db`; what it says."""

    def call(*arguments: str, typed: str = "", code: int = 0, store: str = "history.db") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{typed}\n"))
        assert cli.main([*arguments, "--store", str(tmp_path / store)]) == code
        told = capsys.readouterr()
        assert not typed or typed not in told.out + told.err
        return told.out if code == 0 else told.err

    return call


def status(url: str, key: str | None, path: str = "/v1/responses") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.post(
        f"{url}{path}", json={"model": "echo", "input": "Hi"}, headers=headers, timeout=START_SECONDS
    )


def test_keys_are_asked_for_and_belong_to_tenants(serve: Serve, run: Run) -> None:
    acme, other = (run("keys", "create", "--tenant", name).strip() for name in ("acme", "other"))
    url = serve("--store", "history.db", **REQUIRED).url
    made = status(url, acme)
    assert made.status_code == 200
    for wrong in (None, "wrong", acme[:-1], digest_of(acme)):
        refused = status(url, wrong)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
    stored = f"{url}/v1/responses/{made.json()['id']}"
    bearers = [{"authorization": f"Bearer {key}"} for key in (acme, other)]
    assert [httpx.get(stored, headers=bearer).status_code for bearer in bearers] == [200, 404]
    assert httpx.get(stored).status_code == httpx.get(f"{url}/v1/models").status_code == 401
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_a_key_made_or_revoked_while_it_runs_counts_at_once(serve: Serve, run: Run) -> None:
    url = serve("--store", "history.db", **REQUIRED).url
    key = run("keys", "create", "--tenant", "acme", "--name", "laptop", "--days", "7").strip()
    assert status(url, key).status_code == 200
    listed = run("keys", "list", "--tenant", "acme")
    assert "laptop" in listed and "until" in listed and key not in listed
    assert "API Gateway" not in run("keys", "revoke", "--tenant", "acme", listed.split()[0])
    assert status(url, key).status_code == 401


def test_keys_are_rotated_moved_and_their_use_is_seen(tmp_path: Path, serve: Serve, run: Run) -> None:
    first = run("keys", "create", "--tenant", "acme", "--name", "ci", "--owner", "ann").strip()
    assert "never used" in run("keys", "list", "--tenant", "acme")
    url = serve("--store", "history.db", **REQUIRED).url
    assert status(url, first).status_code == 200
    deadline = time.monotonic() + 5
    while "used 20" not in (listed := run("keys", "list", "--tenant", "acme")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "by ann" in listed and "ci" in listed
    second = run("keys", "rotate", listed.split()[0], "--tenant", "acme", "--overlap", "2d").strip()
    assert status(url, first).status_code == status(url, second).status_code == 200
    third = run("keys", "rotate", digest_of(second)[:8], "--tenant", "acme", "--overlap", "0s").strip()
    assert [status(url, key).status_code for key in (first, second, third)] == [200, 401, 200]
    told = run("keys", "rotate", digest_of(second)[:8], "--tenant", "acme", code=2)
    assert "not exactly one valid key" in told
    assert "as in 7d" in run("keys", "rotate", "1234", "--tenant", "acme", "--overlap", "soon", code=2)

    exported = run("keys", "export", "--tenant", "acme")
    assert not any(key in exported for key in (first, second, third))
    file = tmp_path / "keys.jsonl"
    file.write_text(exported)
    for expected in ("3 taken over, 0 there already", "0 taken over, 3 there already"):
        assert expected in run("keys", "import", str(file), store="other.db")
    here, there = (SQLiteKeys(tmp_path / name).list("acme") for name in ("history.db", "other.db"))
    assert [key.id for key in here] == [key.id for key in there]
    assert [key.expires_at for key in here] == [key.expires_at for key in there]
    file.write_text(exported + '{"key": "or-canary-canary-canary", "tenant": "?"}')
    told = run("keys", "import", str(file), code=2)
    assert "nothing is taken over: line 4" in told and "canary" not in told


def test_a_key_with_limits(serve: Serve, run: Run) -> None:
    given = (
        "--tokens-per-day",
        "3",
        "--concurrency",
        "2",
        "--requests-per-minute",
        "600",
        "--models",
        "echo, gpt-5*",
    )
    key = run("keys", "create", "--tenant", "acme", *given, "--cost-per-day", "0.5").strip()
    url = serve("--store", "history.db", **REQUIRED).url
    refused = httpx.post(
        f"{url}/v1/responses",
        json={"model": "claude-opus-5", "input": "Hi"},
        headers={"authorization": f"Bearer {key}"},
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert [status(url, key).status_code for _ in range(2)] == [200, 429]
    other = run("keys", "create", "--tenant", "acme").strip()
    assert status(url, other).status_code == 200


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--requests-per-minute", "0", "--requests-per-minute is a whole number above 0"),
        ("--concurrency", "-1", "--concurrency is a whole number above 0"),
        ("--tokens-per-day", "0", "--tokens-per-day is a whole number above 0"),
        ("--cost-per-day", "0", "--cost-per-day is an amount of US dollars above 0"),
        ("--cost-per-day", "nan", "--cost-per-day is an amount of US dollars above 0"),
        ("--models", "gpt-5,", "--models is a list of model names"),
    ],
)
def test_limits_that_are_none(run: Run, option: str, value: str, said: str) -> None:
    assert said in run("keys", "create", "--tenant", "acme", option, value, code=2)


def test_an_expired_key(tmp_path: Path, serve: Serve) -> None:
    expired = SQLiteKeys(tmp_path / "history.db").create("acme", expires_at=1)
    assert status(serve("--store", "history.db", **REQUIRED).url, expired).status_code == 401


def test_the_file_holds_no_key(tmp_path: Path, run: Run) -> None:
    key = run("keys", "create", "--tenant", "acme").strip()
    bytes_kept = b"".join(file.read_bytes() for file in tmp_path.glob("history.db*"))
    assert key.encode() not in bytes_kept and key[3:].encode() not in bytes_kept
    assert digest_of(key).encode() in bytes_kept
    assert (tmp_path / "history.db").stat().st_mode & 0o777 == 0o600


def test_the_greeting_says_how_to_make_a_key(serve: Serve, run: Run) -> None:
    said = serve("--store", "history.db", "--host", "0.0.0.0", **REQUIRED).said
    assert "keys create --tenant NAME --store history.db" in said[1]
    assert not any("no authentication" in line for line in said)
    key = run("keys", "create", "--tenant", "acme").strip()
    line = said[-1].removeprefix("Try: ").replace("Bearer KEY", f"Bearer {key}")
    done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=START_SECONDS)
    assert '"status":"completed"' in done.stdout, done.stderr


def test_secrets_reach_the_server(tmp_path: Path, serve: Serve, run: Run, provider: Provider) -> None:
    gateway = serve("--store", "history.db")
    assert "ANTHROPIC_API_KEY" in run("secrets", "set", "ANTHROPIC_BASE_URL", typed=provider.url)
    provider.play(Answer(b'{"data":[]}'))
    assert "anthropic accepts it" in run("secrets", "set", "ANTHROPIC_API_KEY", typed=KEY)
    assert run("secrets", "list").split() == ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"]
    kept = tmp_path / "history.db.secrets.json"
    assert kept.stat().st_mode & 0o777 == 0o600 and KEY in kept.read_text()
    # Without a restart:
    known = httpx.get(f"{gateway.url}/v1/models").json()["data"]
    assert "anthropic" in {model["owned_by"] for model in known}
    assert serve("--store", "history.db").said[1].startswith("Providers with a key: anthropic;")


async def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "secrets.json"
    secrets = FileSecrets(file, {"XAI_API_KEY": "of-the-environment"})
    assert await secrets.get("GROQ_API_KEY") is None
    secrets.set("XAI_API_KEY", "of-the-file")
    secrets.set("GROQ_API_KEY", "of-the-file")
    assert await secrets.get("XAI_API_KEY") == "of-the-environment"
    assert await secrets.get("GROQ_API_KEY") == "of-the-file"


async def test_a_broken_file_is_said_without_its_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "secrets.json"
    file.write_text("sk-canary, not JSON")
    assert await FileSecrets(file, {}).get("GROQ_API_KEY") is None
    assert "secrets.json" in caplog.text and "canary" not in caplog.text


def test_a_store_that_cannot_be_opened(tmp_path: Path, run: Run) -> None:
    (tmp_path / "history.db").mkdir()
    assert "cannot be opened" in run("keys", "list", "--tenant", "acme", code=2)


def test_tokens_of_an_identity_provider(serve: Serve, run: Run) -> None:
    """Beside keys; what neither is does not come in, nor does a token when the issuer cannot be asked."""
    issuer = Issuer()
    issuer.add("one")
    key = run("keys", "create", "--tenant", "acme").strip()
    settings = {"OPENRESPONSES_OIDC_ISSUER": issuer.url, "OPENRESPONSES_OIDC_AUDIENCE": AUDIENCE}
    gateway = serve("--store", "history.db", **settings, OPENRESPONSES_OIDC_TENANT_CLAIM="org")
    assert issuer.url in gateway.said[1] and "keys create" in gateway.said[1]
    url = gateway.url
    made = status(url, issuer.token("one", org="acme")).json()["id"]
    readers = {
        "the tenant's key": (key, 200),
        "another token of the tenant": (issuer.token("one", org="acme", sub="bob"), 200),
        "another tenant": (issuer.token("one", org="other"), 404),
        "expired": (issuer.token("one", org="acme", exp=1), 401),
        "no tenant": (issuer.token("one"), 401),
        "no key": ("or-wrong", 401),
        "nothing": ("", 401),
    }
    for who, (bearer, expected) in readers.items():
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        answer = httpx.get(f"{url}/v1/responses/{made}", headers=headers)
        assert answer.status_code == expected, who
        assert expected != 401 or answer.json()["error"]["code"] == "invalid_api_key"
    issuer.close()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"OPENRESPONSES_OIDC_ISSUER": "https://id.example"}, "OPENRESPONSES_OIDC_AUDIENCE"),
        ({"OPENRESPONSES_OIDC_ISSUER": "http://id.example", "OPENRESPONSES_OIDC_AUDIENCE": "a"}, "https"),
    ],
)
def test_settings_of_an_identity_provider_that_are_wrong(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        token_verifier(Settings.load(variables))


async def test_an_issuer_that_is_down_is_not_the_clients_fault() -> None:
    issuer = Issuer()
    issuer.add("one")
    token = issuer.token("one")
    issuer.close()
    authenticate = bearer_owner(None, TokenVerifier(issuer.url, AUDIENCE, "tenant"))
    for bearer, code in (
        (token, "server_is_overloaded"),
        ("or-key", "invalid_api_key"),
        ("", "invalid_api_key"),
    ):
        headers = [(b"authorization", f"Bearer {bearer}".encode())]
        with pytest.raises(ApiError) as refused:
            await authenticate(HTTPConnection({"type": "http", "headers": headers}))
        assert refused.value.code == code
