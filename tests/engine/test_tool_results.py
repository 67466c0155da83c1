"""What the model is told of a tool that failed."""

from __future__ import annotations

from openresponses.engine.tool_results import MAX_FAILURE, failure_text


def test_a_secret_at_the_cut_is_not_shown_in_part() -> None:
    """However much of the key there is room for: half of it would not be known as one."""
    key = "sk-" + "k" * 40
    for shown in range(1, 12):
        said = "x" * (MAX_FAILURE - len("Error: ValueError: ") - shown - 1) + f" {key}"
        told = failure_text(ValueError(said))
        assert len(told) <= MAX_FAILURE and "sk-" not in told
