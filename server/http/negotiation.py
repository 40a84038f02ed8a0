"""Media types of GraphQL over HTTP: what a request may be sent as and what its answer is called."""

from collections.abc import Mapping
from functools import lru_cache

from server.http.request import HttpRefusal, Request

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
_RANGES = {
    JSON: JSON,
    GRAPHQL_RESPONSE: GRAPHQL_RESPONSE,
    "application/*": JSON,
    "*/*": JSON,
}


def negotiate(headers: Mapping[str, str]) -> str:
    """Return the media type of the answer to a body that is sent so; raise HttpRefusal 415 or 406."""
    check_content(headers)
    return response_type(headers)


def response_type(headers: Mapping[str, str]) -> str:
    """Return the media type of the answer; raise HttpRefusal 406 where none that we speak is accepted."""
    accept = headers.get("accept")
    if accept is None:
        return JSON
    found = _best(accept[:512])
    if found is None:
        raise HttpRefusal(406, f"Answers are {JSON} or {GRAPHQL_RESPONSE}.")
    return found


@lru_cache(maxsize=256)
def _best(accept: str) -> str | None:
    """Pick by quality, then by order; the header comes from outside, so the cache is bounded."""
    best, best_quality = None, 0.0
    for part in accept.split(","):
        media, _, parameters = part.partition(";")
        candidate, quality = _RANGES.get(media.strip().lower()), _quality(parameters)
        if candidate and quality > best_quality:
            best, best_quality = candidate, quality
    return best


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def wants_html(request: Request) -> bool:
    """Tell whether a browser asks for a page."""
    return "text/html" in request.headers.get("accept", "").lower()


def check_content(headers: Mapping[str, str]) -> None:
    """Refuse a body that is not plain UTF-8 JSON; raise HttpRefusal 415.

    A form or text/plain body would need no preflight, so any web page could send it in a user's name.
    """
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpRefusal(415, "Compressed bodies are not accepted.")
    if not _is_json(headers.get("content-type", "")[:256]):
        raise HttpRefusal(415, f"Send content-type {JSON} in UTF-8.")


@lru_cache(maxsize=64)
def _is_json(content_type: str) -> bool:
    media, *parameters = content_type.lower().split(";")
    charsets = [value.strip(' "') for name, _, value in map(_pair, parameters) if name.strip() == "charset"]
    return media.strip() == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


def _pair(parameter: str) -> tuple[str, str, str]:
    return parameter.partition("=")
