"""One secret of AWS Secrets Manager, read without an SDK: importing boto3 costs more than the rest of a cold start.

A signed POST, with the credentials that Lambda puts into the environment. Sources: AWS's "Signature Version 4 signing
process" and the API reference of GetSecretValue.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

TARGET = "secretsmanager.GetSecretValue"
SUFFIX = {"aws-cn": "amazonaws.com.cn"}  # of a partition's host names, where it is not amazonaws.com
ATTEMPTS = 3
SECONDS = 5.0  # for each
TRANSIENT = ("ThrottlingException", "InternalServiceError", "RequestTimeout")
NEVER_WRITTEN = "staging label: AWSCURRENT"  # a secret that the template has made and nobody has written yet


class SecretUnreadable(Exception):
    """`str()` says why, and quotes nothing of the secret."""


def read_secret(arn: str, environ: Mapping[str, str] = os.environ) -> str:
    """The secret's text; "{}" if it was never written. Blocks. Raises SecretUnreadable."""
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(0.1 * 4**attempt)
        try:
            status, answer = _ask(arn, environ)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = type(error).__name__
            continue
        if status == 200:
            if "SecretString" not in answer:
                raise SecretUnreadable("it is binary")
            return str(answer["SecretString"])
        reason = f"{answer.get('__type', status)}: {answer.get('Message', answer.get('message', ''))}"
        if NEVER_WRITTEN in reason:
            return "{}"
        if status < 500 and not any(name in reason for name in TRANSIENT):
            break
    raise SecretUnreadable(reason)


def _ask(arn: str, environ: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    _, partition, _, region, *_ = arn.split(":")
    default = f"https://secretsmanager.{region}.{SUFFIX.get(partition, 'amazonaws.com')}"
    url = urlsplit(
        environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or environ.get("AWS_ENDPOINT_URL") or default
    )
    body = json.dumps({"SecretId": arn}).encode()
    headers = _signed(url.netloc, region, body, environ)
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        import certifi

        context = ssl.create_default_context(cafile=certifi.where())
        connection = http.client.HTTPSConnection(url.netloc, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=SECONDS)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def _signed(host: str, region: str, body: bytes, environ: Mapping[str, str]) -> dict[str, str]:
    """The request's headers, signature included."""
    try:
        key_id, key = environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"]
    except KeyError as missing:
        raise SecretUnreadable(f"{missing.args[0]} is not in the environment") from None
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-date": now,
        "x-amz-target": TARGET,
    }
    if token := environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{now[:8]}/{region}/secretsmanager/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    signature = f"AWS4{key}".encode()
    for part in (*scope.split("/"), text):
        signature = hmac.digest(signature, part.encode(), "sha256")
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature.hex()}"
    )
    return headers
