"""Which brand was told of which identity, when a follow came in, and how often a job found something not there."""

import sqlalchemy as sa
from alembic import op

from migrations.rebuilt import rebuild
from migrations.walls import lower_walls, raise_walls

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
LIST = "ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
WALLS = {
    "identity_brands": (
        "(SELECT current_setting('app.everything', true)) = 'on' OR "
        f"group_id = {LIST.format('groups')} OR "
        f"brand_id = {LIST.format('brands')} OR brand_id = {LIST.format('above_brands')}"
    )
}

# What was told before this was written down is a guess on the safe side: an openid was told by the brand of its
# account, anything else by the brand of a person who is a fan of one alone. The rest is found again once it is told.
TOLD_AT_ACCOUNTS = """
UPDATE identities SET first_brand_id = (
  SELECT min(a.brand_id) FROM channel_accounts a
  WHERE a.group_id = identities.group_id AND a.app_id = identities.issuer HAVING count(DISTINCT a.brand_id) = 1
) WHERE kind = 'OPENID'
"""
TOLD_BY_THE_ONLY_BRAND = """
UPDATE identities SET first_brand_id = (
  SELECT min(f.brand_id) FROM fans f WHERE f.person_id = identities.person_id HAVING count(DISTINCT f.brand_id) = 1
) WHERE first_brand_id IS NULL
"""


def upgrade() -> None:
    op.add_column("identities", sa.Column("first_brand_id", BIG, nullable=True))
    op.create_table(
        "identity_brands",
        sa.Column("identity_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, autoincrement=False, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_identity_brands_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("identity_id", "brand_id", name=op.f("pk_identity_brands")),
    )
    op.add_column("follows", sa.Column("received_at", MOMENT, nullable=True))
    op.add_column("jobs", sa.Column("waits", sa.Integer(), nullable=False, server_default="0"))
    _fill()
    _require_received_at()
    raise_walls(WALLS)


def _fill() -> None:
    _everything("on")
    op.execute(TOLD_AT_ACCOUNTS)
    op.execute(TOLD_BY_THE_ONLY_BRAND)
    op.execute("UPDATE follows SET received_at = at")
    _everything("")


def _everything(value: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"SELECT set_config('app.everything', '{value}', true)")


def _require_received_at() -> None:
    if op.get_bind().dialect.name == "sqlite":
        rebuild("follows", ("received_at DATETIME", "received_at DATETIME NOT NULL"))
    else:
        op.alter_column("follows", "received_at", nullable=False)


def downgrade() -> None:
    lower_walls(WALLS)
    op.drop_column("jobs", "waits")
    op.drop_column("follows", "received_at")
    op.drop_table("identity_brands")
    op.drop_column("identities", "first_brand_id")
