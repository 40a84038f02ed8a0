"""Custom attributes, changes of fans, nicknames found by their parts, and the orders fans are listed in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.walls import lower_walls, raise_walls

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
PART = sa.String(length=12, collation="C").with_variant(sa.String(length=12), "sqlite")
BRAND_LEVEL = (
    "(SELECT current_setting('app.everything', true)) = 'on' OR "
    "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
    "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
)
WALLS = dict.fromkeys(("attributes", "fan_attributes", "fan_changes", "fan_name_parts"), BRAND_LEVEL)
FAN_INDEXES = {
    "ix_fans_group_created": ["group_id", "created_at", "id"],
    "ix_fans_brand_created": ["brand_id", "created_at", "id"],
    "ix_fans_group_last_followed": ["group_id", "last_followed_at", "id"],
    "ix_fans_brand_last_followed": ["brand_id", "last_followed_at", "id"],
    "ix_fans_group_last_order": ["group_id", "last_order_at", "id"],
    "ix_fans_brand_last_order": ["brand_id", "last_order_at", "id"],
    "ix_fans_source_account": ["source_account_id", "id"],
}
VALUES = {"ix_fan_attributes_text": "text", "ix_fan_attributes_number": "number"}

# every end of a nickname, but the last character alone; only A to Z have their case taken off, the same on both databases
ENDS_POSTGRESQL = (
    'SELECT DISTINCT {fan}.brand_id, substr(lower({fan}.nickname COLLATE "C"), n, 12), {fan}.id, {fan}.group_id '
    "FROM {source}generate_series(1, char_length({fan}.nickname) - 1) AS n"
)
ENDS_SQLITE = (
    "SELECT DISTINCT {fan}.brand_id, substr(lower({fan}.nickname), n, 12) AS part, {fan}.id, {fan}.group_id "
    "FROM {source}(SELECT column1 AS n FROM (VALUES {numbers})) WHERE n < length({fan}.nickname)"
)
INSERT = "INSERT INTO fan_name_parts (brand_id, part, fan_id, group_id) "
# by its whole key, for which there is an index, and not by the fan, for which there is none
FUNCTION = """
CREATE FUNCTION fans_name_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.nickname IS NOT NULL THEN
        DELETE FROM fan_name_parts AS known USING ({old}) AS gone (brand_id, part, fan_id)
        WHERE (known.brand_id, known.part, known.fan_id) = (gone.brand_id, gone.part, gone.fan_id);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.nickname IS NOT NULL THEN
        {insert};
    END IF;
    RETURN NULL;
END $$
"""
TRIGGERS_POSTGRESQL = {
    "insert": "INSERT ON fans FOR EACH ROW WHEN (NEW.nickname IS NOT NULL)",
    "update": "UPDATE OF nickname ON fans FOR EACH ROW WHEN (OLD.nickname IS DISTINCT FROM NEW.nickname)",
    "delete": "DELETE ON fans FOR EACH ROW WHEN (OLD.nickname IS NOT NULL)",
}
DELETE_SQLITE = (
    """DELETE FROM fan_name_parts WHERE (brand_id, part, fan_id) IN (SELECT brand_id, part, id FROM ({old}));"""
)
TRIGGERS_SQLITE = {
    "insert": "INSERT ON fans WHEN NEW.nickname IS NOT NULL",
    "update": "UPDATE OF nickname ON fans WHEN OLD.nickname IS NOT NEW.nickname",
    "delete": "DELETE ON fans WHEN OLD.nickname IS NOT NULL",
}


def upgrade() -> None:
    op.create_table(
        "attributes",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("type", sa.String(length=8), nullable=False),
        sa.Column("choices", JSON, nullable=False),
        sa.Column("description", sa.String(length=500), nullable=True),
        sa.Column("fan_visible", sa.Boolean(), nullable=False),
        sa.Column("fan_writable", sa.Boolean(), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "type IN ('TEXT', 'NUMBER', 'FLAG', 'DAY', 'CHOICE', 'CHOICES')", name=op.f("ck_attributes_type")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_attributes_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attributes")),
        sa.UniqueConstraint("brand_id", "id", name=op.f("uq_attributes_brand_id_id")),
        sa.UniqueConstraint("brand_id", "key", name=op.f("uq_attributes_brand_id_key")),
    )
    op.create_table(
        "fan_attributes",
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("attribute_id", BIG, nullable=False),
        sa.Column("item", sa.Integer(), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("text", sa.String(length=500), nullable=True),
        sa.Column("number", BIG, nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(text IS NULL) <> (number IS NULL)", name=op.f("ck_fan_attributes_one_value")),
        sa.ForeignKeyConstraint(
            ["brand_id", "attribute_id"],
            ["attributes.brand_id", "attributes.id"],
            name=op.f("fk_fan_attributes_brand_id_attribute_id"),
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_fan_attributes_brand_id_fan_id")
        ),
        sa.PrimaryKeyConstraint("fan_id", "attribute_id", "item", name=op.f("pk_fan_attributes")),
    )
    for name, column in VALUES.items():
        given = sa.text(f"{column} IS NOT NULL")
        columns = ["attribute_id", column, "fan_id"]
        op.create_index(name, "fan_attributes", columns, sqlite_where=given, postgresql_where=given)
    op.create_table(
        "fan_changes",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("act", sa.String(length=16), nullable=False),
        sa.Column("tag_id", BIG, nullable=True),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('TAG', 'LEVEL', 'IDENTITY', 'PROFILE')", name=op.f("ck_fan_changes_kind")),
        sa.CheckConstraint(
            "act IN ('ADDED', 'REMOVED', 'CHANGED', 'MERGED', 'UNMERGED')", name=op.f("ck_fan_changes_act")
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_fan_changes_brand_id_fan_id")
        ),
        sa.ForeignKeyConstraint(
            ["group_id", "tag_id"], ["tags.group_id", "tags.id"], name=op.f("fk_fan_changes_group_id_tag_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fan_changes")),
    )
    op.create_index("ix_fan_changes_fan_at", "fan_changes", ["fan_id", "at", "id"])
    op.create_table(
        "fan_name_parts",
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("part", PART, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.PrimaryKeyConstraint("brand_id", "part", "fan_id", name=op.f("pk_fan_name_parts")),
    )
    for name, columns in FAN_INDEXES.items():
        op.create_index(name, "fans", columns)
    raise_walls(WALLS)
    (_index_names_postgresql if _on_postgresql() else _index_names_sqlite)()


def downgrade() -> None:
    for change in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER fans_name_{change}" + (" ON fans" if _on_postgresql() else ""))
    if _on_postgresql():
        op.execute("DROP FUNCTION fans_name_parts()")
    lower_walls(WALLS)
    for name in FAN_INDEXES:
        op.drop_index(name, table_name="fans")
    op.drop_table("fan_name_parts")
    op.drop_index("ix_fan_changes_fan_at", table_name="fan_changes")
    op.drop_table("fan_changes")
    for name, column in VALUES.items():
        given = sa.text(f"{column} IS NOT NULL")
        op.drop_index(name, table_name="fan_attributes", sqlite_where=given, postgresql_where=given)
    op.drop_table("fan_attributes")
    op.drop_table("attributes")


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _index_names_postgresql() -> None:
    # behind the walls, which hold the owner too
    op.execute("SELECT set_config('app.everything', 'on', true)")
    op.execute(INSERT + ENDS_POSTGRESQL.format(fan="fans", source="fans, LATERAL "))
    op.execute("SELECT set_config('app.everything', '', true)")
    new, old = (ENDS_POSTGRESQL.format(fan=row, source="") for row in ("NEW", "OLD"))
    op.execute(FUNCTION.format(insert=INSERT + new, old=old))
    for change, when in TRIGGERS_POSTGRESQL.items():
        op.execute(f"CREATE TRIGGER fans_name_{change} AFTER {when} EXECUTE FUNCTION fans_name_parts()")


def _index_names_sqlite() -> None:
    # a trigger of SQLite has no common table expression that could count
    numbers = ", ".join(f"({n})" for n in range(1, 200))
    op.execute(INSERT + ENDS_SQLITE.format(fan="fans", source="fans, ", numbers=numbers))
    new, old = (ENDS_SQLITE.format(fan=row, source="", numbers=numbers) for row in ("NEW", "OLD"))
    insert, delete = f"{INSERT}{new};", DELETE_SQLITE.format(old=old)
    bodies = {"insert": insert, "update": f"{delete} {insert}", "delete": delete}
    for change, when in TRIGGERS_SQLITE.items():
        op.execute(f"CREATE TRIGGER fans_name_{change} AFTER {when} BEGIN {bodies[change]} END")
