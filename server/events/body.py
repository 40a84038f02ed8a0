"""The body of a batch: a JSON array or a JSON object a line, perhaps gzipped, and bounded in every way."""

import zlib
from typing import Any

from domain.events.ingest import MAX_EVENTS
from server.http.params import decode_json
from server.http.request import HttpRefusal, Request, too_large

MAX_BYTES = 1 << 20
ARRAY, LINES = "application/json", ("application/x-ndjson", "application/jsonl")
_GZIP = 16 + zlib.MAX_WBITS


def check_head(request: Request) -> None:
    """Refuse a body that is neither; raise HttpRefusal 415."""
    if request.headers.get("content-encoding", "identity").lower() not in ("identity", "gzip"):
        raise HttpRefusal(415, "A body comes as it is, or as gzip.")
    if _media(request) not in (ARRAY, *LINES):
        raise HttpRefusal(415, f"Send content-type {ARRAY}, or {LINES[0]} for a row a line, in UTF-8.")


def _media(request: Request) -> str:
    media, _, parameters = request.headers.get("content-type", "")[:256].lower().partition(";")
    name, _, charset = parameters.strip().partition("=")
    is_utf8 = name.strip() != "charset" or charset.strip(' "') in ("utf-8", "utf8")
    return media.strip() if is_utf8 else ""


def rows_of(request: Request) -> list[Any]:
    """Return the rows of the body, 1 to 1,000. Raises HttpRefusal 400 or 413."""
    body = request.body
    if request.headers.get("content-encoding", "identity").lower() == "gzip":
        body = unzip(body, MAX_BYTES)
    rows = decode_json(body) if _media(request) == ARRAY else _lines(body)
    if not isinstance(rows, list):
        raise HttpRefusal(400, "The body must be a JSON array of events.")
    if not 1 <= len(rows) <= MAX_EVENTS:
        raise HttpRefusal(413 if rows else 400, f"A call takes 1 to {MAX_EVENTS} events.")
    return rows


def _lines(body: bytes) -> list[Any]:
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) > MAX_EVENTS:
        raise HttpRefusal(413, f"A call takes 1 to {MAX_EVENTS} events.")
    return list(map(decode_json, lines))


def unzip(body: bytes, limit: int) -> bytes:
    """Return what was zipped, and no byte of it over the limit is ever made. Raises HttpRefusal 400 or 413."""
    whole = bytearray()
    while body:
        stream = zlib.decompressobj(_GZIP)
        try:
            whole += stream.decompress(body, limit + 1 - len(whole))
        except zlib.error:
            raise HttpRefusal(400, "The body is not valid gzip.") from None
        if len(whole) > limit:
            raise too_large(limit)
        if not stream.eof:
            raise HttpRefusal(400, "The gzip ends before its end.")
        # a file of several members is one file
        body = stream.unused_data
    return bytes(whole)
