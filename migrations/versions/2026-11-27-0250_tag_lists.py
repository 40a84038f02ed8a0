"""What a fan carries, heaviest first, in one row: on PostgreSQL triggers keep it, on SQLite nothing reads it."""

import sqlalchemy as sa
from alembic import op

from migrations.walls import lower_walls, raise_walls

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
OWN, OWN_NAME = (["brand_id", "fan_id"], ["fans.brand_id", "fans.id"]), "fk_fan_tag_lists_brand_id_fan_id"
WALLS = {
    "fan_tag_lists": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        "group_id = ANY ((SELECT NULLIF(current_setting('app.groups', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.brands', true), '')::bigint[])::bigint[]) OR "
        "brand_id = ANY ((SELECT NULLIF(current_setting('app.above_brands', true), '')::bigint[])::bigint[])"
    )
}
# Each tag is the byte 1, its id, the byte 1 again and its weight as JSON has it; the first id has an f before it. JSON
# never holds the byte, so what stands between two of them can be found in an answer. A weight that PostgreSQL writes
# with an exponent JSON would write otherwise: then there is no text with weights.
LISTS = """
SELECT fan_id, count(*)::integer AS length,
    string_agg(chr(1) || mark || tag_id || chr(1), '' ORDER BY place) AS tags,
    CASE WHEN bool_and(weight = 0 OR abs(weight) >= 0.0001 AND abs(weight) < 1e15) THEN string_agg(
        chr(1) || mark || tag_id || chr(1) || weight || CASE WHEN weight = trunc(weight) THEN '.0' ELSE '' END,
        '' ORDER BY place
    ) END AS weighed
FROM (
    SELECT fan_id, tag_id, weight, place, CASE WHEN place = 1 THEN 'f' ELSE '' END AS mark
    FROM (
        SELECT fan_id, tag_id, weight,
            row_number() OVER (PARTITION BY fan_id ORDER BY weight DESC, tag_id) AS place
        FROM fan_tags WHERE {which}
    ) AS placed
) AS marked
GROUP BY fan_id
"""
FILL = """
INSERT INTO fan_tag_lists (fan_id, group_id, brand_id, length, tags, weighed)
SELECT list.fan_id, fans.group_id, fans.brand_id, list.length, list.tags, list.weighed
FROM ({lists}) AS list JOIN fans ON fans.id = list.fan_id
"""
# A list stays when its last tag goes: were it dropped, whoever puts a tag on meanwhile would find it there, not lock it
# and write into nothing. Who changes the same fan's tags waits at the lock, and reads them after it.
FUNCTION = """
CREATE FUNCTION fan_tags_listed() RETURNS trigger LANGUAGE plpgsql SET extra_float_digits = 1 AS $$
DECLARE
    touched bigint[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE fan_tag_lists;
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        touched := ARRAY(SELECT DISTINCT fan_id FROM come);
    ELSIF TG_OP = 'DELETE' THEN
        touched := ARRAY(SELECT DISTINCT fan_id FROM gone);
    ELSE
        touched := ARRAY(SELECT fan_id FROM come UNION SELECT fan_id FROM gone);
    END IF;
    IF touched = '{{}}' THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO fan_tag_lists (fan_id, group_id, brand_id, length)
        SELECT DISTINCT fan_id, group_id, brand_id, 0 FROM come ORDER BY fan_id
        ON CONFLICT DO NOTHING;
    END IF;
    PERFORM FROM fan_tag_lists WHERE fan_id = ANY (touched) ORDER BY fan_id FOR NO KEY UPDATE;
    UPDATE fan_tag_lists AS kept
    SET length = coalesce(list.length, 0), tags = list.tags, weighed = list.weighed
    FROM unnest(touched) AS fan (id)
    LEFT JOIN ({lists}) AS list ON list.fan_id = fan.id
    WHERE kept.fan_id = fan.id;
    RETURN NULL;
END $$
"""
TRIGGERS = {
    "insert": "REFERENCING NEW TABLE AS come",
    "update": "REFERENCING OLD TABLE AS gone NEW TABLE AS come",
    "delete": "REFERENCING OLD TABLE AS gone",
    "truncate": "",
}


def upgrade() -> None:
    op.create_table(
        "fan_tag_lists",
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("weighed", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("fan_id", name=op.f("pk_fan_tag_lists")),
        # on PostgreSQL it comes with the next one: writers of fans must not wait while this is filled
        *([] if _on_postgresql() else [sa.ForeignKeyConstraint(*OWN, name=OWN_NAME, ondelete="CASCADE")]),
    )
    raise_walls(WALLS)
    if _on_postgresql():
        _keep()


def downgrade() -> None:
    if _on_postgresql():
        for change in TRIGGERS:
            op.execute(f"DROP TRIGGER fan_tags_listed_{change} ON fan_tags")
        op.execute("DROP FUNCTION fan_tags_listed()")
    lower_walls(WALLS)
    op.drop_table("fan_tag_lists")


def _keep() -> None:
    # no index holds what changes: a list is written again in its own page
    op.execute("ALTER TABLE fan_tag_lists SET (fillfactor = 80)")
    # who writes tags meanwhile waits, and finds the triggers
    op.execute("LOCK TABLE fan_tags IN SHARE ROW EXCLUSIVE MODE")
    # behind the walls, which hold the owner too
    op.execute("SELECT set_config('app.everything', 'on', true)")
    op.execute(FILL.format(lists=LISTS.format(which="true")))
    op.execute("SELECT set_config('app.everything', '', true)")
    op.execute(FUNCTION.format(lists=LISTS.format(which="fan_id = ANY (touched)")))
    for change, tables in TRIGGERS.items():
        op.execute(
            f"CREATE TRIGGER fan_tags_listed_{change} AFTER {change} ON fan_tags {tables} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION fan_tags_listed()"
        )


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
