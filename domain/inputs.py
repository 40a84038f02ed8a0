"""What an input says of its fields to those who send it."""

from dataclasses import MISSING, field
from typing import Annotated, Any


class AnyJson:
    """Marks a value that is a JSON object of whatever the client likes."""


JsonObject = Annotated[dict[str, Any], AnyJson()]


def said(text: str, default: Any = MISSING, *, factory: Any = MISSING) -> Any:
    """Declare a field of a frozen input with the sentence the API shows for it."""
    metadata = {"said": text}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)
