"""Tokens of an identity provider: which are believed, and what the issuer is asked, over a real loopback server."""

from __future__ import annotations

import base64
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from openresponses import oidc
from openresponses.oidc import InvalidToken, IssuerUnavailable, SigningKeys, TokenVerifier

from tests.support.issuer import AUDIENCE, DISCOVERY, MADE, Issuer


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    """One for all tests that change nothing about it: its keys are named for their algorithms."""
    started = Issuer()
    for algorithm in MADE:
        started.add(algorithm, algorithm)
    yield started
    started.close()


@pytest.fixture
def fresh() -> Iterator[Issuer]:
    started = Issuer()
    started.add("one")
    yield started
    started.close()


@pytest.fixture(scope="module")
def verifier(issuer: Issuer) -> TokenVerifier:
    return TokenVerifier(issuer.url, AUDIENCE, "tenant")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("kid", MADE)
def test_every_algorithm_of_public_keys(issuer: Issuer, verifier: TokenVerifier, kid: str) -> None:
    identity = verifier.identity(issuer.token(kid))
    assert identity.tenant == "acme" and identity.key_id.startswith("oidc-")


def test_the_same_subject_has_the_same_id_and_no_other(issuer: Issuer, verifier: TokenVerifier) -> None:
    ids = [verifier.identity(issuer.token("ES256", sub=sub)).key_id for sub in ("ann", "ann", "bob", None)]
    assert ids[0] == ids[1] and len(set(ids)) == 3 and "ann" not in "".join(ids)


class In:
    """So many seconds from when a test runs, which may be minutes after this file was read."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds


def claims_now(claims: dict[str, Any]) -> dict[str, Any]:
    now = int(time.time())
    return {name: now + value.seconds if isinstance(value, In) else value for name, value in claims.items()}


GOOD: dict[str, dict[str, Any]] = {
    "one audience of several": {"aud": ["another", AUDIENCE]},
    "a clock that is a little behind": {"exp": In(-20)},
    "a clock that is a little ahead": {"nbf": In(20), "iat": In(20)},
    "the longest tenant": {"tenant": "a" * 64},
}


@pytest.mark.parametrize("what", GOOD)
def test_believed(issuer: Issuer, verifier: TokenVerifier, what: str) -> None:
    assert verifier.identity(issuer.token("ES256", **claims_now(GOOD[what]))).tenant


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": In(-3600)},
    "without an end": {"exp": None},
    "an end in words": {"exp": "tomorrow"},
    "an end without end": {"exp": float("inf")},
    "not yet": {"nbf": In(3600)},
    "from the future": {"iat": In(3600)},
    "for another audience": {"aud": "another"},
    "for no audience": {"aud": None},
    "an audience that is a number": {"aud": 7},
    "of another issuer": {"iss": "https://evil.example"},
    "of an issuer with a slash more": {"iss": "http://127.0.0.1/"},
    "of no issuer": {"iss": None},
    "no tenant": {"tenant": None},
    "an empty tenant": {"tenant": ""},
    "a tenant in capitals": {"tenant": "Acme"},
    "a tenant that is a path": {"tenant": "acme/../other"},
    "a tenant that is a table's key": {"tenant": "acme#R"},
    "a tenant and a line": {"tenant": "acme\n"},
    "a tenant of other digits": {"tenant": "acme٣"},
    "too long a tenant": {"tenant": "a" * 65},
    "tenants": {"tenant": ["acme"]},
    "a tenant that is true": {"tenant": True},
    "a tenant that is an object": {"tenant": {"name": "acme"}},
}


@pytest.mark.parametrize("what", BAD_CLAIMS)
def test_claims_that_are_not_believed(issuer: Issuer, verifier: TokenVerifier, what: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        verifier.identity(issuer.token("ES256", **claims_now(BAD_CLAIMS[what])))
    assert "acme" not in str(refused.value)


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(issuer: Issuer, header: Any, signature: str = "AAAA") -> str:
    claims = issuer.token("ES256").split(".")[1]
    return f"{part(header)}.{claims}.{signature}"


def public_pem(issuer: Issuer, kid: str) -> bytes:
    key = issuer.private[kid].public_key()
    return bytes(
        key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def signed_with_the_public_key(issuer: Issuer) -> str:
    """The oldest trick: HS256 with what everybody knows."""
    import hashlib
    import hmac

    said = forged(issuer, {"alg": "HS256", "typ": "JWT", "kid": "RS256"}, "").rstrip(".")
    return f"{said}.{part(hmac.digest(public_pem(issuer, 'RS256'), said.encode(), hashlib.sha256))}"


def with_its_own_key(issuer: Issuer, **header: Any) -> str:
    """Signed by somebody else, who offers the key, or a place to find it, in the header."""
    return jwt.encode(
        {"iss": issuer.url, "aud": AUDIENCE, "tenant": "acme", "exp": int(time.time()) + 300},
        ec.generate_private_key(ec.SECP256R1()),
        "ES256",
        headers={"kid": "ES256", **header},
    )


def swapped(token: str, other: str) -> str:
    """The claims of one token with the signature of another."""
    head, claims, _ = token.split(".")
    return f"{head}.{claims}.{other.rsplit('.', 1)[1]}"


FORGED: dict[str, Callable[[Issuer], str]] = {
    "nothing": lambda _: "",
    "dots": lambda _: "..",
    "no base64": lambda _: "eyJ!.e30.AAAA",
    "no JSON": lambda i: forged(i, b"{"),
    "a header that is a list": lambda i: forged(i, []),
    "a header that is deep": lambda i: forged(i, b'{"a":' + b"[" * 5000),
    "lone surrogates": lambda _: "eyJ\ud800.e30.AAAA",
    "unsigned": lambda i: forged(i, {"alg": "none", "kid": "ES256"}, ""),
    "unsigned in capitals": lambda i: forged(i, {"alg": "NONE", "kid": "ES256"}, ""),
    "no algorithm": lambda i: forged(i, {"kid": "ES256"}),
    "an algorithm that is a list": lambda i: forged(i, {"alg": ["ES256"], "kid": "ES256"}),
    "HS256 with the public key": signed_with_the_public_key,
    "HS256 with nothing": lambda i: forged(i, {"alg": "HS256", "kid": "ES256"}),
    "no key id": lambda i: forged(i, {"alg": "ES256"}),
    "a key id that is a number": lambda i: forged(i, {"alg": "ES256", "kid": 1}),
    "an unknown key": lambda i: i.token("ES256", header={"kid": "unknown"}),
    "a key id that is a path": lambda i: i.token("ES256", header={"kid": "../../dev/null"}),
    "another key of the issuer": lambda i: i.token("RS256", header={"kid": "PS256"}),
    "a key of another kind": lambda i: i.token("ES256", header={"kid": "RS256"}),
    "an algorithm of another kind": lambda i: forged(i, {"alg": "ES256", "kid": "RS256"}),
    "a curve of another size": lambda i: forged(i, {"alg": "ES384", "kid": "ES256"}),
    "jwk": lambda i: with_its_own_key(i, jwk={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}),
    "jku": lambda i: with_its_own_key(i, jku=f"{i.url}/evil"),
    "x5u": lambda i: with_its_own_key(i, x5u=f"{i.url}/evil"),
    "x5c": lambda i: with_its_own_key(i, x5c=["MIIB"]),
    "something critical": lambda i: i.token("ES256", header={"crit": ["exp"], "exp": 1}),
    "an unencoded payload": lambda i: forged(i, {"alg": "ES256", "kid": "ES256", "b64": False}),
    "a changed signature": lambda i: i.token("ES256")[:-10] + "AAAAAAAAAA",
    "another token's signature": lambda i: swapped(i.token("ES256"), i.token("ES256", tenant="other")),
    "claims that are no object": lambda i: jwt.api_jws.encode(
        b'"acme"', i.private["ES256"], "ES256", headers={"kid": "ES256"}
    ),
    "100 KB": lambda i: i.token("ES256", filler="x" * 100_000),
}


@pytest.mark.parametrize("what", FORGED)
def test_forged_tokens(issuer: Issuer, verifier: TokenVerifier, what: str) -> None:
    with pytest.raises(InvalidToken):
        verifier.identity(FORGED[what](issuer))
    assert "/evil" not in issuer.asked


def test_what_has_the_form_of_a_token(issuer: Issuer) -> None:
    assert TokenVerifier.takes(issuer.token("ES256"))
    assert not any(map(TokenVerifier.takes, ("", "or-abc", "eyJ", "eyJ.a", "a.b.c", "eyJ.a.b.c")))


# --------------------------------------------------------------------------- the issuer's keys


def test_keys_are_fetched_once_for_many_tokens(fresh: Issuer) -> None:
    verifier = TokenVerifier(fresh.url, AUDIENCE, "tenant")
    assert fresh.asked == []  # not before the first token
    for _ in range(3):
        verifier.identity(fresh.token("one"))
    assert fresh.asked == [DISCOVERY, "/keys"]


def test_a_new_key_is_looked_for_once_and_made_up_ones_do_not_flood(fresh: Issuer) -> None:
    clock = Clock()
    keys = SigningKeys(fresh.url, clock=clock)
    assert keys.find("one")
    fresh.add("two")
    assert keys.find("two") and fresh.asked.count("/keys") == 2  # at once
    assert [keys.find(f"made-up-{n}") for n in range(20)] == [None] * 20
    assert fresh.asked.count("/keys") == 2
    fresh.jwks[:] = [key for key in fresh.jwks if key["kid"] == "two"]  # the old key is withdrawn
    clock.now += oidc.COOLDOWN
    assert keys.find("three") is None and fresh.asked.count("/keys") == 3
    assert keys.find("one") is None and keys.find("two")


def test_old_keys_are_fetched_again(fresh: Issuer) -> None:
    clock = Clock()
    keys = SigningKeys(fresh.url, clock=clock)
    assert keys.find("one")
    fresh.jwks.clear()
    clock.now += oidc.LIFESPAN - 1
    assert keys.find("one")
    clock.now += 1
    assert keys.find("one") is None


def test_an_outage_of_the_issuer(fresh: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    """Known keys count on for a while; without any it is not the client's fault; and nobody hammers."""
    clock = Clock()
    keys = SigningKeys(fresh.url, clock=clock)
    assert keys.find("one")
    fresh.status, asked = 503, len(fresh.asked)
    clock.now += oidc.LIFESPAN
    with caplog.at_level(logging.ERROR):
        assert keys.find("one") and keys.find("one") and len(fresh.asked) == asked + 1
        clock.now += oidc.OUTAGE
        for _ in range(2):
            with pytest.raises(IssuerUnavailable):
                keys.find("one")
        assert len(fresh.asked) == asked + 2
    fresh.status = 200
    clock.now += oidc.RETRY
    assert keys.find("one")


WRONG: dict[str, Callable[[Issuer], Any]] = {
    "not found": lambda i: i.documents.pop(DISCOVERY),
    "no JSON": lambda i: i.documents.update({DISCOVERY: b"<html>"}),
    "a list": lambda i: i.documents.update({DISCOVERY: []}),
    "deep": lambda i: i.documents.update({DISCOVERY: b"[" * 100_000}),
    "too long": lambda i: i.documents.update({DISCOVERY: b" " * (oidc.MAX_DOCUMENT + 1)}),
    "of another issuer": lambda i: i.documents[DISCOVERY].update(issuer="https://evil.example"),
    "keys in the clear": lambda i: i.documents[DISCOVERY].update(jwks_uri="http://example.com/keys"),
    "keys in a file": lambda i: i.documents[DISCOVERY].update(jwks_uri="file:///etc/passwd"),
    "keys at no URL": lambda i: i.documents[DISCOVERY].update(jwks_uri=None),
    "no keys": lambda i: i.documents.update({"/keys": {}}),
    "keys that are text": lambda i: i.documents.update({"/keys": {"keys": "one"}}),
    "elsewhere": lambda i: i.__dict__.update(status=302, location=f"{i.url}/evil"),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_issuer_that_answers_wrongly(fresh: Issuer, what: str, caplog: pytest.LogCaptureFixture) -> None:
    WRONG[what](fresh)
    with pytest.raises(IssuerUnavailable), caplog.at_level(logging.ERROR):
        SigningKeys(fresh.url).find("one")
    assert "/evil" not in fresh.asked


def test_an_issuer_that_drips_is_given_up(fresh: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time; all of them would take seconds."""
    monkeypatch.setattr(oidc, "TIMEOUT", 0.1)
    fresh.drip, begun = 0.03, time.monotonic()
    with pytest.raises(IssuerUnavailable):
        oidc.fetch_json(fresh.url + DISCOVERY)
    assert time.monotonic() - begun < 1


def test_keys_that_cannot_verify_are_passed_over(fresh: Issuer) -> None:
    fresh.jwks += [
        {"kty": "oct", "kid": "shared", "k": "AAAA"},
        {"kty": "RSA"},
        "one",
        {"kid": 7, "kty": "EC"},
    ]
    fresh.add("for-encryption", use="enc")
    keys = SigningKeys(fresh.url)
    assert keys.find("one")
    assert [keys.find(kid) for kid in ("shared", "for-encryption", "")] == [None] * 3


def test_a_key_of_another_algorithm_or_too_short(fresh: Issuer) -> None:
    fresh.add("bound", "RS256", alg="RS256")
    fresh.private["short"] = rsa.generate_private_key(65537, 1024)
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(fresh.private["short"].public_key()))
    fresh.jwks.append({**public, "kid": "short"})
    verifier = TokenVerifier(fresh.url, AUDIENCE, "tenant")
    assert verifier.identity(fresh.token("bound"))
    with pytest.raises(InvalidToken):
        verifier.identity(fresh.token("bound", algorithm="PS256"))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        weak = fresh.token("short", algorithm="RS256")
    with pytest.raises(InvalidToken):
        verifier.identity(weak)


@pytest.mark.parametrize(
    "issuer",
    ["", "accounts.example.com", "http://accounts.example.com", "http://127.0.0.1.evil.example", "ftp://a",
     "https://", "https://user@example.com", "https://example.com#a", "file:///etc/passwd"],
)  # fmt: skip
def test_issuers_that_are_refused(issuer: str) -> None:
    with pytest.raises(ValueError, match="https"):
        TokenVerifier(issuer, AUDIENCE, "tenant")


def test_a_claim_named_as_a_url(issuer: Issuer) -> None:
    claim = "https://example.com/tenant"
    verifier = TokenVerifier(issuer.url, AUDIENCE, claim)
    claims: dict[str, Any] = {"tenant": None, claim: "other"}
    assert verifier.identity(issuer.token("ES256", **claims)).tenant == "other"
    with pytest.raises(InvalidToken):
        verifier.identity(issuer.token("ES256"))
