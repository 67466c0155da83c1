"""The playground's page on Lambda, for everyone to load. This function has no rights, and the page no secrets: what it
asks of the gateway, it asks through the API, with the key that its user gives it."""

from __future__ import annotations

from openresponses.http.playground import routes
from starlette.applications import Starlette

app = Starlette(routes=routes())
