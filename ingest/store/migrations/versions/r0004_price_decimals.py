"""Decimals of a symbol's prices, as the exchange quotes them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("symbols", sa.Column("price_decimals", sa.SmallInteger))


def downgrade() -> None:
    op.drop_column("symbols", "price_decimals")
