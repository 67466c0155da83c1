"""AWS Signature Version 4 on requests to providers that know callers by IAM.

Credentials come from where botocore finds them (the function's role, the environment, a profile) and are renewed by it.
Source: AWS's "Signature Version 4 signing process"; the signing itself is botocore's.
"""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING, Any

from ..protocol.errors import ApiError

if TYPE_CHECKING:
    import httpx

SIGNED = ("content-type", "host")


class Signer:
    """Signs for one service in one region."""

    def __init__(self, service: str, region: str) -> None:
        self._service = service
        self._region = region

    async def sign(self, request: httpx.Request) -> None:
        """Adds the signature's headers. Raises ApiError "provider_not_configured" if there are no credentials."""
        # In a thread: finding and renewing credentials may ask a server for them.
        headers = await asyncio.to_thread(self._headers, request)
        for name, value in headers.items():
            request.headers[name] = value

    def _headers(self, request: httpx.Request) -> dict[str, str]:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        found = _session().get_credentials()
        if found is None:
            raise ApiError(
                "provider_not_configured", "There are no AWS credentials to sign requests to this provider."
            )
        headers = {name: request.headers[name] for name in SIGNED}
        signed = AWSRequest("POST", str(request.url), headers=headers, data=request.content)
        SigV4Auth(found.get_frozen_credentials(), self._service, self._region).add_auth(signed)
        return {name: value for name, value in signed.headers.items() if name.lower() not in SIGNED}


@cache
def _session() -> Any:
    from botocore.session import Session

    return Session()
