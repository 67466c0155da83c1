"""OpenResponses: one Responses API in front of every model provider."""

import sys

__version__ = "0.1.0"

# httpx imports its own command line where it can, click and rich with it: a twentieth of every start, for nothing.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
