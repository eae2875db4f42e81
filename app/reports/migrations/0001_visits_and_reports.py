"""Make the tables of visits and reports."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "visits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column(
            "page",
            sa.String(200).with_variant(mysql.VARCHAR(200, collation="utf8mb4_bin"), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(200)),
    )
    op.create_index("visits_at_page", "visits", ["at", "page"])
    op.create_index("visits_page_at", "visits", ["page", "at"])
    for name, last in (
        ("reports", sa.Column("recalculated_at", sa.BigInteger(), nullable=False)),
        ("report_progress", sa.Column("months", sa.Integer(), nullable=False)),
    ):
        op.create_table(
            name,
            sa.Column("period", sa.String(9), primary_key=True),
            sa.Column("start", sa.Date(), primary_key=True),
            sa.Column("visits", sa.BigInteger(), nullable=False),
            sa.Column("pages", sa.BigInteger(), nullable=False),
            last,
        )


def downgrade() -> None:
    for name in ("report_progress", "reports", "visits"):
        op.drop_table(name)
