"""Make the tables of the outbox and of messages that have ended."""

from tandem.sql import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    from alembic import op

    tables.metadata.create_all(op.get_bind())


def downgrade() -> None:
    from alembic import op

    tables.metadata.drop_all(op.get_bind())
