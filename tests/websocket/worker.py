"""One invocation of the worker function in a process of its own, with short leases: it is there to be killed.

python -m tests.websocket.worker PAYLOAD
"""

from __future__ import annotations

import json
import sys

from openresponses.engine import held

from ..support.websocket_api import Invocation, load

if __name__ == "__main__":
    held.LEASE_SECONDS, held.BEAT_SECONDS = 1.0, 0.2
    load("worker").app(json.loads(sys.argv[1]), Invocation())
