"""Differences from the oracle's plain reading that are intended: slug → words of the difference, each with its why."""

from __future__ import annotations

EXPLAINED: dict[str, tuple[str, ...]] = {}
