"""make fuzz: generated requests and generated answers of providers, on all cores.

make fuzz                                   100,000 of each
make fuzz ARGS="--requests 1000 --streams 0 --seed s"
make fuzz ARGS="--seed s --start 5000 --requests 1000 --streams 1000"
make fuzz ARGS="--seed s --only streams:17" one case again, with what was logged
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

from .run import Outcome, run

BATCH = 500  # cases that a process plays at a time


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzzes the gateway in process.")
    parser.add_argument("--requests", type=int, default=100_000, help="how many requests")
    parser.add_argument("--streams", type=int, default=100_000, help="how many answers of providers")
    parser.add_argument(
        "--seed", default=f"{datetime.now(UTC):%Y%m%d-%H%M%S}", help="what the cases are made from"
    )
    parser.add_argument("--start", type=int, default=0, help="the first case's number: a long run in pieces")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one case")
    asked = parser.parse_args()
    if asked.only:
        kind, _, number = asked.only.partition(":")
        logging.basicConfig(level=logging.DEBUG)
        return report(kind, asked.seed, run(kind, asked.seed, [int(number)]), 0)
    failed = False
    for kind, count in (("requests", asked.requests), ("streams", asked.streams)):
        begun = time.monotonic()
        outcome = spread(kind, asked.seed, asked.start, count, asked.jobs) if count else Outcome()
        failed |= bool(report(kind, asked.seed, outcome, time.monotonic() - begun))
    return int(failed)


def spread(kind: str, seed: str, first: int, count: int, jobs: int) -> Outcome:
    """Plays `count` cases, the `first` one onwards, in several processes."""
    total = Outcome(statuses=Counter())
    end = first + count
    batches = [range(start, min(start + BATCH, end)) for start in range(first, end, BATCH)]
    with ProcessPoolExecutor(jobs, initializer=quiet) as pool:
        for outcome in pool.map(run, [kind] * len(batches), [seed] * len(batches), batches):
            total.played += outcome.played
            total.statuses += outcome.statuses
            total.failures |= outcome.failures
    return total


def quiet() -> None:
    """What is logged of refused requests and broken answers is not looked at here."""
    logging.disable(logging.CRITICAL)


def report(kind: str, seed: str, outcome: Outcome, seconds: float) -> int:
    speed = f", {outcome.played / seconds:.0f}/s" if seconds else ""
    statuses = ", ".join(f"{status}: {number}" for status, number in sorted(outcome.statuses.items()))
    print(
        f"{kind}: seed {seed}, {outcome.played} played{speed}, {len(outcome.failures)} failures ({statuses})"
    )
    for number, what in sorted(outcome.failures.items())[:50]:
        print(f'  {what}\n    make fuzz ARGS="--seed {seed} --only {kind}:{number}"')
    return int(bool(outcome.failures))


if __name__ == "__main__":
    sys.exit(main())
