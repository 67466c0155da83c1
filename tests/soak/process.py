"""What a process holds, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median


class Process:
    """Memory once a second, file handles when asked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.memory: list[float] = []  # MB

    def look(self) -> None:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        self.memory.append(pages * os.sysconf("SC_PAGESIZE") / 1e6)

    @property
    def handles(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def growth(self) -> tuple[float, float]:
        """Memory (MB) after the warm-up, which is the first third, and at the end; medians over a tenth of the time."""
        tenth = max(1, len(self.memory) // 10)
        warm = len(self.memory) // 3
        return median(self.memory[warm : warm + tenth]), median(self.memory[-tenth:])
