"""Global ids: opaque text that names a kind of object and its number."""

import base64
import binascii

from domain.errors import BadInput, NotFound

MALFORMED = "This is not an id."


def encode(kind: str, number: int) -> str:
    """Return the opaque id of an object."""
    return base64.urlsafe_b64encode(f"{kind}:{number}".encode()).decode().rstrip("=")


def decode(text: str, name: str) -> tuple[str, int]:
    """Return kind and number of an id. Raises BadInput where the text is no id at all."""
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode("ascii")
        kind, number = plain.split(":")
        if not (kind.isalpha() and number.isdecimal() and number.isascii() and int(number) < 2**63):
            raise ValueError(text)
        return kind, int(number)
    except (ValueError, binascii.Error) as error:
        raise BadInput(MALFORMED, field=name.split(".")) from error


def decode_as(kind: str, text: str, name: str) -> int:
    """Return the number of an id of this kind. An id of another kind answers like one that does not exist."""
    found, number = decode(text, name)
    if found != kind:
        raise NotFound(field=name.split("."))
    return number
