"""Sealed content: who can read it, what becomes of a changed token, how keys are kept and replaced."""

from __future__ import annotations

import asyncio
import base64
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from openresponses import sealing
from openresponses.protocol.errors import ApiError
from openresponses.sealing import Keyring, Sealer, Unreadable, file_keys, is_sealed, memory_keys, secret_keys

OLD, NEW = "old-" + "o" * 40, "new-" + "n" * 40
RING = Keyring([OLD])


@given(content=st.binary(max_size=300), tenant=st.sampled_from(["a", "tenant-2"]))
def test_what_is_sealed_can_be_opened(content: bytes, tenant: str) -> None:
    token = RING.seal(tenant, "purpose", content)
    assert is_sealed(token) and token.isascii() and token.isprintable()
    assert RING.open(tenant, "purpose", token) == content


def test_equal_contents_give_different_tokens() -> None:
    assert RING.seal("a", "p", b"same") != RING.seal("a", "p", b"same")


@pytest.mark.parametrize(
    ("ring", "tenant", "purpose"),
    [(RING, "b", "p"), (RING, "a", "q"), (Keyring([NEW]), "a", "p"), (RING, "a\0p", ""), (RING, "", "a\0p")],
    ids=["tenant", "purpose", "deployment", "shifted", "shifted back"],
)
def test_nobody_else_can_open_it(ring: Keyring, tenant: str, purpose: str) -> None:
    with pytest.raises(Unreadable):
        ring.open(tenant, purpose, RING.seal("a", "p", b"for a"))


def test_no_byte_of_it_can_be_changed() -> None:
    head, _, data = RING.seal("a", "p", b"content").rpartition(".")
    sealed = base64.urlsafe_b64decode(data)
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(Unreadable):
            RING.open("a", "p", f"{head}.{base64.urlsafe_b64encode(changed).decode()}")


@given(token=st.text(max_size=60) | st.binary(max_size=60).map(lambda b: f"ors1.{b.hex()[:8]}.{b.hex()}"))
def test_what_is_no_token_is_unreadable(token: str) -> None:
    for text in (token, f"ors1.{RING._first}.{token}"):
        with pytest.raises(Unreadable):
            RING.open("a", "p", text)


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    both = Keyring([NEW, OLD])
    assert both.open("a", "p", RING.seal("a", "p", b"before")) == b"before"
    after = both.seal("a", "p", b"after")
    assert Keyring([NEW]).open("a", "p", after) == b"after"
    with pytest.raises(Unreadable):
        RING.open("a", "p", after)


@pytest.mark.parametrize("keys", [[], ["short"], [NEW, "short"]])
def test_weak_keys_are_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="32 characters"):
        Keyring(keys)


# --------------------------------------------------------------------------- the sealer: keys read late


async def test_keys_are_read_once_for_many() -> None:
    reads: list[int] = []

    def read() -> str:
        reads.append(1)
        return OLD

    sealer = Sealer(read)
    assert reads == []
    tokens = await asyncio.gather(*(sealer.seal("a", "p", b"x") for _ in range(20)))
    assert await asyncio.gather(*(sealer.open("a", "p", token) for token in tokens)) == [b"x"] * 20
    assert len(reads) == 1


async def test_a_token_of_a_newer_key_makes_it_look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    text = OLD
    sealer = Sealer(lambda: text)
    await sealer.seal("a", "p", b"x")
    token, text = Keyring([NEW]).seal("a", "p", b"from the other process"), f"{NEW}\n{OLD}\n"
    monkeypatch.setattr(sealing, "REREAD_AFTER", 0.0)
    assert await sealer.open("a", "p", token) == b"from the other process"
    assert Keyring([NEW]).open("a", "p", await sealer.seal("a", "p", b"new")) == b"new"


async def test_what_was_read_stays_in_use_when_the_place_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = False

    def read() -> str:
        if gone:
            raise OSError("unplugged " + OLD)
        return OLD

    sealer = Sealer(read)
    token = await sealer.seal("a", "p", b"x")
    monkeypatch.setattr(sealing, "MAX_AGE", 0.0)
    gone = True
    assert await sealer.open("a", "p", token) == b"x"


@pytest.mark.parametrize("text", ["", "short", "é" * 40])
async def test_keys_that_cannot_be_had_are_our_failure(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ApiError) as caught:
        await Sealer(file_keys(path)).seal("a", "p", b"x")
    assert caught.value.code == "server_error" and str(path) not in caught.value.message
    assert "cannot be read" in caplog.text and "short" not in caplog.text


async def test_a_reader_that_is_cancelled_does_not_cancel_the_others() -> None:
    sealer = Sealer(memory_keys())
    first, second = (asyncio.ensure_future(sealer.seal("a", "p", b"x")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await sealer.open("a", "p", await second) == b"x"


# --------------------------------------------------------------------------- where keys are kept


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "history.db.key"
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: file_keys(path)(), range(32)))
    assert len(keys) == 1 and len(keys.pop().strip()) >= 43
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["history.db.key"]


def test_a_key_of_memory_is_the_same_for_its_owner_only() -> None:
    mine, other = memory_keys(), memory_keys()
    assert mine() == mine() != other()


async def test_keys_in_secrets_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_DEFAULT_{name}", value)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    with mock_aws():
        client: Any = boto3.client("secretsmanager")
        arn = client.create_secret(Name="sealing", SecretString=OLD)["ARN"]
        token = await Sealer(secret_keys(arn)).seal("a", "p", b"x")
        client.put_secret_value(SecretId=arn, SecretString=f"{NEW}\n{OLD}")
        assert await Sealer(secret_keys(arn)).open("a", "p", token) == b"x"
        with pytest.raises(ApiError):
            await Sealer(secret_keys(arn.replace("sealing", "other"))).seal("a", "p", b"x")


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, openresponses.http.app, openresponses.sealing; sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
