"""Persons: proved identities, blocked values, conflicts, merges with what they moved, and old ids that lead on.

A fan or person who is merged away leaves the table: no list of fans pays for them by a condition more.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.rebuilt import rebuild
from migrations.walls import lower_walls, raise_walls

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
KINDS = "kind IN ('OPENID', 'UNIONID', 'PHONE', 'EMAIL', 'EXTERNAL_ID', 'DEVICE')"
LIST = "ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
EVERYTHING = "(SELECT current_setting('app.everything', true)) = 'on'"
OF_GROUPS = f"group_id = {LIST.format('groups')}"
GROUP_WALL = f"{EVERYTHING} OR {OF_GROUPS} OR group_id = {LIST.format('above_groups')}"
BRAND_WALL = (
    f"{EVERYTHING} OR {OF_GROUPS} OR brand_id = {LIST.format('brands')} OR brand_id = {LIST.format('above_brands')}"
)
WALLS = {
    "person_aliases": GROUP_WALL,
    "blocked_identities": GROUP_WALL,
    "identity_conflicts": GROUP_WALL,
    "person_merges": f"{EVERYTHING} OR {OF_GROUPS}",
    "merge_moves": f"{EVERYTHING} OR {OF_GROUPS}",
    "fan_aliases": BRAND_WALL,
}
OLD_KEY = ("uq_identities_group_id_kind_issuer_value_hash", ["group_id", "kind", "issuer", "value_hash"])
# the hash is keyed by kind and issuer: it tells identities apart by itself, and makes the shorter index
NEW_KEY = ("uq_identities_group_id_value_hash", ["group_id", "value_hash"])


def upgrade() -> None:
    op.add_column("identities", sa.Column("verified_at", MOMENT, nullable=True))
    _change_key(OLD_KEY, NEW_KEY)
    _number_for_ever("persons")
    _number_for_ever("fans")
    op.create_table(
        "person_aliases",
        sa.Column("old_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("person_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id", "person_id"],
            ["persons.group_id", "persons.id"],
            name=op.f("fk_person_aliases_group_id_person_id"),
        ),
        sa.PrimaryKeyConstraint("old_id", name=op.f("pk_person_aliases")),
    )
    op.create_index("ix_person_aliases_person_id", "person_aliases", ["person_id"], unique=False)
    op.create_table(
        "fan_aliases",
        sa.Column("old_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_fan_aliases_brand_id_fan_id")
        ),
        sa.PrimaryKeyConstraint("old_id", name=op.f("pk_fan_aliases")),
    )
    op.create_index("ix_fan_aliases_fan_id", "fan_aliases", ["fan_id"], unique=False)
    op.create_table(
        "blocked_identities",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("issuer", sa.String(length=128), nullable=False),
        sa.Column("value_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("value_cipher", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("blocked_by", sa.String(length=255), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_blocked_identities_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blocked_identities")),
        sa.UniqueConstraint("group_id", "value_hash", name=op.f("uq_blocked_identities_group_id_value_hash")),
    )
    op.create_index("ix_blocked_identities_group", "blocked_identities", ["group_id", "id"], unique=False)
    op.create_table(
        "identity_conflicts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("one_person_id", BIG, nullable=False),
        sa.Column("other_person_id", BIG, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("issuer", sa.String(length=128), nullable=False),
        sa.Column("evidence", sa.String(length=200), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.String(length=255), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("one_person_id < other_person_id", name=op.f("ck_identity_conflicts_ordered")),
        sa.CheckConstraint("state IN ('OPEN', 'APPROVED', 'REJECTED')", name=op.f("ck_identity_conflicts_state")),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_identity_conflicts_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_conflicts")),
        sa.UniqueConstraint(
            "group_id",
            "one_person_id",
            "other_person_id",
            name=op.f("uq_identity_conflicts_group_id_one_person_id_other_person_id"),
        ),
    )
    op.create_index("ix_identity_conflicts_state", "identity_conflicts", ["group_id", "state", "id"], unique=False)
    op.create_index("ix_identity_conflicts_one", "identity_conflicts", ["one_person_id"], unique=False)
    op.create_index("ix_identity_conflicts_other", "identity_conflicts", ["other_person_id"], unique=False)
    op.create_table(
        "person_merges",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("survivor_person_id", BIG, nullable=False),
        sa.Column("absorbed_person_id", BIG, nullable=False),
        sa.Column("absorbed_uid", sa.Uuid(), nullable=False),
        sa.Column("absorbed_created_at", MOMENT, nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("merged_by", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=True),
        sa.Column("issuer", sa.String(length=128), nullable=True),
        sa.Column("evidence", sa.String(length=200), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("undone_by", sa.String(length=255), nullable=True),
        sa.Column("undone_at", MOMENT, nullable=True),
        sa.Column("undone_note", sa.String(length=500), nullable=True),
        sa.Column("later_went_to", sa.String(length=16), nullable=True),
        sa.CheckConstraint("reason IN ('IDENTITIES', 'REVIEW', 'MANUAL')", name=op.f("ck_person_merges_reason")),
        sa.CheckConstraint("later_went_to IN ('SURVIVOR', 'ABSORBED')", name=op.f("ck_person_merges_later_went_to")),
        sa.ForeignKeyConstraint(["group_id"], ["groups.id"], name=op.f("fk_person_merges_group_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_merges")),
        sa.UniqueConstraint("group_id", "id", name=op.f("uq_person_merges_group_id_id")),
    )
    op.create_index("ix_person_merges_survivor", "person_merges", ["survivor_person_id"], unique=False)
    op.create_index("ix_person_merges_absorbed", "person_merges", ["absorbed_person_id"], unique=False)
    op.create_table(
        "merge_moves",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("merge_id", BIG, nullable=False),
        sa.Column("what", sa.String(length=32), nullable=False),
        sa.Column("brand_id", BIG, nullable=True),
        sa.Column("gone_fan_id", BIG, nullable=True),
        sa.Column("into_fan_id", BIG, nullable=True),
        sa.Column("before", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id", "merge_id"],
            ["person_merges.group_id", "person_merges.id"],
            name=op.f("fk_merge_moves_group_id_merge_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge_moves")),
    )
    op.create_index("ix_merge_moves_merge_id", "merge_moves", ["merge_id", "id"], unique=False)
    op.create_index("ix_merge_moves_into_fan_id", "merge_moves", ["into_fan_id"], unique=False)
    op.create_index("ix_merge_moves_gone_fan_id", "merge_moves", ["gone_fan_id"], unique=False)
    raise_walls(WALLS)


def downgrade() -> None:
    lower_walls(WALLS)
    for table in ("merge_moves", "person_merges", "identity_conflicts", "blocked_identities"):
        op.drop_table(table)
    for table in ("fan_aliases", "person_aliases"):
        op.drop_table(table)
    _number_anew("fans")
    _number_anew("persons")
    _change_key(NEW_KEY, OLD_KEY)
    op.drop_column("identities", "verified_at")


def _change_key(old: tuple[str, list[str]], new: tuple[str, list[str]]) -> None:
    if op.get_bind().dialect.name == "sqlite":
        said = [f"CONSTRAINT {name} UNIQUE ({', '.join(columns)})" for name, columns in (old, new)]
        rebuild("identities", (said[0], said[1]))
        return
    op.drop_constraint(old[0], "identities", type_="unique")
    op.create_unique_constraint(new[0], "identities", new[1])


def _key(table: str) -> tuple[str, str, str]:
    """Return a table's key as it is declared with the column and apart, and the column without it."""
    column = "\n\tid INTEGER NOT NULL"
    named = f"CONSTRAINT pk_{table} PRIMARY KEY"
    return f"{column} {named} AUTOINCREMENT", f", \n\t{named} (id)", column


def _number_for_ever(table: str) -> None:
    """Never give an id twice, as PostgreSQL's sequences do not: SQLite gives the highest one again when it is free."""
    if op.get_bind().dialect.name == "sqlite":
        within, apart, column = _key(table)
        rebuild(table, (apart, ""), (column, within))


def _number_anew(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        within, apart, column = _key(table)
        following = f", \n\tCONSTRAINT {'fk_persons_group_id' if table == 'persons' else 'ck_fans_gender'} "
        rebuild(table, (within, column), (following, apart + following))
