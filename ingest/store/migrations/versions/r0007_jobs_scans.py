"""Long work that is asked for, and what scans of every pair found."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("asked_by", sa.String(80), nullable=False),
        sa.Column("asked_ms", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("jobs_by_state", "jobs", ["state"])
    op.create_table(
        "job_results",
        sa.Column(
            "job_id", sa.Integer, sa.ForeignKey("jobs.id"), primary_key=True, autoincrement=False
        ),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "scans",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("timeframe", sa.String(4), nullable=False),
        sa.Column("bars", sa.Integer, nullable=False),
        sa.Column("as_of_ms", sa.BigInteger, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("is_whole", sa.Boolean, nullable=False),
        sa.Column("pairs", sa.Integer, nullable=False),
        sa.Column("head", sa.Text, nullable=False),
    )
    op.create_index("scans_by_timeframe", "scans", ["timeframe", "as_of_ms"])
    for name, key in (("scan_columns", sa.Column("name", sa.String(30), primary_key=True)),
                      ("scan_history", sa.Column("number", sa.Integer, primary_key=True,
                                                 autoincrement=False))):  # fmt: skip
        op.create_table(
            name,
            sa.Column(
                "scan_id", sa.Integer, sa.ForeignKey("scans.id"), primary_key=True,
                autoincrement=False,
            ),
            key,
            sa.Column("cells", sa.LargeBinary, nullable=False),
        )  # fmt: skip


def downgrade() -> None:
    for name in ("scan_history", "scan_columns", "scans", "job_results", "jobs"):
        op.drop_table(name)
