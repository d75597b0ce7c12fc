"""Alembic revisions of the ledger's schema."""
