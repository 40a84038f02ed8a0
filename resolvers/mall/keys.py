"""What makes two requests of the mall the same."""

from dataclasses import asdict
from typing import Any

from domain.errors import BadInput
from domain.idempotency import Once
from resolvers.context import Context


def once_of(context: Context, group_id: int, mutation: str, input: Any) -> Once:
    """Return what an input with a key is known by. Raises BadInput for a key that is none."""
    key = input.idempotency_key
    if not 1 <= len(key.strip()) <= len(key) <= 128:
        raise BadInput("idempotencyKey has 1 to 128 characters.", field=("input", "idempotencyKey"))
    request = {**asdict(input), "idempotency_key": None, "dry_run": None}
    return Once(context.viewer.principal, group_id, mutation, key, request)
