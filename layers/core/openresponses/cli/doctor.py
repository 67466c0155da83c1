"""`openresponses doctor`: what is configured, what answers, and what to do about the rest."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import click

from . import checks, deployed
from .base import FAILED, command
from .checks import Finding
from .gateway import Target, gateway_options
from .place import Place, place_options
from .terminal import progress, write

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}
WIDTH = 16  # of the column that says what was looked at


@command(
    examples=[
        "openresponses doctor",
        "openresponses doctor --stack openresponses --key KEY",
        "openresponses doctor --json",
    ]
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@place_options
@gateway_options
def doctor(target: Target, place: Place, as_json: bool) -> int:
    """Examine this machine: settings, providers, history, port. With --url or --stack the deployed gateway, too. The
    exit code is 1 if something fails."""
    with progress("Looking"):
        findings = asyncio.run(examined(target, place))
    healthy = all(finding.status != "fail" for finding in findings)
    if as_json:
        print(json.dumps({"ok": healthy, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            show(finding)
    return 0 if healthy else FAILED


async def examined(target: Target, place: Place) -> list[Finding]:
    """All findings, in the order in which they are read."""
    found = [checks.versions(), *checks.configuration(), checks.history(place.store)]
    side_by_side = [checks.providers(place.store), checks.port()]
    if target.url or place.stack:
        side_by_side.append(deployed.examined(target, place))
    for findings in await asyncio.gather(*side_by_side):
        found += findings
    return found


def show(finding: Finding) -> None:
    write(f"{finding.status:<5} ", STYLES[finding.status])
    write(f"{finding.what:<{WIDTH}} {finding.detail}\n")
    if finding.next:
        write(f"{'':<6}{'':<{WIDTH}} → {finding.next}\n")
