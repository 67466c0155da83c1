"""Clients that leave in the middle of what they say."""

from __future__ import annotations

import logging
import socket
import time
from urllib.parse import urlsplit

import pytest

from ..support.gateway import Gateway


def test_a_client_that_leaves_in_mid_body_is_no_error_of_ours(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    at = urlsplit(gateway.base_url)
    with socket.create_connection((at.hostname, at.port)) as client:
        client.sendall(b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n{")
        time.sleep(0.1)
    time.sleep(0.2)
    assert gateway.get("/models").status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
