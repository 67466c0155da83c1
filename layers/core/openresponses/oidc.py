"""Tokens of an identity provider (OpenID Connect): JWT → tenant, for the authorizer and for the local server.

TokenVerifier   signature, issuer, audience and times; then the claim that names the tenant
SigningKeys     the issuer's public keys, found by discovery, kept, fetched again when they are old or one is unknown

What the token itself says about keys (`jku`, `jwk`, `x5u`, `x5c`) is never looked at: keys come from the issuer that
the operator has named. PyJWT and cryptography are imported with the first token. Methods block.

InvalidToken         the client's fault: 401
IssuerUnavailable    nobody's who sent a token: the issuer's keys cannot be had
"""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from .tenants import TENANT

if TYPE_CHECKING:
    from jwt import PyJWK

Json = dict[str, Any]

# Public keys only: a token signed with a shared secret, or with nothing, is never one of an identity provider.
ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
}
REQUIRED_CLAIMS = ["iss", "aud", "exp"]
LEEWAY = 60.0  # seconds that clocks may differ
MAX_TOKEN = 16 << 10  # characters; API Gateway takes 10 KB of headers
MAX_DOCUMENT = 1 << 20  # bytes of what the issuer answers
TIMEOUT = 1.5  # seconds for one document, from the connection to its last byte
LIFESPAN = 600.0  # seconds after which the keys are fetched again
OUTAGE = 3600.0  # seconds more for which they count while that fails
COOLDOWN = 30.0  # seconds between two looks for keys that were unknown: made-up ids must not flood the issuer
RETRY = 5.0  # seconds between two attempts that fail
LOOPBACK = ("127.0.0.1", "::1", "localhost")

log = logging.getLogger(__name__)


class InvalidToken(Exception):
    """The token is not to be trusted; `str()` says why, without its content."""


class IssuerUnavailable(Exception):
    """The issuer's keys cannot be fetched, or are not what they should be; `str()` says why."""


class Identity(NamedTuple):
    """Whose request it is: `key_id` stands for the token's subject, as an API key's id does for the key."""

    tenant: str
    key_id: str


def require_secure(url: str) -> None:
    """Raises ValueError unless the URL is https, or http on this machine, where nobody listens in."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    if not ((parts.scheme == "https" or local) and parts.hostname) or parts.username or parts.fragment:
        raise ValueError("an https URL (http only at 127.0.0.1)")


# --------------------------------------------------------------------------- tokens


class TokenVerifier:
    """Tokens of `issuer` for `audience`, whose claim `tenant_claim` names the tenant. Raises ValueError for an issuer
    that is no https URL, or an empty audience."""

    def __init__(
        self, issuer: str, audience: str, tenant_claim: str, *, keys: SigningKeys | None = None
    ) -> None:
        if not audience or not tenant_claim:
            raise ValueError("an audience and a claim")
        self._issuer, self._audience, self._claim = issuer, audience, tenant_claim
        self._keys = keys or SigningKeys(issuer)

    @staticmethod
    def takes(bearer: str) -> bool:
        """Whether a bearer has the form of a JWT: three parts, the first of them base64 of a JSON object."""
        return bearer.startswith("eyJ") and bearer.count(".") == 2

    def identity(self, token: str) -> Identity:
        """Whose token it is. Raises InvalidToken, IssuerUnavailable."""
        if len(token) > MAX_TOKEN:
            raise InvalidToken("too long")
        claims = self._claims(token)
        tenant = claims.get(self._claim)
        if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
            raise InvalidToken("the claim is not a tenant")
        subject = f"{self._issuer}\0{tenant}\0{claims.get('sub', '')}"
        return Identity(tenant, "oidc-" + hashlib.sha256(subject.encode()).hexdigest()[:12])

    def _claims(self, token: str) -> Json:
        import jwt

        try:
            key = self._key(jwt.get_unverified_header(token))
            checked = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY,
                options={"require": REQUIRED_CLAIMS, "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
            raise InvalidToken(type(error).__name__) from None
        return checked

    def _key(self, header: Json) -> PyJWK:
        """The issuer's key that the header names, bound to the header's algorithm. Raises InvalidToken, PyJWTError."""
        import jwt

        algorithm = header.get("alg")
        if not any(algorithm in known for known in ALGORITHMS.values()):
            raise InvalidToken("the algorithm is not allowed")
        found = self._keys.find(header.get("kid") or "")
        if found is None:
            raise InvalidToken("the key is not the issuer's")
        if algorithm not in ALGORITHMS.get(found["kty"], ()) or found.get("alg", algorithm) != algorithm:
            raise InvalidToken("the key is not for this algorithm")
        return jwt.PyJWK(found, algorithm)


# --------------------------------------------------------------------------- the issuer's keys


class SigningKeys:
    """The public keys of `issuer`, as JWKs by their ids.

    fetch   URL → JSON object; raises IssuerUnavailable
    clock   seconds that never run back
    """

    def __init__(
        self,
        issuer: str,
        *,
        fetch: Callable[[str], Json] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        require_secure(issuer)
        self._issuer = issuer
        self._fetch = fetch or fetch_json
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Json] = {}
        self._fresh_until = self._usable_until = self._next_attempt = float("-inf")

    def find(self, kid: str) -> Json | None:
        """The key with this id, if the issuer has it. Raises IssuerUnavailable."""
        key = self._known(kid)
        # Those who have a key need not wait while somebody else looks for newer ones.
        if (key is None or self._clock() >= self._fresh_until) and self._lock.acquire(blocking=key is None):
            try:
                self._refresh(kid)
            finally:
                self._lock.release()
            key = self._known(kid)
        if key is None and self._clock() >= self._usable_until:
            raise IssuerUnavailable(f"{self._issuer}: its keys cannot be fetched")
        return key

    def _known(self, kid: str) -> Json | None:
        return self._keys.get(kid) if self._clock() < self._usable_until else None

    def _refresh(self, kid: str) -> None:
        """Fetches the keys if they are old, or lack this one, and it is time to ask; else does nothing."""
        now = self._clock()
        old = now >= self._fresh_until
        if now < self._next_attempt or not (old or kid not in self._keys):
            return
        if not old:
            self._next_attempt = now + COOLDOWN
        try:
            self._keys = self._load()
        except IssuerUnavailable as error:
            self._next_attempt = max(self._next_attempt, self._clock() + RETRY)
            log.warning("the keys of the identity provider cannot be fetched: %s", error)
            return
        self._fresh_until = self._clock() + LIFESPAN
        self._usable_until = self._fresh_until + OUTAGE

    def _load(self) -> dict[str, Json]:
        """OpenID Connect Discovery 1.0, section 4: the document names the issuer again, and where the keys are."""
        found = self._fetch(self._issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.get("issuer") != self._issuer:
            raise IssuerUnavailable("its discovery document is of another issuer")
        url = found.get("jwks_uri")
        try:
            require_secure(url if isinstance(url, str) else "")
        except ValueError as error:
            raise IssuerUnavailable(f"its jwks_uri is not {error}") from None
        keys = self._fetch(str(url)).get("keys")
        if not isinstance(keys, list):
            raise IssuerUnavailable("its keys are not a JSON Web Key Set")
        return {key["kid"]: key for key in keys if _can_verify(key)}


def _can_verify(key: Any) -> bool:
    return (
        isinstance(key, dict)
        and isinstance(key.get("kid"), str)
        and bool(key["kid"])
        and key.get("kty") in ALGORITHMS
        and key.get("use", "sig") == "sig"
    )


# --------------------------------------------------------------------------- fetching


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Where the keys are is said by the operator and the discovery document, and by nobody on the way."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def fetch_json(url: str) -> Json:
    """The JSON object at the URL, within TIMEOUT and MAX_DOCUMENT. Raises IssuerUnavailable."""
    where = f"{urlsplit(url).hostname}: "
    # A proxy of the environment is for the way out, not for this machine.
    direct = [urllib.request.ProxyHandler({})] if urlsplit(url).hostname in LOOPBACK else []
    opener = urllib.request.build_opener(_NoRedirects, *direct)
    request = urllib.request.Request(url, headers={"accept": "application/json"})
    deadline = time.monotonic() + TIMEOUT
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            document = json.loads(_read(answer, deadline))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise IssuerUnavailable(where + type(error).__name__) from None
    if not isinstance(document, dict):
        raise IssuerUnavailable(where + "not a JSON object")
    return document


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """The body; a socket's own timeout would let one byte a second go on for ever."""
    data = b""
    while piece := answer.read1(64 << 10):
        data += piece
        if len(data) > MAX_DOCUMENT or time.monotonic() > deadline:
            raise ValueError("too long")
    return data
