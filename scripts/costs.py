"""What a deployment costs, by AWS's list prices: the table of README. `python -m scripts.costs` prints it.

The prices are those of us-east-1, without the free tiers, as they stood on PRICES_OF; they may have changed since.
"""

from __future__ import annotations

from dataclasses import dataclass

PRICES_OF = "November 2026"
HOURS = 730  # a month

# US dollars
LAMBDA_GB_SECOND = 0.0000133334  # arm64
LAMBDA_REQUEST = 0.20e-6
API_GATEWAY_REQUEST = 3.50e-6  # REST
DYNAMODB_WRITE = 0.625e-6  # a unit: 1 KB, on demand
DYNAMODB_READ = 0.125e-6  # a unit: 4 KB, consistent
SECRET_MONTH = 0.40
ALARM_METRIC_MONTH = 0.10
FARGATE_VCPU_HOUR = 0.03238  # arm64
FARGATE_GB_HOUR = 0.00356
BALANCER_HOUR = 0.0225 + 0.008  # Application Load Balancer, one capacity unit

# The deployment, as the template makes it
MEMORY_GB = 0.5
SECRETS = 2
ALARM_METRICS = 11  # nine alarms; two read one more metric each
SWEEP_SECONDS = 0.1  # the worker's look for dead background responses, once a minute

# What it is compared with
CONTAINERS = 2
CONTAINER_VCPU, CONTAINER_GB = 1, 2


@dataclass(frozen=True, slots=True)
class Turn:
    """A kind of turn. `kb` is what it stores, compressed; `earlier_kb` what it reads of its conversation."""

    name: str
    seconds: float
    kb: int
    earlier_kb: int
    pause: float  # seconds until the same user's next turn

    @property
    def compute(self) -> float:
        """Lambda, a turn."""
        return self.seconds * MEMORY_GB * LAMBDA_GB_SECOND + LAMBDA_REQUEST

    @property
    def storage(self) -> float:
        """DynamoDB, a turn: its item, its row in the index, the items of the turns before it."""
        return (self.kb + 1) * DYNAMODB_WRITE + self.earlier_kb / 4 * DYNAMODB_READ

    @property
    def front(self) -> float:
        """Lambda and API Gateway, a turn: what containers would replace."""
        return self.compute + API_GATEWAY_REQUEST

    def concurrency(self, users: int) -> float:
        """Environments in use, while so many users ask again after each pause."""
        return users * self.seconds / (self.seconds + self.pause)


TURNS = (
    Turn("Chat turn of 10 s", seconds=10, kb=4, earlier_kb=20, pause=20),
    Turn("Agent turn of 90 s", seconds=90, kb=20, earlier_kb=200, pause=10),
)


def idle_month() -> float:
    sweeps = HOURS * 60 * (SWEEP_SECONDS * MEMORY_GB * LAMBDA_GB_SECOND + LAMBDA_REQUEST)
    return SECRETS * SECRET_MONTH + ALARM_METRICS * ALARM_METRIC_MONTH + sweeps


def containers_month() -> float:
    each = CONTAINER_VCPU * FARGATE_VCPU_HOUR + CONTAINER_GB * FARGATE_GB_HOUR
    return HOURS * (CONTAINERS * each + BALANCER_HOUR)


def break_even(turn: Turn) -> float:
    """Turns a month from which the containers are cheaper, if they can carry them."""
    return containers_month() / turn.front


def table() -> str:
    """Markdown."""
    rows = [
        ("A million turns", *(turn.name for turn in TURNS)),
        ("---", *("---:" for _ in TURNS)),
        ("Lambda", *(f"${turn.compute * 1e6:,.0f}" for turn in TURNS)),
        ("API Gateway", *(f"${API_GATEWAY_REQUEST * 1e6:,.2f}" for _ in TURNS)),
        ("DynamoDB", *(f"${turn.storage * 1e6:,.2f}" for turn in TURNS)),
        ("Together", *(f"${(turn.front + turn.storage) * 1e6:,.0f}" for turn in TURNS)),
        ("Concurrency that 200 busy users need", *(f"{turn.concurrency(200):.0f}" for turn in TURNS)),
        ("Turns a month from which two containers cost less", *(f"{_round(break_even(t)):,}" for t in TURNS)),
    ]
    lines = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    idle, containers = f"${idle_month():.2f}", f"${containers_month():.0f}"
    return f"{lines}\nIdle: {idle} a month. Two containers and a load balancer: {containers}.\n"


def _round(count: float) -> int:
    """To two figures."""
    return int(round(count, 2 - len(str(int(count)))))


if __name__ == "__main__":
    print(table())
