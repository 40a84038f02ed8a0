"""The version of a group's tags, which on PostgreSQL a trigger counts, and that a list goes with its fan.

Apart from the lists: whoever asks reads the groups, and must not wait while those are filled. All here is brief.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

OWN = "fk_fan_tag_lists_brand_id_fan_id"
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# who may write a tag but not see its group would leave the old names in use
COUNT = """
CREATE FUNCTION tags_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE groups SET tags_version = tags_version + 1 WHERE id = coalesce(NEW.group_id, OLD.group_id);
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the group of a tag cannot be seen';
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    if _on_postgresql():
        own = (["brand_id", "fan_id"], ["brand_id", "id"])
        op.create_foreign_key(OWN, "fan_tag_lists", "fans", *own, ondelete="CASCADE", postgresql_not_valid=True)
    op.add_column("groups", sa.Column("tags_version", BIG, nullable=False, server_default="0"))
    if _on_postgresql():
        op.execute(COUNT)
        op.execute(
            "CREATE TRIGGER tags_counted AFTER INSERT OR UPDATE OR DELETE ON tags "
            "FOR EACH ROW EXECUTE FUNCTION tags_counted()"
        )


def downgrade() -> None:
    if _on_postgresql():
        op.execute("DROP TRIGGER tags_counted ON tags")
        op.execute("DROP FUNCTION tags_counted()")
        op.drop_constraint(OWN, "fan_tag_lists", type_="foreignkey")
    op.drop_column("groups", "tags_version")


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
