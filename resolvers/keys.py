"""How inputs of value are read: by which key requests are the same, and how much money is meant."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

from domain.errors import BadInput
from domain.idempotency import Once
from domain.money import to_minor
from resolvers.context import Context


def once_of(context: Context, group_id: int, mutation: str, input: Any) -> Once:
    """Return what an input with a key is known by. Raises BadInput for a key that is none."""
    return Once(context.viewer.principal, group_id, mutation, *keyed(input))


def keyed(input: Any) -> tuple[str, dict[str, Any]]:
    """Return the key of an input, and what must be the same under it. Raises BadInput for a key that is none."""
    key = input.idempotency_key
    if not 1 <= len(key.strip()) <= len(key) <= 128:
        raise BadInput("idempotencyKey has 1 to 128 characters.", field=("input", "idempotencyKey"))
    return key, {**asdict(input), "idempotency_key": None, "dry_run": None}


def minor_of(amount: Decimal, currency: str, name: str) -> int:
    """Return an amount in minor units. Raises BadInput naming the field it came in."""
    try:
        return to_minor(amount, currency)
    except ValueError as error:
        raise BadInput(f"{name} {error}.", field=("input", name)) from error
