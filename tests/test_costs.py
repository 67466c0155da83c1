"""The cost table: its formulas by hand, its figures as docs/operating.md shows them."""

from __future__ import annotations

import pytest

from scripts import costs

CHAT, AGENT = costs.TURNS


def test_a_turn_by_hand() -> None:
    assert CHAT.compute * 1e6 == pytest.approx(10 * 0.5 * 13.3334 + 0.20)
    assert AGENT.front * 1e6 == pytest.approx(90 * 0.5 * 13.3334 + 0.20 + 3.50)
    assert CHAT.storage * 1e6 == pytest.approx(5 * 0.625 + 5 * 0.125)


def test_concurrency_is_users_by_their_share_of_waiting() -> None:
    assert CHAT.concurrency(200) == pytest.approx(200 * 10 / 30)
    assert AGENT.concurrency(200) == pytest.approx(180)


def test_at_the_break_even_both_cost_the_same() -> None:
    for turn in costs.TURNS:
        assert costs.break_even(turn) * turn.front == pytest.approx(costs.containers_month())


def test_the_shown_table_is_of_the_prices() -> None:
    assert "| $67 | $600 |" in costs.table() and f"{costs.idle_month():.2f}" in costs.table()
