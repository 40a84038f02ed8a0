"""The GraphQL parameters of a request, decoded strictly: what two parsers might read differently is refused."""

import json
import re
from typing import Any, NamedTuple, NoReturn
from urllib.parse import parse_qsl

import orjson

from server.http.request import HttpRefusal, Request

# every key ends so or so, and within a string nothing else can without a backslash: as many as keys were read are all
# of them
_KEY_END, _SPACED_KEY_END = b'":', re.compile(rb'"\s+:')
_NUL_ESCAPE = re.compile(rb"\\u(?:0000|\{0+\})")


class Params(NamedTuple):
    """One operation to run."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]


def from_body(body: bytes) -> Params:
    """Decode a JSON body; raise HttpRefusal 400."""
    return read_params(decode_json(body))


def from_query_string(request: Request, limit: int) -> Params:
    """Decode the parameters of a GET; raise HttpRefusal 400 or 414."""
    raw = request.query_string
    if len(raw) > limit:
        raise HttpRefusal(414, f"The query string is longer than {limit} bytes.")
    values: dict[str, Any] = {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20)
    except ValueError:
        raise HttpRefusal(400, "The query string is not valid.") from None
    for name, value in pairs:
        if name in values:
            raise HttpRefusal(400, "A parameter is given twice.")
        values[name] = decode_json(value.encode()) if name in ("variables", "extensions") and value else value
    values["operationName"] = values.get("operationName") or None
    return read_params(values)


def decode_json(raw: bytes) -> Any:
    """Decode JSON; refuse duplicate keys, NaN, numbers out of range, lone surrogates, NUL and deep nesting."""
    if _NUL_ESCAPE.search(raw):
        raise HttpRefusal(400, "NUL characters are not accepted.")
    try:
        # orjson refuses all but duplicate keys and integers over 64 bits; where there may be any, a second reading does
        decoded = orjson.loads(raw)
        keys = raw.count(_KEY_END) + len(_SPACED_KEY_END.findall(raw))
        return decoded if _is_plain(decoded, keys) else _decode(raw.decode())
    except (ValueError, RecursionError):
        raise HttpRefusal(400, "The body is not valid JSON.") from None


def _is_plain(decoded: Any, keys: int) -> bool:
    """Tell whether the text had no key twice, for it had at most this many, and no number that was read as a float."""
    found = [decoded]
    for value in found:  # which grows
        kind = type(value)
        if kind is dict:
            keys -= len(value)
            found += value.values()
        elif kind is list:
            found += value
        elif kind is float:
            return False
    return keys == 0


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(_: str) -> NoReturn:
    raise ValueError("not JSON")


_decode = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant).decode


def read_params(values: Any) -> Params:
    """Take an operation out of decoded JSON; raise HttpRefusal 400."""
    if isinstance(values, list):
        raise HttpRefusal(400, "Batches of operations are not supported: send one JSON object.")
    if not isinstance(values, dict):
        raise HttpRefusal(400, "The body must be a JSON object.")
    query, name, variables = values.get("query"), values.get("operationName"), values.get("variables")
    if not isinstance(query, str) or not query:
        raise HttpRefusal(400, "`query` must be a string that is not empty.")
    if not (name is None or isinstance(name, str)):
        raise HttpRefusal(400, "`operationName` must be a string.")
    if not (variables is None or isinstance(variables, dict)):
        raise HttpRefusal(400, "`variables` must be an object.")
    extensions = values.get("extensions")
    if not (extensions is None or isinstance(extensions, dict)):
        raise HttpRefusal(400, "`extensions` must be an object.")
    return Params(query, name, variables or {})
