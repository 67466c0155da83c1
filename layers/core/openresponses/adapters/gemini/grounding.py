"""What an answer rests on: groundingMetadata and citationMetadata as a search item and annotations.

Gemini counts offsets in bytes of UTF-8, from the beginning of a text part; clients count characters.
Source: https://ai.google.dev/api/generate-content#GroundingMetadata.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from ..base import Annotation, Delta, HostedItemEnded, HostedItemEvent, HostedItemStarted, Json


class Grounding:
    """Collects from the chunks; says what it has when the reader leaves a text. `searched`: the search was shown."""

    def __init__(self) -> None:
        self.searched = False
        self._metadata: Json = {}
        self._citations: list[Json] = []
        self._starts: dict[int, int] = {}  # where a text part begins in the text, in bytes

    def add(self, candidate: Json) -> None:
        if metadata := candidate.get("groundingMetadata"):
            self._metadata = {**self._metadata, **metadata}
        if citations := candidate.get("citationMetadata"):
            self._citations += citations.get("citations") or citations.get("citationSources") or []

    def begin_part(self, index: int, text: list[str]) -> None:
        """Part `index` begins behind `text`. In a stream every chunk begins at 0 again: the first one counts."""
        if index not in self._starts:
            self._starts[index] = sum(len(piece.encode()) for piece in text)

    def cite(self, text: list[str], out: list[Delta]) -> None:
        """Annotations on the text, once."""
        supports = self._metadata.get("groundingSupports")
        self._metadata = {**self._metadata, "groundingSupports": None}
        citations, self._citations = self._citations, []
        if not supports and not citations:
            return
        raw = "".join(text).encode()
        for support in supports or ():
            segment = support.get("segment") or {}
            start, end = self._span(raw, segment)
            for index in support.get("groundingChunkIndices") or ():
                if annotation := _annotation(self._chunk(index), start, end):
                    out.append(Annotation(annotation))
        for citation in citations:
            if citation.get("uri"):
                start, end = self._span(raw, citation)
                source = {"web": {"uri": citation["uri"], "title": citation.get("title")}}
                annotation = _annotation(source, start, end)
                assert annotation is not None
                out.append(Annotation(annotation))

    def search(self, out: list[Delta], next_key: Callable[[], Hashable]) -> None:
        """The search as an item, once, where Gemini did not show it as parts."""
        queries = self._metadata.get("webSearchQueries") or []
        retrieved = [chunk["retrievedContext"] for chunk in self._chunks() if "retrievedContext" in chunk]
        if self.searched or not (queries or retrieved):
            return
        self.searched = True
        if retrieved:
            item = _file_search(queries, retrieved)
        else:
            item = _web_search(queries, [chunk["web"] for chunk in self._chunks() if "web" in chunk])
        key = next_key()
        out.append(HostedItemStarted(key, {**item, "status": "in_progress"}))
        for step in ("in_progress", "searching", "completed"):
            out.append(HostedItemEvent(key, f"response.{item['type']}.{step}"))
        out.append(HostedItemEnded(key, item))

    def _chunks(self) -> Iterator[Json]:
        yield from self._metadata.get("groundingChunks") or ()

    def _chunk(self, index: int) -> Json:
        chunks = self._metadata.get("groundingChunks") or []
        found: Json = chunks[index] if 0 <= index < len(chunks) else {}
        return found

    def _span(self, raw: bytes, segment: Json) -> tuple[int, int]:
        """A segment in characters. Where its text does not stand at its offsets, it is where it does stand."""
        base = self._starts.get(segment.get("partIndex") or 0, 0)
        start, end = base + (segment.get("startIndex") or 0), base + (segment.get("endIndex") or 0)
        text = (segment.get("text") or "").encode()
        if text and raw[start:end] != text and (found := raw.find(text)) >= 0:
            start, end = found, found + len(text)
        return _characters(raw, start), _characters(raw, end)


def _file_search(queries: list[str], retrieved: list[Json]) -> Json:
    results = [
        {"file_id": _file_id(found), "filename": found.get("title") or "", "text": found.get("text") or ""}
        for found in retrieved
    ]
    return {"type": "file_search_call", "status": "completed", "queries": queries, "results": results}


def _web_search(queries: list[str], pages: list[Json]) -> Json:
    sources = [{"type": "url", "url": page.get("uri") or ""} for page in pages]
    action = {"type": "search", "query": queries[0], "queries": queries, "sources": sources}
    return {"type": "web_search_call", "status": "completed", "action": action}


def _characters(raw: bytes, offset: int) -> int:
    return len(raw[:offset].decode("utf-8", "ignore"))


def _annotation(chunk: Json, start: int, end: int) -> Json | None:
    """A chunk that a segment rests on, as OpenAI's annotation."""
    source = chunk.get("web") or chunk.get("maps") or chunk.get("retrievedContext") or {}
    if uri := source.get("uri"):
        title = source.get("title") or ""
        return {"type": "url_citation", "start_index": start, "end_index": end, "url": uri, "title": title}
    if "retrievedContext" in chunk:
        name = source.get("title") or ""
        return {"type": "file_citation", "file_id": _file_id(source), "filename": name, "index": end}
    return None


def _file_id(source: Json) -> str:
    return str(source.get("documentName") or source.get("fileSearchStore") or source.get("uri") or "")
