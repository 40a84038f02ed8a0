"""Global ids: opaque text that names a kind of object and its number."""

import binascii

from domain.errors import BadInput, NotFound

MAX_KIND, MAX_DIGITS = 40, 19
MALFORMED = "This is not an id."


def encode(kind: str, number: int) -> str:
    """Return the opaque id of an object."""
    return binascii.b2a_base64(b"%b:%d" % (kind.encode(), number), newline=False).rstrip(b"=").decode()


def decode(text: str, name: str) -> tuple[str, int]:
    """Return kind and number of an id. Raises BadInput where the text is no id at all."""
    try:
        # letters, digits and a colon make neither of the two characters in which alphabets of base64 differ
        plain = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
        kind, _, digits = plain.partition(b":")
        if not (kind.isalpha() and digits.isdigit()) or len(kind) > MAX_KIND or len(digits) > MAX_DIGITS:
            raise ValueError(text)
        number = int(digits)
        if number >= 2**63:
            raise ValueError(text)
        return kind.decode(), number
    except ValueError as error:
        raise BadInput(MALFORMED, field=name.split(".")) from error


def decode_as(kind: str, text: str, name: str) -> int:
    """Return the number of an id of this kind. An id of another kind answers like one that does not exist."""
    found, number = decode(text, name)
    if found != kind:
        raise NotFound(field=name.split("."))
    return number
