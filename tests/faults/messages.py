"""Answers that are wrong as HTTP, or wrong as text: connections, codings, types, character sets, error replies."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from itertools import repeat

from ..support.provider import Answer, bytewise
from ..support.speech import dumps
from .documented import ANY_STATUS, DOCUMENTED
from .fault import INVALID, SILENT, UNAVAILABLE, Fault
from .outcomes import End, broken, refused, whole
from .wire import (
    END,
    FIRST_WORD,
    READ,
    Dialect,
    Make,
    after_first_word,
    body,
    chunk,
    chunked,
    head,
    head_of,
    reply,
    right,
    sends,
    until_first_word,
)

LIE = refused(INVALID)
BROKEN = broken(UNAVAILABLE, FIRST_WORD)
BEGUN = chunked(until_first_word)
# Lines that are none of its fields are nothing in an event stream: it was empty. Elsewhere they are no frames.
NO_EVENT, NO_FRAME = refused(UNAVAILABLE), {"ollama": LIE, "bedrock": LIE}
# Without a head, an old connection may have been met, which is replaced: the attempts vary.
NO_ANSWER = End(UNAVAILABLE, begun=False, attempts=None)


def http() -> Iterator[Fault]:
    yield Fault("refuses the connection", None, NO_ANSWER)
    yield Fault("answers something else than HTTP", sends(b"220 smtp ready\r\n\r\n"), NO_ANSWER)
    endless = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n"
    yield Fault("sends a header without an end", sends(endless), NO_ANSWER)
    first = sends(head_of, b"zz\r\nx\r\n", pause=READ, ending="hang")
    yield Fault("sends garbage for the first chunk", first, NO_EVENT, silent=True)
    for name, no_chunk in (
        ("sends garbage for a later chunk", b"zz\r\nx\r\n"),
        ("sends a chunk longer than it says", b"3\r\nabcdef\r\n"),
    ):
        yield Fault(name, sends(head_of, BEGUN, no_chunk, pause=READ, ending="hang"), BROKEN, silent=True)
    yield Fault("sends less than its content-length", sends(long_head, until_first_word), BROKEN)
    more = sends(exact_head, until_first_word, after_first_word, pause=READ)
    yield Fault("sends more than its content-length", more, BROKEN)
    for early in (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"):
        answer = sends(early, head_of, chunked(right), END)
        yield Fault(f"says {early[9:12].decode()} before its answer", answer, whole())
    once = b"HTTP/1.1 102 Processing\r\n\r\n"
    waiting = sends(once, once, once, pause=READ, ending="hang")
    yield Fault("says 102 and nothing else", waiting, refused(SILENT, retried=False), silent=True)
    switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    yield Fault("switches protocols", sends(switched, right), NO_ANSWER)
    yield Fault("speaks HTTP/1.0", sends(old_head, right), whole())
    yield Fault("ends its answer with the connection", sends(endless_head, right), whole())
    yield Fault("sends trailers", sends(head_of, chunked(right), b"0\r\nx-a: 1\r\n\r\n"), whole())
    yield from odd_http()
    yield Fault("answers 204", sends(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"), NO_EVENT)
    yield Fault("answers nothing with content-length 0", reply(200), NO_EVENT)
    yield Fault("answers comments only", body(b": OPENROUTER PROCESSING\n\n" * 3), NO_EVENT, NO_FRAME)
    yield Fault("sends one byte at a time", dripped, whole())


def odd_http() -> Iterator[Fault]:
    """What HTTP allows, and what only looks like it."""
    for name, fields in {
        "has a header of 7,000 bytes": ("x: " + "y" * 7000,),
        "has 100 headers": tuple(f"x-{number}: y" for number in range(100)),
        "has a header over two lines": ("x: a\r\n b",),
    }.items():
        yield Fault(name, sends(head_with(*fields), chunked(right), END), whole())
    for name, fields in {
        "has 50,000 headers": tuple(f"x-{number}: y" for number in range(50_000)),
        "has a header without a colon": ("words",),
        "has a NUL byte in a header": ("x: a\0b",),
        "says a length and chunks": ("content-length: 5",),
    }.items():
        yield Fault(name, sends(head_with(*fields), chunked(right), END), NO_ANSWER)
    for lengths in (("-1",), ("abc",), ("1e3",), ("5", "6")):
        fields = tuple(f"content-length: {length}" for length in lengths)
        odd = sends(head_with(*fields, chunked=False), right)
        yield Fault(f"says that its length is {' and '.join(map(repr, lengths))}", odd, NO_ANSWER)
    extended = sends(head_of, lambda d: b"%x;a=b\r\n%b\r\n" % (len(right(d)), right(d)), END)
    yield Fault("has extensions of its chunks", extended, whole())
    yield Fault("sends a chunk of a size below zero", sends(head_of, b"-5\r\n", right, pause=READ), NO_EVENT)
    for status in ("201 Created", "203 x", "206 Partial Content", "200"):
        yield Fault(
            f"says {status} and answers", sends(head_with(status=status), chunked(right), END), whole()
        )
    for status in ("600 x", "999 x"):
        failed = sends(head_with(status=status), chunked(right), END)
        yield Fault(f"answers with the status {status[:3]}", failed, refused("provider_error"))
    for status in ("20 x", "abc", "-200 x", "1000 x"):
        yield Fault(f"answers with the status {status!r}", sends(head_with(status=status), right), NO_ANSWER)
    for name, sent in {
        "speaks HTTP/2": b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\x04@\0\0\0\0\x02\0\0\0\0",
        "answers with an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x46",
    }.items():
        yield Fault(name, sends(sent), NO_ANSWER)
    yield Fault("speaks HTTP/0.9", sends(right), NO_ANSWER)
    many = b"HTTP/1.1 100 Continue\r\n\r\n" * 1000
    yield Fault("says 100 a thousand times", sends(many, head_of, chunked(right), END), whole())
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    yield Fault("says 103 without end", endless(hint), refused(SILENT, retried=False), silent=True)


def endless(piece: bytes) -> Make:
    return lambda _: Answer(pieces=repeat(piece), pause=0.01, raw=True)


def head_with(*fields: str, status: str = "200 OK", chunked: bool = True) -> Callable[[Dialect], bytes]:
    return lambda dialect: head(dialect.content_type, *fields, status=status, chunked=chunked)


def long_head(dialect: Dialect) -> bytes:
    return head(dialect.content_type, "content-length: 99999", chunked=False)


def old_head(dialect: Dialect) -> bytes:
    return f"HTTP/1.0 200 OK\r\ncontent-type: {dialect.content_type}\r\n\r\n".encode()


def endless_head(dialect: Dialect) -> bytes:
    return head(dialect.content_type, chunked=False)


def exact_head(dialect: Dialect) -> bytes:
    return head(dialect.content_type, f"content-length: {len(until_first_word(dialect))}", chunked=False)


def dripped(dialect: Dialect) -> Answer:
    return sends(head_of, *map(chunk, bytewise(right(dialect))), END)(dialect)


# --------------------------------------------------------------------------- codings, types, character sets


def zipped(dialect: Dialect) -> bytes:
    return gzip.compress(right(dialect))


def zipped_until_first_word(dialect: Dialect) -> bytes:
    zipper = zlib.compressobj(wbits=31)
    return zipper.compress(until_first_word(dialect)) + zipper.flush(zlib.Z_SYNC_FLUSH)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Dialect], bytes]:
    return lambda dialect: change(right(dialect))


def codings() -> Iterator[Fault]:
    for coding in ("gzip", "deflate"):
        yield Fault(f"says {coding} and is not", body(right, fields=(f"content-encoding: {coding}",)), LIE)
    gzipped = ("content-encoding: gzip",)
    yield Fault("is gzip, though not asked", body(zipped, fields=gzipped), whole())
    bomb = gzip.compress(b"\n" * 5_000_000)
    yield Fault("is gzip that unfolds without end", body(bomb, fields=gzipped), LIE)
    yield Fault("is gzip and breaks off", body(lambda d: zipped(d)[:40], fields=gzipped), NO_EVENT)
    deflated = body(changed(zlib.compress), fields=("content-encoding: deflate",))
    yield Fault("is deflate, though not asked", deflated, whole())
    for coding in ("gzip, gzip", "gzip, identity"):
        yield Fault(f"says {coding} and is not", body(right, fields=(f"content-encoding: {coding}",)), LIE)
    for coding in ("IDENTITY", "none"):
        yield Fault(
            f"says {coding} for its coding", body(right, fields=(f"content-encoding: {coding}",)), whole()
        )
    sum_lies = body(lambda d: zipped(d)[:-8] + b"12345678", fields=gzipped)
    yield Fault("is gzip with a sum that lies", sum_lies, LIE)
    cut = sends(head_with("content-encoding: gzip"), chunked(zipped_until_first_word))
    yield Fault("is gzip and breaks off after the first word", cut, BROKEN)
    told = ("content-encoding: gzip", f"content-length: {len(bomb)}")
    packed = head("application/json", *told, status="400 x", chunked=False)
    yield Fault("answers 400 in gzip that unfolds without end", sends(packed + bomb), ANY_STATUS[400])
    yield Fault("is gzip and does not say so", body(zipped), NO_EVENT, NO_FRAME)
    for kind in (
        "text/plain",
        "application/json",
        "application/octet-stream",
        "text/plain; charset=utf-16",
        None,
    ):
        yield Fault(f"calls its answer {kind or 'nothing'}", body(right, content_type=kind), whole())
    utf_16 = changed(lambda text: text.decode("latin-1").encode("utf-16"))
    yield Fault("answers in UTF-16", body(utf_16), NO_EVENT, NO_FRAME)
    yield Fault("has a byte order mark", body(b"\xef\xbb\xbf", right), whole(), but={"bedrock": LIE})
    latin_1 = changed(lambda text: text.replace(b" ther", b" t\xe9er", 1))
    yield Fault("says what is no UTF-8", body(latin_1), broken(INVALID, FIRST_WORD))
    page = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
    yield Fault("answers HTML with 200", body(page, content_type="text/html"), LIE)
    yield Fault("answers HTML and calls it its answer", body(page), LIE)
    words = body(b"Service temporarily down\n", content_type="text/plain")
    yield Fault("answers words with 200", words, NO_EVENT, NO_FRAME)


# --------------------------------------------------------------------------- statuses


def statuses() -> Iterator[Fault]:
    """Redirects, and error replies: of any provider by the status alone, and those of each one's documentation."""
    for status in (300, 301, 302, 303, 304, 307, 308):
        redirect = reply(status, b"", "location: http://127.0.0.1:1/")
        yield Fault(f"redirects with {status}", redirect, refused("provider_error", retried=False))
    for status, end in ANY_STATUS.items():
        yield Fault(f"answers {status} without a word", reply(status), end)
    for number, row in enumerate(DOCUMENTED):
        said = row.body.decode() if isinstance(row.body, bytes) else dumps(row.body)
        answer = reply(row.status, row.body, *row.fields)
        yield Fault(f"answers {row.status}: {said:.120} ({number})", answer, row.end, only=(row.dialect,))
    for status in (400, 429, 500):
        begun = head("application/json", status=f"{status} Said") + b'f\r\n{"error'
        end = ANY_STATUS[status]
        yield Fault(f"answers {status} and dies in the body", sends(begun), end)
        silent = sends(begun, ending="hang")
        yield Fault(f"answers {status} and falls silent in the body", silent, end, silent=True)
