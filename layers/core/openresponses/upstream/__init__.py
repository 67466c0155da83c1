"""Bytes to and from providers: HTTP, timeouts, retries, framing."""
