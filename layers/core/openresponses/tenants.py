"""How a tenant may be called; wherever the name comes from (a command, a file, a claim), it is this."""

from __future__ import annotations

import re

TENANT = re.compile(r"[a-z0-9-]{1,64}")
EXPECTED = "a tenant's name is 1 to 64 of a-z, 0-9 and -"
