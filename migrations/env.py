"""Alembic's entry: runs the migrations on the connection it is given."""

from typing import Any

from alembic import context

from domain.columns import UtcDateTime
from migrations.models import metadata
from migrations.partitions import is_ours


def _render(kind: str, item: Any, autogen: Any) -> Any:
    # a migration keeps the column type of its day, not a class that may change or go
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_render,
    include_object=is_ours,
    transaction_per_migration=True,
    compare_type=False,
)
with context.begin_transaction():
    context.run_migrations()
