"""A status row for each role, where there was one for the worker alone."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "process_status",
        sa.Column("role", sa.String(20), primary_key=True),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO process_status (role, pid, state, heartbeat_ms, payload)"
        " SELECT 'worker', pid, state, heartbeat_ms, payload FROM worker_status"
    )
    op.drop_table("worker_status")


def downgrade() -> None:
    op.create_table(
        "worker_status",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("heartbeat_ms", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.execute(
        "INSERT INTO worker_status (id, pid, state, heartbeat_ms, payload)"
        " SELECT 1, pid, state, heartbeat_ms, payload FROM process_status WHERE role = 'worker'"
    )
    op.drop_table("process_status")
