"""What all tables share: naming of constraints, key and tenant columns, and the Core table behind a model."""

from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, MetaData, Table, inspect
from sqlmodel import Field, SQLModel

from domain import clock
from domain.columns import BigInt, UtcDateTime

# Alembic can only drop or alter what has a name, the same on both databases.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata: MetaData = SQLModel.metadata
metadata.naming_convention = NAMES


def key() -> Any:
    """Declare a 64-bit primary key the database assigns."""
    return Field(default=None, primary_key=True, sa_type=BigInt)


def ref(target: str | None = None, *, nullable: bool = False, index: bool = False) -> Any:
    """Declare a 64-bit reference; without a target the table names it in a composite foreign key."""
    arguments = [ForeignKey(target)] if target else []
    return Field(
        default=None if nullable else ...,
        sa_type=BigInt,
        nullable=nullable,
        index=index,
        sa_column_args=arguments,
    )


def moment(*, nullable: bool = False, now: bool = False) -> Any:
    """Declare a moment in UTC; `now` fills it when the row is made in Python."""
    if now:
        return Field(
            default_factory=clock.now, sa_type=UtcDateTime, nullable=False, sa_column_kwargs={"default": clock.now}
        )
    return Field(default=None if nullable else ..., sa_type=UtcDateTime, nullable=nullable)


def within(parent: str, *columns: str) -> ForeignKeyConstraint:
    """Keep tenant columns consistent: these columns together name one row of `parent`."""
    names = [*columns[:-1], "id"]
    return ForeignKeyConstraint(list(columns), [f"{parent}.{name}" for name in names])


def table_of(model: type[SQLModel]) -> Table:
    """Return the Core table behind a model."""
    table = inspect(model).local_table
    assert isinstance(table, Table)
    return table
