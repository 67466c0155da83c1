"""The ASGI front door: routes, server-sent events, authentication, limits."""
