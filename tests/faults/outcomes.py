"""What a client is told, and what is stored, when a provider fails: derived from the failure and the mode of asking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from openresponses.protocol.errors import ERRORS

MODES = ("stream", "json", "websocket", "background")
RETRIES = 2


@dataclass(frozen=True)
class End:
    """How a provider's answer ends for the gateway.

    code       of the error; None: the answer counts
    reason     why an answer that counts is incomplete, or None
    begun      whether the provider had begun to answer, so that its failure comes within the answer
    attempts   how often the provider is asked; None: not looked at
    text       what the client has at least been told of the text
    """

    code: str | None = None
    reason: str | None = None
    begun: bool = True
    attempts: int | None = 1
    text: str = ""


class Told(NamedTuple):
    """One cell of the matrix.

    status    HTTP's, or that of a WebSocket's error envelope
    how       the response's status; "refused": an error in place of a response, and nothing is stored
    code      the error's code, or the reason of an incomplete response
    attempts  as in End
    """

    status: int
    how: str
    code: str | None
    attempts: int | None = 1


def whole() -> End:
    """The answer arrives, whatever the provider did."""
    return End()


def cut(reason: str) -> End:
    """The answer is incomplete by the provider's word."""
    return End(reason=reason)


def refused(code: str, *, retried: bool | None = None) -> End:
    """The failure comes in the place of an answer; `retried` None: as the error's table says."""
    again = ERRORS[code].retryable if retried is None else retried
    attempts = 2 if code == "provider_authentication_failed" else 1 + RETRIES * again
    return End(code, begun=False, attempts=attempts)


def broken(code: str, text: str = "") -> End:
    """The failure comes in mid-answer."""
    return End(code, text=text)


def told(end: End, mode: str) -> Told:
    """What the client of this mode sees, and what is stored is the same.

    Streams, also those of a WebSocket, tell a failure in place of the answer if nothing has begun. An answer in one
    piece has never begun. A background response is always there, and has failed.
    """
    if end.code is None:
        return Told(200, "incomplete" if end.reason else "completed", end.reason, end.attempts)
    if mode == "background" or (end.begun and mode != "json"):
        return Told(200, "failed", end.code, end.attempts)
    return Told(ERRORS[end.code].status, "refused", end.code, end.attempts)
