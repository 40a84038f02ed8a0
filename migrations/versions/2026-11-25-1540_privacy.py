"""Privacy: consents and their history, jobs, sealed exports, and who was erased."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.walls import lower_walls, raise_walls

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("state IN ('QUEUED', 'RUNNING')")
GRANTED = sa.text("granted")
LISTED = "{} = ANY ((SELECT NULLIF(current_setting('app.{}', true), '')::bigint[])::bigint[])"
INSIDE = " OR ".join(
    [
        "(SELECT current_setting('app.everything', true)) = 'on'",
        LISTED.format("group_id", "groups"),
        LISTED.format("brand_id", "brands"),
    ]
)
BRAND_WALL = f"{INSIDE} OR {LISTED.format('brand_id', 'above_brands')}"
OWN_WALL = f"{INSIDE} OR {LISTED.format('fan_id', 'fans')}"
WALLS = {
    **dict.fromkeys(("consents", "consent_records", "erasures"), BRAND_WALL),
    **dict.fromkeys(("jobs", "export_parts"), OWN_WALL),
}


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("input", JSON, nullable=False),
        sa.Column("progress", JSON, nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.Column("next_at", MOMENT, nullable=False),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('EXPORT_FAN', 'ERASE_FAN')", name=op.f("ck_jobs_kind")),
        sa.CheckConstraint("state IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED')", name=op.f("ck_jobs_state")),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_jobs_group_id_brand_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_brand_id_id", "jobs", ["brand_id", "id"], unique=False)
    op.create_index("ix_jobs_fan_id_id", "jobs", ["fan_id", "id"], unique=False)
    op.create_index("ix_jobs_open", "jobs", ["next_at"], unique=False, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_index("uq_jobs_open", "jobs", ["kind", "fan_id"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "erasures",
        sa.Column("job_id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("fans", JSON, nullable=False),
        sa.Column("persons", JSON, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("erased_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["group_id", "brand_id"], ["brands.group_id", "brands.id"], name=op.f("fk_erasures_group_id_brand_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_erasures_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_brand_id_job_id", "erasures", ["brand_id", "job_id"], unique=False)
    op.create_index("ix_erasures_fan_id", "erasures", ["fan_id"], unique=False)
    op.create_index("ix_cascades_seed_fan_id", "cascades", ["seed_fan_id"], unique=False)
    op.create_table(
        "export_parts",
        sa.Column("job_id", BIG, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_export_parts_job_id")),
        sa.PrimaryKeyConstraint("job_id", "position", name=op.f("pk_export_parts")),
    )
    op.create_index("ix_export_parts_created_at", "export_parts", ["created_at"], unique=False)
    op.create_index("ix_export_parts_fan_id", "export_parts", ["fan_id"], unique=False)
    op.create_table(
        "consent_records",
        sa.Column("id", BIG, nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=False),
        sa.Column("evidence", sa.String(length=200), nullable=True),
        sa.Column("principal", sa.String(length=255), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "purpose IN ('MARKETING', 'PROFILING', 'PERSONALISATION', 'LOCATION', 'GROUP_SHARING')",
            name=op.f("ck_consent_records_purpose"),
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_consent_records_brand_id_fan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_records")),
    )
    op.create_index("ix_consent_records_fan_id_id", "consent_records", ["fan_id", "id"], unique=False)
    op.create_table(
        "consents",
        sa.Column("fan_id", BIG, nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("group_id", BIG, nullable=False),
        sa.Column("brand_id", BIG, nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("policy", sa.String(length=64), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "purpose IN ('MARKETING', 'PROFILING', 'PERSONALISATION', 'LOCATION', 'GROUP_SHARING')",
            name=op.f("ck_consents_purpose"),
        ),
        sa.ForeignKeyConstraint(
            ["brand_id", "fan_id"], ["fans.brand_id", "fans.id"], name=op.f("fk_consents_brand_id_fan_id")
        ),
        sa.PrimaryKeyConstraint("fan_id", "purpose", name=op.f("pk_consents")),
    )
    op.create_index(
        "ix_consents_standing",
        "consents",
        ["brand_id", "purpose", "fan_id"],
        unique=False,
        sqlite_where=GRANTED,
        postgresql_where=GRANTED,
    )
    op.add_column("fans", sa.Column("erased_at", MOMENT, nullable=True))
    raise_walls(WALLS)


def downgrade() -> None:
    lower_walls(WALLS)
    op.drop_column("fans", "erased_at")
    op.drop_index("ix_cascades_seed_fan_id", table_name="cascades")
    for table in ("consents", "consent_records", "export_parts", "erasures", "jobs"):
        op.drop_table(table)
