"""Known vulnerabilities of what is locked: `make audit`. Asks pip-audit's advisory service, lock file by lock file.

    python -m scripts.audit PIP_AUDIT [--allow-unreachable]

Exit code 0: every locked package was looked at, and nothing is known of any; 1: something is; 3: some could not be
looked at, which is not the same as nothing being known (`--allow-unreachable` makes it 0, and still says so).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .lock import LAYER, LOCKS, ROOT, SERVE

VULNERABLE, NOT_AUDITED = 1, 3
CONTAINED = (LAYER, SERVE)  # their packages are in the lock for development too: tests/test_setup.py


@dataclass
class Report:
    """What was found in some locks: lines to print."""

    vulnerable: list[str] = field(default_factory=list)
    not_audited: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return VULNERABLE if self.vulnerable else NOT_AUDITED if self.not_audited else 0


def audit(pip_audit: str, locks: list[str]) -> Report:
    """Asks for each lock; a pip-audit that fails is a lock that was not audited."""
    report = Report()
    for lock in locks:
        command = [
            pip_audit,
            "--disable-pip",
            "--require-hashes",
            "--progress-spinner=off",
            "--format=json",
            "-r",
            lock,
        ]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        try:
            packages = json.loads(done.stdout)["dependencies"]
        except (ValueError, KeyError, TypeError):
            why = (done.stderr.strip().splitlines() or ["no answer"])[-1]
            report.not_audited.append(f"{lock}: {why[:200]}")
            continue
        report.vulnerable += _vulnerable(lock, packages)
        if skipped := sum("skip_reason" in package for package in packages):
            report.not_audited.append(
                f"{lock}: the advisory service knows nothing of {skipped} of {len(packages)} packages"
            )
    return report


def _vulnerable(lock: str, packages: list[Any]) -> Iterator[str]:
    for package in packages:
        for found in package.get("vulns", ()):
            fixed = ", ".join(found.get("fix_versions") or ()) or "no version yet"
            yield f"{lock}: {package['name']} {package['version']}: {found['id']}, fixed in {fixed}"


def main(arguments: list[str]) -> int:
    pip_audit, *options = arguments
    report = audit(pip_audit, [lock for lock in LOCKS if lock not in CONTAINED])
    for line in report.vulnerable:
        print(line)
    for line in report.not_audited:
        print(f"NOT AUDITED {line}")
    if report.exit_code == NOT_AUDITED and "--allow-unreachable" in options:
        return 0
    if not report.exit_code:
        print("No known vulnerability in any lock.")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
