"""Partitions are tables that no model names: the database makes and drops them as months come and go."""

import re

_PARTITION = re.compile(r"events_(?:\d{6}|default)")

# what the server may ask the owner of partitioned tables to do for it
FUNCTIONS = ("keep_event_months(integer, integer)", "drop_event_months(timestamptz)")


def is_ours(found: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
    """Tell Alembic to compare everything but partitions with the models."""
    return not (kind == "table" and reflected and compared is None and _PARTITION.fullmatch(name or ""))
