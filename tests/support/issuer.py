"""An identity provider on loopback: discovery, public keys, and tokens signed with the private ones."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Json = dict[str, Any]

AUDIENCE = "openresponses"
DISCOVERY = "/.well-known/openid-configuration"
MADE: dict[str, tuple[Any, Any]] = {  # algorithm → how to make a private key, and the JWK of its public one
    "RS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "PS256": (lambda: rsa.generate_private_key(65537, 2048), RSAAlgorithm),
    "ES256": (lambda: ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "ES384": (lambda: ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "EdDSA": (ed25519.Ed25519PrivateKey.generate, OKPAlgorithm),
}


class Issuer:
    """`documents` are what it answers, by path: JSON, or bytes as they stand; `asked` the paths that were asked for."""

    def __init__(self) -> None:
        self.private: dict[str, Any] = {}
        self.algorithms: dict[str, str] = {}
        self.jwks: list[Any] = []
        self.asked: list[str] = []
        self.status = 200
        self.location = ""
        self.drip = 0.0  # seconds between two bytes of an answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.documents: dict[str, Any] = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": self.jwks},
        }
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, kid: str, algorithm: str = "ES256", **more: Any) -> None:
        """A new key pair; its public half is published."""
        make, kind = MADE[algorithm]
        self.private[kid], self.algorithms[kid] = make(), algorithm
        public = json.loads(kind.to_jwk(self.private[kid].public_key()))
        self.jwks.append({**public, "kid": kid, "use": "sig", **more})

    def token(
        self, kid: str, *, header: Json | None = None, algorithm: str | None = None, **claims: Any
    ) -> str:
        """A token that is good in all that `claims` and `header` do not change; a claim of None is left out."""
        now = int(time.time())
        good = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "tenant": "acme",
            "iat": now,
            "exp": now + 300,
        }
        kept = {name: value for name, value in {**good, **claims}.items() if value is not None}
        named = {"kid": kid, **(header or {})}
        return jwt.encode(kept, self.private[kid], algorithm or self.algorithms[kid], headers=named)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(issuer) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                found = issuer.documents.get(self.path)
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                self.send_response(issuer.status if found is not None else 404)
                if issuer.location:
                    self.send_header("location", issuer.location)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                if not issuer.drip:
                    self.wfile.write(body)
                with suppress(OSError):  # the client need not wait for the end
                    for byte in body if issuer.drip else b"":
                        time.sleep(issuer.drip)
                        self.wfile.write(bytes([byte]))

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler
