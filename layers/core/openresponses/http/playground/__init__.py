"""The playground: a static page at `/`, its style and its modules under `/assets/`.

The files in this folder are served as they are; there is no build step, and the page loads nothing from elsewhere. It
holds no secret, so it needs no key: what it does, it does by the API, with the key that its user gives it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent
PAGE = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
# Scripts and styles are files of ours, requests go to this server, and no string can become HTML: the last two
# directives refuse it where a browser knows Trusted Types.
POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data: blob:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
)
HEADERS = {
    "content-security-policy": "; ".join(POLICY),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


@cache
def files() -> dict[str, tuple[bytes, str]]:
    """Content and media type of each file, by its name."""
    found = sorted(path for path in FOLDER.iterdir() if path.suffix in TYPES)
    return {path.name: (path.read_bytes(), TYPES[path.suffix]) for path in found}


def routes() -> list[BaseRoute]:
    """Where the files are. A path that has none is a 404."""
    return [Route("/", serve, methods=["GET"]), Route("/assets/{file}", serve, methods=["GET"])]


async def serve(request: Request) -> Response:
    name = request.path_params.get("file", PAGE)
    if name not in files():
        raise HTTPException(404)
    content, media_type = files()[name]
    return Response(content, media_type=media_type, headers=HEADERS)
