"""The wire cases a second time, through the Lambda path."""

from __future__ import annotations

from tests.wire import test_wire

from .again import again

pytestmark = test_wire.pytestmark

# How a provider's bytes are cut has nothing to do with the front door; what is kept is asked elsewhere.
REST = ("test_byte_by_byte", "test_cut_in_two", "test_streaming_and_not_agree", "test_what_was_told_is_kept")
globals().update(again(test_wire, without=REST))
