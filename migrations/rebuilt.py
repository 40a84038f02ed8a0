"""Tables that SQLite has to make anew, because it cannot alter what a migration changes of them."""

from alembic import op
from sqlalchemy import text


def rebuild(table: str, *changes: tuple[str, str]) -> None:
    """Make a table anew on SQLite with its declaration changed, each text to another; rows, indexes and triggers stay.

    Raises ValueError for a text that the declaration does not hold once.
    """
    bind = op.get_bind()
    rows = bind.execute(text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :name"), {"name": table}).all()
    (declared,) = [row.sql for row in rows if row.type == "table"]
    # a table that was renamed is declared with its name in quotes
    made = f"CREATE TABLE {table}_anew {declared[declared.index('(') :]}"
    for old, new in changes:
        if made.count(old) != 1:
            raise ValueError(f"{table} is not declared with {old!r} once")
        made = made.replace(old, new)
    statements = (
        made,
        f"INSERT INTO {table}_anew SELECT * FROM {table}",  # noqa: S608 (a migration's own name)
        f"DROP TABLE {table}",
        f"ALTER TABLE {table}_anew RENAME TO {table}",
        *(row.sql for row in rows if row.type in ("index", "trigger") and row.sql),
    )
    for statement in statements:
        op.execute(statement)
