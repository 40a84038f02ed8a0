"""Whether a service still is who it was when it was looked up, asked by the very statement that answers it."""

from datetime import datetime
from typing import NamedTuple

from domain import clock


class Standing(NamedTuple):
    """What must still be so of a service's key for what was looked up under it to hold."""

    key_id: int
    group_id: int
    secret_hash: bytes
    policy_version: int

    def values(self) -> tuple[int, int, bytes, int, datetime]:
        """Return the parameters of `stands`, as of now."""
        return (*self, clock.now())


def stands(first: int) -> str:
    """Return the condition that the key is still there, in force, and its group's rights as they were.

    Its parameters, `Standing.values`, begin at `first`. A caller whose walls hide their own key does not stand.
    """
    key_id, group_id, secret_hash, version, now = range(first, first + 5)
    return (
        f"EXISTS (SELECT FROM api_keys AS own_key JOIN groups AS own_group ON own_group.id = own_key.group_id"
        f" WHERE own_key.id = ${key_id}::bigint AND own_key.group_id = ${group_id}::bigint"
        f" AND own_key.secret_hash = ${secret_hash}::bytea AND own_key.revoked_at IS NULL"
        f" AND (own_key.expires_at IS NULL OR own_key.expires_at > ${now}::timestamptz)"
        f" AND own_group.policy_version = ${version}::bigint)"
    )
